"""After everybody wrote at once, all that is stored, shown and done agrees with a fresh judgement.

The oracle is `judge` on the facts at hand; the world is the database, the rendered pages, the API,
and the lists that a connector left in Exchange.
"""

import random
import re
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from threading import Event, Thread, current_thread
from typing import Any
from uuid import UUID

import pytest
from flask import Flask

from management.access import Role
from management.compliance.judgement import Judgement, Rule, State
from management.compliance.queries import asked_policy, get_judgement
from management.compliance.rules import judge
from management.compliance.service import due, judge_due, rejudge
from management.context import Context
from management.database import Database
from management.devices.queries import get_device, get_facts
from management.devices.replay import rebuild_facts
from management.devices.rules import Fact, FactKind
from management.devices.service import record_facts
from management.listing.queries import count_states
from management.mail_access.rules import MailSettings
from management.mail_access.service import change_settings
from management.policies.queries import current_version
from management.policies.service import change_policy, ensure_default_policy
from runtime.clock import utc_now
from tests.exchange_connector.bed import BY, Bed, made
from tests.management.agreeing import asking, do_one, write_together
from tests.management.clients import ConsoleClient, api_client
from tests.management.fleets import HOUR, START, add_device

PHONES = 9
NOW = START + HOUR


@pytest.fixture
def bed(app: Flask, context: Context) -> Iterator[Bed]:
    """Management, Exchange and a connector between them."""
    with made(app, context, context.settings.home) as bed:
        yield bed


def test_everybody_agrees_with_a_fresh_judgement(
    bed: Bed, app: Flask, context: Context, console: ConsoleClient
) -> None:
    ids = _fleet(bed)

    write_together(context, seed=7)
    at = _settle(context)

    fresh = _fresh(context, ids, at)
    _stored_agrees(context, fresh)
    _pages_agree(console, fresh)
    _api_agrees(api_client(app, context, "robot", Role.OWNER), fresh)
    _mail_agrees(bed, ids, fresh, at)


def _fleet(bed: Bed) -> dict[UUID, str]:
    """Return device -> ActiveSync id; each has a mailbox, and no brake stands in the way."""
    context = bed.context
    with context.database.transaction("policy") as session:
        policy = ensure_default_policy(session, utc_now()).id
        settings = current_version(session, policy).settings
        change_policy(session, policy, asking(random.Random(1)), settings, "k", "w", utc_now())
        limits = MailSettings(automatic=True, block_limit=10_000, out_of_sync_grace_hours=0)
        change_settings(session, context.keys, limits, BY, "test", utc_now())
    ids = {}
    for number in range(PHONES):
        exchange_id, owner = f"SEC{number:04d}", f"user{number}@corp.test"
        bed.exchange.add_mailbox(f"user{number}", owner)
        bed.exchange.add_phone(f"user{number}", exchange_id)
        ids[bed.enrol(owner, exchange_id)] = exchange_id
    bed.pair()
    bed.run_pass()
    return ids


def _settle(context: Context) -> datetime:
    """Do all queued work and judge what is due; return the instant as of which it is done."""
    while True:
        while do_one(context, "settling"):
            pass
        at = utc_now()
        with context.database.transaction("judge") as session:
            while due(session, at):
                judge_due(session, at)
        if not do_one(context, "settling"):
            return at


def _fresh(context: Context, ids: dict[UUID, str], at: datetime) -> dict[UUID, Judgement]:
    with context.database.reading() as session:
        return {
            one: judge(get_facts(session, one), asked_policy(session, get_device(session, one)), at)
            for one in ids
        }


def _stored_agrees(context: Context, fresh: dict[UUID, Judgement]) -> None:
    with context.database.reading() as session:
        for device_id, wanted in fresh.items():
            found = get_judgement(session, device_id)
            told = (found.state, found.violations, found.policy_version, found.consequences)
            assert told == (
                wanted.state,
                wanted.violations,
                wanted.policy_version,
                wanted.consequences,
            )
            device = get_device(session, device_id)
            assert get_facts(session, device_id) == rebuild_facts(session, device)
        counted = {state: number for state, number in count_states(session).items() if number}
    assert counted == _counted(fresh)


def _counted(fresh: dict[UUID, Judgement]) -> dict[str, int]:
    return dict(Counter(one.state.value for one in fresh.values()))


def _pages_agree(console: ConsoleClient, fresh: dict[UUID, Judgement]) -> None:
    for state in State:
        listed = console.get(f"/devices?state={state.value}").text
        shown = {UUID(word) for word in re.findall(r'href="/devices/([0-9a-f-]{36})"', listed)}
        assert shown == {one for one, judged in fresh.items() if judged.state is state}
    for device_id, judged in fresh.items():
        page = console.get(f"/devices/{device_id}").text
        for violation in judged.violations:
            assert violation.because.partition("'")[0] in page


def _api_agrees(program: ConsoleClient, fresh: dict[UUID, Judgement]) -> None:
    listed = program.get("/api/v1/devices?limit=200").json
    assert listed is not None
    assert {UUID(one["id"]): one["state"] for one in listed["items"]} == {
        one: judged.state.value for one, judged in fresh.items()
    }


def _mail_agrees(
    bed: Bed, ids: dict[UUID, str], fresh: dict[UUID, Judgement], at: datetime
) -> None:
    bed.run_pass(discover=False)
    allowed = {device_id for _, device_id in bed.exchange.allowed()}
    blocked = {device_id for _, device_id in bed.exchange.blocked()}
    for device_id, exchange_id in ids.items():
        judged = fresh[device_id]
        blocked_at = judged.mail_blocked_at()
        if judged.state is State.HEALTHY:
            assert exchange_id in allowed
        elif blocked_at is not None and blocked_at <= at:
            assert exchange_id in blocked
    assert not allowed & blocked


def test_an_older_answer_never_replaces_a_newer_one(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two judge one device at once; the first stops between reading and storing."""
    with database.transaction("device") as session:
        device_id = add_device(session, ensure_default_policy(session, START).id).id
    reading, go_on = Event(), Event()

    def slowly(*given: Any) -> Judgement:
        if current_thread().name == "slow":
            reading.set()
            go_on.wait(60)
        return judge(*given)

    monkeypatch.setattr("management.compliance.service.judge", slowly)
    slow = Thread(target=_rejudge, args=(database, device_id, None), name="slow")
    fast = Thread(target=_rejudge, args=(database, device_id, True), name="fast")
    slow.start()
    assert reading.wait(60)
    fast.start()
    fast.join(1)  # where the first holds a lock it waits, else it is done by now
    go_on.set()
    slow.join(60)
    fast.join(60)

    with database.reading() as session:
        found = get_judgement(session, device_id)
        device = get_device(session, device_id)
        facts = get_facts(session, device_id)
        assert found.violations == judge(facts, asked_policy(session, device), NOW).violations
    assert Rule.NOT_ROOTED in {violation.rule for violation in found.violations}


def _rejudge(database: Database, device_id: UUID, rooted: bool | None) -> None:
    with database.transaction("judge") as session:
        if rooted is not None:
            said = {FactKind.ROOTED: Fact(rooted, "agent", NOW)}
            record_facts(session, device_id, said, NOW)
        rejudge(session, [device_id], NOW)
