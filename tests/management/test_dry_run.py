"""A dry run says beforehand what a change would do, and does nothing itself."""

import csv
import io
import re
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from flask import Flask
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import select
from sqlalchemy.orm import Session

from contracts import keys
from management.access import Role
from management.apps.models import DeviceApp
from management.compliance.judgement import ConsequenceKind, Rule
from management.compliance.service import rejudge
from management.context import Context
from management.database import Database
from management.devices.models import Device, DeviceFacts, DeviceJudgement
from management.devices.rules import Fact, FactKind
from management.devices.service import record_facts
from management.dry_run import service, work
from management.dry_run.applying import applying
from management.dry_run.export import as_csv
from management.dry_run.fleet import judge_chunk
from management.dry_run.models import DryRun, DryRunDevice
from management.dry_run.queries import Wanted, get_run
from management.dry_run.rules import WORK, Candidate, read_tally
from management.dry_run.trial import Trial
from management.mail_access.models import Connector, Partnership
from management.policies.inheritance import Link
from management.policies.queries import current_version
from management.policies.rules import Requirements
from management.policies.service import change_policy, create_policy, ensure_default_policy
from management.policies.treatment import Consequence, Treatment
from management.safety import service as safety
from management.updates.activation import store_installed
from management.updates.queries import patterns_folder
from management.work.models import Job
from runtime.clock import utc_now
from runtime.errors import RefusedError
from tests.conftest import MakeUrl
from tests.management.clients import ConsoleClient, api_client
from tests.management.fleets import HOUR, START, Life, add_device, live, lives
from tests.management.test_apps_hunt import NEW_SIGNERS, bank, go_live, holder, ready, set_with
from updater.install import install_sources

__all__ = ["ready"]
DAY = timedelta(days=1)
GOOD = {
    FactKind.ROOTED: False,
    FactKind.ENCRYPTED: True,
    FactKind.PASSCODE_SET: True,
    FactKind.PACKAGES: [],
    FactKind.BAD_APPS: [],
}
WIPED = Treatment(consequences=(Consequence(kind=ConsequenceKind.SELECTIVE_WIPE, after=DAY),))
ASKED = Requirements(no_usb_debugging=True, treatments={Rule.NO_USB_DEBUGGING: WIPED})


def fleet(context: Context, count: int = 12) -> list[UUID]:
    """Return healthy devices that reported just now; every third has USB debugging on."""
    now = utc_now()
    with context.database.transaction("fleet") as session:
        policy = ensure_default_policy(session, now - 30 * DAY)
        ids = []
        for number in range(count):
            name = f"=Phone {number:02d}" if number == 0 else f"Phone {number:02d}"
            address = f"user{number}@example.org"
            device = add_device(session, policy.id, name, owner_address=address)
            applied = {"policy_id": str(policy.id), "version": 1}
            said = GOOD | {
                FactKind.USB_DEBUGGING: number % 3 == 0,
                FactKind.APPLIED_POLICY: applied,
                FactKind.CONTACT: True,
            }
            facts = {kind: Fact(value, "agent", now) for kind, value in said.items()}
            record_facts(session, device.id, facts, now)
            ids.append(device.id)
        rejudge(session, ids, now)
    return ids


def mail_of(context: Context, device_ids: list[UUID]) -> None:
    """Give each of these devices a phone at the mail server that may fetch mail."""
    with context.database.transaction("mail") as session:
        safety.write_setting(session, "mail_access", '{"automatic": true}', "test", utc_now())
        connector = Connector(
            id=uuid4(), name="exchange", key=keys.public_jwk(keys.new_key()), paired_at=utc_now()
        )
        session.add(connector)
        session.flush()
        for device_id in device_ids:
            device = session.get_one(Device, device_id)
            session.add(
                Partnership(
                    connector_id=connector.id,
                    mailbox=device.owner_address.partition("@")[0],
                    user_address=device.owner_address,
                    exchange_device_id=f"SEC{device_id.hex[:8]}",
                    access_state="Allowed",
                    pass_id=uuid4(),
                    first_seen_at=START,
                    seen_at=utc_now(),
                    device_id=device.id,
                    match="sure",
                    grace_key=device.owner_address,
                    wanted="allow",
                    wanted_since=START,
                )
            )


