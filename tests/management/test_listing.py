"""The list of devices, its search and its counts agree with the devices, whoever writes."""

import csv
import random
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from io import StringIO
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from management.apps.models import App
from management.compliance.service import rejudge
from management.context import Context
from management.database import Database
from management.devices.models import Device, DeviceApp, DeviceFacts, DeviceJudgement
from management.devices.rules import EnrolmentState, Fact, FactKind
from management.devices.service import end_enrolment, record_contact, record_facts
from management.formulas import harmless
from management.groups.models import ROOT_GROUP
from management.groups.service import create_group, move_device
from management.listing import held, plan, queries, scan, service, upkeep, work
from management.listing.export import as_csv
from management.listing.models import DeviceListing, DeviceTally, DeviceToken, SystemTally
from management.listing.rules import DeviceFilter
from management.policies.service import ensure_default_policy
from tests.management.fleets import HOUR, START, add_device

NAMES = ("Pixel", "佐藤花子の電話", "髙﨑 𠮷田", "Galaxy S25", "iPhone", "iPhone")
SPREAD, RARE = "5" * 64, "7" * 64
"""Apps on most devices, and on some."""
FILTERS = (
    DeviceFilter(),
    DeviceFilter(state="healthy"),
    DeviceFilter(state="non_compliant", platform="android"),
    DeviceFilter(risk="critical"),
    DeviceFilter(rule="not_rooted", enrolment="enrolled"),
    DeviceFilter(platform="ios"),
    DeviceFilter(enrolment="retired"),
    DeviceFilter(ownership="personal", mail="blocked"),
    DeviceFilter(os="15"),
    DeviceFilter(os="15", state="healthy"),
    DeviceFilter(patch="2025-12", platform="android"),
    DeviceFilter(patch="unknown", text="pixel"),
    DeviceFilter(patterns="2026.01.01", mail="allowed"),
    DeviceFilter(group_id=ROOT_GROUP),
    DeviceFilter(owner_address="ada@example.com"),
    DeviceFilter(owner_address="bob@example.com", state="healthy", text="iphone"),
    DeviceFilter(text="花子"),
    DeviceFilter(text="%"),
    DeviceFilter(text="iphone 00"),
    DeviceFilter(app=SPREAD),
    DeviceFilter(app=SPREAD, platform="ios"),
    DeviceFilter(app=RARE, text="iphone"),
    DeviceFilter(app=RARE, os="15", state="healthy"),
    DeviceFilter(app="0" * 64),
    DeviceFilter(numbers="sk00000007 SK00000031 nothing 49-015420-323751-8"),
    DeviceFilter(numbers="SK00000002 SK00000003 SK00000004", platform="ios"),
    DeviceFilter(numbers="SK00000005 SK00000006 SK00000007", app=SPREAD, text="galaxy"),
)


def change(session: Session, device_id: UUID, chance: random.Random) -> None:
    """Let something happen to a device that lists or counts show."""
    device = session.get_one(Device, device_id)
    said: dict[FactKind, Any] = {
        FactKind.ROOTED: chance.random() < 0.3,
        FactKind.OS_VERSION: chance.choice(["14.1", "15", "18.2", None, ["odd"]]),
        FactKind.SECURITY_PATCH: chance.choice(["2025-12-05", "2025-11-05", None, "soon"]),
        FactKind.PATTERN_VERSION: chance.choice(["2026.01.01", "<script>"]),
        FactKind.MAIL_STATE: {"mailbox": "ada", "state": chance.choice(["Allowed", "Blocked"])},
    }
    now = START + HOUR * chance.randint(1, 2000)
    record_facts(session, device_id, {k: Fact(v, "agent", now) for k, v in said.items()}, now)
    if chance.random() < 0.1 and device.enrolment_state == "enrolled":
        end_enrolment(session, device, EnrolmentState.RETIRED, "keeper", now)
    device.name = f"{chance.choice(NAMES)} {chance.randint(0, 99):03d}"
    rejudge(session, [device_id], START + HOUR * 2000)


def fleet(database: Database, number: int) -> list[UUID]:
    chance = random.Random(number)
    with database.transaction("fleet") as session:
        policy = ensure_default_policy(session, START)
        under = create_group(session, "under", ROOT_GROUP)
        ids = []
        for place in range(number):
            device = add_device(
                session,
                policy.id,
                f"{NAMES[place % len(NAMES)]} {place % 7:03d}",
                platform=("android", "ios")[place % 2],
                ownership=("company", "personal")[place % 3 == 0],
                owner_address=("ada@example.com", "bob@example.com")[place % 5 == 0],
                serial=f"SK{place:08d}",
                imei="490154203237518" if place == 11 else "",
                group_id=under.id if place % 4 == 0 else ROOT_GROUP,
            )
            for held, every in ((SPREAD, 2), (RARE, 5)):
                if place % every:
                    continue
                twice = ("org.app", "org.twin") if place % 4 == 0 else ("org.app",)
                session.add_all(device_app(device.id, f"{one}.{held[0]}", held) for one in twice)
            ids.append(device.id)
            change(session, device.id, chance)
    return ids


