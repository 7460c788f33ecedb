"""Which enrolled device is this partnership? Pure.

A DeviceId is what a phone claims, so it alone proves nothing: the mailbox must be the device
owner's too. What is unsure is shown, and never allows. What only looks alike is proposed, for a
person to confirm.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID


class Match(StrEnum):
    """How sure we are that a partnership belongs to an enrolled device."""

    NONE = "none"
    SURE = "sure"
    UNSURE = "unsure"
    PROPOSED = "proposed"
    """It looks like one of the user's devices; nothing proves it."""
    BY_HAND = "by_hand"
    """An administrator said so."""
    UNMATCHED = "unmatched"
    """An administrator said that it is none of our devices."""

    @property
    def is_managed(self) -> bool:
        """Whether the device's judgement may decide; nothing else ever allows."""
        return self in (Match.SURE, Match.BY_HAND)


@dataclass(frozen=True, slots=True)
class Claim:
    """An enrolled device that says the partnership's DeviceId is its own."""

    device_id: UUID
    name: str
    owner_address: str


@dataclass(frozen=True, slots=True)
class Matched:
    """The answer of `match_device`; for an unsure match the device is shown, never trusted."""

    match: Match
    device_id: UUID | None
    because: str


@dataclass(frozen=True, slots=True)
class Lookalike:
    """An enrolled device of the user, which a phone without any claim may be."""

    device_id: UUID
    name: str
    owner_address: str
    model: str
    enrolled_at: datetime
    fetched_as: tuple[str, ...] = ()
    """DeviceIds of this mailbox that are surely this device, the newest first."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a phone without any claim says of itself."""

    mailbox: str
    user_address: str
    device_id: str
    model: str
    first_sync_at: datetime | None


def owner_agrees(mailbox: str, user_address: str, owner_address: str) -> bool:
    """Tell whether the mailbox is the device owner's.

    The mailbox's address equals the owner's; or its name (the last part of a canonical name) equals
    the owner's address or the part before the @, unless its address is of another domain.
    """
    owner = owner_address.strip().casefold()
    address = user_address.strip().casefold()
    name = mailbox.rsplit("/", 1)[-1].strip().casefold()
    local, _, domain = owner.partition("@")
    if not owner:
        return False
    if address == owner:
        return True
    if address and address.partition("@")[2] != domain:
        return False
    return bool(local) and name in (owner, local)


def match_device(mailbox: str, user_address: str, claims: Sequence[Claim]) -> Matched:
    """Return to which of the devices that report the DeviceId the partnership belongs.

    A claim by somebody else's device is shown when nothing better is there; it can neither allow
    nor spoil the owner's own claim.
    """
    agreeing = [c for c in claims if owner_agrees(mailbox, user_address, c.owner_address)]
    if len(agreeing) == 1:
        sure = agreeing[0]
        return Matched(
            Match.SURE,
            sure.device_id,
            f"{sure.name} of {sure.owner_address} reports this DeviceId and the mailbox is its "
            "owner's",
        )
    if agreeing:
        names = ", ".join(sorted(claim.name for claim in agreeing))
        return Matched(
            Match.UNSURE,
            agreeing[0].device_id,
            f"{len(agreeing)} enrolled devices of this user report this DeviceId ({names}); "
            "retire all but one or match it by hand",
        )
    if claims:
        other = claims[0]
        return Matched(
            Match.UNSURE,
            other.device_id,
            f"{other.name} reports this DeviceId, but belongs to {other.owner_address}, not to "
            "this mailbox; match it by hand if that is right",
        )
    return Matched(Match.NONE, None, "no enrolled device reports this DeviceId")


NEAR = timedelta(days=7)
"""Who enrols sets up mail at about the same time."""
_APPLE = re.compile(r"(iphone|ipad|ipod)(\d+)c(\d+)")


def same_model(one: str, other: str) -> bool:
    """Tell whether two spellings name one model: phones tell mail servers another one.

    An Apple device says ``iPhone16C1`` to a mail server and ``iPhone16,1`` to its management.
    """
    a, b = _plain(one), _plain(other)
    return bool(a) and bool(b) and (a == b or (min(len(a), len(b)) >= 4 and (a in b or b in a)))


def _plain(model: str) -> str:
    said = _APPLE.sub(r"\1\2,\3", model.strip().casefold())
    return re.sub(r"[^a-z0-9,]", "", said)


def propose(seen: Seen, devices: Sequence[Lookalike]) -> Matched | None:
    """Return which device of the user the phone looks like, how sure that is and why, or None.

    It is only shown: it never allows and never wipes until an administrator confirms it.
    """
    alike = [
        one
        for one in devices
        if owner_agrees(seen.mailbox, seen.user_address, one.owner_address)
        and same_model(seen.model, one.model)
    ]
    if not alike:
        return None
    best = min(alike, key=lambda one: _distance(seen, one))
    others = f"; {len(alike) - 1} more of this model are the user's" if len(alike) > 1 else ""
    return Matched(Match.PROPOSED, best.device_id, f"{_reason(seen, best)}{others}"[:1000])


def _distance(seen: Seen, one: Lookalike) -> tuple[bool, timedelta]:
    """Order devices: those that fetched mail before under another id first, then by time."""
    began = seen.first_sync_at
    return not one.fetched_as, abs(began - one.enrolled_at) if began else timedelta.max


def _reason(seen: Seen, one: Lookalike) -> str:
    what = f"same user and model as {one.name}"
    if one.fetched_as:
        return (
            f"likely: {what}, which fetched this mail as {one.fetched_as[0]} before; a factory "
            "reset gives a phone a new DeviceId"
        )
    if seen.first_sync_at is not None and abs(seen.first_sync_at - one.enrolled_at) <= NEAR:
        return f"likely: {what}, and first synchronised within 7 days of its enrolment"
    return f"possible: {what}, but at another time than its enrolment"
