"""The addresses of every page, taken from the routes, and something to show on each of them."""

from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from flask import Flask
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from contracts.agent import CommandKind
from management.access import Permission
from management.administrators.models import Administrator, CustomRole
from management.apps.models import App, DeviceApp, SetTrial, StoredApp
from management.canary.models import Canary
from management.commands import bulk
from management.commands.models import Command
from management.commands.service import Wanted
from management.context import Context
from management.devices.models import Device
from management.dry_run.models import DryRun
from management.groups.models import ROOT_GROUP
from management.groups.service import create_group
from management.mail_access.models import Connector, MailWipe, Partnership
from management.relays.models import Relay
from management.store.models import StoreEntry
from management.updates.models import InstalledPatternSet
from management.updates.service import install_shipped
from tests.management.fleet import Fleet
from tests.management.test_scope import routes

SHA256 = "ab" * 32
NO_PAGES = {
    "unlisted.show": "a part of the page of the allow-list",
    "apps.progress": "a part of the page of an app",
    "apps.of_device": "a part of the page of a device",
    "collecting.of_app": "a part of the page of an app",
    "commands.of_device": "a part of the page of a device",
    "command_approvals.waiting": "a part of the page Safety",
    "dry_run.progress": "a part of the page of a dry run",
    "groups.of_device": "a part of the page of a device",
    "groups.of_policy": "a part of the page of a policy",
    "jobs.row": "a part of the list of jobs",
    "returns.of_device": "a part of the page of a device",
    "updates.progress": "a part of the page Updates",
    "verification.show": "a row of the page Verification",
    "jobs.events": "a stream",
    "account.download_recovery_codes": "a file",
    "allow_list.download": "a file",
    "allow_list.template": "a file",
    "apps.download": "a file",
    "audit.download_checkpoints": "a file",
    "commands.export": "a file",
    "devices.export": "a file",
    "directory.template": "a file",
    "dry_run.export": "a file",
    "mail_access.log": "a file",
    "relays.log": "a file",
    "terms.sample": "a file",
    "terms.shown": "a document of the company, shown as it is",
    "health.metrics": "for programs",
    "overview.former_address": "leads to the dashboard",
    "mail_access.trial": "the page of settings with what `tests/management` asks a job for",
    "reminders.look": "leads back to Registrations where no mail server is entered",
    "mail_access.held": "the list of mail access with a filter",
}
MAIN = {
    "overview.dashboard",
    "devices.index",
    "devices.show",
    "commands.index",
    "bulk.show",
    "enrolment.index",
    "policies.show",
    "policies.edit",
    "apps.show",
    "mail_access.index",
    "relays.index",
    "audit.index",
    "safety.index",
}
"""Visited in both languages and both themes; all others in two of the four."""


def pages(app: Flask, given: dict[str, Any]) -> dict[str, str]:
    """Return endpoint -> address of every page."""
    builder = app.url_map.bind("localhost")
    return {
        rule.endpoint: builder.build(
            rule.endpoint,
            {name: given[name] for name in rule.arguments} | _more(rule.endpoint, given),
        )
        for rule in sorted(routes(app, "GET"), key=lambda rule: rule.rule)
        if rule.endpoint not in NO_PAGES and not rule.rule.startswith(("/api/", "/connector/"))
    }


def _more(endpoint: str, given: dict[str, Any]) -> dict[str, Any]:
    """Return what stands in the address behind the question mark."""
    more = {
        "bulk.new": {"all": "yes"},
        "groups.move_preview": {"to": given["other_group"]},
        "mail_access.bulk": {"partnership": given["partnership_id"], "word": "block"},
    }
    return more.get(endpoint, {})


