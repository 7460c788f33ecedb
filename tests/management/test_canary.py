"""A changed policy is asked of some devices first; harm stops it, and a person ends it."""

from threading import Barrier, Thread
from time import sleep
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select
from sqlalchemy.orm import Session

from management.canary import service, work
from management.canary.models import Canary
from management.canary.queries import get_canary
from management.canary.rules import FEW, CanaryState, Counts, is_chosen, why_stop
from management.compliance.service import rejudge
from management.context import Context
from management.devices.models import Device, DeviceJudgement
from management.devices.rules import Fact, FactKind
from management.devices.service import record_facts
from management.dry_run.service import try_policy
from management.groups.service import create_group, delete_group, give_own_policy
from management.policies import service as policies
from management.policies.catalogue.all import COMPLIANCE
from management.policies.inheritance import Link
from management.policies.models import ROOT_GROUP, Policy
from management.policies.queries import list_policies
from management.policies.rules import Requirements
from management.policies.service import change_policy, create_policy, ensure_default_policy
from runtime.clock import utc_now
from runtime.errors import NotFoundError, RefusedError
from tests.management.clients import ConsoleClient
from tests.management.test_dry_run import ASKED, fleet, tried

HALF = 50


def wanted(policy_id: UUID, **others: Any) -> service.Wanted:
    given: dict[str, Any] = {
        "based_on": 1,
        "requirements": ASKED,
        "percent": HALF,
        "group_id": None,
        "limit_percent": 100,
        "by": "keeper",
        "because": "less debugging",
    }
    return service.Wanted(policy_id=policy_id, **(given | others))


def started(context: Context, **others: Any) -> Canary:
    with context.database.transaction("start") as session:
        policy = ensure_default_policy(session, utc_now())
        canary = service.start(session, wanted(policy.id, **others), utc_now())
    work.give(context, {"canary_id": str(canary.id)}, lambda _: None)
    settle(context)
    return look(context, canary.id)


def settle(context: Context) -> None:
    """Let every device apply what is asked of it, and judge it."""
    with context.database.transaction("settle") as session:
        for device in session.scalars(select(Device)):
            version = session.get_one(Policy, device.policy_id).current_version
            applied = {"policy_id": str(device.policy_id), "version": version}
            fact = Fact(applied, "agent", utc_now())
            record_facts(session, device.id, {FactKind.APPLIED_POLICY: fact}, utc_now())
        rejudge(session, session.scalars(select(Device.id)).all(), utc_now())


def look(context: Context, canary_id: UUID) -> Canary:
    with context.database.reading() as session:
        return get_canary(session, canary_id)


def asked(context: Context) -> dict[UUID, UUID]:
    with context.database.reading() as session:
        return {device.id: device.policy_id for device in session.scalars(select(Device))}


def states(context: Context) -> dict[UUID, str]:
    with context.database.reading() as session:
        return {row.device_id: row.state for row in session.scalars(select(DeviceJudgement))}


@given(st.uuids(), st.integers(0, 99))
def test_who_goes_first_goes_first_again(device_id: UUID, percent: int) -> None:
    assert is_chosen(device_id, percent) == is_chosen(device_id, percent)
    assert is_chosen(device_id, percent + 1) or not is_chosen(device_id, percent)
    assert is_chosen(device_id, 100)
    assert not is_chosen(device_id, 0)


def test_a_share_chooses_about_as_many() -> None:
    chosen = sum(is_chosen(UUID(int=number), 10) for number in range(10_000))
    assert 800 < chosen < 1200


def test_it_stops_above_its_limit_and_says_so() -> None:
    assert why_stop(Counts(100, 5, 0, 100), 5, starting=False) == ""
    assert "6 of 100 devices" in why_stop(Counts(100, 6, 0, 100), 5, starting=False)
    assert why_stop(Counts(2, 1, 0, 2), 5, starting=True) == ""
    assert why_stop(Counts(2, 2, 0, 2), 5, starting=True) != ""
    assert FEW == 20
    assert why_stop(Counts(0, 0, 0, 0), 0, starting=False) == ""


def test_some_are_asked_the_change_and_the_others_what_holds(context: Context) -> None:
    ids = fleet(context, 20)
    canary = started(context)

    chosen = {one for one in ids if is_chosen(one, HALF)}
    assert {one for one, policy in asked(context).items() if policy == canary.trial_id} == chosen
    assert canary.state == CanaryState.RUNNING
    debugging = set(ids[::3])
    broken = {one for one, state in states(context).items() if state == "non_compliant"}
    assert broken == chosen & debugging
    with context.database.reading() as session:
        assert [policy.name for policy in list_policies(session)] == ["Standard"]


