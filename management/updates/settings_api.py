"""The API's way to go to another pattern set, and to set source and schedule of updates."""

from dataclasses import dataclass
from typing import Annotated

from flask import Blueprint
from pydantic import Field

from management.access import Permission, signed_in_name
from management.administrators import step_up
from management.api.bodies import Because
from management.api.operations import STRICT, Code, Whole, operation
from management.updates import queries, service
from management.updates.api import Updates, get_updates
from management.updates.rules import Schedule, Timing
from management.web import context, reading, transaction, visitor_address
from runtime.clock import utc_now
from runtime.errors import RefusedError

bp = Blueprint("updates_settings_api", __name__, url_prefix="/api/v1")
RUN = Permission.RUN_UPDATES
DAYS_OF_WEEK = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleAnswer:
    """When the server looks for updates by itself; hours are UTC."""

    __pydantic_config__ = STRICT

    schedule: Schedule
    day: Annotated[int, Field(ge=1, le=28), Whole] = 1
    """Of the week (1 is Monday) or of the month."""
    hour: Annotated[int, Field(ge=0, le=23), Whole] = 3
    window_minutes: Annotated[int, Field(ge=0, le=720), Whole] = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceAnswer:
    """Where updates come from."""

    address: str
    """Empty: none is entered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewSource:
    """Where updates are to come from, and the root that is trusted there."""

    __pydantic_config__ = STRICT

    address: Annotated[str, Field(min_length=1, max_length=1000, pattern=r"^[^\x00]*$")]
    root: Annotated[str, Field(min_length=1, max_length=200_000, pattern=r"^[^\x00]*$")]
    """The source's `root.json`, fetched in a way that you trust."""
    code: Code


@operation(bp, "/pattern-sets/<version>/activate", RUN, "POST", refusals=(409,))
def activate_pattern_set(version: str, body: Because) -> Updates:
    """Activate an installed pattern set."""
    with transaction("activate chosen patterns") as session:
        keys, now = context().keys, utc_now()
        service.activate_version(session, keys, version, _actor(), body.because, now)
    return get_updates()


@operation(bp, "/pattern-sets/<version>/discard", RUN, "POST", refusals=(409,))
def discard_pattern_set(version: str, body: Because) -> Updates:
    """Forget an installed pattern set that is not active."""
    with transaction("discard patterns") as session:
        keys, now = context().keys, utc_now()
        service.discard_set(session, keys, version, _actor(), body.because, now)
    return get_updates()


@operation(bp, "/pattern-sets/roll-back", RUN, "POST", refusals=(409,))
def roll_patterns_back(body: Because) -> Updates:
    """Activate the pattern set before the active one."""
    with transaction("roll patterns back") as session:
        service.roll_back(session, context().keys, _actor(), body.because, utc_now())
    return get_updates()


@operation(bp, "/updates/schedule", Permission.VIEW)
def get_update_schedule() -> ScheduleAnswer:
    """Get when the server looks for updates by itself."""
    with reading() as session:
        found = service.timing_of(queries.source_or_blank(session))
    return ScheduleAnswer(
        schedule=found.schedule,
        day=found.day,
        hour=found.hour,
        window_minutes=found.window_minutes,
    )


@operation(bp, "/updates/schedule", Permission.CHANGE_SETTINGS, "PUT", refusals=(409,))
def change_update_schedule(body: ScheduleAnswer) -> ScheduleAnswer:
    """Look for updates at other times."""
    if body.schedule is Schedule.WEEKLY and body.day > DAYS_OF_WEEK:
        raise RefusedError("A week has 7 days: day is 1 (Monday) to 7.")
    timing = Timing(
        schedule=body.schedule,
        day=body.day,
        hour=body.hour,
        window_minutes=body.window_minutes,
    )
    with transaction("save update schedule") as session:
        service.save_timing(session, context().keys, timing, _actor(), utc_now())
    return body


@operation(bp, "/updates/source", Permission.VIEW)
def get_update_source() -> SourceAnswer:
    """Get where updates come from."""
    with reading() as session:
        return SourceAnswer(address=queries.source_or_blank(session).address)


@operation(bp, "/updates/source", Permission.CHANGE_SETTINGS, "PUT", refusals=(409,))
def change_update_source(body: NewSource) -> SourceAnswer:
    """Take updates from another source, trusting the root that is sent."""
    step_up.require_code(body.code)
    root = body.root.encode("utf-8", "replace")
    if problems := service.source_problems(body.address, root):
        raise RefusedError(" ".join(problems.values()))
    with transaction("save update source") as session:
        service.save_source(session, context().keys, body.address, root, _actor(), utc_now())
    return SourceAnswer(address=body.address)


def _actor() -> service.Actor:
    return service.Actor(signed_in_name(), visitor_address())
