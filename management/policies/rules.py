"""What a policy asks of a device. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from pydantic import TypeAdapter, ValidationError

from contracts.scan import Verdict
from runtime.errors import MalformedMessageError


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirements:
    """The criteria of compliance; a criterion that is off (False, None) asks nothing."""

    maximum_silence: timedelta = timedelta(days=3)
    """Older good news is stale: the device is out of sync."""
    inactive_after: timedelta = timedelta(days=30)
    not_rooted: bool = True
    encrypted: bool = True
    passcode_set: bool = True
    no_developer_options: bool = False
    no_usb_debugging: bool = False
    no_unknown_sources: bool = False
    minimum_os_version: dict[str, str] = field(default_factory=dict)
    """Platform (``android``, ``ios``) -> dotted version."""
    maximum_patch_age: timedelta | None = None
    forbidden_verdicts: tuple[Verdict, ...] = (Verdict.MALICIOUS,)
    """An installed app with such a verdict is a violation."""
    forbidden_packages: tuple[str, ...] = ()
    required_packages: tuple[str, ...] = ()


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
    """Return for each criterion since when it asks what the last version asks.

    *history* holds when each version was made and what it asks, oldest first, at least one.
    """
    last_at, last = history[-1]
    since = dict.fromkeys(Requirements.__dataclass_fields__, last_at)
    for name in since:
        for made_at, asked in reversed(history):
            if getattr(asked, name) != getattr(last, name):
                break
            since[name] = made_at
    return since
