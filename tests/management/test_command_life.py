"""Commands against the real database and signer, in any order of events."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import select

from contracts.agent import CommandKind, CommandResult, Leaving
from management.commands import sending, service
from management.commands.allowed import Target, kinds_for, not_allowed
from management.commands.models import Command
from management.commands.rules import (
    DESTRUCTIVE,
    FINISHED,
    HELD_BY_PAUSE,
    OPEN,
    CommandState,
    may_follow,
    next_attempt_at,
    wrong_arguments,
)
from management.commands.superseding import Effect, effect
from management.context import Context
from management.enrolment import epochs
from management.safety.service import pause, resume
from management.signer_rules import Limits
from runtime.clock import utc_now
from runtime.errors import RefusedError
from tests.management.phones import Office, Phone, office

ARGUMENTS: dict[CommandKind, list[dict[str, str]]] = {
    CommandKind.MESSAGE: [{"text": "hello"}],
    CommandKind.LOCK: [{}, {"text": "call us"}],
    CommandKind.LOST_MODE: [{"text": "lost"}],
    CommandKind.INSTALL_APP: [
        {"package": "a", "reference": "1"},
        {"package": "a", "reference": "2"},
        {"package": "b", "reference": "1"},
    ],
    CommandKind.REMOVE_APP: [{"package": "a"}],
}
ORDERS = [(kind, said) for kind in CommandKind for said in ARGUMENTS.get(kind, [{}])]
orders = st.sampled_from(ORDERS)


@pytest.fixture
def signer_limits() -> Limits:
    return Limits(
        wipes_per_hour=1000,
        wipes_per_day=1000,
        wipes_per_administrator=1000,
        selective_wipes_per_hour=1000,
        selective_wipes_per_day=1000,
        selective_wipes_per_administrator=1000,
        passcode_resets_per_hour=1000,
        passcode_resets_per_day=1000,
        passcode_resets_per_administrator=1000,
    )


class Life(RuleBasedStateMachine):
    """One device, any commands, everything that can happen to them; the clock only goes on."""

    context: Context
    desk: Office

    def __init__(self) -> None:
        super().__init__()
        self.now = utc_now()
        self.phone = Phone(self.desk).enrol()
        self.enrolled = True
        self.paused = False
        self.states: dict[UUID, CommandState] = {}
        self.was_sent: set[UUID] = set()

    def commands(self, *states: CommandState) -> list[Command]:
        with self.context.database.reading() as session:
            found = select(Command).where(Command.device_id == self.phone.device_id)
            rows = list(session.scalars(found.order_by(Command.queued_at, Command.id)))
        return [row for row in rows if not states or row.state in states]

    @rule(order=orders, undo=st.sampled_from([0, 60]))
    def queue(self, order: tuple[CommandKind, dict[str, str]], undo: int) -> None:
        kind, said = order
        before = {row.id for row in self.commands(*OPEN)}
        with self.context.database.transaction("queue") as session:
            try:
                made = service.queue_command(
                    session, self.phone.device_id, kind, dict(said), "keeper", "", self.now,
                    undo=timedelta(seconds=undo),
                )  # fmt: skip
            except RefusedError:
                return
        assert made.id not in before or (made.kind, made.arguments) == (kind, said)

    @rule()
    def send(self) -> None:
        sending.send(self.context, [row.id for row in self.commands()], self.now)

    @rule(minutes=st.sampled_from([1, 20, 60 * 24, 60 * 24 * 8]))
    def wait(self, minutes: int) -> None:
        self.now += timedelta(minutes=minutes)
        with self.context.database.transaction("expire") as session:
            for row in self.commands():
                service.expire(session, row.id, self.now)

    @rule(data=st.data())
    def take_back(self, data: Any) -> None:
        if found := self.commands(CommandState.QUEUED):
            with self.context.database.transaction("cancel") as session:
                chosen = data.draw(st.sampled_from([row.id for row in found]))
                service.cancel_command(session, chosen, "keeper", self.now)

    @precondition(lambda self: self.enrolled)
    @rule(
        data=st.data(),
        state=st.sampled_from(["acknowledged", "done", "failed"]),
        try_again=st.booleans(),
    )
    def device_says(self, data: Any, state: Any, try_again: bool) -> None:
        found = self.commands()
        told = [row for row in found if row.kind != "wipe" or state != "done"]
        if told:
            chosen = data.draw(st.sampled_from([row.id for row in told]))
            said = CommandResult(
                command_id=chosen, state=state, at=utc_now(), detail="said", try_again=try_again
            )
            self.desk.take(self.phone.report(said), now=self.now)

    @precondition(lambda self: self.enrolled)
    @rule()
    def leave(self) -> None:
        self.desk.take(self.phone.report(Leaving()), now=self.now)
        self.enrolled = False
        kinds = {CommandKind(row.kind) for row in self.commands(*OPEN)}
        assert kinds <= DESTRUCTIVE, "only wipes wait for its return"

    @precondition(lambda self: not self.enrolled)
    @rule()
    def come_back(self) -> None:
        again = Phone(self.desk, self.phone.signing_key, self.phone.encryption_key)
        self.phone, self.enrolled = again.enrol(), True

    @rule()
    def pause_or_resume(self) -> None:
        self.paused = not self.paused
        with self.context.database.transaction("switch") as session:
            if self.paused:
                pause(session, "keeper", "drill", self.now)
            else:
                resume(session, "keeper", self.now)

    @rule()
    def restore(self) -> None:
        with self.context.database.transaction("restored") as session:
            epochs.restored(session, "keeper", "a drill", self.now)
            self.paused = True
        held = [row for row in self.commands(*OPEN) if row.kind in HELD_BY_PAUSE]
        assert all(row.waiting_for == "person" for row in held)

    @invariant()
    def every_step_was_legal_and_times_are_in_order(self) -> None:
        for row in self.commands():
            state, before = CommandState(row.state), self.states.get(row.id)
            if before in FINISHED and state is not before:
                assert may_follow(before, state)
            if state is CommandState.SENT and row.id not in self.was_sent:
                assert not (self.paused and row.kind in HELD_BY_PAUSE)
            known = [
                at
                for at in (row.queued_at, row.sent_at, row.acknowledged_at, row.finished_at)
                if at
            ]
            assert known == sorted(known)
            assert (row.finished_at is not None) == (state in FINISHED)
            assert bool(row.waiting_for) <= (state is CommandState.QUEUED)
            self.states[row.id] = state
        self.was_sent = {row.id for row in self.commands(CommandState.SENT)}

    @invariant()
    def nothing_is_queued_twice(self) -> None:
        shown = [
            (row.kind, str(sorted(row.arguments.items())))
            for row in self.commands(*OPEN)
            if row.kind != "message"
        ]
        assert len(shown) == len(set(shown))


def test_commands_bear_everything_in_any_order(context: Context) -> None:
    Life.context, Life.desk = context, office(context)
    run_state_machine_as_test(
        Life,
        settings=settings(
            max_examples=25,
            stateful_step_count=15,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


# --- rules ---


@given(orders, orders)
def test_what_a_new_command_does_to_an_open_one(
    new: tuple[CommandKind, dict[str, str]], opened: tuple[CommandKind, dict[str, str]]
) -> None:
    found = effect(new, opened)
    if new == opened:
        assert found is (Effect.NONE if new[0] is CommandKind.MESSAGE else Effect.SAME)
    if opened[0] is CommandKind.WIPE:
        assert found is not Effect.REPLACES, "nothing but a person takes a wipe back"
    if new[0] is CommandKind.MESSAGE:
        assert found is Effect.NONE


@pytest.mark.parametrize(
    ("new", "opened", "wanted"),
    [
        ("lock", "unlock", Effect.REPLACES),
        ("unlock", "lost_mode", Effect.REPLACES),
        ("wipe", "scan_now", Effect.REPLACES),
        ("wipe", "lock", Effect.NONE),
        ("scan_now", "wipe", Effect.POINTLESS),
        ("selective_wipe", "wipe", Effect.POINTLESS),
        ("wipe", "selective_wipe", Effect.REPLACES),
        ("selective_wipe", "install_app", Effect.REPLACES),
        ("remove_app", "install_app", Effect.REPLACES),
        ("message", "wipe", Effect.NONE),
        ("locate", "wipe", Effect.NONE),
    ],
)
def test_the_table_of_superseding(new: str, opened: str, wanted: Effect) -> None:
    first, second = (
        (CommandKind(kind), ARGUMENTS.get(CommandKind(kind), [{}])[0]) for kind in (new, opened)
    )
    assert effect(first, second) is wanted


@given(
    st.integers(1, 200),
    st.integers(0, 40 * 86_400).map(lambda seconds: timedelta(seconds=seconds)),
)
def test_attempts_pause_longer_and_end_with_the_commands_time(
    attempt: int, left: timedelta
) -> None:
    now = datetime(2026, 11, 22).astimezone()
    at = next_attempt_at(attempt, now, now + left)
    if at is not None:
        assert now < at < now + left
        assert at - now <= timedelta(days=1)
        earlier = next_attempt_at(max(1, attempt - 1), now, now + left)
        assert earlier is not None and earlier <= at
    else:
        assert attempt >= 100 or left <= timedelta(days=1)


@given(
    st.sampled_from(["android", "ios"]),
    st.sampled_from(["company", "personal"]),
    st.sampled_from(["", "device_owner", "work_profile", "agent", "supervised", "user"]),
    st.sampled_from(["enrolled", "retired", "wiped", "reset"]),
)
def test_every_device_is_told_why_not(platform: str, owner: str, mode: str, state: str) -> None:
    found = kinds_for(Target(platform, owner, mode, state))
    assert set(found) == set(CommandKind)
    assert all(why == "" or why.endswith(".") for why in found.values())
    if state == "enrolled":
        assert found[CommandKind.MESSAGE] == found[CommandKind.SELECTIVE_WIPE] == ""
    else:
        assert all(found.values())
    if owner == "personal":
        assert found[CommandKind.WIPE]


def test_allowed_commands_by_example() -> None:
    owned = Target("android", "company", "device_owner")
    assert not any(kinds_for(owned).values())
    assert "work profile" in not_allowed(
        CommandKind.WIPE, Target("android", "company", "work_profile")
    )
    assert "not device owner" in not_allowed(
        CommandKind.LOCK, Target("android", "company", "agent")
    )
    assert "supervised" in not_allowed(CommandKind.LOST_MODE, Target("ios", "company", "mdm"))
    assert not_allowed(CommandKind.LOST_MODE, Target("ios", "company", "supervised")) == ""


@given(orders)
def test_complete_arguments_are_right_and_incomplete_ones_named(
    order: tuple[CommandKind, dict[str, str]],
) -> None:
    kind, said = order
    assert wrong_arguments(kind, said) == ""
    if kind in ARGUMENTS and kind is not CommandKind.LOCK:
        assert "need" in wrong_arguments(kind, {})
