"""Commands are found by every filter and combination, in bounded time and by an index."""

import random
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from management.commands import search, ways
from management.commands.export import as_csv
from management.commands.filters import CommandFilter
from management.commands.models import Command
from management.commands.queries import Cursor
from management.context import Context
from management.devices.models import Device
from management.limits import LIMIT, Limit
from management.listing.queries import count_devices, count_some, list_devices, look
from management.listing.rules import DeviceFilter
from management.policies.models import ROOT_GROUP, Group
from runtime.clock import utc_now
from tests.management.fleet import fill as fill_fleet
from tests.management.orders import PEOPLE, add_orders
from tests.management.test_search import read_whole, statements

NOW = utc_now()


@pytest.fixture
def batch(context: Context) -> UUID:
    """A bulk command among 400 commands of 40 devices, ten of them in a group of their own."""
    fleet = fill_fleet(context, NOW, 40)
    with context.database.transaction("orders") as session:
        group = Group(id=uuid4(), name="Depot", parent_id=ROOT_GROUP)
        session.add(group)
        session.flush()
        for device_id in fleet.devices[:10]:
            session.get_one(Device, device_id).group_id = group.id
        return add_orders(session, fleet.devices, NOW, 400)


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stretches and ways are as short against these commands as the real ones against millions."""
    monkeypatch.setattr(ways, "STRETCH", 40)
    monkeypatch.setattr(ways, "FEW", 6)


def _chances(session: Session, batch: UUID) -> Iterator[CommandFilter]:
    chance = random.Random(11)
    devices = session.scalars(select(Device)).all()
    values: dict[str, list[Any]] = {
        "text": ["花子", "pixel", "xperia sk0000", "example", ","],
        "owner_address": [one.owner_address for one in devices[:5]],
        "device_id": [one.id for one in devices[:5]],
        "kind": ["lock", "unlock", "wipe", "strange"],
        "state": ["failed", "queued", "done", "cancelled"],
        "waiting_for": ["approval", "undo"],
        "requested_by": list(PEOPLE),
        "batch_id": [batch, uuid4()],
        "since": [NOW - timedelta(hours=7 * one) for one in (1, 5)],
        "until": [NOW - timedelta(hours=7 * one) for one in (0, 3)],
    }
    yield CommandFilter()
    yield from (CommandFilter(**{name: one}) for name, known in values.items() for one in known)
    for _ in range(60):
        names = chance.sample(sorted(values), chance.randint(2, 4))
        yield CommandFilter(**{name: chance.choice(values[name]) for name in names})


def _meant(session: Session, wanted: CommandFilter) -> list[UUID]:
    """Return what the filter means, found without any way."""
    devices: set[UUID] = {one.device.id for one in list_devices(session, DeviceFilter(
        text=wanted.text, owner_address=wanted.owner_address), limit=1000)}  # fmt: skip
    every = session.scalars(select(Command)).all()
    newest = sorted(every, key=lambda one: (one.queued_at, one.id), reverse=True)
    return [one.id for one in newest if one.device_id in devices and _fits(one, wanted)]


def _fits(one: Command, wanted: CommandFilter) -> bool:
    names = ("device_id", "kind", "state", "waiting_for", "requested_by", "batch_id")
    said = [getattr(wanted, name) in ("", None, getattr(one, name)) for name in names]
    since = wanted.since is None or one.queued_at >= wanted.since
    return all(said) and since and (wanted.until is None or one.queued_at < wanted.until)


def _paged(session: Session, wanted: CommandFilter, limit: int = 7) -> list[UUID]:
    found: list[UUID] = []
    after: Cursor | None = None
    for _ in range(400):
        page = search.look(session, wanted, after, limit)
        assert len(page.rows) <= limit
        found += [row.command.id for row in page.rows]
        after = page.more
        if after is None:
            return found
    raise AssertionError("The list has no end.")


def _agrees(session: Session, wanted: CommandFilter) -> None:
    meant, count = _meant(session, wanted), search.look(session, wanted).count
    assert _paged(session, wanted) == meant, wanted
    assert search.count_all(session, wanted) == len(meant), wanted
    assert count.number <= len(meant) if count.more else count.number == len(meant), wanted


def test_every_filter_finds_just_what_it_means(context: Context, batch: UUID) -> None:
    with context.database.reading() as session:
        for wanted in _chances(session, batch):
            _agrees(session, wanted)
            assert not search.look(session, wanted).count.more, wanted


@pytest.mark.usefixtures("short")
def test_so_do_pages_that_are_read_in_stretches(context: Context, batch: UUID) -> None:
    walked = 0
    with context.database.reading() as session:
        for wanted in _chances(session, batch):
            walked += ways.find_way(session, wanted).stretch > 0
            _agrees(session, wanted)
    assert walked > 8


@pytest.mark.usefixtures("short")
def test_who_is_limited_to_groups_finds_the_commands_of_their_devices(
    context: Context, batch: UUID
) -> None:
    with context.database.reading() as session:
        group = session.scalars(select(Group.id).where(Group.name == "Depot")).one()
        asked = list(_chances(session, batch))
        outside = set(session.scalars(select(Command.id).join(
            Device, Device.id == Command.device_id).where(Device.group_id != group)))  # fmt: skip
    for few in (6, 60):  # by its devices, and in stretches
        with pytest.MonkeyPatch.context() as patch, context.database.reading() as session:
            patch.setattr(ways, "FEW", few)
            session.info[LIMIT] = Limit(frozenset({group}), "aoi", reads_only=True)
            for wanted in asked:
                _agrees(session, wanted)
            assert 0 < len(_paged(session, CommandFilter())) < 400
            assert not outside & set(_paged(session, CommandFilter(state="failed")))


@pytest.mark.usefixtures("short")
def test_a_page_in_which_little_fits_ends_and_says_where_it_goes_on(
    context: Context, batch: UUID
) -> None:
    with context.database.reading() as session:
        oldest = session.scalars(select(Command).order_by(Command.queued_at).limit(1)).one()
        wanted = CommandFilter(state="queued", kind="wipe", text="example")
        assert not _meant(session, CommandFilter(state="queued", kind="strange"))
        page = search.look(session, CommandFilter(text="example", until=NOW), None, 300)
        assert page.count.more and page.more is not None
        assert page.more.command_id == search.LOWEST, "no command of others is named"
        assert page.more.queued_at >= oldest.queued_at
        assert len(_paged(session, wanted)) == len(_meant(session, wanted))


def test_counts_end_at_the_cap_and_say_so(
    context: Context, batch: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "CAP", 30)
    with context.database.reading() as session:
        for wanted in (CommandFilter(), CommandFilter(state="done")):
            count = search.look(session, wanted).count
            assert (count.number, count.more) == (30, True)


@pytest.mark.usefixtures("short")
def test_the_file_is_the_list(context: Context, batch: UUID) -> None:
    with context.database.reading() as session:
        for wanted in list(_chances(session, batch))[:60]:
            lines = "".join(as_csv(context.database.reading, wanted)).splitlines()[1:]
            assert [line[:36] for line in lines] == [str(one) for one in _meant(session, wanted)]


FILTERS = {
    "all": CommandFilter(),
    "kind": CommandFilter(kind="lock"),
    "state": CommandFilter(state="failed"),
    "waiting": CommandFilter(waiting_for="approval"),
    "person": CommandFilter(requested_by="scout"),
    "days": CommandFilter(since=NOW - timedelta(days=2), until=NOW),
    "device": CommandFilter(device_id=uuid4()),
    "bulk": CommandFilter(batch_id=uuid4()),
    "words": CommandFilter(text="花子"),
    "owner": CommandFilter(owner_address="hanako.sato@example.org"),
    "together": CommandFilter(kind="lock", state="failed", requested_by="scout", text="pixel"),
    "common words": CommandFilter(text="example", state="done"),
}


@pytest.mark.parametrize("few", [0, 5_000])
@pytest.mark.parametrize("name", FILTERS)
def test_no_filter_reads_the_commands_from_end_to_end(
    context: Context, batch: UUID, name: str, few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ways, "FEW", few)
    after: list[Cursor | None] = [None, Cursor(NOW - timedelta(days=1), uuid4())]
    for place in after:
        with context.database.reading() as session:
            with statements(session) as found:
                search.look(session, FILTERS[name], place)
            asked = [one for one in found if "command" in one[0]]
            assert asked
            assert read_whole(session, asked) == []
            assert _sorted(session, asked) == []


def _sorted(session: Session, asked: list[tuple[str, Any]]) -> list[str]:
    """Return what SQLite would sort although it is read in the order of time."""
    connection = session.connection()
    if connection.dialect.name != "sqlite":
        return []
    plans = [
        str([tuple(row) for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {said}", given)])
        for said, given in asked
        if "device_id IN" not in said and "batch_id" not in said.partition("WHERE")[2]
    ]
    return [plan for plan in plans if "TEMP B-TREE FOR" in plan and "LAST TERM" not in plan]


@pytest.mark.parametrize("which", ["failed", "waiting"])
def test_devices_by_their_commands_are_found_by_an_index(
    context: Context, batch: UUID, which: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    column = Command.state == "failed" if which == "failed" else Command.waiting_for != ""
    wanted = DeviceFilter(command=which)
    with context.database.reading() as session:
        meant = set(session.scalars(select(Command.device_id).where(column)))
        assert 0 < len(meant) < 40
        for drive in (10_000, 3):
            monkeypatch.setattr("management.listing.plan.DRIVE", drive)
            with statements(session) as found:
                page = look(session, wanted, limit=100)
            assert {row.device.id for row in page.rows} == meant
            assert count_devices(session, wanted) == len(meant)
            assert count_some(session, wanted).number == len(meant)
            assert read_whole(session, [one for one in found if " command" in one[0]]) == []
        android = look(session, DeviceFilter(command=which, platform="android"), limit=100)
        assert {row.device.id for row in android.rows} < meant
        assert not look(session, DeviceFilter(command="strange")).rows


def test_times_are_compared_as_instants(context: Context, batch: UUID) -> None:
    moment = datetime.fromisoformat((NOW - timedelta(hours=7)).isoformat())
    with context.database.reading() as session:
        one = search.look(session, CommandFilter(since=moment, until=moment + timedelta(hours=1)))
        assert {row.command.queued_at for row in one.rows} == {moment}
