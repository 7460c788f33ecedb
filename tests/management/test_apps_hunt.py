"""Reputation of apps that devices report, approvals, sets on trial, and hunts that are killed."""

import os
import shutil
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest
from flask import Flask
from sqlalchemy import select
from sqlalchemy.orm import Session

from contracts.agent import Apps, InstalledApp
from contracts.scan import ScanResult
from management.access import Role
from management.apps import (
    approvals,
    candidates,
    hunting,
    queries,
    rules,
    service,
    uploads,
    work,
)
from management.apps.models import App, AppApproval, AppVerdict, DeviceApp, SetTrial
from management.apps.queries import Wanted
from management.apps.rejudging import Judge
from management.apps.rules import Approved, Reputation, Turned, why_wait
from management.audit.models import AuditEntry
from management.compliance.models import DeviceJudgement
from management.context import Context
from management.devices.models import Device
from management.policies.service import ensure_default_policy
from management.updates.activation import activate, store_installed
from management.updates.queries import active_folder, active_set, patterns_folder
from management.work.models import Job
from patterns import pattern_set
from runtime.clock import utc_now
from runtime.errors import RefusedError
from scanner.isolation import scan_file
from tests.management.clients import ConsoleClient, api_client, signed_in_client
from tests.management.fleets import START, add_device
from tests.management.test_apps import (
    EXTRA_RULE,
    MARKER,
    bad_apps,
    bad_archive,
    clean_archive,
    phone,
    ready,
    scan,
    second_set,
    store,
    verdict,
)
from tests.management.test_updates import FIRST, _enter, _update, feed
from tests.scanner.corpus import REAL_SIGNER, real_apk
from tests.updater.feed import Feed
from updater.install import install_sources

__all__ = ["feed", "ready"]
NEW_SIGNERS = f"""
[[official]]
package = "org.example.bank"
publisher = "A Bank"
sha256 = ["{"a" * 64}"]
"""
KNOWN_FILES = """
[[rule]]
id = "known_file"
title = "Known"
severity = "high"
category = "trojan"
meaning = "It is a file that was read before."
why = "No other file has this hash."
kind = "sha256"
values_file = "known.txt"
"""
IN_A_DAY = timedelta(days=1)


def set_with(context: Context, folder: Path, version: str, signers: str = "") -> Path:
    """Install (not activate) the shipped set with one more rule and more signers."""
    source = folder / version
    shutil.copytree(pattern_set.SHIPPED, source)
    (source / "yara" / "second.yar").write_text(EXTRA_RULE)
    with (source / "signers.toml").open("a") as file:
        file.write(signers)
    install_sources(source, version, patterns_folder(context.settings))
    return patterns_folder(context.settings) / version


def go_live(context: Context, folder: Path, version: str, signers: str = "") -> None:
    set_with(context, folder, version, signers)
    with context.database.transaction("test") as session:
        installed = install_sources(folder / version, version, patterns_folder(context.settings))
        activate(session, store_installed(session, installed, "test", utc_now()), utc_now())


def holder(context: Context, *apps: InstalledApp) -> UUID:
    with context.database.transaction("test") as session:
        policy = ensure_default_policy(session, utc_now())
        device = add_device(session, policy.id)
        service.record_inventory(session, device, Apps(apps=apps), "agent", START, START)
        return device.id


def bank(signer: str | None = "b" * 64) -> InstalledApp:
    return InstalledApp(
        package="org.example.bank", name="Bank", version="1", sha256="c" * 64, signer_sha256=signer
    )


def known(context: Context, sha256: str) -> App:
    with context.database.reading() as session:
        return queries.get_known(session, sha256)


def approve(
    context: Context, sha256: str, kind: Approved = Approved.HASH, days: int = 30
) -> AppApproval:
    with context.database.transaction("test") as session:
        now = utc_now()
        return approvals.approve(
            session,
            context.keys,
            kind,
            sha256,
            "our own tool",
            now + timedelta(days=days),
            "keeper",
            "",
            now,
        )


def recheck(context: Context) -> None:
    work.recheck(context, {}, print)


# --- reputation without the file ---


