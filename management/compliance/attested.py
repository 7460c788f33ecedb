"""What secure hardware says wins over the device's own word where the two contradict. Pure.

The hardware speaks of one moment. What the device says later of its version is news, because
systems update: it is believed until the hardware is asked again, which `management.attestation`
does soon. A locked boot loader is no such news: locking it erases the device.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from management.compliance.versions import version_key
from management.devices.rules import ATTESTATION, Fact, FactKind, Facts

UNTRUSTED = ("unverified", "failed")
"""Boot states in which the system can be anything."""


@dataclass(frozen=True, slots=True)
class Contradiction:
    """The device says one thing, its hardware proves another."""

    kind: FactKind
    said: Fact
    proved: Fact
    """In the same words, with the moment of the proof."""

    @property
    def is_settled(self) -> bool:
        """Whether the proof wins: it is not older, or nothing but a new proof can undo it."""
        return self.kind is FactKind.ROOTED or self.proved.said_at >= self.said.said_at


def contradictions(facts: Facts) -> tuple[Contradiction, ...]:
    """Return where the device's word is not what its hardware said, settled or not."""
    attested = facts.get(FactKind.ATTESTED)
    if attested is None or not isinstance(attested.value, Mapping):
        return ()
    at = _moment(attested)
    return tuple(
        Contradiction(kind, said, Fact(value, ATTESTATION, at))
        for kind, value in _proved(attested.value)
        if (said := facts.get(kind)) is not None and _differs(kind, said.value, value)
    )


def settled(facts: Facts) -> Facts:
    """Return the facts to judge by: what is proved stands in place of what contradicts it."""
    won = {one.kind: one.proved for one in contradictions(facts) if one.is_settled}
    return {**facts, **won} if won else facts


def _proved(said: Mapping[str, Any]) -> Iterator[tuple[FactKind, Any]]:
    """Yield what the hardware says in the words that devices use of themselves."""
    if version := said.get("os_version"):
        yield FactKind.OS_VERSION, version
    if month := said.get("patch_level"):
        yield FactKind.SECURITY_PATCH, f"{month}-01"
    if said.get("boot_state") in UNTRUSTED or said.get("locked") is False:
        yield FactKind.ROOTED, True


def _differs(kind: FactKind, said: Any, proved: Any) -> bool:
    """Tell whether the device says something else; that it says nothing is no contradiction."""
    if said is None:
        return False
    match kind:
        case FactKind.OS_VERSION:
            return version_key(str(said)) != version_key(proved)
        case FactKind.SECURITY_PATCH:
            return str(said)[:7] != str(proved)[:7]
        case _:
            return said is not proved


def _moment(attested: Fact) -> datetime:
    try:
        return datetime.fromisoformat(attested.value["at"])
    except (KeyError, TypeError, ValueError):
        return attested.said_at
