"""Which profile each device of a simulated fleet has. Pure."""

from enum import StrEnum

from runtime.errors import MalformedMessageError


class Behaviour(StrEnum):
    """What a device of the fleet does."""

    HEALTHY = "healthy"
    """Reports, changes its apps now and then, obeys."""
    ROOTED = "rooted"
    """The same, and says that it is rooted."""
    OUTDATED = "outdated"
    """The same with an old system."""
    LOST = "lost"
    """Reports once and is never heard of again."""
    LYING_CLOCK = "lying-clock"
    """After enrolment its clock is far off; the relay's answers set its signatures right."""
    HOSTILE = "hostile"
    """Enrols and then sends what must be refused."""


DEFAULT = "healthy=80,rooted=5,outdated=5,lost=4,lying-clock=3,hostile=3"


def read_shares(text: str) -> dict[Behaviour, int]:
    """Return the shares in ``healthy=90,hostile=10``; a name without a number is one share."""
    shares: dict[Behaviour, int] = {}
    for part in text.split(","):
        name, _, share = part.strip().partition("=")
        try:
            profile, number = Behaviour(name.strip()), int(share or 1)
        except ValueError:
            raise _unreadable(part) from None
        if profile in shares or not 0 <= number <= 1_000_000:
            raise _unreadable(part)
        shares[profile] = number
    if not sum(shares.values()):
        raise _unreadable(text)
    return shares


def _unreadable(part: str) -> MalformedMessageError:
    return MalformedMessageError(
        f"'{part.strip()}' is no share of profiles. Write name=number, each name once, joined by "
        f"commas, for example {DEFAULT}. The names: {', '.join(Behaviour)}."
    )


def deal(shares: dict[Behaviour, int], count: int) -> list[Behaviour]:
    """Return the profile of each of *count* devices, mixed evenly.

    Each profile with a share gets at least one device, as long as there are enough for that.
    """
    wanted = {profile: share for profile, share in shares.items() if share}
    given = dict.fromkeys(wanted, 0)
    dealt: list[Behaviour] = []
    while len(dealt) < count:
        missing = [profile for profile in wanted if not given[profile]]
        reserved = count - len(dealt) <= len(missing)
        among = missing if reserved else list(wanted)
        # Sainte-Laguë: next comes who is furthest behind its share.
        chosen = max(among, key=lambda profile: wanted[profile] / (2 * given[profile] + 1))
        given[chosen] += 1
        dealt.append(chosen)
    return dealt