def test_a_reported_app_is_judged_by_its_signer_alone(ready: Context, tmp_path: Path) -> None:
    go_live(ready, tmp_path, "2099.1.1", NEW_SIGNERS)
    device_id = holder(ready, bank())

    work.look_up(ready, {}, print)

    app = known(ready, "c" * 64)
    assert (app.verdict, app.basis, app.rule) == ("malicious", "report", "repackaged_app")
    assert bad_apps(ready, device_id) == [("Bank", "malicious", "repackaged_app")]


@pytest.mark.parametrize("signer", ["a" * 64, None], ids=["official", "unknown"])
def test_the_official_signer_and_an_unknown_one_are_not_held_against_an_app(
    ready: Context, tmp_path: Path, signer: str | None
) -> None:
    go_live(ready, tmp_path, "2099.1.1", NEW_SIGNERS)
    holder(ready, bank(signer))

    work.look_up(ready, {}, print)

    assert known(ready, "c" * 64).verdict == ""


def test_a_lie_of_the_first_reporter_is_not_held_against_others(
    ready: Context, tmp_path: Path
) -> None:
    go_live(ready, tmp_path, "2099.1.1", NEW_SIGNERS)
    holder(ready, bank("b" * 64))
    work.look_up(ready, {}, print)
    lied = known(ready, "c" * 64).verdict

    honest = holder(ready, bank("a" * 64))
    work.look_up(ready, {}, print)

    assert (lied, known(ready, "c" * 64).verdict) == ("malicious", "")
    assert bad_apps(ready, honest) == []


@pytest.mark.parametrize("first", ["honest", "liar"])
def test_what_one_device_claims_counts_for_that_device_alone(
    ready: Context, tmp_path: Path, first: str
) -> None:
    go_live(ready, tmp_path, "2099.1.1", NEW_SIGNERS)
    told = {"honest": bank("b" * 64), "liar": bank("a" * 64)}
    order = [first, *(who for who in told if who != first)]
    devices = {}
    for who in order:
        devices[who] = holder(ready, told[who])
        work.look_up(ready, {}, print)
    third = holder(ready, bank("b" * 64))  # known by now: nothing need be looked up

    assert bad_apps(ready, devices["honest"]) == [("Bank", "malicious", "repackaged_app")]
    assert bad_apps(ready, third) == bad_apps(ready, devices["honest"])
    assert bad_apps(ready, devices["liar"]) == []
    with ready.database.reading() as session:
        ((_, shown),) = queries.list_device_apps(session, third)
    assert shown is not None
    assert shown.verdict == "malicious"


def test_a_device_that_says_something_else_of_the_same_file_is_judged_anew(
    ready: Context, tmp_path: Path
) -> None:
    go_live(ready, tmp_path, "2099.1.1", NEW_SIGNERS)
    device_id = holder(ready, bank("a" * 64))
    work.look_up(ready, {}, print)
    with ready.database.transaction("test") as session:
        device = session.get_one(Device, device_id)
        apps = Apps(apps=(bank("b" * 64),))
        service.record_inventory(session, device, apps, "agent", START, START)

    work.look_up(ready, {}, print)

    assert bad_apps(ready, device_id) == [("Bank", "malicious", "repackaged_app")]


def test_a_new_set_judges_reported_apps_too_and_the_old_one_takes_it_back(
    ready: Context, tmp_path: Path
) -> None:
    device_id = holder(ready, bank())
    work.look_up(ready, {}, print)
    before = known(ready, "c" * 64).verdict
    go_live(ready, tmp_path, "2099.1.1", NEW_SIGNERS)
    work.retro_hunt(ready, {}, print)
    then = bad_apps(ready, device_id)
    go_live(ready, tmp_path, "2099.1.2")

    work.retro_hunt(ready, {}, print)

    assert (before, then) == ("", [("Bank", "malicious", "repackaged_app")])
    assert bad_apps(ready, device_id) == []


def test_devices_are_counted_as_apps_come_and_go(ready: Context) -> None:
    first, second = holder(ready, bank()), holder(ready, bank())
    with ready.database.transaction("test") as session:
        device = session.get_one(Device, first)
        service.record_inventory(session, device, Apps(apps=()), "agent", START, START)

    with ready.database.reading() as session:
        counted = queries.count_holders(session, ["c" * 64])
    assert second != first
    assert known(ready, "c" * 64).devices == counted["c" * 64] == 1


