from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from contracts.agent import CommandKind, CommandResult
from management.access import Role
from management.commands import queries, service, work
from management.commands.models import Command
from management.commands.rules import (
    DESTRUCTIVE,
    FINISHED,
    OPEN,
    CommandState,
    Waiting,
    may_follow,
    wrong_arguments,
)
from management.commands.steps import step
from management.context import Context
from management.devices.queries import get_device
from management.enrolment.service import retire
from management.safety.service import pause, resume
from management.signer_rules import Limits
from runtime.clock import utc_now
from runtime.errors import RefusedError
from tests.management.clients import ConsoleClient, api_client
from tests.management.phones import Office, Phone, office


@pytest.fixture
def signer_limits() -> Limits:
    return Limits(wipes_per_hour=1, wipes_per_day=1)


@pytest.fixture
def desk(context: Context) -> Office:
    return office(context)


@pytest.fixture
def phone(desk: Office) -> Phone:
    return Phone(desk).enrol()


def queued(context: Context, phone: Phone, kind: CommandKind, **more: Any) -> Command:
    with context.database.transaction("queue") as session:
        return service.queue_command(
            session, phone.device_id, kind, {}, "keeper", "lost", utc_now(), **more
        )


def now_is(context: Context, command: Command) -> Command:
    with context.database.reading() as session:
        return queries.get_command(session, command.id)


def dispatched(context: Context, command: Command) -> Command:
    work.dispatch(context, {"command_ids": [str(command.id)]}, print)
    return now_is(context, command)


def test_a_queued_command_is_sent_and_only_once(context: Context, phone: Phone) -> None:
    command = queued(context, phone, CommandKind.LOCK)

    first, again = dispatched(context, command), dispatched(context, command)

    assert (first.state, first.outbound_seq) == (again.state, again.outbound_seq) == ("sent", 2)
    assert len(phone.orders()) == 1


def test_a_command_is_taken_back_until_it_is_sent(context: Context, phone: Phone) -> None:
    early, late = (queued(context, phone, kind) for kind in (CommandKind.LOCK, CommandKind.LOCATE))
    dispatched(context, late)

    with context.database.transaction("cancel") as session:
        service.cancel_command(session, early.id, "keeper", utc_now())
        with pytest.raises(RefusedError, match="cannot be taken back"):
            service.cancel_command(session, late.id, "keeper", utc_now())

    assert dispatched(context, early).state == "cancelled"


def test_wipes_wait_while_enforcement_is_paused_and_say_so(context: Context, phone: Phone) -> None:
    with context.database.transaction("pause") as session:
        pause(session, "keeper", "something is odd", utc_now())
    wipe, lock = (queued(context, phone, kind) for kind in (CommandKind.WIPE, CommandKind.LOCK))

    waiting = dispatched(context, wipe)
    assert (waiting.state, waiting.waiting_for) == ("queued", Waiting.ENFORCEMENT)
    assert "something is odd" in waiting.detail
    assert dispatched(context, lock).state == "sent"

    with context.database.transaction("resume") as session:
        resume(session, "keeper", utc_now())
    work.dispatch(context, {}, print)
    assert now_is(context, wipe).state == "sent"


def test_a_wipe_above_the_limit_waits_for_approval(
    context: Context, desk: Office, phone: Phone
) -> None:
    other = Phone(desk).enrol()
    first = dispatched(context, queued(context, phone, CommandKind.WIPE))
    second = dispatched(context, queued(context, other, CommandKind.WIPE))

    assert first.state == "sent"
    assert (second.state, second.waiting_for) == ("queued", Waiting.APPROVAL)
    assert second.detail
    with context.database.reading() as session:
        found = queries.list_commands(session, waiting_for=Waiting.APPROVAL)
        assert [command.id for command in found] == [second.id]
        assert get_device(session, other.device_id).outbound_seq == 1


def test_a_device_that_left_gets_no_commands(context: Context, phone: Phone) -> None:
    open_one = queued(context, phone, CommandKind.LOCK)
    with context.database.transaction("retire") as session:
        retire(session, phone.device_id, "keeper", "lost", utc_now())

    assert now_is(context, open_one).state == "failed"
    with pytest.raises(RefusedError, match="retired"):
        queued(context, phone, CommandKind.LOCK)


def test_a_command_that_nobody_collects_expires(context: Context, phone: Phone) -> None:
    short = timedelta(microseconds=1)
    never_sent = queued(context, phone, CommandKind.LOCK, valid_for=short)
    kept = queued(context, phone, CommandKind.LOCATE)

    work.expire(context, {}, print)

    assert now_is(context, never_sent).state == "expired"
    assert now_is(context, kept).state == "queued"


def test_an_unsuccessful_command_is_tried_again_as_a_new_one(
    context: Context, phone: Phone
) -> None:
    old = queued(context, phone, CommandKind.LOCK)
    with context.database.transaction("again") as session:
        service.cancel_command(session, old.id, "keeper", utc_now())
        new = service.retry_command(session, old.id, "keeper", utc_now())

    assert new.id != old.id
    assert (new.state, new.kind, new.reason) == ("queued", "lock", "lost")


