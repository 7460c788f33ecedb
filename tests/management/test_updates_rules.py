"""When an update is due, and what may become active by itself."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from management.updates.rules import (
    Schedule,
    Timing,
    check_timing,
    due_moment,
    latest_moment,
    previous_version,
    why_not_taken,
    with_line,
)
from patterns.versions import version_key
from runtime.errors import MalformedMessageError

moments = st.datetimes(
    min_value=datetime(2020, 1, 1),
    max_value=datetime(2040, 1, 1),
    timezones=st.just(UTC),
)
running_schedules = st.sampled_from([s for s in Schedule if s != Schedule.OFF])
timings = st.builds(
    Timing,
    schedule=running_schedules,
    day=st.integers(1, 7),
    hour=st.integers(0, 23),
    window_minutes=st.integers(0, 720),
)
seeds = st.text(max_size=20)
versions = st.lists(st.integers(0, 99), min_size=2, max_size=4).map(
    lambda parts: ".".join(str(part) for part in parts)
)
TURN = {
    Schedule.HOURLY: timedelta(hours=1),
    Schedule.DAILY: timedelta(days=1),
    Schedule.WEEKLY: timedelta(days=7),
    Schedule.MONTHLY: timedelta(days=31),
}


@given(timings, seeds, moments)
def test_the_latest_moment_is_past_and_less_than_a_turn_ago(
    timing: Timing, seed: str, now: datetime
) -> None:
    moment = latest_moment(timing, seed, now)

    assert moment is not None
    assert moment <= now < moment + TURN[timing.schedule]


@given(timings, seeds, moments)
def test_the_moment_lies_within_the_start_window(timing: Timing, seed: str, now: datetime) -> None:
    moment = latest_moment(timing, seed, now)
    assert moment is not None
    minute = moment.minute + moment.second / 60
    if timing.schedule == Schedule.HOURLY:
        assert minute <= timing.window_minutes
        return
    start = moment.replace(hour=timing.hour, minute=0, second=0)
    start -= timedelta(days=1) if start > moment else timedelta()
    assert moment - start <= timedelta(minutes=timing.window_minutes)
    if timing.schedule == Schedule.WEEKLY:
        assert start.isoweekday() == timing.day
    if timing.schedule == Schedule.MONTHLY:
        assert start.day == timing.day


@given(timings, seeds, moments, st.lists(st.integers(1, 100_000), max_size=20))
def test_each_turn_is_run_once_however_often_one_looks(
    timing: Timing, seed: str, now: datetime, steps: list[int]
) -> None:
    taken, ran = now, []
    for seconds in steps:
        now += timedelta(seconds=seconds)
        moment = due_moment(timing, seed, taken, now)
        if moment is not None:
            taken = moment
            ran.append(moment)
            assert due_moment(timing, seed, taken, now) is None

    assert ran == sorted(set(ran))


@given(seeds, moments)
def test_without_a_schedule_nothing_is_ever_due(seed: str, now: datetime) -> None:
    assert due_moment(Timing(), seed, now - timedelta(days=999), now) is None


def test_servers_with_one_schedule_start_at_different_moments() -> None:
    timing = Timing(schedule=Schedule.DAILY, window_minutes=60)
    now = datetime(2026, 11, 21, 12, tzinfo=UTC)

    starts = {latest_moment(timing, f"server {number}", now) for number in range(100)}

    assert len(starts) > 90


def test_a_schedule_that_was_just_entered_waits_for_its_next_moment() -> None:
    timing = Timing(schedule=Schedule.DAILY, hour=3, window_minutes=0)
    entered = datetime(2026, 11, 21, 12, tzinfo=UTC)

    assert due_moment(timing, "", entered, entered + timedelta(hours=14, minutes=59)) is None
    assert due_moment(timing, "", entered, entered + timedelta(hours=15)) is not None


@pytest.mark.parametrize(
    "timing",
    [
        Timing(schedule=Schedule.WEEKLY, day=8),
        Timing(schedule=Schedule.MONTHLY, day=29),
        Timing(schedule=Schedule.DAILY, hour=24),
        Timing(schedule=Schedule.DAILY, window_minutes=721),
    ],
)
def test_a_moment_that_does_not_always_exist_is_refused(timing: Timing) -> None:
    with pytest.raises(MalformedMessageError):
        check_timing(timing)


@given(versions, st.lists(versions, max_size=5))
def test_only_what_is_newer_than_all_before_is_taken_by_itself(
    offered: str, installed: list[str]
) -> None:
    active = installed[0] if installed else ""

    taken = why_not_taken(offered, installed, active, "") is None

    assert taken == all(version_key(offered) > version_key(old) for old in installed)


@given(versions, versions, st.lists(versions, max_size=5))
def test_nothing_up_to_what_is_held_is_taken_by_itself(
    offered: str, held: str, installed: list[str]
) -> None:
    active = installed[0] if installed else ""

    if why_not_taken(offered, installed, active, held) is None:
        assert version_key(offered) > version_key(held)


def test_what_is_held_is_explained() -> None:
    words = why_not_taken("2026.12.2", ["2026.12.1", "2026.12.2"], "2026.12.1", "2026.12.2")

    assert words is not None and "went back from version 2026.12.2" in words


def test_going_back_leads_to_the_next_lower_version() -> None:
    installed = ["2026.12.10", "2026.12.9", "2026.12.2"]

    assert previous_version("2026.12.10", installed) == "2026.12.9"
    assert previous_version("2026.12.2", installed) is None


def test_a_line_that_counts_replaces_itself() -> None:
    lines = with_line(with_line("Queued.", "Downloading: 1 MB"), "Downloading: 2 MB")

    assert lines == "Queued.\nDownloading: 2 MB"


@given(st.text(max_size=5000), st.text(max_size=5000))
def test_the_words_of_a_run_fit_their_column_and_end_with_the_last(lines: str, line: str) -> None:
    whole = with_line(lines, line)

    assert len(whole) <= 4000
    assert whole.endswith(line.replace("\n", " ")[-3000:])