def test_the_file_says_more_than_a_device(ready: Context) -> None:
    sha256 = store(ready, real_apk().read_bytes())
    holder(
        ready,
        InstalledApp(
            package="org.lie", name="Lie", version="1", sha256=sha256, signer_sha256="d" * 64
        ),
    )

    scan(ready, sha256)

    assert known(ready, sha256).signer_sha256 == REAL_SIGNER
    assert known(ready, sha256).package == "com.github.uiautomator"


def test_a_new_list_of_hashes_names_a_stored_file_without_reading_it(
    ready: Context, tmp_path: Path
) -> None:
    sha256 = store(ready, real_apk().read_bytes())
    scan(ready, sha256)
    before = known(ready, sha256).verdict
    source = tmp_path / "2099.1.1"
    shutil.copytree(pattern_set.SHIPPED, source)
    (source / "lists").mkdir(exist_ok=True)
    (source / "lists" / "known.txt").write_text(f"{sha256} Family\n")
    (source / "lists" / "known.toml").write_text(KNOWN_FILES)
    folder = patterns_folder(ready.settings)
    with ready.database.transaction("test") as session:
        installed = install_sources(source, "2099.1.1", folder)
        activate(session, store_installed(session, installed, "test", utc_now()), utc_now())
    uploads.forget(ready.settings.home, sha256)

    work.retro_hunt(ready, {}, print)

    app = known(ready, sha256)
    assert before == "unwanted"
    assert (app.verdict, app.rule, app.basis) == ("malicious", "known_file", "file")


# --- approvals ---


def test_an_approved_app_is_not_held_against_devices_and_its_verdict_stays(
    ready: Context, console: ConsoleClient
) -> None:
    sha256 = store(ready, bad_archive())
    scan(ready, sha256)
    device_id = phone(ready, sha256)

    approve(ready, sha256)
    recheck(ready)

    assert bad_apps(ready, device_id) == []
    assert verdict(ready, sha256) == "malicious"
    page = console.get(f"/apps/{sha256}").text
    assert "Malicious" in page and "Approved" in page and "our own tool" in page
    assert "Approved" in console.get("/apps/").text
    with ready.database.reading() as session:
        judged = session.get_one(DeviceJudgement, device_id)
        assert "no_malicious_app" not in {violation["rule"] for violation in judged.violations}


def test_an_approval_ends_by_time_and_is_audited(ready: Context) -> None:
    sha256 = store(ready, bad_archive())
    scan(ready, sha256)
    device_id = phone(ready, sha256)
    approve(ready, sha256, days=1)
    recheck(ready)
    with ready.database.transaction("test") as session:
        ended = approvals.end_due(session, ready.keys, utc_now() + 2 * IN_A_DAY)
    recheck(ready)

    assert ended == 1
    assert bad_apps(ready, device_id) == [("App 0", "malicious", "eicar_test_file")]
    with ready.database.reading() as session:
        entries = session.scalars(select(AuditEntry).where(AuditEntry.subject == sha256))
        told = [(entry.action, entry.actor) for entry in entries]
    assert ("app.approve", "keeper") in told and ("app.approval_end", "clock") in told


def test_an_approval_of_a_signer_covers_what_files_prove_and_no_claims(
    ready: Context, tmp_path: Path
) -> None:
    sha256 = store(ready, real_apk().read_bytes())
    scan(ready, sha256)
    approve(ready, sha256, Approved.SIGNER)
    go_live(ready, tmp_path, "2099.1.1", NEW_SIGNERS)
    device_id = holder(ready, bank(REAL_SIGNER))
    work.look_up(ready, {}, print)

    claimed = bad_apps(ready, device_id)
    with ready.database.transaction("test") as session:
        session.get_one(App, "c" * 64).basis = "file"
        service.refresh_bad_apps(session, [device_id], utc_now())

    assert claimed == [("Bank", "malicious", "repackaged_app")]
    assert bad_apps(ready, device_id) == []


def test_a_signer_that_only_a_device_claims_cannot_be_approved(ready: Context) -> None:
    holder(ready, bank(REAL_SIGNER))

    with pytest.raises(RefusedError, match="devices only claim it"):
        approve(ready, "c" * 64, Approved.SIGNER)


