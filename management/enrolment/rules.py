"""Enrolment keys that people can type, and how an invitation stands. Pure."""

import secrets
from datetime import datetime, timedelta
from enum import StrEnum
from hashlib import sha256

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Crockford's base 32: no I, L, O or U, so that nothing is misread or spells words."""
GROUPS, GROUP = 7, 4
"""28 characters of 5 bits: 140 random bits."""
_READ_AS = str.maketrans({"O": "0", "I": "1", "L": "1", "-": None, " ": None})
SENT_WITHIN = timedelta(days=2)
"""How old a request to enrol may be: the relay may have held it while management was away."""
FUTURE = timedelta(minutes=10)
LONGEST = timedelta(days=90)


class InvitationState(StrEnum):
    """How an invitation stands."""

    ACTIVE = "active"
    EXPIRED = "expired"
    USED = "used"
    CANCELLED = "cancelled"


def new_key() -> str:
    """Return a fresh enrolment key in groups, as people see and type it."""
    return "-".join("".join(secrets.choice(ALPHABET) for _ in range(GROUP)) for _ in range(GROUPS))


def key_hash(key: str) -> str:
    """Return what an enrolment key is looked up by; typed in any way it gives the same.

    A plain hash is enough: nobody can try 140 random bits.
    """
    return sha256(plain(key).encode()).hexdigest()


def plain(key: str) -> str:
    """Return the key without groups, in capitals, look-alikes read as what they look like."""
    return key.strip().upper().translate(_READ_AS)


def invitation_state(
    expires_at: datetime, used_at: datetime | None, cancelled_at: datetime | None, now: datetime
) -> InvitationState:
    """Return how an invitation stands; what happened first counts, time last."""
    if used_at is not None:
        return InvitationState.USED
    if cancelled_at is not None:
        return InvitationState.CANCELLED
    return InvitationState.ACTIVE if now < expires_at else InvitationState.EXPIRED


def wrong_time(sent_at: datetime, received_at: datetime) -> str:
    """Return in a sentence why a request's own time is not believable, or nothing."""
    if sent_at > received_at + FUTURE:
        return "The device's clock is ahead. Set date and time to automatic and enrol again."
    if sent_at < received_at - SENT_WITHIN:
        return "The request is too old. Check the device's date and time and enrol again."
    return ""


def refusal(state: InvitationState | None) -> str:
    """Return why an enrolment key opens nothing, or nothing when it does."""
    sentences = {
        None: "The enrolment key is not known here. Check it, or ask for a new invitation.",
        InvitationState.EXPIRED: "The invitation has expired. Ask for a new one.",
        InvitationState.USED: "The invitation was used by a device already. Ask for a new one.",
        InvitationState.CANCELLED: "The invitation was cancelled. Ask for a new one.",
        InvitationState.ACTIVE: "",
    }
    return sentences[state]


def another_person(owner: str, invited: str) -> str:
    """Return why a device of *owner* cannot enrol by an invitation of *invited*, or nothing."""
    if owner.casefold() == invited.casefold():
        return ""
    return (
        "This device is enrolled for another person. Ask for an invitation for that person, or "
        "ask the administrator to retire the device first."
    )