def test_two_trials_of_one_policy_do_not_start_at_once(context: Context) -> None:
    fleet(context, 1)
    with context.database.reading() as session:
        policy_id = ensure_default_policy(session, utc_now()).id
    ready, said = Barrier(2), list[str]()

    def begin() -> None:
        ready.wait()
        try:
            with context.database.transaction("start") as session:
                service.start(session, wanted(policy_id), utc_now())
                sleep(0.5)
            said.append("started")
        except RefusedError as error:
            said.append(str(error))

    threads = [Thread(target=begin) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)

    refused, started_one = sorted(said)
    assert started_one == "started"
    assert "goes on" in refused


def test_too_many_worse_devices_stop_it_and_get_back_what_they_had(context: Context) -> None:
    fleet(context, 20)
    before = asked(context)
    canary = started(context, limit_percent=5)
    work.watch(context)

    stopped = look(context, canary.id)
    assert stopped.state == CanaryState.STOPPED
    assert "more than 5 percent" in stopped.ended_because
    assert stopped.ended_by == "canary watch"
    work.give_back(context, {"canary_id": str(canary.id)}, lambda _: None)
    settle(context)

    assert asked(context) == before
    assert set(states(context).values()) == {"healthy"}
    assert look(context, canary.id).back_at is not None
    with context.database.reading() as session:
        assert not any(device.policy_is_own for device in session.scalars(select(Device)))


def test_promoted_it_holds_for_everybody(context: Context) -> None:
    ids = fleet(context, 20)
    before = asked(context)
    canary = started(context)
    with context.database.transaction("promote") as session:
        service.promote(session, canary.id, "keeper", "no complaints", utc_now())
    work.give_back(context, {"canary_id": str(canary.id)}, lambda _: None)
    settle(context)

    assert asked(context) == before
    broken = {one for one, state in states(context).items() if state == "non_compliant"}
    assert broken == set(ids[::3])
    with context.database.reading() as session:
        assert session.get_one(Policy, canary.policy_id).current_version == 2