def test_an_unreadable_file_keeps_no_claimed_signer(ready: Context) -> None:
    sha256 = store(ready, b"PK\x03\x04 and then nothing that can be read")
    claim = InstalledApp(
        package="org.lie", name="Lie", version="1", sha256=sha256, signer_sha256=REAL_SIGNER
    )
    holder(ready, claim)
    with ready.database.transaction("test") as session:
        session.get_one(App, sha256).signer_sha256 = REAL_SIGNER

    scan(ready, sha256)

    app = known(ready, sha256)
    assert (app.verdict, app.signer_sha256, app.proven_signer) == ("unscannable", "", "")


def test_a_scan_with_a_set_that_was_replaced_meanwhile_is_repeated(
    ready: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sha256 = store(ready, clean_archive())

    def scan_slowly(path: Path, folder: Path) -> ScanResult:
        result = scan_file(path, folder)
        go_live(ready, tmp_path, "2099.1.1")
        return result

    monkeypatch.setattr(work, "scan_file", scan_slowly)
    scan(ready, sha256)

    with ready.database.reading() as session:
        jobs = session.scalars(select(Job).where(Job.kind == service.SCAN)).all()
    assert known(ready, sha256).pattern_version != "2099.1.1"
    assert len(jobs) == 2


def test_what_is_not_right_with_an_approval_is_said(ready: Context) -> None:
    sha256 = store(ready, bad_archive())
    with pytest.raises(RefusedError, match="past"):
        approve(ready, sha256, days=-1)
    with pytest.raises(RefusedError, match="two years"):
        approve(ready, sha256, days=1000)
    with pytest.raises(RefusedError, match="devices only claim it"):
        approve(ready, sha256, Approved.SIGNER)
    approve(ready, sha256)
    with pytest.raises(RefusedError, match="approved already"):
        approve(ready, sha256)


def test_pages_approve_and_end(ready: Context, console: ConsoleClient) -> None:
    sha256 = store(ready, bad_archive())
    day = (utc_now() + 30 * IN_A_DAY).date().isoformat()
    form = {"kind": "hash", "reason": "ours", "ends_on": day}

    assert console.post(f"/apps/approvals/of/{sha256}", data=form).status_code == 303
    listed = console.get("/apps/approvals/").text
    with ready.database.reading() as session:
        (row,) = approvals.list_approvals(session)
    assert console.post(f"/apps/approvals/{row.id}/end").status_code == 303

    assert "ours" in listed
    assert "ours" not in console.get("/apps/approvals/").text
    wrong = console.post(f"/apps/approvals/of/{sha256}", data=form | {"ends_on": "soon"})
    assert wrong.status_code == 400


def test_an_operator_approves_nothing(ready: Context, app: Flask) -> None:
    sha256 = store(ready, bad_archive())
    operator = signed_in_client(app, ready, "operator", Role.OPERATOR)

    assert operator.post(f"/apps/approvals/of/{sha256}").status_code == 403
    assert operator.post(f"/apps/{sha256}/analyse").status_code == 403
    assert operator.post(f"/store/publish/{sha256}").status_code == 403


# --- sets on trial ---


def test_a_trial_says_what_would_turn_malicious_and_who_holds_it(
    ready: Context, console: ConsoleClient, tmp_path: Path
) -> None:
    sha256, other = store(ready, clean_archive()), store(ready, clean_archive("other"))
    scan(ready, sha256)
    scan(ready, other)
    phone(ready, sha256, name="Ada's phone")
    folder = set_with(ready, tmp_path, "2099.1.1")

    because = candidates.try_set(ready, folder, print)

    assert because == ""
    assert verdict(ready, sha256) == "unwanted"
    with ready.database.reading() as session:
        trial = session.get_one(SetTrial, "2099.1.1")
        assert (trial.malicious, trial.devices, trial.unread) == (1, 1, 0)
        assert [app["sha256"] for app in trial.apps] == [sha256]
    page = console.get("/apps/trials/2099.1.1").text
    assert "1 app" in page and "Ada&#39;s phone" in page and "second_look" in page


def test_a_set_that_calls_an_approved_app_malicious_waits_for_a_person(
    ready: Context, tmp_path: Path
) -> None:
    sha256 = store(ready, clean_archive())
    scan(ready, sha256)
    approve(ready, sha256)

    because = candidates.try_set(ready, set_with(ready, tmp_path, "2099.1.1"), print)

    assert "approved" in because


def test_an_update_that_would_cut_off_an_approved_app_waits_until_a_person_activates_it(
    ready: Context, console: ConsoleClient, feed: Feed
) -> None:
    sha256 = store(ready, clean_archive(MARKER))
    scan(ready, sha256)
    approve(ready, sha256)
    feed.publish(FIRST, marker=MARKER)
    _enter(console, feed)

    run = _update(console, ready)

    assert (run.state, run.to_version) == ("waiting", FIRST)
    assert "approved" in run.detail
    assert active(ready) == pattern_set.source_version(pattern_set.SHIPPED)
    assert "waits for a person" in console.get("/updates/").text
    assert "A person must say" in console.get(f"/apps/trials/{FIRST}").text
    again = _update(console, ready)
    assert (again.state, active(ready) == FIRST) == ("nothing new", False)

    form = {"because": "we looked at it"}
    assert console.post(f"/updates/sets/{FIRST}/activate", data=form).status_code == 302
    assert active(ready) == FIRST


def active(context: Context) -> str:
    with context.database.reading() as session:
        return active_set(session).version


def test_dry_runs_get_the_changes_of_all_known_apps(ready: Context, tmp_path: Path) -> None:
    holder(ready, bank())
    work.look_up(ready, {}, print)
    folder = set_with(ready, tmp_path, "2099.1.1", NEW_SIGNERS)

    with ready.database.reading() as session:
        (found,) = candidates.verdict_changes(session, folder)

    assert (found.sha256, found.before, found.after.verdict) == ("c" * 64, "", "malicious")
    assert found.is_newly_malicious and found.devices == 1


def turned(number: int, devices: int = 1, **fields: bool) -> Turned:
    after = Reputation(str(number), "malicious", "2", "rule", "")
    return Turned(
        sha256=str(number),
        package="p",
        name=f"App {number}",
        before="clean",
        after=after,
        devices=devices,
        **fields,
    )


def test_the_brake_is_set_by_what_honest_apps_are() -> None:
    few = [turned(number) for number in range(20)]

    assert why_wait(few, 100_000, 1000) == ""
    assert "App 7" in why_wait([*few, turned(7, in_store=True)], 100_000, 1000)
    assert "5 % of the devices" in why_wait([turned(1, devices=50)], 100_000, 1000)
    assert why_wait([turned(1, devices=19)], 100_000, 30) == ""
    assert "21 of 100" in why_wait([turned(number) for number in range(21)], 100, 1000)


def test_milder_verdicts_set_no_brake() -> None:
    after = Reputation("1", "clean", "2", "", "")
    milder = Turned(
        sha256="1", package="p", name="A", before="malicious", after=after, devices=9, approved=True
    )

    assert milder.is_milder
    assert why_wait([milder], 1, 1) == ""


# --- hunts that are killed ---


@pytest.mark.parametrize(
    "point",
    [
        "before commit judge apps again",
        "after commit judge apps again",
        "before commit look at devices again",
        "after commit look at devices again",
    ],
)
def test_a_hunt_killed_anywhere_is_finished_by_its_repetition(
    ready: Context, tmp_path: Path, point: str
) -> None:
    first, second = holder(ready, bank()), holder(ready, bank())
    work.look_up(ready, {}, print)
    go_live(ready, tmp_path, "2099.1.1", NEW_SIGNERS)
    code = (
        "from management import settings; from management.context import open_context;"
        "from management.apps import work;"
        "work.retro_hunt(open_context(settings.load()), {}, print)"
    )
    url = ready.database.engine.url.render_as_string(hide_password=False)
    environment = {
        **os.environ,
        "SEKISHO_HOME": str(ready.settings.home),
        "SEKISHO_DATABASE_URL": url,
        "SEKISHO_CRASH_AT": point,
        "SEKISHO_CRASH_MARK": str(tmp_path / "crashed"),
    }
    died = subprocess.run([sys.executable, "-c", code], env=environment, check=False)

    work.retro_hunt(ready, {}, print)

    assert died.returncode == -signal.SIGKILL
    for device_id in (first, second):
        assert bad_apps(ready, device_id) == [("Bank", "malicious", "repackaged_app")]


# --- lists, evidence, deep analysis, quota ---


def test_the_list_is_filtered(ready: Context, read: Session) -> None:
    sha256 = store(ready, bad_archive())
    scan(ready, sha256)
    holder(ready, bank())

    def found(**wanted: object) -> list[str]:
        with ready.database.reading() as session:
            rows = queries.list_apps(session, Wanted(**wanted))  # type: ignore[arg-type]
            return [row.sha256 for row in rows]

    assert set(found()) == {sha256, "c" * 64}
    assert found(verdict="malicious") == [sha256]
    assert found(verdict="unknown") == ["c" * 64]
    assert found(held=True) == found(text="org.example") == found(text="b" * 64) == ["c" * 64]
    assert found(stored=True) == [sha256]


@pytest.fixture
def read(ready: Context) -> Session:
    return Session(ready.database.engine)


def test_everything_can_be_downloaded_as_json(ready: Context, console: ConsoleClient) -> None:
    sha256 = store(ready, bad_archive())
    scan(ready, sha256)

    answer = console.get(f"/apps/{sha256}.json")

    assert answer.headers["Content-Disposition"] == f'attachment; filename="{sha256}.json"'
    found = answer.get_json()
    assert (found["verdict"], found["basis"]) == ("malicious", "file")
    assert "proves a scanner" in found["rules"]["eicar_test_file"]["meaning"]
    assert found["history"][0]["from_pattern_version"] == found["pattern_version"]


def test_a_deep_analysis_adds_notes_and_leaves_the_verdict(
    ready: Context, console: ConsoleClient
) -> None:
    sha256 = store(ready, real_apk().read_bytes())
    scan(ready, sha256)
    before = verdict(ready, sha256)
    assert console.post(f"/apps/{sha256}/analyse").status_code == 303
    assert console.post(f"/apps/{sha256}/analyse").status_code == 409
    with ready.database.reading() as session:
        job = session.scalars(select(Job).where(Job.kind == "apps.analyse")).one()

    work.analyse(ready, job.payload, print)

    page = console.get(f"/apps/{sha256}").text
    assert "Deep analysis" in page and "It never changes the verdict." in page
    assert verdict(ready, sha256) == before
    assert console.get(f"/apps/{sha256}.json").get_json()["deep_analysis"]["findings"]


def test_uploads_have_a_quota(ready: Context) -> None:
    store(ready, b"x" * 1000)

    with ready.database.reading() as session:
        assert service.room_for_upload(session, 1500) == 500
        with pytest.raises(RefusedError, match="uploads_bytes"):
            service.room_for_upload(session, 1000)


def test_history_has_one_row_for_what_is_said_from_set_to_set(
    ready: Context, tmp_path: Path
) -> None:
    sha256 = store(ready, clean_archive("no marker"))
    scan(ready, sha256)
    version = second_set(ready, tmp_path)
    work.retro_hunt(ready, {}, print)

    with ready.database.reading() as session:
        (row,) = session.scalars(select(AppVerdict)).all()
    shipped = pattern_set.source_version(pattern_set.SHIPPED)
    assert (row.pattern_version, row.last_version) == (shipped, version)


def test_two_devices_that_report_the_same_new_app_share_a_row(ready: Context) -> None:
    holder(ready, bank())
    holder(ready, bank())

    with ready.database.reading() as session:
        assert len(session.scalars(select(DeviceApp)).all()) == 2
        assert len(session.scalars(select(App)).all()) == 1
    assert rules.weight("malicious") > rules.weight("suspicious") > rules.weight("")


def test_judging_again_with_the_very_set_says_the_same(ready: Context) -> None:
    sha256 = store(ready, real_apk().read_bytes())
    scan(ready, sha256)

    with ready.database.reading() as session:
        (before,) = hunting.known_of(session, [sha256])
        judge = Judge(active_folder(session, ready.settings))
    again = judge.again(before.features, before.result or {})

    assert again is not None and before.result is not None
    assert rules.is_same_judgement(before.result, again)


def test_the_api_tells_of_apps_that_were_only_reported(ready: Context, app: Flask) -> None:
    holder(ready, bank())
    program = api_client(app, ready, "program", Role.READ_ONLY)

    listed = program.get("/api/v1/apps?held=1&verdict=unknown").get_json()["items"]
    one = program.get(f"/api/v1/apps/{'c' * 64}").get_json()

    assert [app["package"] for app in listed] == ["org.example.bank"]
    assert (one["verdict"], one["devices"], one["stored"], one["result"]) == ("", 1, False, None)
