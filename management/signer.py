"""Signs orders in a process of its own, within limits that the web process cannot lift.

It parses each order itself and signs what it understood. Counters, clock and one-time code seeds
are its own. Where it runs under its own user, taking over the web process is not enough to wipe a
fleet; where it does not, the limits still hold against mistakes (DESIGN.md, decision 4).
"""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, assert_never
from uuid import UUID

from joserfc.jwk import ECKey

from contracts import agent, codec, envelope
from contracts import keys as jwk
from contracts.agent import CommandKind
from management import signer_messages as messages
from management import signer_totp as totp
from management.key_files import SealedFolder, locked, prepare_folder
from management.signer_rules import Limits, exceeded, may_approve_from
from management.signer_store import Books, Clock, Store
from runtime.errors import ForbiddenError, RefusedError

PAUSED = "paused"
TRUST_ISSUE = "trust issue"
MOST_AHEAD = 1000
"""How far a trust statement's number may run ahead of the highest one signed."""
DESTRUCTIVE = (CommandKind.WIPE, CommandKind.SELECTIVE_WIPE)


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks: whether they run the machine (root, or the signer's own user)."""

    runs_machine: bool


class Signer:
    """The keys, the books and the answers; `signer_server` puts it behind a socket."""

    def __init__(self, folder: Path, limits: Limits, clock: Clock | None = None) -> None:
        """Open *folder*, making what is missing; ConfigurationError when something is lost."""
        with locked(folder):
            self._sealed: SealedFolder = prepare_folder(folder)
            for name in ("order-signing", "successor"):
                self._sealed.make_missing(name, lambda: jwk.private_json(jwk.new_key()))
            self._store = Store(folder / "signer.db", clock or Clock())
        self._limits = limits
        self._key: ECKey = jwk.read_private(self._sealed.read("order-signing"))
        self._successor = jwk.thumbprint(jwk.read_private(self._sealed.read("successor")))

    def answer(self, body: messages.Body, asker: Asker) -> dict[str, Any]:
        """Do what is asked; errors of `runtime.errors` say why not."""
        match body:
            case messages.SignOrder():
                return {"token": self._sign_order(codec.read(agent.Order, body.order))}
            case messages.SignTrust():
                return {"token": self._sign_trust(body.statement)}
            case messages.Describe():
                return self._describe()
            case messages.BeginTotp():
                with self._store.transaction("begin totp") as books:
                    uri = totp.begin(books, self._sealed, body.administrator_id, body.name)
                return {"uri": uri}
            case messages.CheckTotp():
                return {"right": self._check(body.administrator_id, body.code)}
            case messages.ForgetTotp():
                _only_here(asker, "A one-time code device is replaced")
                with self._store.transaction("forget totp") as books:
                    totp.forget(books, body.administrator_id)
                return {}
            case messages.Approve():
                return self._approve(body)
            case messages.Pause():
                return self._set_pause(body.because or "no reason given")
            case messages.Resume():
                _only_here(asker, "Wipes are resumed")
                return self._set_pause("")
            case _:
                assert_never(body)

    def close(self) -> None:
        """Close the books."""
        self._store.close()

    def _sign_order(self, order: agent.Order) -> str:
        body = order.body
        if isinstance(body, agent.RunCommand) and self._limits.of(body.command):
            with self._store.transaction("count wipe") as books:
                self._admit(books, body, order.aud)
        return envelope.sign(codec.write(order), envelope.ORDER, self._key)

    def _admit(self, books: Books, body: agent.RunCommand, recipient: UUID) -> None:
        """Count a command that has limits, or refuse it.

        Its id counts once, so it is bound to the first recipient and kind: else one id would
        wipe everybody.
        """
        because = books.read(PAUSED) if body.command in DESTRUCTIVE else ""
        if because:
            raise RefusedError(f"Wipes are paused ({because}); `sekisho resume` lifts it.")
        command_id, kind = str(body.command_id), body.command.value
        before = books.recipient_of(command_id)
        if before == (kind, str(recipient)):
            return
        if before is not None:
            raise RefusedError("This command was signed before for another device or kind.")
        limit = exceeded(body.command, books.used(kind), self._limits)
        approver = books.approver(command_id, self._limits.approval_minutes * 60.0) if limit else ""
        if limit and not approver:
            raise RefusedError(
                f"The signer allows {limit}. A second administrator must approve it."
            )
        books.count(command_id, kind, str(recipient), approver)

    def _sign_trust(self, text: str) -> str:
        statement = codec.read(agent.TrustStatement, text)
        ours = (jwk.public_jwk(self._key), self._successor)
        if (statement.order_signing_key, statement.successor_thumbprint) != ours:
            raise RefusedError("A trust statement must name the signer's own keys.")
        with self._store.transaction("count trust") as books:
            highest = int(books.read(TRUST_ISSUE) or 0)
            if statement.issue > highest + MOST_AHEAD:
                # Devices never take a lower number again: one with the highest would be the last.
                raise RefusedError(f"The number {statement.issue} is far above {highest}.")
            books.write(TRUST_ISSUE, str(max(highest, statement.issue)))
        return envelope.sign(codec.write(statement), envelope.TRUST, self._key)

    def _check(self, administrator_id: UUID, code: str) -> bool:
        with self._store.transaction("check totp") as books:
            wall = self._store.clock.wall()
            return totp.check(books, self._sealed, administrator_id, code, wall)

    def _approve(self, body: messages.Approve) -> dict[str, Any]:
        if body.requested_by == body.administrator_id:
            raise RefusedError("Whoever asked for a command cannot approve it.")
        with self._store.transaction("look up approver") as books:
            self._may_approve(books, body.administrator_id)
        if not self._check(body.administrator_id, body.code):
            raise RefusedError(totp.WRONG)
        with self._store.transaction("approve") as books:
            books.approve(str(body.command_id), str(body.administrator_id))
        return {}

    def _may_approve(self, books: Books, administrator_id: UUID) -> None:
        confirmed = totp.confirmed_at(books, administrator_id)
        if confirmed is None:
            raise RefusedError("Only an administrator with a confirmed code device may approve.")
        wait = may_approve_from(confirmed, books.born_at(), self._limits) - books.now
        if wait > 0:
            raise RefusedError(
                f"This administrator's code device is new; it may approve in {wait / 3600:.1f} h."
            )

    def _set_pause(self, because: str) -> dict[str, Any]:
        with self._store.transaction("pause") as books:
            books.write(PAUSED, because)
        return {}

    def _describe(self) -> dict[str, Any]:
        with self._store.transaction("describe") as books:
            confirmed = "SELECT count(*) FROM administrator WHERE confirmed_at IS NOT NULL"
            return {
                "public_key": jwk.public_jwk(self._key),
                "thumbprint": jwk.thumbprint(self._key),
                "successor_thumbprint": self._successor,
                "paused_because": books.read(PAUSED),
                "trust_issue": int(books.read(TRUST_ISSUE) or 0),
                "limits": asdict(self._limits),
                "used": {kind.value: books.used(kind.value) for kind in DESTRUCTIVE},
                "administrators": books.rows.execute(confirmed).fetchone()[0],
            }


def _only_here(asker: Asker, what: str) -> None:
    if not asker.runs_machine:
        raise ForbiddenError(f"{what} on the server itself, as the signer's user or root.")
