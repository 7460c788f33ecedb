"""What the signer's socket carries: one length-prefixed JSON message each way, strict and bounded.

Only the signer and its client import this; orders travel as text, because the signer parses them
itself and signs what it understood, never bytes it was given.
"""

import socket
import struct
from dataclasses import dataclass
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import Field

from contracts.agent import CommandKind
from contracts.types import Name, Sha256, Short
from runtime.errors import MalformedMessageError, TooLargeError

MAXIMUM_BYTES = 1024 * 1024
MOST_ORDERS = 200
"""In one question."""
MOST_PROPOSED = 1000
"""In one set that is approved together."""
_LENGTH = struct.Struct(">I")

Code = Annotated[str, Field(min_length=6, max_length=10)]


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderToSign:
    order: Annotated[str, Field(max_length=512 * 1024)]
    requested_by: Short = ""
    """Who wants it, as management says; counted, never believed as a proof."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignOrders:
    kind: Literal["sign_orders"] = "sign_orders"
    orders: Annotated[tuple[OrderToSign, ...], Field(max_length=MOST_ORDERS)]


@dataclass(frozen=True, slots=True, kw_only=True)
class SignTrust:
    kind: Literal["sign_trust"] = "sign_trust"
    statement: Annotated[str, Field(max_length=512 * 1024)]


@dataclass(frozen=True, slots=True, kw_only=True)
class SignDownload:
    """`contracts.download.DownloadValues` that name the signer's own key."""

    kind: Literal["sign_download"] = "sign_download"
    values: Annotated[str, Field(max_length=16 * 1024)]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfirmTrust:
    """The operator takes the new keys and relays of the statement that waits."""

    kind: Literal["confirm_trust"] = "confirm_trust"
    fingerprint: Sha256


@dataclass(frozen=True, slots=True, kw_only=True)
class Succeed:
    """The successor takes the place of the order-signing key, and a new successor is made."""

    kind: Literal["succeed"] = "succeed"
    fingerprint: Short
    """Thumbprint of the key that is to end, so that doing it twice changes nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Describe:
    """Asks for the keys, the limits and what was used of them."""

    kind: Literal["describe"] = "describe"


@dataclass(frozen=True, slots=True, kw_only=True)
class BeginTotp:
    kind: Literal["begin_totp"] = "begin_totp"
    administrator_id: UUID
    name: Short


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckTotp:
    kind: Literal["check_totp"] = "check_totp"
    administrator_id: UUID
    code: Code


@dataclass(frozen=True, slots=True, kw_only=True)
class ForgetTotp:
    kind: Literal["forget_totp"] = "forget_totp"
    administrator_id: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class BeginApprover:
    kind: Literal["begin_approver"] = "begin_approver"
    name: Name


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfirmApprover:
    kind: Literal["confirm_approver"] = "confirm_approver"
    name: Name
    code: Code


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveApprover:
    kind: Literal["remove_approver"] = "remove_approver"
    name: Name


@dataclass(frozen=True, slots=True, kw_only=True)
class ProposedOrder:
    command_id: UUID
    command: CommandKind
    recipient: UUID
    arguments: dict[str, Short]


@dataclass(frozen=True, slots=True, kw_only=True)
class Propose:
    """Registers exactly this set of orders, so that approvers can prove that they want it."""

    kind: Literal["propose"] = "propose"
    orders: Annotated[tuple[ProposedOrder, ...], Field(min_length=1, max_length=MOST_PROPOSED)]
    requested_by: Short
    because: Short


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposals:
    kind: Literal["proposals"] = "proposals"
    noted: bool = False
    """They are shown to somebody on the server itself, who is noted with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Approve:
    kind: Literal["approve"] = "approve"
    fingerprint: Sha256
    approver: Name
    code: Code


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    kind: Literal["pause"] = "pause"
    because: Short


@dataclass(frozen=True, slots=True, kw_only=True)
class Resume:
    """Proved by an approver's code, unless whoever runs the machine asks."""

    kind: Literal["resume"] = "resume"
    approver: Short = ""
    code: Code | Literal[""] = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """The audit trail ends at entry *seq* now."""

    kind: Literal["checkpoint"] = "checkpoint"
    seq: Annotated[int, Field(ge=1, le=2**53)]
    mac: Sha256


@dataclass(frozen=True, slots=True, kw_only=True)
class ForgetCheckpoint:
    """The database was restored: the trail may end earlier than it did."""

    kind: Literal["forget_checkpoint"] = "forget_checkpoint"
    because: Short


@dataclass(frozen=True, slots=True, kw_only=True)
class TakeNotes:
    """The signer's notes up to number *through* are in the audit trail; the next are wanted."""

    kind: Literal["take_notes"] = "take_notes"
    through: Annotated[int, Field(ge=0, le=2**53)] = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class NewestNotes:
    """Asks for the signer's newest notes, also those that are in the trail."""

    kind: Literal["newest_notes"] = "newest_notes"


Body = Annotated[
    SignOrders
    | SignTrust
    | SignDownload
    | ConfirmTrust
    | Succeed
    | Describe
    | BeginTotp
    | CheckTotp
    | ForgetTotp
    | BeginApprover
    | ConfirmApprover
    | RemoveApprover
    | Propose
    | Proposals
    | Approve
    | Pause
    | Resume
    | Checkpoint
    | ForgetCheckpoint
    | TakeNotes
    | NewestNotes,
    Field(discriminator="kind"),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class SignerRequest:
    v: int = 1
    body: Body


@dataclass(frozen=True, slots=True, kw_only=True)
class SignerAnswer:
    """``error`` is empty or the name of a class in `runtime.errors`, whose sentence is ``text``."""

    v: int = 1
    error: Short = ""
    text: str = ""
    fields: dict[str, Any]


def send(connection: socket.socket, message: bytes) -> None:
    """Send one message; the socket's timeout bounds it."""
    connection.sendall(_LENGTH.pack(len(message)) + message)


def receive(connection: socket.socket) -> bytes | None:
    """Return one message, or None when the other side hung up between two.

    Raises TooLargeError before reading a message above 1 MiB, MalformedMessageError when it ends
    early, TimeoutError as the socket does.
    """
    head = _exactly(connection, _LENGTH.size)
    if not head:
        return None
    (length,) = _LENGTH.unpack(head)
    if length > MAXIMUM_BYTES:
        raise TooLargeError(f"A message to the signer is larger than {MAXIMUM_BYTES} bytes.")
    body = _exactly(connection, length)
    if length and not body:
        raise MalformedMessageError("A message to the signer ended early.")
    return body


def _exactly(connection: socket.socket, length: int) -> bytes:
    """Return *length* bytes, or none at all when the stream ends before the first."""
    parts = bytearray()
    while len(parts) < length:
        part = connection.recv(min(length - len(parts), 65_536))
        if not part:
            if parts:
                raise MalformedMessageError("A message to the signer ended early.")
            return b""
        parts += part
    return bytes(parts)
