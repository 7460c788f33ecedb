"""What must hold after a walk, whatever was killed on it: nothing lost, nothing done twice."""

from itertools import groupby
from pathlib import Path
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from management.apps.models import StoredApp
from management.audit.models import AuditEntry
from management.audit.service import verify
from management.commands.models import Command
from management.database import Database, sqlite_url
from management.devices.models import Device, Fact
from management.enrolment.models import Invitation
from management.keys import Keys
from management.mail_access.models import MailDecision, Partnership
from management.relays.models import RelayIncident
from management.updates.models import InstalledPatternSet, UpdateRun
from management.work.models import Job
from tests.end_to_end.killing import KINDS, family
from tests.end_to_end.product import Product, until
from tests.end_to_end.walk import Walk

HEALTH = (
    "SEKISHO_JOBS_HEALTH_PORT",
    "SEKISHO_SIGNER_HEALTH_PORT",
    "SEKISHO_COMMUNICATION_HEALTH_PORT",
    "SEKISHO_CONNECTOR_HEALTH_PORT",
)
MAIL = ["allow", "block", "allow", "block", "allow"]
"""What a walk wants for its phone, one after the other."""


def is_whole(product: Product) -> bool:
    """Tell whether every process runs and answers that it is well."""
    assert product.process is not None and product.process.poll() is None, product.said()
    running = set(family(product.process.pid).values())
    ports = [product.environment[name] for name in HEALTH]
    addresses = [
        f"{product.console}/healthz",
        *(f"http://127.0.0.1:{one}/healthz" for one in ports),
    ]
    return set(KINDS.values()) <= running and all(map(product.healthy, addresses))


def becomes_whole(product: Product) -> None:
    until("everything that died runs again", lambda: is_whole(product), 90)


def holds(walk: Walk) -> None:
    """Look into the database and at the phone and Exchange."""
    home = walk.site.product.home
    database = Database(sqlite_url(home / "sekisho.db"))
    try:
        with database.reading() as session:
            _phone(session, walk)
            _mail(session, walk)
            _commands(session, walk)
            _apps_and_sets(session, walk)
            _whole_product(session, home)
    finally:
        database.close()


def audit_problems(home: Path) -> list[str]:
    """Return what is wrong with the audit trail in a data folder where nothing runs."""
    database = Database(sqlite_url(home / "sekisho.db"))
    try:
        with database.reading() as session:
            return verify(session, Keys(home / "keys"))
    finally:
        database.close()


def _phone(session: Session, walk: Walk) -> None:
    """One device for one invitation; every report it was told is stored arrived, once."""
    state = walk.phone.state
    device = session.scalars(select(Device).where(Device.owner_address == walk.owner)).one()
    assert (device.id, device.enrolment_state) == (walk.device_id, "enrolled")
    assert device.inbound_seq == state.member().report_seq
    assert walk.judgement()["state"] == "healthy"
    made = session.scalars(select(Invitation).where(Invitation.address == walk.owner)).all()
    assert {str(one.id) for one in made} >= set(walk.invitations)
    assert [one.device_id for one in made if one.used_at is not None] == [walk.device_id]
    assert _values(session, walk, "rooted") == [False, True, False]
    assert _values(session, walk, "packages") == [[], [walk.package], []]
    found = _values(session, walk, "bad_apps")
    verdicts = [[one["verdict"] for one in apps] for apps in found]
    assert verdicts == [[], ["unwanted"], ["malicious"], []], found
    strange = select(RelayIncident).where(RelayIncident.sender == walk.device_id)
    assert [one.detail for one in session.scalars(strange)] == []


def _values(session: Session, walk: Walk, kind: str) -> list[Any]:
    wanted = select(Fact.value).where(Fact.device_id == walk.device_id, Fact.kind == kind)
    return [value["value"] for value in session.scalars(wanted.order_by(Fact.id))]


def _mail(session: Session, walk: Walk) -> None:
    """Each decision once; what was done at Exchange is told in order, and ends right.

    A connector that died between effect and report tells only what is wanted when it comes back.
    """
    chosen = Partnership.exchange_device_id == walk.exchange_id
    partnership = session.scalars(select(Partnership).where(chosen)).one()
    history = session.scalars(
        select(MailDecision)
        .where(MailDecision.partnership_id == partnership.id)
        .order_by(MailDecision.id)
    ).all()
    assert [one.access for one in history if one.event == "wanted"] == MAIL
    applied = [one.access for one in history if one.event == "applied"]
    decisions = iter(MAIL)
    assert all(access in decisions for access, _ in groupby(applied)), applied
    pair, exchange = (walk.mailbox, walk.exchange_id), walk.site.exchange
    assert pair in exchange.allowed() and pair not in exchange.blocked()


def _commands(session: Session, walk: Walk) -> None:
    """The lock that was acknowledged to the administrator was done on the phone, once."""
    chosen = select(Command).where(Command.device_id == walk.device_id)
    locks = [one for one in session.scalars(chosen) if one.kind == "lock"]
    assert [(str(one.id), one.state) for one in locks] == [(walk.command, "done")]
    done = [entry.what for entry in walk.phone.state.diary if "ommand lock" in entry.what]
    assert len(done) == 1, done
    assert len(_audited(session, "device.lock", str(walk.device_id))) == 1


def _apps_and_sets(session: Session, walk: Walk) -> None:
    assert len(_audited(session, "app.delete", walk.app)) == 1
    assert len(_audited(session, "app.upload", walk.app)) >= 1
    assert session.get(StoredApp, walk.app) is None
    version = session.get(InstalledPatternSet, walk.version)
    assert version is not None and version.active == (walk.number == walk.site.walks)
    assert len(_audited(session, "updates.activate", walk.version)) == 1
    active = select(func.count()).where(InstalledPatternSet.active.is_(True))
    assert session.scalar(active) == 1


def _audited(session: Session, action: str, subject: str) -> list[AuditEntry]:
    chosen = (AuditEntry.action == action) & (AuditEntry.subject == subject)
    return list(session.scalars(select(AuditEntry).where(chosen)))


def _whole_product(session: Session, home: Path) -> None:
    """Nothing gave up, nothing was taken for an attack, the audit trail is whole."""
    assert verify(session, Keys(home / "keys")) == []
    failed = session.scalars(select(Job).where(Job.state == "failed")).all()
    assert [(job.kind, job.error) for job in failed] == []
    runs = session.scalars(select(UpdateRun).where(UpdateRun.state == "failed")).all()
    assert [run.detail for run in runs] == []
