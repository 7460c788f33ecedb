"""What a relay that hangs, or that loses its memory again and again, costs the others: nothing."""

import threading
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select, update

from management.check_in import visiting
from management.check_in.visit import visit_all
from management.context import Context
from management.relays import changes, link_client
from management.relays.memory import FIRST_WAIT, FREE, LONGEST_WAIT, next_refill
from management.relays.models import Relay, RelayIncident
from management.relays.queries import list_relays
from management.relays.service import ensure_local_relay
from runtime.clock import utc_now
from tests.agents import relay_process
from tests.agents.relay_process import RelayProcess
from tests.management import stuck_relay
from tests.management.stuck_relay import StuckRelay
from tests.management.test_visit import pair

pytestmark = pytest.mark.servers


@pytest.fixture
def real(context: Context, tmp_path: Path) -> Iterator[RelayProcess]:
    with relay_process.running(tmp_path / "relay", context.keys) as relay:
        pair(context, relay, relay.link_certificate)
        visit_all(context)
        yield relay


@pytest.fixture
def stuck(context: Context, real: RelayProcess) -> Iterator[StuckRelay]:
    """A second relay, whose name comes first."""
    with stuck_relay.running(real) as relay:
        with context.database.transaction("pair a stuck relay") as session:
            ensure_local_relay(
                session,
                relay.url,
                real.link_certificate,
                "https://127.0.0.1:1",
                real.ca_certificate,
                utc_now(),
                name="a stuck one",
            )
        yield relay


def _relays(context: Context) -> dict[str, Relay]:
    with context.database.reading() as session:
        return {relay.name: relay for relay in list_relays(session)}


def test_a_relay_that_hangs_in_its_visit_keeps_no_other_waiting(
    context: Context, stuck: StuckRelay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(visiting, "PATIENCE_SECONDS", 0.5)
    heard: set[datetime | None] = set()
    give_up = time.monotonic() + 120
    while len(heard) < 3 or not stuck.asked:
        assert time.monotonic() < give_up, "the other relay was not visited again"
        visit_all(context)
        heard.add(_relays(context)["local"].contact_at)

    assert len(stuck.asked) == 1, "no second visit was begun beside the one that hangs"
    assert _relays(context)["a stuck one"].contact_at is None
    assert _relays(context)["local"].problem == ""

    stuck.released.set()
    while not _relays(context)["a stuck one"].problem:
        assert time.monotonic() < give_up, "the end of the visit that hung was not noted"
        time.sleep(0.1)


def test_an_answer_that_never_ends_is_given_up_and_a_visit_has_an_end(
    context: Context, stuck: StuckRelay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link_client, "EXCHANGE_SECONDS", 1.0)
    monkeypatch.setattr(visiting, "PATIENCE_SECONDS", 120.0)
    visit_all(context)

    assert "it took too long" in _relays(context)["a stuck one"].problem

    monkeypatch.setattr(link_client, "VISIT_SECONDS", -1.0)
    visit_all(context)
    assert "it goes on with the next one" in _relays(context)["local"].problem


def test_a_relay_that_loses_its_memory_at_each_visit_is_told_everything_ever_less_often(
    context: Context, real: RelayProcess
) -> None:
    """It forgets all devices before each visit: the real one, with its mailbox emptied."""
    for _ in range(FREE):
        _forget(context)
        visit_all(context)
        assert _relays(context)["local"].problem == ""
    _forget(context)
    visit_all(context)
    visit_all(context)

    relay = _relays(context)["local"]
    assert "lost its memory 3 times" in relay.problem
    assert relay.refills == FREE
    with context.database.reading() as session:
        (incident,) = session.scalars(select(RelayIncident)).all()
    assert (incident.problem, incident.repeats, incident.relay_id) == ("forgetful", 2, relay.id)

    with context.database.transaction("an hour later") as session:
        session.execute(update(Relay).values(refilled_at=utc_now() - timedelta(hours=1)))
    visit_all(context)
    relay = _relays(context)["local"]
    assert (relay.problem, relay.refills, relay.lost_at) == ("", FREE + 1, None)

    _forget(context)
    visit_all(context)
    assert _relays(context)["local"].problem
    with context.database.transaction("an administrator does not want to wait") as session:
        (relay,) = list_relays(session)
        relay.disabled_at = utc_now()
        changes.enable(session, relay, utc_now())
    visit_all(context)
    assert _relays(context)["local"].problem == ""


def _forget(context: Context) -> None:
    """Let what the relay says and what management noted differ, as after a restored backup."""
    with context.database.transaction("forget") as session:
        session.execute(
            update(Relay).values(
                devices_as_of=utc_now() - timedelta(days=9), devices_as_of_next=None
            )
        )


def test_the_wait_doubles_and_has_an_end() -> None:
    now = utc_now()

    assert [next_refill(count, now) for count in range(FREE)] == [None] * FREE
    assert next_refill(99, None) is None, "the first loss is mended at once"
    assert next_refill(FREE, now) == now + FIRST_WAIT
    assert next_refill(FREE + 1, now) == now + 2 * FIRST_WAIT
    assert next_refill(10**6, now) == now + LONGEST_WAIT


def test_visits_of_relays_that_are_gone_are_forgotten_once_they_ended(context: Context) -> None:
    gone, slow, stays = (Relay(id=uuid4(), name=name, problem="") for name in ("a", "b", "c"))
    going_on = threading.Event()

    def visit(_context: Context, relay: Relay) -> None:
        if relay is slow:
            going_on.wait(120)

    def known() -> set[UUID]:
        return {key[1] for key in visiting._under_way if key[0] == context.settings.home}

    slow.problem = "It did not answer."  # so nobody waits long for it
    visiting.visit_each(context, [gone, slow, stays], visit)
    assert known() == {gone.id, slow.id, stays.id}
    visiting.visit_each(context, [stays], visit)
    assert known() == {slow.id, stays.id}, "one that is under way is not begun a second time"
    ended = visiting._under_way[context.settings.home, slow.id].end
    going_on.set()
    ended.result(60)
    visiting.visit_each(context, [stays], visit)
    assert known() == {stays.id}
