"""What pages show, programs can read: dashboard, a device's log, apps, certificates, lists."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from flask import Flask
from sqlalchemy import select

from management.access import Role
from management.apps.models import App, DeviceApp, SetTrial
from management.canary.models import Canary, CanaryDevice
from management.commands.models import CommandBatch
from management.context import Context
from management.devices.models import Device, DeviceJudgement
from management.dry_run.models import DryRun
from runtime.clock import utc_now
from tests.management.clients import ConsoleClient, api_client
from tests.management.fleet import Fleet
from tests.management.fleet import fill as fill_fleet


@pytest.fixture
def fleet(context: Context) -> Fleet:
    return fill_fleet(context, utc_now(), 12)


@pytest.fixture
def program(app: Flask, context: Context, fleet: Fleet) -> ConsoleClient:
    return api_client(app, context, "program", Role.OWNER)


def read(program: ConsoleClient, path: str) -> dict[str, Any]:
    answer = program.get(f"/api/v1{path}")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.get_json()
    return found


def pages(program: ConsoleClient, path: str) -> list[dict[str, Any]]:
    """Return all items of a list, read two at a time."""
    found, after = [], ""
    while after is not None:
        page = read(program, f"{path}?limit=2&after={after}")
        assert len(page["items"]) <= 2
        found += page["items"]
        after = page["next"]
    return found


def test_the_dashboard_says_what_the_lists_find(program: ConsoleClient) -> None:
    shown = read(program, "/dashboard")

    assert sum(shown["states"].values()) == 12
    for state, number in shown["states"].items():
        assert read(program, f"/devices?state={state}")["count"]["value"] == number
    for version in shown["systems"]:
        asked = f"platform={version['platform']}&os={version['os']}&enrolment=enrolled"
        assert read(program, f"/devices?{asked}")["count"]["value"] == version["devices"]
    failed = read(program, "/jobs?state=failed")["items"]
    assert shown["failed_jobs"] == len(failed) == 1


def test_the_log_of_a_device_is_read_by_page_and_kind(program: ConsoleClient, fleet: Fleet) -> None:
    path = f"/devices/{fleet.devices[0]}/log"
    every = pages(program, path)

    assert len(every) > 2
    assert [one["id"] for one in every] == sorted((one["id"] for one in every), reverse=True)
    kind = every[0]["kind"]
    some = read(program, f"{path}?kind={kind}")["items"]
    assert some == [one for one in every if one["kind"] == kind]
    assert program.get(f"/api/v1/devices/{uuid4()}/log").status_code == 404


def test_the_apps_of_a_device_come_with_their_verdicts(
    program: ConsoleClient, context: Context, fleet: Fleet
) -> None:
    times = {"first_seen_at": utc_now(), "said_at": utc_now()}
    with context.database.transaction("apps") as session:
        session.add(
            App(
                sha256="a" * 64,
                verdict="malicious",
                basis="file",
                rule="spy",
                first_seen_at=utc_now(),
            )
        )
        for number, sha256 in enumerate(("a" * 64, "b" * 64, "c" * 64)):
            held = {"package": f"org.app{number}", "name": "App", "version": "1"}
            session.add(DeviceApp(device_id=fleet.devices[0], sha256=sha256, **held, **times))

    found = pages(program, f"/devices/{fleet.devices[0]}/apps")

    assert [(one["package"], one["verdict"], one["rule"]) for one in found] == [
        ("org.app0", "malicious", "spy"), ("org.app1", "", ""), ("org.app2", "", ""),
    ]  # fmt: skip


def test_incidents_of_a_device_are_those_of_its_page(program: ConsoleClient, fleet: Fleet) -> None:
    every = pages(program, "/relay-incidents")
    of_devices = {one["device_id"] for one in every if one["device_id"]}
    assert of_devices
    for device_id in of_devices:
        mine = [one for one in every if one["device_id"] == device_id]
        found = pages(program, f"/devices/{device_id}/incidents")
        assert found == [{k: v for k, v in one.items() if k != "device_id"} for one in mine]


def test_certificates_settings_and_signer_are_read(program: ConsoleClient) -> None:
    certificates = read(program, "/certificates")["certificates"]
    assert {"Console (HTTPS)", "Built-in CA: certifies devices"} <= {
        one["what"] for one in certificates
    }
    assert all(one["stands"] != "ok" or one["fingerprint"] for one in certificates)
    settings = {one["name"]: one for one in read(program, "/settings")["settings"]}
    assert settings["public_name"]["variable"] == "SEKISHO_PUBLIC_NAME"
    assert "home" not in settings
    signer = read(program, "/enforcement/signer")
    assert bool(signer["problem"]) != bool(signer["thumbprint"])


def test_dry_runs_trials_and_bulk_commands_are_listed_newest_first(
    program: ConsoleClient, context: Context, fleet: Fleet
) -> None:
    now = utc_now()
    with context.database.transaction("lists") as session:
        for number in range(5):
            at = now - timedelta(hours=number // 2)  # two of one instant
            session.add_all([
                DryRun(policy_id=fleet.policy_id, asked_by="keeper", asked_at=at, state="done"),
                Canary(
                    policy_id=fleet.policy_id, policy_version=1, trial_id=fleet.policy_id,
                    percent=10, limit_percent=5, state="running", started_at=at,
                    started_by="keeper", because="test",
                ),
                CommandBatch(
                    kind="lock", requested_by="keeper", made_at=at, devices=1, confirmed_at=at
                ),
            ])  # fmt: skip

    for path, time in (
        ("/dry-runs", "asked_at"), ("/trials", "started_at"), ("/bulk-commands", "made_at"),
    ):  # fmt: skip
        found = pages(program, path)
        assert len({one["id"] for one in found}) == len(found) == 5, path
        assert [one[time] for one in found] == sorted((one[time] for one in found), reverse=True)


def test_devices_that_a_trial_made_worse_are_listed(
    program: ConsoleClient, context: Context, fleet: Fleet
) -> None:
    with context.database.transaction("a trial") as session:
        trial = Canary(
            policy_id=fleet.policy_id, policy_version=1, trial_id=fleet.policy_id, percent=10,
            limit_percent=5, state="running", started_at=utc_now(), started_by="keeper",
            because="test",
        )  # fmt: skip
        session.add(trial)
        session.flush()
        here = select(Device.id).where(Device.policy_id == fleet.policy_id).limit(3)
        for device_id in session.scalars(here).all():
            given = {"state_before": "healthy", "own_policy": False, "given_at": utc_now()}
            session.add(CanaryDevice(canary_id=trial.id, device_id=device_id, **given))
            session.get_one(DeviceJudgement, device_id).state = "non_compliant"
        trial_id = trial.id

    found = pages(program, f"/trials/{trial_id}/devices")

    assert len(found) == 3
    assert read(program, f"/trials/{trial_id}")["worse"] == 3


def test_what_a_pattern_set_would_change_is_read(
    program: ConsoleClient, context: Context, fleet: Fleet
) -> None:
    turning = {"sha256": "a" * 64, "name": "App", "before": "clean", "rule": "spy", "devices": 3}
    with context.database.transaction("a trial") as session:
        session.add(
            SetTrial(
                version="2026.11.30", tried_at=utc_now(), judged=9, unread=1, malicious=1,
                milder=0, devices=3, because="Very many.", apps=[turning],
                device_ids=[str(fleet.devices[0])],
            )
        )  # fmt: skip

    found = read(program, "/pattern-sets/2026.11.30/trial")

    assert found["apps"] == [{**turning, "approved": False, "in_store": False}]
    assert found["device_ids"] == [str(fleet.devices[0])]
    assert program.get("/api/v1/pattern-sets/none/trial").status_code == 404
