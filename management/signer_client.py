"""Asks the signer's process; one connection for each question."""

import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from contracts import agent, codec
from contracts.download import DownloadValues
from management import signer_messages as messages
from runtime import errors

TIMEOUT_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Signed:
    """What became of an order: its token, or *why* (``limit``, ``paused``, ``misused``) not."""

    token: str
    why: str
    text: str


class SignerClient:
    """Each method raises UnavailableError when the signer does not answer."""

    def __init__(self, socket_path: Path) -> None:
        """Ask at *socket_path*; nothing is opened before the first question."""
        self.socket_path = socket_path

    def sign_order(self, order: agent.Order, requested_by: str = "") -> str:
        """Return *order* as a compact JWS; RefusedError as `sign_orders` says."""
        signed = self.sign_orders([(order, requested_by)])[0]
        if not signed.token:
            raise errors.RefusedError(signed.text)
        return signed.token

    def sign_orders(self, orders: Sequence[tuple[agent.Order, str]]) -> list[Signed]:
        """Sign each (order, who wants it) or say why not, at most `MOST_ORDERS` at once.

        A command with limits (wipes, passcode resets) is refused above them unless its exact set
        was approved, and wipes while the signer is paused. The same command counts once.
        """
        asked = tuple(
            messages.OrderToSign(order=codec.write(order).decode(), requested_by=by[:255])
            for order, by in orders
        )
        answer = self._ask(messages.SignOrders(orders=asked))
        return [Signed(**fields) for fields in answer["signed"]]

    def sign_trust(self, statement: agent.TrustStatement) -> str:
        """Return *statement* as a compact JWS; RefusedError unless it names the signer's keys."""
        text = codec.write(statement).decode()
        return str(self._ask(messages.SignTrust(statement=text))["token"])

    def sign_download(self, values: DownloadValues) -> str:
        """Return *values* as a compact JWS; RefusedError unless they name the signer's key."""
        text = codec.write(values).decode()
        return str(self._ask(messages.SignDownload(values=text))["token"])

    def confirm_trust(self, fingerprint: str) -> None:
        """Take the new keys and relays that wait; only for whoever runs the machine."""
        self._ask(messages.ConfirmTrust(fingerprint=fingerprint))

    def succeed(self, fingerprint: str) -> str:
        """Let the successor follow the key of that thumbprint; return the present thumbprint."""
        return str(self._ask(messages.Succeed(fingerprint=fingerprint))["thumbprint"])

    def public_key(self) -> dict[str, str]:
        """Return the public order-signing key as a JWK."""
        return dict(self.status()["public_key"])

    def successor_thumbprint(self) -> str:
        """Return the thumbprint of the key that will follow."""
        return str(self.status()["successor_thumbprint"])

    def begin_totp(self, administrator_id: UUID, name: str) -> str:
        """Return an otpauth URI to show once; the same again until it is confirmed.

        RefusedError when this administrator has confirmed one already.
        """
        asked = messages.BeginTotp(administrator_id=administrator_id, name=name)
        return str(self._ask(asked)["uri"])

    def check_totp(self, administrator_id: UUID, code: str) -> bool:
        """Tell whether *code* is right; each counts once, the first right one confirms.

        RefusedError says how long to wait after many wrong ones.
        """
        if not _code_like(code):
            return False
        asked = messages.CheckTotp(administrator_id=administrator_id, code=code)
        return bool(self._ask(asked)["right"])

    def forget_totp(self, administrator_id: UUID) -> None:
        """Forget the seed for signing in, so that a new one can begin; it approves nothing."""
        self._ask(messages.ForgetTotp(administrator_id=administrator_id))

    def begin_approver(self, name: str) -> str:
        """Return the otpauth URI of a new approver; only for whoever runs the machine."""
        return str(self._ask(messages.BeginApprover(name=name))["uri"])

    def confirm_approver(self, name: str, code: str) -> bool:
        """Tell whether the approver's first code is right; only for whoever runs the machine."""
        if not _code_like(code):
            return False
        return bool(self._ask(messages.ConfirmApprover(name=name, code=code))["right"])

    def remove_approver(self, name: str) -> None:
        """Forget an approver; only for whoever runs the machine."""
        self._ask(messages.RemoveApprover(name=name))

    def propose(
        self, orders: Sequence[messages.ProposedOrder], requested_by: str, because: str
    ) -> dict[str, Any]:
        """Register exactly this set and return it: ``fingerprint``, ``approved_by``, ``needed``,
        ``approved``, ``kinds`` (kind -> number), ``recipients``, ``requested_by``, ``because``.
        """
        asked = messages.Propose(
            orders=tuple(orders), requested_by=requested_by[:255], because=because[:255]
        )
        return self._ask(asked)

    def proposals(self, noted: bool = False) -> list[dict[str, Any]]:
        """Return the sets that wait for an approver, as `propose` returns each.

        *noted*: they are shown on the server itself, and the signer notes to whom.
        """
        return list(self._ask(messages.Proposals(noted=noted))["proposals"])

    def approve(self, fingerprint: str, approver: str, code: str) -> dict[str, Any]:
        """Stand behind a proposed set, proved by a fresh code of *approver*'s own; return the set.

        RefusedError when the code is wrong or used, or nobody made this person an approver.
        """
        if not _code_like(code):
            raise errors.RefusedError("This code is wrong or was used before.")
        return self._ask(messages.Approve(fingerprint=fingerprint, approver=approver, code=code))

    def pause(self, because: str) -> None:
        """Sign no wipe until `resume`; other orders go on."""
        self._ask(messages.Pause(because=because[:255]))

    def resume(self, approver: str = "", code: str = "") -> None:
        """Sign wipes again; proved by an approver's code, unless one runs the machine."""
        if approver and not _code_like(code):
            raise errors.RefusedError("This code is wrong or was used before.")
        self._ask(messages.Resume(approver=approver, code=code))

    def checkpoint(self, seq: int, mac: str) -> str:
        """Return a signed `AuditCheckpoint` of the trail's present end.

        RefusedError when the signer saw it end further on before.
        """
        return str(self._ask(messages.Checkpoint(seq=seq, mac=mac))["token"])

    def forget_checkpoint(self, because: str) -> None:
        """Let the trail end earlier than it did; only for whoever runs the machine."""
        self._ask(messages.ForgetCheckpoint(because=because[:255]))

    def take_notes(self, through: int = 0) -> list[dict[str, Any]]:
        """Return the oldest notes that are not in the audit trail: ``number``, ``at`` (ISO 8601),
        ``actor``, ``action``, ``subject``, ``reason``, ``details``. Up to *through* they are now.
        """
        return list(self._ask(messages.TakeNotes(through=through))["notes"])

    def newest_notes(self) -> list[dict[str, Any]]:
        """Return the newest notes, oldest first, also those that are in the trail."""
        return list(self._ask(messages.NewestNotes())["notes"])

    def status(self) -> dict[str, Any]:
        """Return ``public_key``, ``thumbprint``, ``successor_thumbprint``, ``succession``,
        ``trust_issue`` (the highest signed), ``trust_waits``, ``checkpoint`` (as JSON, or empty),
        ``paused_because``, ``limits``,
        ``allowed`` (kind -> {"hour", "day", "administrator"}) and ``used`` (the first two),
        ``approved_today``, ``approvers`` (names).
        """
        return self._ask(messages.Describe())

    def _ask(self, body: messages.Body) -> dict[str, Any]:
        request = codec.write(messages.SignerRequest(body=body))
        try:
            with connect(self.socket_path) as connection:
                messages.send(connection, request)
                raw = messages.receive(connection)
        except (OSError, errors.MalformedMessageError) as error:
            raise _silent(type(error).__name__) from None
        if raw is None:
            raise _silent("it hung up")
        answer = codec.read(messages.SignerAnswer, raw, messages.MAXIMUM_BYTES)
        if answer.error:
            raise _error(answer)
        return answer.fields


@contextmanager
def connect(path: Path) -> Iterator[socket.socket]:
    """Open a connection to the socket at *path*, which may be longer than 107 bytes."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection, short(path) as address:
        connection.settimeout(TIMEOUT_SECONDS)
        connection.connect(address)
        yield connection


@contextmanager
def short(path: Path) -> Iterator[str]:
    """Give a name of *path* that fits in a socket address."""
    # O_PATH asks only to pass through the folder: listing it is the signer's user's right alone.
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


def _code_like(code: str) -> bool:
    return code.isascii() and code.isdigit() and 6 <= len(code) <= 10


def _silent(what: str) -> errors.UnavailableError:
    return errors.UnavailableError(
        f"The order signer does not answer ({what}). Start it with `sekisho management signer`."
    )


def _error(answer: messages.SignerAnswer) -> errors.SekishoError:
    kind = getattr(errors, answer.error, errors.SekishoError)
    known = isinstance(kind, type) and issubclass(kind, errors.SekishoError)
    return kind(answer.text) if known else errors.SekishoError(answer.text)
