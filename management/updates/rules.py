"""When an update is due, and whether what it brings may become active."""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from patterns.versions import version_key
from runtime.errors import MalformedMessageError

SHIPPED = "shipped"
"""The source of the pattern set inside the release."""
KEPT = 5
"""So many inactive pattern sets stay on disk, to go back to."""


class Schedule(StrEnum):
    """How often the server looks for updates by itself."""

    OFF = "off"
    HOURLY = "hourly"
    DAILY = "daily"
    WEEKLY = "weekly"
    MONTHLY = "monthly"


class RunState(StrEnum):
    """What became of one attempt."""

    RUNNING = "running"
    NOTHING_NEW = "nothing new"
    UPDATED = "updated"
    FAILED = "failed"
    WAITING = "waiting"
    """It is installed and stays off until a person activates it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """How one thing stands that the source brings beside pattern sets."""

    kind: str
    """A key of `words.COMPONENTS`."""
    version: str = ""
    """Empty: there is none."""
    size: int | None = None
    """How much it holds, where that says something."""
    since: datetime | None = None
    source: str = ""
    """Its address; empty: a person brought it."""
    by: str = ""
    """That person."""
    looked_at: datetime | None = None
    """When the source was asked last."""
    offered: str = ""
    """What the source had then."""
    problem: str = ""
    """Why that is not in use; empty: it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """When to look; hours are UTC."""

    schedule: Schedule = Schedule.OFF
    day: int = 1
    hour: int = 3
    window_minutes: int = 60


def check_timing(timing: Timing) -> None:
    """Raise MalformedMessageError unless *timing* names a moment that exists every time."""
    last_day = 7 if timing.schedule == Schedule.WEEKLY else 28
    if not 1 <= timing.day <= last_day:
        raise MalformedMessageError(f"The day must be between 1 and {last_day}.")
    if not 0 <= timing.hour <= 23:
        raise MalformedMessageError("The hour must be between 0 and 23.")
    if not 0 <= timing.window_minutes <= 720:
        raise MalformedMessageError("The start window must be between 0 and 720 minutes.")


def latest_moment(timing: Timing, seed: str, now: datetime) -> datetime | None:
    """Return the last scheduled moment that is not after *now*; None without a schedule.

    Within the start window the moment is fixed by *seed*, so that many servers with one schedule
    do not all ask at once, and each asks at the same time every day.
    """
    if timing.schedule == Schedule.OFF:
        return None
    spread = _spread(timing, seed)
    start = _start_of_turn(timing, now.astimezone(UTC) - spread)
    return start + spread


def due_moment(timing: Timing, seed: str, taken_at: datetime, now: datetime) -> datetime | None:
    """Return the scheduled moment after *taken_at* that waits to be run, or None.

    Moments missed while the server was down count as one.
    """
    moment = latest_moment(timing, seed, now)
    return moment if moment is not None and moment > taken_at else None


def _spread(timing: Timing, seed: str) -> timedelta:
    window = timing.window_minutes * 60
    if timing.schedule == Schedule.HOURLY:
        window = min(window, 3540)
    number = int.from_bytes(hashlib.sha256(seed.encode()).digest()[:8])
    return timedelta(seconds=number % window if window else 0)


def _start_of_turn(timing: Timing, now: datetime) -> datetime:
    """Return the last start of a window that is not after *now* (UTC)."""
    hour = now.replace(minute=0, second=0, microsecond=0)
    if timing.schedule == Schedule.HOURLY:
        return hour
    start = hour.replace(hour=timing.hour)
    if timing.schedule == Schedule.MONTHLY:
        start = start.replace(day=timing.day)
        last_month = start.replace(day=1) - timedelta(days=1)
        return (
            start if start <= now else start.replace(year=last_month.year, month=last_month.month)
        )
    if timing.schedule == Schedule.WEEKLY:
        start -= timedelta(days=(start.isoweekday() - timing.day) % 7)
    step = timedelta(days=7 if timing.schedule == Schedule.WEEKLY else 1)
    return start if start <= now else start - step


def why_not_taken(offered: str, installed: list[str], active: str, held: str) -> str | None:
    """Return why *offered* must not become active by itself, or None when it may.

    *installed* are all versions that were ever active here, *held* the one that an administrator
    went back from (or empty). A source never takes this server back: only a person does.
    """
    if offered == active:
        return f"Version {offered} is the newest and is active."
    if held and version_key(offered) <= version_key(held):
        return (
            f"The source offers version {offered}. It stays off, because an administrator went back"
            f" from version {held}: a newer one will be taken by itself, and this one"
            " can be activated under Installed pattern sets."
        )
    newest = max([*installed, *([active] if active else [])], key=version_key, default=None)
    if newest and version_key(offered) <= version_key(newest):
        return f"The source offers version {offered}; this server already had {newest}."
    return None


def previous_version(active: str, installed: list[str]) -> str | None:
    """Return the version to go back to from *active*: the next lower one that is still here."""
    lower = [v for v in installed if version_key(v) < version_key(active)]
    return max(lower, key=version_key, default=None)


def with_line(lines: str, line: str) -> str:
    """Return *lines* and *line* below them; a line of the same first word replaces the last.

    So a download that counts takes one line. The oldest lines give way at 4000 characters.
    """
    before = lines.split("\n") if lines else []
    if before and before[-1].split(" ")[0] == line.split(" ")[0]:
        before.pop()
    whole = "\n".join([*before, line.replace("\n", " ")])
    return whole[-4000:]
