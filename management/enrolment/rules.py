"""Enrolment keys that people can type, and how each stands. Pure."""

import re
import secrets
from datetime import datetime, timedelta
from enum import StrEnum
from hashlib import sha256

from contracts.enrolment_key import ALPHABET, plain

GROUPS, GROUP = 7, 4
"""28 characters of 5 bits: 140 random bits."""
SHORTEST_PRESET, LONGEST_PRESET = 16, 64
_PRESET = re.compile(r"[A-Z0-9]+(?:-[A-Z0-9]+)*")
SENT_WITHIN = timedelta(days=2)
"""How old a request to enrol may be: the relay may have held it while management was away."""
FUTURE = timedelta(minutes=10)
LONGEST = timedelta(days=90)
"""Of an invitation."""
LONGEST_KEY = timedelta(days=3 * 366)
"""Of a key for many devices."""
MOST_DEVICES = 1_000_000


class InvitationState(StrEnum):
    """How an enrolment key stands."""

    ACTIVE = "active"
    EXPIRED = "expired"
    USED = "used"
    CANCELLED = "cancelled"


class ClientState(StrEnum):
    """How the client on a registered device stands."""

    OPERATING = "operating"
    SUSPENDED = "suspended"
    """Enrolled, but in the group ``unauthorized``."""
    DELETED = "deleted"
    """Retired, wiped or reset; the record stays."""


def client_state(enrolment_state: str, unauthorized: bool) -> ClientState:
    """Return how the client stands on a device in this enrolment state."""
    if enrolment_state != "enrolled":
        return ClientState.DELETED
    return ClientState.SUSPENDED if unauthorized else ClientState.OPERATING


def new_key() -> str:
    """Return a fresh enrolment key in groups, as people see and type it."""
    return "-".join("".join(secrets.choice(ALPHABET) for _ in range(GROUP)) for _ in range(GROUPS))


def key_hash(key: str) -> str:
    """Return what an enrolment key is looked up by; typed in any way it gives the same.

    A plain hash is enough: nobody can try 140 random bits.
    """
    return sha256(plain(key).encode()).hexdigest()


def preset_problem(key: str) -> str:
    """Return why nobody may choose this key, or nothing: it must not be guessed.

    Guesses reach management only through a relay, 60 a minute from one address; so 16 letters of
    which 8 differ are enough, though far from the 140 random bits of a generated key.
    """
    letters = plain(key)
    if not _PRESET.fullmatch(key.strip().upper()):
        return "A key is made of the letters A to Z, digits, and hyphens between them."
    if not SHORTEST_PRESET <= len(letters) <= LONGEST_PRESET:
        return f"A key has {SHORTEST_PRESET} to {LONGEST_PRESET} letters and digits."
    if len(set(letters)) < SHORTEST_PRESET // 2:
        return "This key is too easy to guess: use at least eight different letters and digits."
    return ""


def is_used_up(devices: int, most: int | None) -> bool:
    """Return whether a key that let in *devices* lets in no more."""
    return most is not None and devices >= most


def invitation_state(
    expires_at: datetime, used_at: datetime | None, cancelled_at: datetime | None, now: datetime
) -> InvitationState:
    """Return how an enrolment key stands; what happened first counts, time last."""
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
        InvitationState.EXPIRED: "The enrolment key has expired. Ask for a new one.",
        InvitationState.USED: "The enrolment key was used up already. Ask for a new one.",
        InvitationState.CANCELLED: "The enrolment key was cancelled. Ask for a new one.",
        InvitationState.ACTIVE: "",
    }
    return sentences[state]


def another_person(owner: str, invited: str) -> str:
    """Return why a device of *owner* cannot enrol for *invited*, or nothing.

    A key that is nobody's own leaves the device to whom it belongs.
    """
    if not invited or owner.casefold() == invited.casefold():
        return ""
    return (
        "This device is enrolled for another person. Ask for an invitation for that person, or "
        "ask the administrator to retire the device first."
    )