def device_app(device_id: UUID, package: str, sha256: str) -> DeviceApp:
    times = {"first_seen_at": START, "said_at": START}
    app = {"package": package, "sha256": sha256, "name": package, "version": "1"}
    return DeviceApp(device_id=device_id, **app, **times)


def fits(session: Session, wanted: DeviceFilter, device: Device) -> bool:
    """Return what the filter means, read from the devices alone and with no help of the list."""
    judged = session.get_one(DeviceJudgement, device.id)
    facts = session.get_one(DeviceFacts, device.id).facts
    said = {kind: one["value"] for kind, one in facts.items()}
    version, patch = str(said.get("os_version") or ""), str(said.get("security_patch") or "")
    equal = (
        (wanted.state, judged.state),
        (wanted.risk, judged.risk),
        (wanted.platform, device.platform),
        (wanted.enrolment, device.enrolment_state),
        (wanted.ownership, device.ownership),
        (wanted.owner_address, device.owner_address),
        (wanted.mail, (said.get("mail_state") or {"state": ""})["state"].lower()),
        (wanted.os, version.partition(".")[0]),
        (wanted.patch, patch[:7] if patch.startswith("20") else "unknown"),
        (wanted.patterns, str(said.get("pattern_version"))),
    )
    held = select(DeviceApp.sha256).where(DeviceApp.device_id == device.id)
    numbers = {one.upper().replace("-", "") for one in wanted.numbers.split()}
    texts = (device.name, device.owner_address, device.serial)
    words = [one for text in texts for one in text.casefold().split()]
    return (
        all(asked in {"", found} for asked, found in equal)
        and (not wanted.rule or any(one["rule"] == wanted.rule for one in judged.violations))
        and (wanted.text != "%")
        and (not wanted.app or wanted.app in set(session.scalars(held)))
        and (not numbers or bool(numbers & {device.serial, device.imei}))
        and all(any(asked in one for one in words) for asked in wanted.text.casefold().split())
    )


def agrees(database: Database) -> None:
    """Compare list, pages, counts and the CSV file with a fresh look at each device."""
    with database.reading() as session:
        devices = session.scalars(select(Device)).all()
        for wanted in FILTERS:
            fresh = {one.id for one in devices if fits(session, wanted, one)}
            every = [one.device.id for one in queries.list_devices(session, wanted, limit=500)]
            assert set(every) == fresh, wanted
            assert len(every) == len(fresh) == queries.count_devices(session, wanted), wanted
            assert paged(session, wanted) == every, wanted
            told = queries.count_some(session, wanted)
            assert told.number == len(fresh) or (told.more and told.number <= len(fresh)), wanted
            assert [one[0] for one in exported(database, wanted)] == [str(one) for one in every]
        for place, (tally, column) in enumerate(service.COLUMNS):
            counted = select(tally.shape, func.sum(tally.number)).group_by(tally.shape)
            kept = {shape: number for shape, number in session.execute(counted) if number}
            assert kept == dict(
                session.execute(select(column, func.count()).group_by(column)).all()
            ), place


def paged(session: Session, wanted: DeviceFilter, size: int = 7) -> list[UUID]:
    found: list[UUID] = []
    after = None
    while True:
        page = queries.look(session, wanted, "name", after, size)
        found += [one.device.id for one in page.rows]
        after = page.more
        if after is None:
            return found


def exported(database: Database, wanted: DeviceFilter) -> list[list[str]]:
    text = "".join(as_csv(database.reading, wanted, {}, {}))
    return list(csv.reader(StringIO(text.removeprefix("\ufeff"))))[1:]


def test_list_counts_and_files_agree_with_the_devices(database: Database) -> None:
    fleet(database, 40)

    agrees(database)


