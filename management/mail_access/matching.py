"""Which enrolled device is this partnership? Pure.

A DeviceId is what a phone claims, so it alone proves nothing: the mailbox must be the device
owner's too. What is unsure is shown, and never allows.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID


class Match(StrEnum):
    """How sure we are that a partnership belongs to an enrolled device."""

    NONE = "none"
    SURE = "sure"
    UNSURE = "unsure"
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
