"""Checkpoints in a mail: how one is written, and how a saved one is read back."""

import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from email import message_from_bytes
from email.message import Message
from functools import cache
from gettext import NullTranslations
from hashlib import sha256
from pathlib import Path

from babel.support import Translations

from management.audit.models import Checkpoint
from management.outgoing_mail.writing import Mail
from management.texts import lazy as _l
from runtime.errors import MalformedMessageError

ATTACHED = "sekisho-audit-checkpoints.txt"
CATALOGUES = Path(__file__).parent.parent / "translations"
HEADER = re.compile(rb"[!-9;-~]{1,76}:[ \t]|From \S")
"""How a saved mail begins; some programs put an mbox line before it."""
MOST_PARTS = 1000

SUBJECT = _l("Sekisho audit trail up to entry %(seq)s (%(here)s)")
SIGNED = _l("The audit trail of %(here)s was signed up to entry %(seq)s at %(at)s UTC.")
KEEP = _l(
    "Keep this mail where that server cannot change it: it proves what the trail held. The signed "
    "checkpoints (%(count)s) are in the attached file."
)
COMPARE = _l("To compare, save this mail as a file and run on the server:")
RHYTHM = _l(
    "One comes each hour in which something was added. If none comes although people work there, "
    "look why."
)
AGAIN = _l(
    "An earlier attempt to send checkpoints of this mail ended without an answer, so they may have "
    "come before."
)


def letter(
    to: str, sender: str, here: str, new: Sequence[Checkpoint], again: bool, now: datetime
) -> Mail:
    """Return the mail about *new* checkpoints, oldest first, in English and Japanese.

    *again*: they may have arrived already, which it says; the same checkpoints make the same
    ``Message-ID``.
    """
    last = new[-1]
    gaps = {"here": here, "seq": last.seq, "at": f"{last.at:%Y-%m-%d %H:%M}", "count": len(new)}
    tokens = "".join(f"{one.token}\n" for one in new)
    english, japanese = NullTranslations(), _japanese()
    return Mail(
        to=to,
        subject=f"{SUBJECT.english % gaps} / {japanese.gettext(SUBJECT.english) % gaps}",
        text=f"{_words(english, gaps, again)}\n-- \n{_words(japanese, gaps, again)}",
        message_id=f"{sha256(f'{to}{tokens}'.encode()).hexdigest()[:40]}@{sender.partition('@')[2]}",
        at=now,
        attachment=(ATTACHED, tokens),
    )


def _words(language: NullTranslations, gaps: dict[str, object], again: bool) -> str:
    def said(text: str) -> str:
        return language.gettext(text) % gaps

    first = [said(AGAIN.english), ""] if again else []
    return "\n".join(
        [
            *first,
            said(SIGNED.english),
            said(KEEP.english),
            "",
            said(COMPARE.english),
            "    sekisho audit verify --checkpoints MAIL.eml",
            "",
            said(RHYTHM.english),
            "",
        ]
    )


@cache
def _japanese() -> NullTranslations:
    return Translations.load(CATALOGUES, ["ja"])


def is_mail(content: bytes) -> bool:
    """Return whether a file is a saved mail; a file of checkpoints or a log begins otherwise."""
    return (
        HEADER.match(content) is not None and b"\nMIME-Version:".lower() in content[:65_536].lower()
    )


def checkpoint_lines(content: bytes) -> list[str]:
    """Return the lines of the checkpoints in a saved mail, also in one that was forwarded whole.

    MalformedMessageError when none is attached.
    """
    try:
        files = [_text(part) for part in _parts(content) if part.get_filename() == ATTACHED]
    except (RecursionError, ValueError, LookupError):
        files = []
    if not files:
        raise MalformedMessageError(
            f"This mail has no attached file {ATTACHED}. Save the whole mail as it came (.eml)."
        )
    return [line for text in files for line in text.splitlines()]


def _parts(content: bytes) -> Iterator[Message]:
    for number, part in enumerate(message_from_bytes(content).walk()):
        if number >= MOST_PARTS:
            raise MalformedMessageError(f"This mail has more than {MOST_PARTS} parts.")
        yield part


def _text(part: Message) -> str:
    payload = part.get_payload(decode=True)
    return payload.decode("ascii", "replace") if isinstance(payload, bytes) else ""