def tried(context: Context, asked: Requirements = ASKED) -> DryRun:
    with context.database.transaction("ask") as session:
        policy = ensure_default_policy(session, utc_now())
        run = service.try_policy(session, policy.id, asked, "keeper", utc_now())
    return finished(context, run.id)


def finished(context: Context, run_id: UUID) -> DryRun:
    work.run(context, {"run_id": str(run_id)}, lambda _: None)
    with context.database.reading() as session:
        return get_run(session, run_id)


def named(context: Context, run: DryRun) -> dict[UUID, DryRunDevice]:
    with context.database.reading() as session:
        rows = session.scalars(select(DryRunDevice).where(DryRunDevice.dry_run_id == run.id))
        return {row.device_id: row for row in rows}


def test_it_names_who_would_lose_mail_and_who_would_be_wiped(context: Context) -> None:
    ids = fleet(context)
    block = Consequence(kind=ConsequenceKind.BLOCK_MAIL, after=2 * HOUR)
    both = Treatment(consequences=(block, *WIPED.consequences))
    mail_of(context, ids[:4])

    run = tried(
        context, Requirements(no_usb_debugging=True, treatments={Rule.NO_USB_DEBUGGING: both})
    )

    tally = read_tally(run.tally)
    assert (run.state, run.total, run.looked_at, tally.judged) == ("done", 12, 12, 12)
    assert tally.states == {"healthy>non_compliant": 4, "healthy>healthy": 8}
    assert (tally.mail, tally.wipe) == ({"later": 2}, {"later": 4})
    found = named(context, run)
    assert set(found) == set(ids[::3])
    assert [bool(found[one].mail) for one in ids[::3]] == [True, True, False, False]
    assert "no_usb_debugging: USB debugging is on" in found[ids[0]].because


def test_what_would_be_lost_sooner_is_named_too(context: Context) -> None:
    ids = fleet(context)
    mail_of(context, ids[:4])
    kinds = (ConsequenceKind.BLOCK_MAIL, ConsequenceKind.SELECTIVE_WIPE)

    def asking(grace: timedelta) -> Requirements:
        follows = tuple(Consequence(kind=kind) for kind in kinds)
        treatment = Treatment(grace=grace, consequences=follows)
        return Requirements(no_usb_debugging=True, treatments={Rule.NO_USB_DEBUGGING: treatment})

    with context.database.transaction("a month of grace") as session:
        policy = ensure_default_policy(session, utc_now())
        change_policy(session, policy.id, asking(30 * DAY), {}, "keeper", "why", utc_now())
        rejudge(session, ids, utc_now())
    assert named(context, tried(context, asking(29 * DAY))) == {}
    run = tried(context, asking(timedelta(0)))

    tally, found = read_tally(run.tally), named(context, run)
    assert (tally.mail, tally.wipe) == ({"at_once": 2}, {"at_once": 4})
    assert set(found) == set(ids[::3])
    assert all("USB debugging is on" in row.because for row in found.values())


def test_whom_an_exception_spares_loses_mail_when_it_ends(context: Context) -> None:
    ids = fleet(context)
    mail_of(context, ids[:4])
    with context.database.transaction("spare") as session:
        wanted = select(Partnership).where(Partnership.device_id == ids[0])
        spared = session.scalars(wanted).one()
        spared.exception, spared.exception_until = "allow", utc_now() + 9 * DAY
    block = Treatment(consequences=(Consequence(kind=ConsequenceKind.BLOCK_MAIL),))
    treatments = {Rule.NO_USB_DEBUGGING: block}

    run = tried(context, Requirements(no_usb_debugging=True, treatments=treatments))

    found = named(context, run)
    assert [found[one].mail for one in ids[:4:3]] == ["later", "at_once"]


def test_it_changes_nothing(context: Context) -> None:
    fleet(context)

    def everything() -> list[Any]:
        with context.database.reading() as session:
            judged = session.scalars(select(DeviceJudgement).order_by(DeviceJudgement.device_id))
            jobs = session.scalars(select(Job.kind).where(Job.kind != WORK))
            return [
                [(row.device_id, row.state, row.violations, row.judged_at) for row in judged],
                sorted(jobs),
            ]

    before = everything()
    tried(context)

    assert everything() == before