def test_ways_that_are_for_many_devices_find_the_same(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet(database, 40)
    for name, value in (("DRIVE", 3), ("FEW", 1)):
        monkeypatch.setattr(plan, name, value)
    for name, value in (("STRETCH", 8), ("FIRST", 3)):
        monkeypatch.setattr(scan, name, value)

    agrees(database)


def test_what_two_parts_leave_together_is_counted_when_it_is_little(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = fleet(database, 60)
    monkeypatch.setattr(plan, "DRIVE", 3)
    for name, value in (("STRETCH", 8), ("FIRST", 3)):
        monkeypatch.setattr(scan, name, value)
    agrees(database)

    with database.reading() as session:
        devices = [session.get_one(Device, one) for one in ids]
        for wanted in (
            DeviceFilter(os="15", ownership="company"),
            DeviceFilter(patterns="2026.01.01", mail="allowed"),
            DeviceFilter(os="15", mail="blocked", numbers=" ".join(one.serial for one in devices)),
        ):
            fresh = {one.id for one in devices if fits(session, wanted, one)}
            page = queries.look(session, wanted, "contact")
            assert len(fresh) > 3
            assert {one.device.id for one in page.rows} == fresh
            assert (page.count.number, page.count.more, page.sort) == (len(fresh), False, "contact")


def test_counts_agree_after_many_wrote_at_once(database: Database) -> None:
    ids = fleet(database, 24)

    def writer(seed: int) -> None:
        chance = random.Random(seed)
        for _ in range(6):
            with database.transaction("change") as session:
                for device_id in sorted(chance.sample(ids, 2)):
                    change(session, device_id, chance)
            if chance.random() < 0.4:
                with database.transaction("fold") as session:
                    service.fold(session)

    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(writer, seed) for seed in range(4)]:
            done.result()

    agrees(database)
    with database.transaction("fold") as session:
        service.fold(session)
    agrees(database)


def test_what_is_rolled_back_was_never_counted(database: Database) -> None:
    (one, *_rest) = fleet(database, 6)

    with pytest.raises(ZeroDivisionError), database.transaction("fails") as session:
        change(session, one, random.Random(9))
        raise ZeroDivisionError

    agrees(database)


def test_what_came_before_a_savepoint_that_rolls_back_is_listed(database: Database) -> None:
    fleet(database, 6)

    with database.transaction("good, then bad") as session:
        policy = ensure_default_policy(session, START).id
        good = add_device(session, policy, "Good phone").id
        rejudge(session, [good], START)
        session.flush()
        with pytest.raises(ZeroDivisionError), session.begin_nested():
            bad = add_device(session, policy, "Bad phone").id
            rejudge(session, [bad], START)
            session.flush()
            raise ZeroDivisionError

    agrees(database)
    with database.reading() as session:
        assert paged(session, DeviceFilter(text="good")) == [good]
        assert paged(session, DeviceFilter(text="bad")) == []


def test_a_report_that_changes_nothing_shown_leaves_the_list_alone(database: Database) -> None:
    (one,) = fleet(database, 1)
    now = START + HOUR * 5000
    with database.transaction("contact") as session:
        device = session.get_one(Device, one)
        record_contact(session, device, now, timedelta(days=1), now)
        record_facts(session, one, {FactKind.ROAMING: Fact(True, "agent", now)}, now)

        assert upkeep.CHANGED not in session.info
        device.owner_name = "Grace Hopper"
        session.flush()
        assert session.info[upkeep.CHANGED] == {one: True}
    with database.reading() as session:
        assert paged(session, DeviceFilter(text="hopper")) == [one]


def test_a_move_to_another_group_shows_in_list_and_counts(database: Database) -> None:
    (one, *_rest) = fleet(database, 6)
    with database.transaction("move") as session:
        group = create_group(session, "other", ROOT_GROUP)
        move_device(session, one, group.id, "keeper", START)

    with database.reading() as session:
        assert paged(session, DeviceFilter(group_id=group.id)) == [one]
        counted = queries.count_in_groups(session)
        enrolled = session.get_one(Device, one).enrolment_state == "enrolled"
        assert counted.get(group.id, 0) == enrolled
        of_both = DeviceFilter(group_id=group.id, state="healthy", os="14")  # tallies of two kinds
        assert queries.count_devices(session, of_both) == len(paged(session, of_both))
    agrees(database)


def test_the_daily_check_mends_what_somebody_wrote_past_us(context: Context) -> None:
    ids = fleet(context.database, 12)
    with context.database.transaction("past us") as session:
        session.execute(update(Device).where(Device.id == ids[0]).values(platform="ios", name="x"))
        session.execute(delete(DeviceToken))
        session.execute(update(DeviceListing).values(words="|"))
        session.execute(delete(SystemTally))
        session.execute(update(DeviceTally).values(number=5))

    said: list[str] = []
    work.check(context, {}, said.append)

    assert "12 were listed wrongly" in said[-1]
    agrees(context.database)
    work.fold(context, {}, said.append)
    agrees(context.database)


@pytest.mark.parametrize(
    ("text", "found"),
    [("花子", True), ("子の", True), ("佐藤", True), ("電話", True), ("子花", False),
     ("﨑", True), ("𠮷田", True), ("ﾊﾅｺ", True), ("GALAXY", True), ("alaxy", False),
     ("12345678", True), ("5678", True), ("345678", True), ("678", False),
     ("sk1234", True), ("ada@ex", True),
     ("example.com", True), ("ada galaxy 花子", True), ("ada nobody", False)],
)  # fmt: skip
def test_what_a_device_is_found_by(session: Session, text: str, found: bool) -> None:
    policy = ensure_default_policy(session, START)
    name = "佐藤花子の電話 髙﨑 𠮷田 ハナコ Galaxy"
    device = add_device(session, policy.id, name, serial="SK12345678")
    rejudge(session, [device.id], START)
    session.commit()

    assert bool(queries.list_devices(session, DeviceFilter(text=text))) is found


def test_few_devices_are_sorted_in_every_way_and_many_by_name_only(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = fleet(database, 9)
    with database.transaction("contact") as session:
        for place, device_id in enumerate(ids[:5]):
            session.get_one(Device, device_id).contact_at = START + timedelta(minutes=place * 7 % 5)
    with database.reading() as session:
        page = queries.look(session, DeviceFilter(), "contact", limit=4)
        rest = queries.look(session, DeviceFilter(), "contact", page.more, 50)
        shown = [one.device.contact_at for one in (*page.rows, *rest.rows)]
        assert shown == [*sorted((at for at in shown if at), reverse=True), *[None] * 4]
        monkeypatch.setattr(queries, "CAP", 3)
        page = queries.look(session, DeviceFilter(), "contact")
        assert (page.sortable, page.sort, page.count.number) == (False, "name", 9)


def test_the_file_is_in_the_order_of_the_list(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = fleet(database, 9)
    with database.transaction("contact") as session:
        for place, device_id in enumerate(ids[:5]):
            session.get_one(Device, device_id).contact_at = START + timedelta(minutes=place * 7 % 5)

    def file() -> list[str]:
        text = "".join(as_csv(database.reading, DeviceFilter(), {}, {}, "contact"))
        return [row[0] for row in csv.reader(StringIO(text.removeprefix("\ufeff")))][1:]

    with database.reading() as session:
        page = queries.look(session, DeviceFilter(), "contact")
        by_name = queries.look(session, DeviceFilter())
    assert file() == [str(one.device.id) for one in page.rows]
    assert [one.device.id for one in page.rows] != [one.device.id for one in by_name.rows]
    monkeypatch.setattr(queries, "CAP", 3)  # above it the list offers names only
    assert file() == [str(one.device.id) for one in by_name.rows]


def test_an_app_that_very_many_hold_is_counted_up_to_a_bound_that_is_said(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet(database, 40)
    monkeypatch.setattr(plan, "DRIVE", 3)
    monkeypatch.setattr(queries, "CAP", 12)

    with database.reading() as session:
        page = queries.look(session, DeviceFilter(app=SPREAD), limit=5)
        found = queries.count_devices(session, DeviceFilter(app=SPREAD))
    assert (page.count.more, page.sortable, len(page.rows), found) == (True, False, 5, 20)
    assert 0 < page.count.number <= 12  # half of them say it twice, under two names


def test_an_app_of_several_files_is_found_by_the_one_that_devices_report(
    database: Database,
) -> None:
    ids = fleet(database, 10)
    with database.transaction("a set") as session:
        session.add(App(sha256="a" * 64, base_sha256=RARE, first_seen_at=START))

    with database.reading() as session:
        found = queries.list_devices(session, DeviceFilter(app="a" * 64))
    assert {one.device.id for one in found} == {ids[0], ids[5]}


def test_numbers_of_no_device_are_named(database: Database) -> None:
    fleet(database, 12)

    with database.reading() as session:
        missing = held.missing_numbers(session, "sk00000001, 490154203237518;none SK99")
    assert missing == ["none", "SK99"]


def test_a_formula_in_a_name_is_only_text_in_the_file(database: Database) -> None:
    with database.transaction("fleet") as session:
        policy = ensure_default_policy(session, START)
        device = add_device(session, policy.id, "=HYPERLINK(1)", owner_name="@sum", model="+1,2")
        rejudge(session, [device.id], START)

    (row,) = exported(database, DeviceFilter())

    assert row[:3] == [str(device.id), "'=HYPERLINK(1)", "'@sum"]
    assert row[6] == "'+1,2"
    assert not any(cell.startswith(("=", "+", "-", "@", "\t")) for cell in row)
    assert harmless("\r=1") == "'\r=1"
