"""The allow-list and devices that are enrolled already: counted, confirmed, then applied."""

from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import select, update

from management.allow_list import service as allow_list
from management.allow_list.models import AllowListSetting
from management.allow_list.rules import Identifiers, Line, Unlisted
from management.compliance.service import rejudge
from management.context import Context
from management.devices.models import Device
from management.devices.rules import EnrolmentState
from management.enrolment import unlisted, work
from management.groups.models import ROOT_GROUP, UNAUTHORIZED_GROUP
from management.policies.service import ensure_default_policy
from management.work.models import Job
from runtime.clock import utc_now
from runtime.errors import RefusedError
from tests.management.clients import ConsoleClient
from tests.management.fleets import add_device

IMEI = "490154203237518"


@pytest.fixture
def devices(context: Context) -> dict[str, UUID]:
    """Three devices that enrolled before there was a list; one of them is on it."""
    said = {
        "listed": {"imei": "49-015420-323751-8"},
        "other": {"serial": "R58N123"},
        "silent": {"wifi_mac": "02:00:00:00:00:00"},
    }
    with context.database.transaction("devices") as session:
        policy = ensure_default_policy(session, utc_now() - timedelta(days=1)).id
        made = {name: add_device(session, policy, name, **said[name]).id for name in said}
        rejudge(session, made.values(), utc_now())
        allow_list.add(session, Identifiers(imei=IMEI), "", "keeper", utc_now())
    return made


def _choose(context: Context, becomes: Unlisted) -> None:
    with context.database.transaction("choose") as session:
        allow_list.choose(session, becomes, "keeper", utc_now())


def _count(context: Context) -> tuple[int, int]:
    with context.database.transaction("ask") as session:
        unlisted.ask_count(session, utc_now())
    _work(context)
    with context.database.reading() as session:
        row = session.get_one(AllowListSetting, 1)
        return row.counted_unlisted, row.counted_devices


def _confirm(context: Context, typed: str) -> int:
    with context.database.transaction("confirm") as session:
        return unlisted.confirm(session, typed, "keeper", timedelta(seconds=60), utc_now())


def _work(context: Context) -> None:
    """Do what is queued."""
    with context.database.transaction("take work") as session:
        jobs = session.scalars(select(Job).where(Job.state == "queued")).all()
        todo = [(job.kind, job.payload) for job in jobs if job.kind.startswith("allow_list")]
        for job in jobs:
            job.state = "done"
    for kind, payload in todo:
        do = {unlisted.COUNT: work.count_unlisted, unlisted.APPLY: work.apply_list}[kind]
        do(context, payload, lambda told: None)


def _rows(context: Context, devices: dict[str, UUID]) -> dict[str, Device]:
    with context.database.reading() as session:
        return {name: session.get_one(Device, id_) for name, id_ in devices.items()}


def test_unlisted_devices_come_into_their_group_once_somebody_confirmed_how_many(
    context: Context, devices: dict[str, UUID], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unlisted, "CHUNK", 1)
    _choose(context, Unlisted.GROUP)
    with pytest.raises(RefusedError, match="Count the devices first"):
        _confirm(context, "2")
    assert _count(context) == (2, 3)
    with pytest.raises(RefusedError, match="Type the number of devices, 2"):
        _confirm(context, "3")
    assert _confirm(context, " 2 ") == 2
    with context.database.reading() as session:
        job = session.scalars(select(Job).where(Job.kind == unlisted.APPLY)).one()
        assert job.run_after - job.queued_at == timedelta(seconds=60), "it can be taken back"
    _work(context)

    groups = {name: row.group_id for name, row in _rows(context, devices).items()}
    assert groups == {
        "listed": ROOT_GROUP, "other": UNAUTHORIZED_GROUP, "silent": UNAUTHORIZED_GROUP,
    }  # fmt: skip
    assert _count(context) == (0, 1), "those in the group are looked at no more"
    with pytest.raises(RefusedError, match="are on the list"):
        _confirm(context, "0")


def test_where_others_are_refused_their_enrolment_ends(
    context: Context, devices: dict[str, UUID]
) -> None:
    _choose(context, Unlisted.REFUSED)
    assert _count(context) == (2, 3)
    _confirm(context, "2")
    _work(context)

    states = {name: row.enrolment_state for name, row in _rows(context, devices).items()}
    retired = EnrolmentState.RETIRED
    assert states == {"listed": EnrolmentState.ENROLLED, "other": retired, "silent": retired}


