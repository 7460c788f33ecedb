"""The pause switch, stored settings and the clock watch."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.orm import Session

from management.audit import queries as audit
from management.clock_watch import ClockWatch
from management.context import Context
from management.safety import queries, service
from management.safety.rules import clock_jump, freeze_reason
from runtime.errors import TooLargeError

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
lengths = st.timedeltas(timedelta(days=-400), timedelta(days=400))


@given(passed=st.floats(0, 10_000_000), jump=lengths)
def test_a_jump_is_what_the_wall_moved_beyond_the_time_that_passed(
    passed: float, jump: timedelta
) -> None:
    wall = NOW + timedelta(seconds=passed) + jump
    tolerance = timedelta(seconds=60)

    found = clock_jump(NOW, 100.0, wall, 100.0 + passed, tolerance)

    if abs(jump) > tolerance + timedelta(milliseconds=1):
        assert found is not None
        assert abs(found - jump) < timedelta(milliseconds=1)
    elif abs(jump) < tolerance - timedelta(milliseconds=1):
        assert found is None


@pytest.mark.parametrize(
    ("jump", "words"),
    [
        (timedelta(minutes=-4), None),
        (timedelta(minutes=9), None),
        (timedelta(minutes=-6), "back by 6 minutes"),
        (timedelta(hours=5), "forward by 5 hours"),
        (timedelta(days=-40), "back by 40 days"),
    ],
)
def test_only_implausible_jumps_freeze(jump: timedelta, words: str | None) -> None:
    reason = freeze_reason(jump)
    assert reason is None if words is None else reason is not None and words in reason


def test_a_fresh_server_is_not_paused(session: Session) -> None:
    assert queries.get_enforcement(session).paused_at is None
    assert not queries.is_paused(session)


def test_pausing_twice_keeps_the_first_reason_and_resuming_clears_it(session: Session) -> None:
    service.pause(session, "aoi", "theft", NOW)
    service.pause(session, "midori", "other", NOW + timedelta(hours=1))
    row = queries.get_enforcement(session)
    assert (row.paused_by, row.paused_because, row.paused_at) == ("aoi", "theft", NOW)

    service.resume(session, "midori", NOW + timedelta(hours=2))

    assert not queries.is_paused(session)


def test_settings_are_stored_as_text(session: Session) -> None:
    assert queries.read_setting(session, "updates.source", "none") == "none"
    service.write_setting(session, "updates.source", "https://example", "aoi", NOW)
    service.write_setting(session, "updates.source", "https://other", "aoi", NOW)
    assert queries.read_setting(session, "updates.source", "none") == "https://other"
    with pytest.raises(TooLargeError):
        service.write_setting(session, "updates.source", "x" * 4001, "aoi", NOW)


class Time:
    def __init__(self) -> None:
        self.wall, self.passed = NOW, 0.0

    def go(self, seconds: float, jump: timedelta = timedelta()) -> None:
        self.passed += seconds
        self.wall += timedelta(seconds=seconds) + jump


def _watch(context: Context, time: Time) -> ClockWatch:
    return ClockWatch(context, lambda: time.wall, lambda: time.passed)


def _paused_because(context: Context) -> str:
    with context.database.reading() as session:
        return queries.get_enforcement(session).paused_because


def test_a_steady_clock_pauses_nothing(context: Context) -> None:
    time = Time()
    watch = _watch(context, time)
    for _ in range(30):
        watch()
        time.go(10, timedelta(milliseconds=300))
    assert _paused_because(context) == ""


@pytest.mark.parametrize(
    ("jump", "words"),
    [(timedelta(days=30), "forward by 30 days"), (timedelta(minutes=-20), "back by 20 minutes")],
)
def test_a_jump_while_running_freezes_once_and_is_audited(
    context: Context, jump: timedelta, words: str
) -> None:
    time = Time()
    watch = _watch(context, time)
    watch()
    time.go(10, jump)
    watch()
    assert words in _paused_because(context)
    assert words in context.signer.status()["paused_because"]

    with context.database.transaction("resume") as session:
        service.resume(session, "aoi", time.wall)
    for _ in range(20):
        time.go(10)
        watch()

    assert _paused_because(context) == ""
    with context.database.reading() as session:
        assert [entry.action for entry in audit.list_entries(session)] == ["enforcement.pause"]


def test_a_clock_set_back_while_the_server_was_off_freezes(context: Context) -> None:
    time = Time()
    _watch(context, time)()
    time.go(3600)
    _watch(context, time)()
    assert _paused_because(context) == ""

    time.go(60, timedelta(hours=-3))
    _watch(context, time)()

    assert "back by" in _paused_because(context)


def test_a_long_time_switched_off_is_no_jump(context: Context) -> None:
    time = Time()
    _watch(context, time)()
    time.go(86_400 * 30)
    _watch(context, time)()
    assert _paused_because(context) == ""