def test_a_death_while_giving_chooses_nobody_twice(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = fleet(context, 20)
    monkeypatch.setattr(work, "CHUNK", 5)
    with context.database.transaction("start") as session:
        policy = ensure_default_policy(session, utc_now())
        canary = service.start(session, wanted(policy.id), utc_now())

    def die(_: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work.give(context, {"canary_id": str(canary.id)}, die)
    work.give(context, {"canary_id": str(canary.id)}, lambda _: None)

    chosen = {one for one in ids if is_chosen(one, HALF)}
    assert {one for one, policy in asked(context).items() if policy == canary.trial_id} == chosen


def test_a_group_may_go_first(context: Context) -> None:
    ids = fleet(context, 6)
    with context.database.transaction("group") as session:
        pilot = create_group(session, "Pilot", ROOT_GROUP).id
        for device_id in ids[:2]:
            session.get_one(Device, device_id).group_id = pilot
    canary = started(context, percent=0, group_id=pilot)

    chosen = {one for one, policy in asked(context).items() if policy == canary.trial_id}
    assert chosen == set(ids[:2])


def test_what_cannot_be_started_says_why(session: Session) -> None:
    policy = ensure_default_policy(session, utc_now())
    for others in (
        {"percent": 0},
        {"percent": 60},
        {"group_id": uuid4()},
        {"based_on": 7},
        {"because": " "},
    ):
        with pytest.raises(RefusedError):
            service.start(session, wanted(policy.id, **others), utc_now())
    service.start(session, wanted(policy.id), utc_now())
    with pytest.raises(RefusedError, match="goes on"):
        service.start(session, wanted(policy.id), utc_now())


def test_a_trial_in_a_group_that_is_gone_reaches_nobody(context: Context) -> None:
    fleet(context, 4)
    with context.database.transaction("start") as session:
        policy = ensure_default_policy(session, utc_now())
        pilot = create_group(session, "Pilot", ROOT_GROUP).id
        given = wanted(policy.id, percent=0, group_id=pilot)
        canary = service.start(session, given, utc_now())
    with context.database.transaction("delete") as session:
        delete_group(session, pilot, "keeper", utc_now())
    work.give(context, {"canary_id": str(canary.id)}, lambda _: None)

    assert set(asked(context).values()) == {policy.id}
    with pytest.raises(NotFoundError), context.database.transaction("again") as session:
        service.roll_back(session, canary.id, "keeper", "nobody", utc_now())
        service.start(session, given, utc_now())


def test_whom_somebody_gave_back_by_hand_is_not_given_the_trial_again(context: Context) -> None:
    ids = fleet(context, 20)
    canary = started(context)
    first = next(one for one in ids if is_chosen(one, HALF))
    with context.database.transaction("the worker dies before the end") as session:
        session.get_one(Canary, canary.id).state = CanaryState.STARTING.value
        give_own_policy(session, first, canary.policy_id, "warden", utc_now())
    work.give(context, {"canary_id": str(canary.id)}, lambda _: None)

    assert look(context, canary.id).state == CanaryState.RUNNING
    assert asked(context)[first] == canary.policy_id


def test_what_would_not_last_is_not_tried(context: Context) -> None:
    fleet(context, 2)
    canary = started(context)
    with context.database.transaction("child") as session:
        link = Link(parent_id=canary.policy_id, inherited=(COMPLIANCE,))
        child = create_policy(
            session, "Sales", Requirements(), {}, "keeper", "why", utc_now(), link
        )
    with context.database.transaction("try") as session:
        for policy_id, why in (
            (child.id, "parent of this policy"),
            (canary.trial_id, "of a trial"),
        ):
            with pytest.raises(RefusedError, match=why):
                service.start(session, wanted(policy_id), utc_now())
            with pytest.raises(RefusedError, match=why):
                try_policy(session, policy_id, ASKED, "keeper", utc_now())
        with pytest.raises(RefusedError, match="of a trial"):
            change_policy(session, canary.trial_id, ASKED, {}, "keeper", "why", utc_now())


def test_trials_do_not_use_up_the_number_of_policies(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet(context, 2)
    monkeypatch.setattr(policies, "MOST", 2)
    canary = started(context)
    with context.database.transaction("more") as session:
        service.roll_back(session, canary.id, "keeper", "enough", utc_now())
        create_policy(session, "Sales", Requirements(), {}, "keeper", "why", utc_now())
        with pytest.raises(RefusedError, match="already"):
            create_policy(session, "More", Requirements(), {}, "keeper", "why", utc_now())


def test_a_change_meanwhile_forbids_to_promote(context: Context) -> None:
    fleet(context, 4)
    canary = started(context)
    with context.database.transaction("change") as session:
        asked = Requirements(encrypted=False)
        change_policy(session, canary.policy_id, asked, {}, "warden", "why", utc_now())

    with pytest.raises(RefusedError, match="meanwhile"), context.database.transaction("x") as s:
        service.promote(s, canary.id, "keeper", "go", utc_now())


def test_from_a_dry_run_to_the_next_version(context: Context, console: ConsoleClient) -> None:
    fleet(context)
    run = tried(context)
    page = console.get(f"/dry-runs/{run.id}").text
    assert f'action="/trials/of/{run.id}"' in page
    form = {"percent": "50", "group": "", "limit": "100", "because": "try it"}
    answer = console.post(f"/trials/of/{run.id}", data=form)
    assert answer.status_code == 302, answer.text
    trial = answer.headers["Location"]
    canary_id = UUID(trial.rpartition("/")[2])
    work.give(context, {"canary_id": str(canary_id)}, lambda _: None)
    settle(context)

    shown = console.get(trial).text
    assert "try it" in shown
    assert "Became non-compliant" in shown
    assert console.post(f"{trial}/promote", data={"because": ""}).status_code == 409
    console.post(f"{trial}/promote", data={"because": "all is well"})
    assert "Holds for everybody" in console.get(trial).text
    assert "Standard" in console.get("/trials").text


def test_a_dry_run_is_applied_as_it_was_tried(context: Context, console: ConsoleClient) -> None:
    fleet(context)
    run = tried(context)
    answer = console.post(f"/dry-runs/{run.id}/apply", data={"because": "go"})
    assert answer.status_code == 302, answer.text
    again = console.post(f"/dry-runs/{run.id}/apply", data={"because": "go"})
    assert again.status_code == 409
    with context.database.reading() as session:
        assert session.get_one(Policy, run.policy_id).current_version == 2
