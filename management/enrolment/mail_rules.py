"""Who gets the mail of an invitation, and when one that failed is tried again. Pure."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from uuid import UUID

from management.enrolment.rules import InvitationState

ONCE_IN = timedelta(days=1)
"""One person gets a mail at most so often, unless somebody insists."""
MOST_MAILS = 10
"""For one invitation, also when somebody insists."""
MOST_TO_ONE = 3
"""To one address within `ONCE_IN`, by whichever invitations, also when somebody insists."""
MOST_AT_ONCE = 1_000
MOST_WAITING = 10_000
"""Mails of all requests together that are on their way: some hours of them."""
GIVEN_UP_AFTER = timedelta(days=1)
"""A mail that should have been tried so long ago is on its way no more: its job is gone."""
WAITS = (
    timedelta(minutes=1),
    timedelta(minutes=10),  # a server that greylists takes it then (RFC 6647)
    timedelta(hours=1),
    timedelta(hours=4),
)
"""After each failure; then it is given up and told."""
LANGUAGES = ("", "en", "ja")
"""Of a mail; empty: both."""
NO_MAIL_SERVER = "No mail server is entered yet."
NO_RELAY = "No relay is paired, so no device can enrol."
AT_ONCE = f"At most {MOST_AT_ONCE} people get a mail at once. Remind the others afterwards."


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What decides whether an invitation is mailed now."""

    state: InvitationState
    is_personal: bool
    """It has an address, so somebody may be waiting for it."""
    can_be_mailed: bool
    """Its address is one that SMTP takes."""
    devices: int
    mails: int
    is_on_its_way: bool
    mailed_lately: bool
    """The person got a mail within `ONCE_IN`, for this invitation or another."""
    enrolled_since: bool
    """A device of the person enrolled after the invitation was made."""
    has_newer: bool
    """The mail of the same request goes out for a newer invitation of the person."""
    sent: tuple[datetime, ...] = ()
    """When mails went to the address within `ONCE_IN`, the oldest first."""
    waiting: int = 0
    """How many are on their way to the address."""


def why_not(known: Known, insists: bool) -> str:
    """Return in a sentence why the invitation is not mailed now, or nothing.

    Who insists lifts only the limit of one mail a day for one person, up to `MOST_TO_ONE`.
    """
    if known.devices or known.state is InvitationState.USED:
        return "A device enrolled by this invitation already."
    if known.state is InvitationState.CANCELLED:
        return "The invitation is cancelled."
    if known.state is InvitationState.EXPIRED:
        return "The invitation has expired. Invite the person again."
    if not known.is_personal:
        return "This key is nobody’s own, so there is no address."
    if not known.can_be_mailed:
        return "Mail cannot go to this address. Only the letters of ASCII are taken."
    if known.enrolled_since:
        return "A device of this person enrolled after the invitation was made."
    if known.is_on_its_way:
        return "A mail to this person is on its way already."
    if known.mails >= MOST_MAILS:
        return f"This invitation was mailed {MOST_MAILS} times. Invite the person again."
    return _too_many(known) if insists else _too_often(known)


def _too_many(known: Known) -> str:
    over = len(known.sent) + known.waiting - MOST_TO_ONE
    if over < 0:
        return ""
    if over >= len(known.sent):
        return f"{known.waiting} mails to this address are on their way already."
    first, again = known.sent[0], known.sent[over] + ONCE_IN
    return (
        f"This address got {len(known.sent)} mails since {first:%Y-%m-%d %H:%M} UTC, and "
        f"{MOST_TO_ONE} a day are the most. The next can go out after {again:%Y-%m-%d %H:%M} UTC."
    )


def _too_often(known: Known) -> str:
    if known.mailed_lately:
        return "This person got a mail within the last day."
    if known.has_newer:
        return "The mail goes out for a newer invitation of the same person."
    return ""


def wait_after(failures: int) -> timedelta | None:
    """Return how long to wait after so many failures in a row; None: it is given up."""
    return WAITS[failures - 1] if 1 <= failures <= len(WAITS) else None


def is_on_its_way(next_at: datetime | None, now: datetime) -> bool:
    """Return whether a mail that is tried (again) at *next_at* is still to come."""
    return next_at is not None and next_at > now - GIVEN_UP_AFTER


def digest(ids: tuple[UUID, ...]) -> str:
    """Return what tells one choice of invitations from another."""
    return sha256(b"".join(sorted(one.bytes for one in ids))).hexdigest()


def without(secrets: tuple[str, ...], told: str) -> str:
    """Return what a mail server said, without what it must not have repeated from the mail."""
    for secret in secrets:
        told = told.replace(secret, "…") if secret else told
    return told
