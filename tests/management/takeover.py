"""What somebody does who took over the web process: a program with all that the web process has.

Run as ``python -m tests.management.takeover SIGN_IN_CODE`` under the web's user; prints one JSON
object. It has the web's files, keys, database and the signer's socket, and no other user's rights.
"""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from uuid import UUID, uuid4

from sqlalchemy import select

from contracts import agent, codec, envelope
from contracts import keys as jwk
from contracts.agent import CommandKind
from management import settings
from management.commands import sending, service
from management.commands.models import Command
from management.context import Context, open_context
from management.devices.models import Device
from management.relays.queries import find_trust
from management.relays.service import draft_order
from management.signer_messages import ProposedOrder
from runtime.clock import utc_now
from runtime.errors import SekishoError


class Thief:
    """Collects the signed wipes that it gets; each is worth a phone."""

    def __init__(self, context: Context, sign_in_code: str) -> None:
        self.context, self.code = context, sign_in_code
        self.key = jwk.read_public(context.signer.public_key())
        self.wiped: set[str] = set()
        with context.database.reading() as session:
            self.devices = list(session.scalars(select(Device)))

    def sign(self, devices: Sequence[Device], ids: Sequence[UUID], by: str) -> None:
        """Ask for a wipe of each device under one of the ids."""
        orders = [self.order(device, one) for device, one in zip(devices, ids, strict=True)]
        for start in range(0, len(orders), 50):
            asked = [(order, by) for order in orders[start : start + 50]]
            for signed in self.context.signer.sign_orders(asked):
                self.keep(signed.token)

    def order(self, device: Device, command_id: UUID) -> agent.Order:
        body = agent.RunCommand(
            command_id=command_id,
            command=CommandKind.WIPE,
            arguments={},
            expires_at=utc_now().replace(year=2099),
        )
        return draft_order(device, body, utc_now())

    def keep(self, token: str) -> None:
        if token:
            payload = envelope.verify(token, envelope.ORDER, self.key)
            self.wiped.add(str(codec.read(agent.Order, payload).aud))

    # --- the ways ---

    def through_the_product(self) -> None:
        """Order wipes as the console does."""
        with self.context.database.transaction("steal") as session:
            ids = [
                service.queue_command(
                    session, device.id, CommandKind.WIPE, {}, "keeper", "", utc_now()
                ).id
                for device in self.devices
            ]
        sending.send(self.context, ids, utc_now())
        with self.context.database.reading() as session:
            sent = select(Command.device_id).where(Command.state != "queued")
            self.wiped |= {str(one) for one in session.scalars(sent)}

    def under_many_names(self) -> None:
        """Be somebody else for each wipe, from many connections at once."""
        with ThreadPoolExecutor(8) as pool:
            for device in self.devices:
                pool.submit(self.sign, [device], [uuid4()], f"somebody {device.id}")

    def under_one_id(self) -> None:
        """Use ids that were signed or approved for other devices."""
        with self.context.database.reading() as session:
            known = list(session.scalars(select(Command.id)))
        for one in known[:10]:
            self.sign(self.devices, [one] * len(self.devices), "keeper")

    def with_an_invented_administrator(self) -> None:
        """Make administrators, confirm their codes and approve with them."""
        import pyotp

        fingerprint = self.proposed()
        for name in ("mallory", "trudy"):
            administrator = uuid4()
            uri = self.context.signer.begin_totp(administrator, name)
            totp = pyotp.parse_uri(uri)
            assert isinstance(totp, pyotp.TOTP)
            self.context.signer.check_totp(administrator, totp.now())
            with suppress(SekishoError):
                self.context.signer.approve(fingerprint, name, totp.now())
        self.sign_proposed()

    def with_a_code_for_signing_in(self) -> None:
        """Use the code that a real approver just typed to sign in."""
        fingerprint = self.proposed()
        for name in ("ren", "sora"):
            with suppress(SekishoError):
                self.context.signer.approve(fingerprint, name, self.code)
        self.sign_proposed()

    def proposed(self) -> str:
        self.set = [
            ProposedOrder(
                command_id=uuid4(), command=CommandKind.WIPE, recipient=device.id, arguments={}
            )
            for device in self.devices
        ]
        return str(self.context.signer.propose(self.set, "keeper", "")["fingerprint"])

    def sign_proposed(self) -> None:
        self.sign(self.devices, [one.command_id for one in self.set], "keeper")

    def forbidden(self) -> Iterator[tuple[str, Callable[[], object]]]:
        """What must fail, each by name."""
        signer, home = self.context.signer, self.context.settings.home
        folder = home / "signer"
        yield "make an approver", lambda: signer.begin_approver("mallory")
        yield "remove an approver", lambda: signer.remove_approver("ren")
        yield "change the key", lambda: signer.succeed(str(signer.status()["thumbprint"]))
        yield "send reports to a key of its own", self.own_trust
        yield (
            "confirm its own key",
            lambda: signer.confirm_trust(signer.status()["trust_waits"]["fingerprint"]),
        )
        yield "resume", signer.resume
        for path in ("secret.key", "order-signing.sealed", "signer.db"):
            yield f"read {path}", (folder / path).read_bytes
        yield "list the folder", lambda: list(folder.iterdir())
        yield "replace the books", lambda: (folder / "signer.db").unlink()
        yield "replace the socket", lambda: (folder / "signer.sock").unlink()

    def own_trust(self) -> None:
        with self.context.database.reading() as session:
            found = find_trust(session)
        assert found is not None
        payload = envelope.verify(found.statement, envelope.TRUST, self.key)
        statement = codec.read(agent.TrustStatement, payload)
        mine = jwk.public_jwk(jwk.new_key())
        new = replace(statement, issue=statement.issue + 1, encryption_key=mine)
        self.context.signer.sign_trust(new)


def main() -> None:
    """Try everything and say what came of it."""
    thief = Thief(open_context(settings.load()), sys.argv[1])
    for way in (
        thief.through_the_product,
        thief.under_many_names,
        thief.under_one_id,
        thief.with_an_invented_administrator,
        thief.with_a_code_for_signing_in,
    ):
        with suppress(SekishoError):
            way()
    worked = []
    for name, attempt in thief.forbidden():
        try:
            attempt()
        except (SekishoError, PermissionError):
            continue
        worked.append(name)
    key_readable = Path(thief.context.settings.home / "keys" / "secret.key").read_bytes() != b""
    print(
        json.dumps(
            {
                "devices": len(thief.devices),
                "wiped": sorted(thief.wiped),
                "worked": worked,
                "has_webs_key": key_readable,
            }
        )
    )


if __name__ == "__main__":
    main()
