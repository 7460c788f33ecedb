"""What a phone is told that may not pass, in the words of its protocol version. Pure.

From version 14.0 on the answer is HTTP 200 with a Status in the command's own document (MS-ASCMD
2.2.2); before, and where a command has no such document, an HTTP status speaks. It is never 401: a
phone would ask its user for the password again.
"""

from dataclasses import dataclass
from enum import Enum

from exchange_connector.gate.commands import STATUS_PLACES

CONTENT_TYPE = "application/vnd.ms-sync.wbxml"
KNOWS_STATUS = 140
"""The first protocol version (14.0) that knows these values of Status."""
_HEAD = b"\x03\x01\x6a\x00"  # WBXML 1.3, no public id, UTF-8, no string table
_SWITCH_PAGE, _CONTENT, _END, _TEXT = 0x00, 0x40, 0x01, 0x03


class Refusal(Enum):
    """Why a phone may not pass: (Status since 14.0, HTTP status before)."""

    BLOCKED = (129, 403)
    """MS-ASCMD 2.2.2: DeviceIsBlockedForThisUser.

    What concerns policies and wipes (140, 142 and 449, MS-ASPROV 3.1.5.1) is the mail server's to
    say, and passes through the gate as it is: the gate has no policies and wipes nobody yet.
    """


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer."""

    status: int
    body: bytes = b""


def refuse(refusal: Refusal, command: str, version: int) -> Answer:
    """Return what a phone understands that asked for *command* in protocol *version* (times 10)."""
    status, http_status = refusal.value
    if version < KNOWS_STATUS or command not in STATUS_PLACES:
        return Answer(http_status)
    return Answer(200, _document(command, status))


def _document(command: str, status: int) -> bytes:
    """Return ``<Command><Status>status</Status></Command>`` as WBXML."""
    page, root, place = STATUS_PLACES[command]
    switch = bytes([_SWITCH_PAGE, page]) if page else b""
    opening = bytes([root | _CONTENT, place | _CONTENT, _TEXT])
    return _HEAD + switch + opening + str(status).encode() + bytes([0, _END, _END])