@settings(
    max_examples=10,
    deadline=None,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.lists(st.tuples(lives, st.sampled_from(["android", "ios"])), min_size=1, max_size=6))
def test_what_it_foretells_is_what_comes(
    new_database_url: MakeUrl, phones: list[tuple[Life, str]]
) -> None:
    """Change the policy in earnest, let every device apply it at once, and judge."""
    database, now = Database(new_database_url()), START + 90 * DAY
    asked = Requirements(
        encrypted=False,
        no_unknown_sources=True,
        forbidden_packages=("a",),
        required_packages=("b",),
    )
    with database.transaction("fleet") as session:
        policy = ensure_default_policy(session, START)
        devices = [add_device(session, policy.id, platform=platform) for _, platform in phones]
        for device, (life, _) in zip(devices, phones, strict=True):
            live(session, device, life, DAY)
        last = max(device.id for device in devices)
        trial = Trial(now, frozenset({policy.id}), asked, {})
        foretold = judge_chunk(session, trial, None, last)
        change_policy(session, policy.id, asked, {}, "keeper", "why", now)
        for device in devices:
            _apply_at_once(session, device, policy.id)
        rejudge(session, [device.id for device in devices], now)
        states = {row.device_id: row.state for row in session.scalars(select(DeviceJudgement))}
    database.close()

    assert foretold.tally.judged == len(phones)
    for row in foretold.rows:
        assert states[row["device_id"]] == row["after"]
    assert sum(foretold.tally.states.values()) == len(phones)


def _apply_at_once(session: Session, device: Device, policy_id: UUID) -> None:
    row = session.get_one(DeviceFacts, device.id)
    said = row.facts.get(FactKind.APPLIED_POLICY)
    if said is not None and said["value"] == {"policy_id": str(policy_id), "version": 1}:
        said = {**said, "value": {"policy_id": str(policy_id), "version": 2}}
        row.facts = {**row.facts, FactKind.APPLIED_POLICY.value: said}


