"""The mail that invites a person, and the one that reminds them: what they read. No I/O.

It is plain text to one person. What could end a header or pretend to be a line of ours is taken out
of names. Its only secret is the enrolment key, which ends with the invitation.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from gettext import NullTranslations
from hashlib import sha256
from pathlib import Path
from uuid import UUID
from zoneinfo import ZoneInfo

from babel.support import Translations

from management.enrolment.models import Invitation
from management.outgoing_mail.writing import Mail
from management.texts import Text
from management.texts import lazy as _l

CATALOGUES = Path(__file__).parent.parent / "translations"
LONGEST_NAME = 100
JAPAN = ZoneInfo("Asia/Tokyo")
BETWEEN = f"\n{'=' * 40}\n\n"
"""Two languages. Not ``-- ``: programs take what follows that for a signature and fold it away."""

SUBJECT = _l("Enrol your device with %(here)s")
SUBJECT_AGAIN = _l("Reminder: enrol your device with %(here)s")
TO = _l("To %(person)s")
ASKS = _l(
    "%(by)s invited you on %(invited)s to enrol your phone or tablet with %(here)s, by which your "
    "company protects its devices."
)
AGAIN = _l("No device has enrolled by this invitation yet, so it is sent once more.")
AGENT = _l("If the agent is not on the device yet, open this page there and install it:")
LINK = _l("Open this link on the device:")
KEY = _l("If the link does not open, start the agent and type this key:")
USER = _l(
    "The agent also asks for your user name and password. Type them only there: never on a web "
    "page, and never in an answer to a mail."
)
ENDS = _l("The invitation holds until %(ends)s.")
SECRET = _l(
    "Treat this mail like a password and do not pass it on: until then, whoever has it can enrol a "
    "device in your name."
)
CHECK = _l("How you can tell that this mail is genuine:")
SERVER = _l("The page, the link and the key all name the server %(server)s, and no other.")
PRINT = _l(
    "Behind its dot the key begins with %(print)s. That is the same in every invitation of your "
    "company; whoever you ask can read it to you."
)
NOTHING = _l("It asks for no password, no payment and no answer.")
DOUBT = _l(
    "In doubt open nothing and ask first, by a number or address that you know already and not by "
    "answering: %(contact)s"
)
ADMINISTRATORS = _l("the administrators of your company")
FORGET = _l("If you have no such device, you need not do anything: the invitation ends by itself.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Invited:
    """What a letter says."""

    invitation_id: UUID
    address: str
    person: str
    by: str
    invited_at: datetime
    ends_at: datetime
    asks_user: bool
    language: str
    """``en``, ``ja``, or empty for both."""
    mails: int
    """So many went out before."""
    here: str
    """The name of this server."""
    relay_url: str
    link: str
    key: str
    """As it is typed, with the relay's address and the print."""
    contact: str
    """Whom users ask; empty: the policy does not say."""


def letter(invited: Invited, sender: str, now: datetime) -> Mail:
    """Return the mail; the same one tried again has the same ``Message-ID``."""
    languages = [invited.language] if invited.language else ["en", "ja"]
    subject = SUBJECT_AGAIN if invited.mails else SUBJECT
    told = f"{invited.invitation_id}{invited.mails}"
    return Mail(
        to=invited.address,
        subject=" / ".join(
            _catalogue(one).gettext(subject.english) % {"here": invited.here} for one in languages
        ),
        text=BETWEEN.join(words(invited, one) for one in languages),
        message_id=f"{sha256(told.encode()).hexdigest()[:40]}@{sender.partition('@')[2]}",
        at=now,
    )


def words(invited: Invited, language: str) -> str:
    """Return the text in one language."""
    gaps = _gaps(invited, language)

    def said(text: Text) -> str:
        return _catalogue(language).gettext(text.english) % gaps

    return "\n".join(said(one) if isinstance(one, Text) else one for one in _parts(invited)) + "\n"


def _parts(invited: Invited) -> Iterator[Text | str]:
    """Yield the lines, texts of ours still in English."""
    if one_line(invited.person) and not _LEADS_AWAY.search(invited.person):
        yield from (TO, "")
    yield ASKS
    if invited.mails:
        yield AGAIN
    yield from ("", AGENT, f"    {invited.relay_url}/mobile")
    yield from ("", LINK, f"    {invited.link}")
    yield from ("", KEY, f"    {invited.key}", "")
    if invited.asks_user:
        yield USER
    yield from (ENDS, SECRET, "", CHECK)
    yield from (SERVER, PRINT, NOTHING, DOUBT, "", FORGET)


def _gaps(invited: Invited, language: str) -> dict[str, str]:
    unknown = _catalogue(language).gettext(ADMINISTRATORS.english)
    return {
        "here": invited.here,
        "person": one_line(invited.person),
        "by": one_line(invited.by),
        "invited": _day(invited.invited_at, language),
        "ends": _minute(invited.ends_at, language),
        "server": invited.relay_url.removeprefix("https://"),
        "print": invited.key.rpartition(".")[2][:14],
        "contact": one_line(invited.contact) or unknown,
    }


_LEADS_AWAY = re.compile(r"[/:\\]|www\.", re.IGNORECASE)
"""In a name: the first line of a genuine mail must not send its reader to a foreign page."""


def one_line(text: str) -> str:
    """Return a name as one printable line: it cannot look like a paragraph of ours."""
    kept = "".join(char if char.isprintable() else " " for char in text)
    return " ".join(kept.split())[:LONGEST_NAME]


def _day(at: datetime, language: str) -> str:
    return f"{_local(at, language):%Y-%m-%d}"


def _minute(at: datetime, language: str) -> str:
    return f"{_local(at, language):%Y-%m-%d %H:%M} {'JST' if language == 'ja' else 'UTC'}"


def _local(at: datetime, language: str) -> datetime:
    """Return the time where the language is spoken; Japan has one zone."""
    return at.astimezone(JAPAN if language == "ja" else UTC)


@cache
def _catalogue(language: str) -> NullTranslations:
    if language == "ja":
        return Translations.load(CATALOGUES, ["ja"])
    return NullTranslations()


def about(row: Invitation, here: str, relay_url: str, link: str, key: str, contact: str) -> Invited:
    """Return what the letter of an invitation says; the rest as in `Invited`."""
    return Invited(
        invitation_id=row.id,
        address=row.address,
        person=row.person,
        by=row.created_by,
        invited_at=row.created_at,
        ends_at=row.expires_at,
        asks_user=row.asks_user,
        language=row.language,
        mails=row.mails,
        here=here,
        relay_url=relay_url,
        link=link,
        key=key,
        contact=contact,
    )


def sample(row: Invitation, here: str, language: str) -> str:
    """Return what a person would read, without anything secret in it."""
    return words(
        about(row, here, "https://…", "sekisho://enrol?…", "…/….…", "…"),
        row.language or language,
    )