def fill(context: Context, fleet: Fleet, now: datetime) -> dict[str, Any]:
    """Put beside the fleet what its pages lack; return what stands for the routes' arguments."""
    with context.database.transaction("fill every page") as session:
        given = _devices(session, fleet, now) | _trials(session, fleet, now)
        _apps(session, fleet, now)
        session.execute(update(InstalledPatternSet).values(active=False))
        install_shipped(session, context.settings, now)  # apps show the titles of its rules
        role = CustomRole(
            id=uuid4(), name="倉庫", name_key="倉庫", permissions=[Permission.VIEW.value],
            changed_at=now,
        )  # fmt: skip
        entry = StoreEntry(
            id=uuid4(), kind="google", package="com.example.notes", name="Notes", created_at=now,
            created_by="keeper",
        )  # fmt: skip
        session.add_all([role, entry])
        found = {
            "administrator_id": session.scalars(select(Administrator.id)).first(),
            "relay_id": session.scalars(select(Relay.id)).one(),
            "connector_id": session.scalars(select(Connector.id)).one(),
            "role_id": role.id,
            "entry_id": entry.id,
        }
    return given | found | {"sha256": SHA256, "version": "2026.11.20", "tag": "devices"}


def _devices(session: Session, fleet: Fleet, now: datetime) -> dict[str, Any]:
    group, other = (create_group(session, name, ROOT_GROUP) for name in ("営業部", "開発部"))
    some = [session.get_one(Device, one) for one in fleet.devices[20:26]]
    wanted = Wanted(CommandKind.LOCATE, {}, "keeper", "左のタクシーに忘れた")
    phone = session.scalars(select(Partnership).order_by(Partnership.id)).first()
    assert phone is not None
    wipe = MailWipe(
        id=uuid4(), partnership_id=phone.id, account_only=True, state="queued",
        requested_by="keeper", reason="lost", queued_at=now, changed_at=now,
        expires_at=now + timedelta(days=1), detail="It waits for an approval.",
    )  # fmt: skip
    session.add(wipe)
    waiting = session.scalars(select(Command.id).where(Command.waiting_for == "approval")).one()
    return {
        "device_id": fleet.devices[0],
        "group_id": group.id,
        "other_group": other.id,
        "batch_id": bulk.draft(session, some, wanted, now).id,
        "partnership_id": phone.id,
        "wipe_id": wipe.id,
        "command_id": waiting,
        "invitation_id": fleet.invitation_id,
        "job_id": fleet.job_id,
        "policy_id": fleet.policy_id,
    }


def _trials(session: Session, fleet: Fleet, now: datetime) -> dict[str, Any]:
    run = DryRun(policy_id=fleet.policy_id, asked_by="keeper", asked_at=now, state="done")
    canary = Canary(
        policy_id=fleet.policy_id, policy_version=1, trial_id=fleet.policy_id, percent=10,
        limit_percent=5, state="running", started_at=now, started_by="keeper", because="test",
    )  # fmt: skip
    tried = SetTrial(
        version="2026.11.20", tried_at=now, judged=400, unread=1, malicious=1, milder=0, devices=1,
        because="It would call malicious: Bright Torch.", apps=[], device_ids=[],
    )  # fmt: skip
    session.add_all([run, canary, tried])
    session.flush()
    return {"run_id": run.id, "canary_id": canary.id}


def _apps(session: Session, fleet: Fleet, now: datetime) -> None:
    session.add_all(
        [
            App(
                sha256=SHA256, package="com.example.torch", name="Bright Torch", version="2.1",
                first_seen_at=now, devices=1, verdict="clean", stored=True,
                signer_sha256="cd" * 32, pattern_version="2026.11.20",
            ),
            StoredApp(
                sha256=SHA256, file_name="torch.apk", size_bytes=4_000_000, uploaded_at=now,
                uploaded_by="keeper",
            ),
            DeviceApp(
                device_id=fleet.devices[0], package="com.example.torch", sha256=SHA256,
                name="Bright Torch", version="2.1", first_seen_at=now, said_at=now,
            ),
        ]
    )  # fmt: skip