def test_never_more_than_were_confirmed_and_nothing_after_a_change_of_mind(
    context: Context, devices: dict[str, UUID]
) -> None:
    _choose(context, Unlisted.REFUSED)
    _count(context)
    _confirm(context, "2")
    with context.database.transaction("one more comes") as session:
        policy = ensure_default_policy(session, utc_now()).id
        add_device(session, policy, "late", serial="R58N999")
    with context.database.transaction("one is confirmed") as session:
        session.execute(update(AllowListSetting).values(apply_left=1))
    _work(context)
    with context.database.reading() as session:
        states = session.scalars(select(Device.enrolment_state)).all()
    assert sorted(states) == ["enrolled", "enrolled", "enrolled", "retired"]

    _choose(context, Unlisted.GROUP)
    with pytest.raises(RefusedError, match="Count the devices"):
        _confirm(context, "2")
    _count(context)
    _choose(context, Unlisted.REFUSED)
    with pytest.raises(RefusedError, match="was changed"):
        _confirm(context, "2")


def test_a_cancelled_or_emptied_list_is_applied_to_nobody(
    context: Context, devices: dict[str, UUID]
) -> None:
    _choose(context, Unlisted.REFUSED)
    _count(context)
    _confirm(context, "2")
    with context.database.transaction("cancel") as session:
        work.apply_cancelled(session, {}, "keeper", utc_now())
    _work(context)
    assert {row.enrolment_state for row in _rows(context, devices).values()} == {"enrolled"}


def _import_instead(context: Context) -> None:
    """Put one device in the place of the whole list; as many stay unlisted as before."""
    line = Line(0, Identifiers(serial="R58N123"), "")
    with context.database.transaction("another list") as session:
        allow_list.import_lines(session, [line], True, "another keeper", utc_now())


def test_the_number_of_one_list_confirms_no_other(
    context: Context, devices: dict[str, UUID], console: ConsoleClient
) -> None:
    _choose(context, Unlisted.REFUSED)
    assert _count(context) == (2, 3)
    _import_instead(context)
    with pytest.raises(RefusedError, match="list was changed"):
        _confirm(context, "2")
    page = console.get("/allow-list").text
    assert "The list was changed after the devices were counted" in page
    assert "Type the number of devices" not in page

    assert _count(context) == (2, 3)
    assert "The list was changed" not in console.get("/allow-list").text


def test_a_list_that_changes_after_the_number_was_typed_is_applied_to_nobody(
    context: Context, devices: dict[str, UUID], console: ConsoleClient
) -> None:
    _choose(context, Unlisted.REFUSED)
    _count(context)
    _confirm(context, "2")
    _import_instead(context)
    _work(context)
    assert {row.enrolment_state for row in _rows(context, devices).values()} == {"enrolled"}
    page = console.get("/allow-list").text
    assert "The list was changed after the devices were counted" in page
    assert "The list is being applied" not in page


def test_a_list_that_changes_while_it_is_compared_gives_no_count(
    context: Context, devices: dict[str, UUID]
) -> None:
    _choose(context, Unlisted.REFUSED)
    with context.database.transaction("ask") as session:
        unlisted.ask_count(session, utc_now())
    _import_instead(context)
    _work(context)
    with pytest.raises(RefusedError, match="Count the devices first"):
        _confirm(context, "2")
    with context.database.reading() as session:
        assert "list was changed" in session.get_one(AllowListSetting, 1).ended_because


def test_the_page_shows_the_count_and_takes_the_number(
    context: Context, devices: dict[str, UUID], console: ConsoleClient
) -> None:
    assert "enrolled already" not in console.get("/allow-list").text
    _choose(context, Unlisted.GROUP)
    assert "They are not touched until" in console.get("/allow-list").text
    assert console.post("/allow-list/enrolled/count").status_code == 303
    page = console.get("/allow-list").text
    assert 'hx-trigger="sk:job"' in page and "appears here by itself" in page
    assert "Count those that are not" not in page
    _work(context)
    assert "2 of 3 enrolled devices are not" in console.get("/allow-list/enrolled").text
    assert "2 of 3 enrolled devices are not on the list" in console.get("/allow-list").text

    console.post("/allow-list/enrolled/apply", data={"typed": "7"})
    assert "Type the number of devices, 2, to confirm" in console.get("/allow-list").text
    console.post("/allow-list/enrolled/apply", data={"typed": "2"})
    page = console.get("/allow-list").text
    assert "2 devices are left" in page and "It begins" in page
    _work(context)
    assert "Count those that are not" in console.get("/allow-list").text
    assert _rows(context, devices)["other"].group_id == UNAUTHORIZED_GROUP