@pytest.mark.parametrize("chunk", [1, 5])
def test_several_processes_find_what_one_finds(
    context: Context, monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    fleet(context)
    alone = tried(context)

    monkeypatch.setattr(work, "ALONE", 0)
    monkeypatch.setattr(work, "CHUNK", chunk)
    together = tried(context)

    assert together.state == "done"
    assert (together.tally, together.looked_at) == (alone.tally, alone.looked_at)
    assert set(named(context, together)) == set(named(context, alone))


def test_one_whose_job_gave_up_is_told_as_failed(context: Context) -> None:
    fleet(context, 1)
    with context.database.transaction("ask") as session:
        policy = ensure_default_policy(session, utc_now())
        runs = [service.try_policy(session, policy.id, ASKED, "keeper", utc_now()) for _ in "ab"]
        service.begin(session, runs[0].id, utc_now())
    work.end_abandoned(context)
    with context.database.transaction("the job gives up") as session:
        job = session.scalars(select(Job).where(Job.key == f"dry_run.run:{runs[0].id}")).one()
        assert get_run(session, runs[0].id).state == "running"
        job.state, job.error = "failed", "MemoryError"
    work.end_abandoned(context)

    with context.database.reading() as session:
        broken, other = (get_run(session, run.id) for run in runs)
        assert (broken.state, other.state) == ("failed", "waiting")
        assert "MemoryError" in broken.words
        assert broken.finished_at is not None


def test_after_a_crash_it_goes_on_behind_what_it_kept(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet(context)
    monkeypatch.setattr(work, "CHUNK", 5)
    with context.database.transaction("ask") as session:
        policy = ensure_default_policy(session, utc_now())
        run = service.try_policy(session, policy.id, ASKED, "keeper", utc_now())

    def die(_: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work.run(context, {"run_id": str(run.id)}, die)
    with context.database.reading() as session:
        half = get_run(session, run.id)
    whole = finished(context, run.id)

    assert (half.state, half.looked_at) == ("running", 5)
    assert (whole.state, whole.looked_at) == ("done", 12)
    assert whole.judged_at == half.judged_at
    assert read_tally(whole.tally).judged == 12
    assert len(named(context, whole)) == 4


def test_stopped_it_keeps_what_it_found_and_says_who_stopped_it(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet(context)
    monkeypatch.setattr(work, "CHUNK", 5)
    with context.database.transaction("ask") as session:
        policy = ensure_default_policy(session, utc_now())
        run = service.try_policy(session, policy.id, ASKED, "keeper", utc_now())

    def stop(_: str) -> None:
        with context.database.transaction("stop") as session:
            service.cancel(session, run.id, "warden", utc_now())

    work.run(context, {"run_id": str(run.id)}, stop)

    with context.database.transaction("look") as session:
        found = get_run(session, run.id)
        assert (found.state, found.cancelled_by, found.looked_at) == ("cancelled", "warden", 5)
        with pytest.raises(RefusedError):
            service.cancel(session, run.id, "warden", utc_now())


def test_other_verdicts_concern_those_who_hold_the_apps(context: Context) -> None:
    ids = fleet(context, 6)
    torch, other = "ab" * 32, "cd" * 32
    now = utc_now()
    with context.database.transaction("apps") as session:
        for number, sha256 in enumerate((torch, torch, other)):
            row = DeviceApp(device_id=ids[number], package="com.example.torch", sha256=sha256)
            row.name, row.version, row.first_seen_at, row.said_at = "Torch", "1", now, now
            session.add(row)
        verdicts = {torch: Candidate("malicious", "spy.sms", "Spy", "2026.11.21")}
        run = service.try_verdicts(session, verdicts, "keeper", now)

    found = finished(context, run.id)

    assert read_tally(found.tally).states == {"healthy>non_compliant": 2}
    rows = named(context, found)
    assert set(rows) == set(ids[:2])
    assert "Torch" in rows[ids[0]].because


def test_a_pattern_set_is_tried_before_it_goes_live(ready: Context, tmp_path: Path) -> None:
    """The set knows the true signer of a bank's app; one device holds an app signed otherwise."""
    go_live(ready, tmp_path, "2099.1.1")
    holds, other = holder(ready, bank()), holder(ready)
    set_with(ready, tmp_path, "2099.1.2", NEW_SIGNERS)
    with ready.database.transaction("offer") as session:
        installed = install_sources(
            tmp_path / "2099.1.2", "2099.1.2", patterns_folder(ready.settings)
        )
        store_installed(session, installed, "test", utc_now())
        run = service.try_patterns(session, "2099.1.2", "keeper", utc_now())

    found = finished(ready, run.id)

    assert (found.state, len(found.verdicts), found.active_patterns) == ("done", 1, "2099.1.1")
    rows = named(ready, found)
    assert set(rows) == {holds}
    assert other not in rows
    assert "no_malicious_app" in rows[holds].because
    with ready.database.transaction("again") as session, pytest.raises(RefusedError):
        service.try_patterns(session, "2099.1.1", "keeper", utc_now())


def test_the_file_holds_every_page_and_no_formula(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("management.dry_run.export.EXPORT", 3)
    fleet(context)
    run = tried(context)

    text = "".join(as_csv(context.database, run.id, Wanted()))

    head, *rows = csv.reader(io.StringIO(text.removeprefix("\ufeff")))
    assert head[1] == "name"
    assert sorted(row[1] for row in rows) == ["'=Phone 00", "Phone 03", "Phone 06", "Phone 09"]


def test_old_dry_runs_are_forgotten(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "KEPT", 2)
    fleet(context, 3)
    runs = [tried(context).id for _ in range(4)]

    with context.database.reading() as session:
        left = set(session.scalars(select(DryRun.id)))
        rows = set(session.scalars(select(DryRunDevice.dry_run_id)))
    assert left == rows == set(runs[-2:])


def test_from_the_form_to_the_devices_by_name(context: Context, console: ConsoleClient) -> None:
    ids = fleet(context)
    with context.database.reading() as session:
        policy = ensure_default_policy(session, utc_now()).id
    form = console.get(f"/policies/{policy}/edit").text
    assert f'formaction="/dry-runs/policies/{policy}"' in form
    answer = console.post(
        f"/dry-runs/policies/{policy}",
        data={"no_usb_debugging": "yes", "maximum_silence": "3", "inactive_after": "30"},
    )
    assert answer.status_code == 302, answer.text
    page = answer.headers["Location"]
    waiting = console.get(page).text
    assert "It waits for its turn." in waiting

    finished(context, UUID(page.rpartition("/")[2]))

    done = console.get(page).text
    assert "Phone 03" in done
    assert "Phone 04" not in done
    assert console.get(f"{page}/progress").headers["HX-Refresh"] == "true"
    filtered = console.get(f"{page}?loses=mail").text
    assert "Phone 03" not in filtered
    exported = console.get(f"{page}/devices.csv")
    assert str(ids[3]) in exported.text
    assert re.search(r"Standard", console.get("/dry-runs").text)


def test_the_api_tells_the_same(app: Flask, context: Context) -> None:
    fleet(context)
    program = api_client(app, context, "robot", Role.OWNER)
    with context.database.reading() as session:
        policy = ensure_default_policy(session, utc_now()).id
    asked = {"requirements": {"no_usb_debugging": True}}

    run = program.post(f"/api/v1/policies/{policy}/dry-runs", json=asked).json
    assert run and "id" in run, run
    finished(context, UUID(run["id"]))

    done = program.get(f"/api/v1/dry-runs/{run['id']}").json
    assert done is not None
    assert (done["state"], done["changed"]) == ("done", 4)
    first = program.get(f"/api/v1/dry-runs/{run['id']}/devices?limit=3").json
    assert first is not None
    rest = program.get(f"/api/v1/dry-runs/{run['id']}/devices?limit=3&after={first['next']}").json
    assert rest is not None
    assert (len(first["items"]), len(rest["items"]), rest["next"]) == (3, 1, None)
    assert program.post("/api/v1/pattern-sets/none/dry-runs").status_code == 404
    assert program.post(f"/api/v1/dry-runs/{run['id']}/cancel").status_code == 409


# --- settings that devices apply ---

LOCKED = {"feature_locks": {"no_unknown_sources": True}}


def with_settings(context: Context, settings: dict[str, Any]) -> DryRun:
    with context.database.transaction("ask") as session:
        policy = ensure_default_policy(session, utc_now())
        now = utc_now()
        run = service.try_policy(session, policy.id, Requirements(), "keeper", now, settings)
    return finished(context, run.id)


def test_changed_settings_say_by_platform_what_devices_would_apply(
    context: Context, console: ConsoleClient
) -> None:
    ids = fleet(context, 4)
    with context.database.transaction("two more kinds") as session:
        session.get_one(Device, ids[0]).platform = "ios"
        session.get_one(Device, ids[1]).management_mode = "agent"
    with context.database.reading() as session:
        held = current_version(session, ensure_default_policy(session, utc_now()).id)
    locks = {**held.settings["feature_locks"], "no_unknown_sources": True}
    run = with_settings(context, {**held.settings, "feature_locks": locks})

    with context.database.reading() as session:
        found = {one.platform: one for one in applying(session, run)}
    assert {name: one.devices for name, one in found.items()} == {"android": 3, "ios": 1}
    assert [one.setting.name for one in found["android"].changes] == ["no_unknown_sources"]
    assert found["android"].changes[0].now is True
    assert found["android"].cannot == 1
    page = console.get(f"/dry-runs/{run.id}").text
    assert "What devices would apply otherwise" in page
    assert f"policy={held.policy_id}&amp;platform=android" in page


def test_what_was_tried_holds_with_its_settings_once_it_is_applied(context: Context) -> None:
    fleet(context, 1)
    run = with_settings(context, LOCKED)

    with context.database.transaction("apply") as session:
        version = service.apply(session, run.id, "keeper", "tried", utc_now())

    assert version.settings == LOCKED


def test_children_that_inherit_the_settings_are_counted_too(context: Context) -> None:
    fleet(context, 1)
    with context.database.transaction("a child with a device") as session:
        now = utc_now()
        parent = ensure_default_policy(session, now)
        link = Link(parent_id=parent.id, inherited=("feature_locks",))
        child = create_policy(session, "Child", Requirements(), {}, "keeper", "test", now, link)
        add_device(session, child.id, "Of the child")
        child_id = child.id
    run = with_settings(context, LOCKED)

    with context.database.reading() as session:
        found = {one.policy_id: one.devices for one in applying(session, run) if one.devices}

    assert found == {run.policy_id: 1, child_id: 1}


def test_criteria_alone_change_no_settings(context: Context) -> None:
    fleet(context, 1)
    run = tried(context)
    with context.database.reading() as session:
        assert (run.settings, applying(session, run)) == (None, [])