def test_a_passcode_is_forgotten_when_the_command_ended(context: Context, phone: Phone) -> None:
    with context.database.transaction("queue") as session:
        given, kind = {"passcode": "271828"}, CommandKind.RESET_PASSCODE
        command = service.queue_command(session, phone.device_id, kind, given, "k", "", utc_now())
    assert now_is(context, command).arguments == given
    assert dispatched(context, command).arguments == given
    phone.office.take(
        phone.report(CommandResult(command_id=command.id, state="done", at=utc_now()))
    )
    ended = now_is(context, command)
    assert (ended.state, ended.arguments) == ("done", {})

    with context.database.transaction("fail") as session:
        other = service.queue_command(session, phone.device_id, kind, given, "k", "", utc_now())
        service.cancel_command(session, other.id, "k", utc_now())
        assert other.arguments == {}
        with pytest.raises(RefusedError, match="order a new one"):
            service.retry_command(session, other.id, "k", utc_now())


def test_a_wipe_is_ordered_anew_rather_than_tried_again(
    app: Flask, context: Context, phone: Phone, console: ConsoleClient
) -> None:
    old = queued(context, phone, CommandKind.SELECTIVE_WIPE)
    assert console.post(f"/commands/{old.id}/cancel").status_code == 302

    again = f"/commands/{old.id}/retry"
    refused = console.post(again)
    program = api_client(app, context, "program", Role.OWNER)

    assert (refused.status_code, "Order it anew" in refused.text) == (409, True)
    assert program.post(f"/api/v1{again}").status_code == 409
    page = console.get(f"/devices/{phone.device_id}/commands").text
    assert f'href="/devices/{phone.device_id}#wipe"' in page
    assert again not in page
    assert 'id="wipe"' in console.get(f"/devices/{phone.device_id}").text
    with context.database.reading() as session:
        assert queries.list_commands(session, phone.device_id, "queued") == []


def test_commands_are_listed_newest_first_in_pages(context: Context, phone: Phone) -> None:
    kinds = [
        kind for kind in CommandKind if not wrong_arguments(kind, {}) and kind not in DESTRUCTIVE
    ]
    wanted = [kind for kind in kinds if kind is not CommandKind.UNLOCK][:5]
    made = [queued(context, phone, kind).id for kind in wanted]
    found = []
    after = None
    with context.database.reading() as session:
        while page := queries.list_commands(session, phone.device_id, after=after, limit=2):
            found += [command.id for command in page]
            after = queries.Cursor(page[-1].queued_at, page[-1].id)
        assert queries.count_open(session) == {"queued": 5, "sent": 0, "acknowledged": 0}

    assert found == made[::-1]


@pytest.mark.parametrize(
    ("kind", "arguments", "word"),
    [
        (CommandKind.MESSAGE, {}, "needs a text"),
        (CommandKind.WIPE, {"text": "x"}, "takes no text"),
        (CommandKind.MESSAGE, {"text": "x" * 256}, "longer than 255"),
        (CommandKind.MESSAGE, {"text": "x"}, ""),
    ],
)
def test_arguments_must_fit_the_kind(
    kind: CommandKind, arguments: dict[str, str], word: str
) -> None:
    said = wrong_arguments(kind, arguments)

    assert word in said
    assert bool(said) == bool(word)


@given(st.sampled_from(CommandState), st.sampled_from(CommandState))
def test_what_is_finished_never_opens_again(state: CommandState, following: CommandState) -> None:
    if state in FINISHED and may_follow(state, following):
        assert state is CommandState.EXPIRED
        assert following in {CommandState.DONE, CommandState.FAILED}
    if following is CommandState.CANCELLED and may_follow(state, following):
        assert state is CommandState.QUEUED
    assert not may_follow(state, state)
    assert set(OPEN) | set(FINISHED) == set(CommandState)


class CommandLife(RuleBasedStateMachine):
    """Steps in any order and at any time of a clock that jumps: none is illegal, none goes back."""

    def __init__(self) -> None:
        super().__init__()
        self.start = utc_now()
        self.command = Command(
            state="queued", detail="", waiting_for="", queued_at=self.start, kind="lock", attempt=1
        )
        self.before = CommandState.QUEUED

    @rule(following=st.sampled_from(CommandState), seconds=st.integers(-1000, 1000))
    def step(self, following: CommandState, seconds: int) -> None:
        self.before = CommandState(self.command.state)
        now = self.start + timedelta(seconds=seconds)
        if may_follow(self.before, following) and following is not CommandState.QUEUED:
            step(self.command, following, now, "")

    @invariant()
    def times_are_in_order(self) -> None:
        command = self.command
        times = (
            command.queued_at,
            command.sent_at,
            command.acknowledged_at,
            command.finished_at,
        )
        known = [time for time in times if time is not None]
        assert known == sorted(known)
        assert (command.finished_at is not None) == (command.state in FINISHED)

    @invariant()
    def the_step_was_legal(self) -> None:
        state = CommandState(self.command.state)
        assert state is self.before or may_follow(self.before, state)


TestCommandLife = CommandLife.TestCase
