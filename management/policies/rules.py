"""What a policy asks of a device. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

from pydantic import TypeAdapter, ValidationError

from contracts.scan import Verdict
from management.policies.treatment import Rule, Treatment, complete
from runtime.errors import MalformedMessageError


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirements:
    """The criteria of compliance and what follows when one is broken.

    A criterion that is off (False, None, empty) asks nothing. `docs/compliance.md` tells them all.
    """

    maximum_silence: timedelta = timedelta(days=3)
    """Older good news is stale: the device is out of sync."""
    inactive_after: timedelta = timedelta(days=30)
    policy_applied: bool = True
    not_rooted: bool = True
    attested: bool = False
    encrypted: bool = True
    passcode_set: bool = True
    no_developer_options: bool = False
    no_usb_debugging: bool = False
    no_unknown_sources: bool = False
    owner_active: bool = False
    minimum_os_version: dict[str, str] = field(default_factory=dict)
    """Platform (``android``, ``ios``) -> dotted version."""
    maximum_os_age: dict[str, timedelta] = field(default_factory=dict)
    """Platform -> how long ago its system version may have been published."""
    minimum_patch_level: date | None = None
    maximum_patch_age: timedelta | None = None
    forbidden_verdicts: tuple[Verdict, ...] = (Verdict.MALICIOUS,)
    """An installed app with such a verdict is a violation."""
    forbidden_packages: tuple[str, ...] = ()
    required_packages: tuple[str, ...] = ()
    treatments: dict[Rule, Treatment] = field(default_factory=dict)
    """How each broken rule is treated; always complete, what is left out has the standard."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "treatments", complete(self.treatments))


_ADAPTER = TypeAdapter(Requirements)


def read_requirements(fields: dict[str, Any]) -> Requirements:
    """Return the requirements that `write_requirements` wrote; unknown names are refused."""
    known = Requirements.__dataclass_fields__
    if strange := sorted(set(fields) - set(known)):
        raise MalformedMessageError(f"A policy knows no {', '.join(strange)}.")
    try:
        return _ADAPTER.validate_python(fields)
    except ValidationError as error:
        places = "; ".join(
            f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}" for problem in error.errors()
        )
        raise MalformedMessageError(f"The policy is not valid. {places}") from None


def write_requirements(requirements: Requirements) -> dict[str, Any]:
    """Return *requirements* as JSON fields."""
    fields: dict[str, Any] = _ADAPTER.dump_python(requirements, mode="json")
    return fields


def asked_since(history: Sequence[tuple[datetime, Requirements]]) -> dict[str, datetime]:
    """Return for each wish of the last version since when it asks that without a break.

    So a change of one wish makes no other younger. *history* holds when each version was made and
    what it asks, oldest first, at least one; `wishes_in` tells the names.
    """
    last = wishes_in(history[-1][1])
    since = dict.fromkeys(last, history[-1][0])
    for made_at, asked in reversed(history[:-1]):
        earlier = wishes_in(asked)
        last = {name: wish for name, wish in last.items() if earlier.get(name, earlier) == wish}
        since |= dict.fromkeys(last, made_at)
    return since


def wishes_in(asked: Requirements) -> dict[str, Any]:
    """Return each single wish: a criterion, one entry of a list (`wish_name`), one consequence.

    A consequence is the same wish whatever its times are: a shorter grace holds at once.
    """
    found: dict[str, Any] = {}
    for name in asked.__dataclass_fields__:
        match getattr(asked, name):
            case tuple() as entries:
                found |= {wish_name(name, entry): True for entry in entries}
            case dict() as entries if name != "treatments":
                found |= {wish_name(name, entry): value for entry, value in entries.items()}
            case value:
                found[name] = value
    for rule, treatment in found.pop("treatments").items():
        found |= {wish_name(rule, one.kind): one.group_id for one in treatment.consequences}
    return found


def wish_name(of: str, entry: str) -> str:
    """Return the name of one entry: of a field's list, or ``RULE:KIND`` of a consequence."""
    return f"{of}:{entry}"
