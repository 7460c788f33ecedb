"""A console with something to show: devices in every state, commands, invitations, mail, a relay.

Rows that no service makes without its other half (a phone, an Exchange server) are written
directly; everything else goes through the services.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID, uuid4

from sqlalchemy.orm import Session

from contracts import keys
from contracts.agent import CommandKind
from management.audit.service import record
from management.commands import service as commands
from management.compliance.service import rejudge
from management.context import Context
from management.database import BEHALF
from management.devices.models import Device
from management.devices.rules import EnrolmentState, Fact, FactKind
from management.devices.service import end_enrolment, record_contact, record_facts
from management.enrolment import service as enrolment
from management.mail_access.models import Connector, Partnership
from management.policies import service as policies
from management.policies.models import Policy
from management.policies.rules import Requirements
from management.progress import said
from management.relays import service as relays
from management.updates.models import InstalledPatternSet, UpdateRun
from management.work import service as work

PEOPLE = (
    ("佐藤 花子", "hanako.sato", "Google", "Pixel 9", "android"),
    ("高橋 健", "ken.takahashi", "Sony", "Xperia 1 VI", "android"),
    ("Mary Brown", "mary.brown", "Apple", "iPhone 16", "ios"),
    ("鈴木 一郎", "ichiro.suzuki", "Sharp", "AQUOS R9", "android"),
    ("Anna Kowalska", "anna.kowalska", "Samsung", "Galaxy S25", "android"),
    ("田中 美咲", "misaki.tanaka", "Apple", "iPad Air", "ios"),
    ("Luis Ortega", "luis.ortega", "Fairphone", "Fairphone 5", "android"),
    ("渡辺 直樹", "naoki.watanabe", "Google", "Pixel 8a", "android"),
)
SPYWARE = {
    "sha256": "ab" * 32,
    "package": "com.example.torch",
    "name": "Bright Torch",
    "verdict": "malicious",
    "rule": "spy.sms-forwarder",
    "family": "SmsForwarder",
    "pattern_version": "2026.11.20",
}


@dataclass(frozen=True, slots=True)
class Fleet:
    """What was made, for tests that need an id."""

    devices: list[UUID]
    policy_id: UUID
    invitation_id: UUID
    command_id: UUID
    job_id: UUID


def fill(context: Context, now: datetime, count: int = 60) -> Fleet:
    """Fill the database of *context* and return what is in it."""
    with context.database.transaction("fill a console") as session:
        policy = policies.ensure_default_policy(session, now - timedelta(days=90))
        _strict_policy(session, policy, now)
        relay = relays.ensure_local_relay(
            session,
            "https://127.0.0.1:4344",
            context.keys.ca_certificate(),
            "https://mdm.example.org:4343",
            context.keys.ca_certificate(),
            now - timedelta(days=90),
        )
        relay.contact_at, relay.version = now - timedelta(seconds=2), "0.1.0"
        devices = [_device(session, policy, number, now) for number in range(count)]
        rejudge(session, devices, now)
        command = _commands(session, devices, now)
        invitation = _invitations(session, context, policy, now)
        _incidents(session, relay.id, devices, now)
        _mail(session, devices, now)
        _patterns(session, now)
        record(session, context.keys, "keeper", "device.lock", str(devices[0]), "left in a taxi")
        job = _jobs(session, now)
    return Fleet(devices, policy.id, invitation, command, job)


def _jobs(session: Session, now: datetime) -> UUID:
    """Queue one job that runs and tells how far it is, and one that failed."""
    session.info[BEHALF] = "keeper"
    going = work.enqueue(session, "apps.retro_hunt", "hunt", {}, 1, now=now)
    failed = work.enqueue(session, "relays.watch", "watch", {}, 2, now=now)
    assert going is not None
    assert failed is not None
    for job in (going, failed):
        work.claim_one(session, job.id, "w", now)
    failed.attempts = failed.maximum_attempts
    work.fail(session, failed.id, "w", "The relay edge does not answer.", now)
    text = "Judged %(done)s of %(total)s known apps again; %(changed)s changed."
    lines = [said(text, done=done, total=400, changed=done // 90) for done in (100, 200, 300)]
    work.heartbeat(session, going.id, "w", now, lines)
    return going.id


def _strict_policy(session: Session, policy: Policy, now: datetime) -> None:
    asked = Requirements(no_usb_debugging=True, minimum_os_version={"android": "14", "ios": "18"})
    because = "Debugging was left on after a repair."
    policies.change_policy(
        session, policy.id, asked, {}, "keeper", because, now - timedelta(days=2)
    )
    policies.create_policy(
        session,
        "営業部 Sales",
        Requirements(maximum_patch_age=timedelta(days=120)),
        {},
        "keeper",
        "Sales travel a lot.",
        now - timedelta(days=1),
    )


def _device(session: Session, policy: Policy, number: int, now: datetime) -> UUID:
    person, address, maker, model, platform = PEOPLE[number % len(PEOPLE)]
    key = keys.public_jwk(keys.new_key())
    enrolled = now - timedelta(days=60 - number % 50)
    device = Device(
        name=f"{model} {number + 1:03d}",
        owner_name=person,
        owner_address=f"{address}@example.org",
        platform=platform,
        ownership="company" if number % 3 else "personal",
        manufacturer=maker,
        model=model,
        serial=f"SK{number:08d}",
        imei=f"35{number:013d}",
        exchange_device_id=f"SEC{number:08X}",
        enrolment_state=EnrolmentState.ENROLLED.value,
        enrolled_at=enrolled,
        policy_id=policy.id,
        certificate_serial=f"{number:032x}",
        signing_key=key,
        encryption_key=key,
    )
    session.add(device)
    session.flush()
    said = {
        FactKind.ENROLMENT: Fact("enrolled", "enrolment", enrolled),
        FactKind.ASKED_POLICY: Fact(str(policy.id), "keeper", enrolled),
    }
    record_facts(session, device.id, said, enrolled)
    _report(session, device, policy, number, now)
    return device.id


def _report(session: Session, device: Device, policy: Policy, number: int, now: datetime) -> None:
    silent = {4: timedelta(days=5), 11: timedelta(days=40), 17: timedelta(days=4)}
    at = now - silent.get(number % 20, timedelta(minutes=3 + number))
    values = {
        FactKind.OS_VERSION: "18.1" if device.platform == "ios" else "15",
        FactKind.SECURITY_PATCH: None if device.platform == "ios" else "2026-10-05",
        FactKind.ROOTED: number % 20 == 6,
        FactKind.ENCRYPTED: True,
        FactKind.PASSCODE_SET: number % 20 != 9,
        FactKind.DEVELOPER_OPTIONS: False,
        FactKind.USB_DEBUGGING: number % 20 == 13,
        FactKind.AGENT_VERSION: "1.4.0",
        FactKind.PATTERN_VERSION: "2026.11.20",
        FactKind.APPLIED_POLICY: {"policy_id": str(policy.id), "version": policy.current_version},
        FactKind.PACKAGES: ["com.example.mail", "com.example.notes", "org.example.agent"],
        FactKind.BAD_APPS: [SPYWARE] if number == 0 else [],
        FactKind.MAIL_STATE: {
            "mailbox": "m",
            "state": "Blocked" if number in {0, 6, 9} else "Allowed",
        },
    }
    facts = {kind: Fact(value, "agent", at) for kind, value in values.items()}
    record_facts(session, device.id, facts, at)
    record_contact(session, device, at, timedelta(days=3), now)
    if number % 20 == 19:
        end_enrolment(session, device, EnrolmentState.RETIRED, "keeper", now - timedelta(days=1))


def _commands(session: Session, devices: list[UUID], now: datetime) -> UUID:
    kinds = (CommandKind.LOCK, CommandKind.LOCATE, CommandKind.UNLOCK, CommandKind.SELECTIVE_WIPE)
    states = ("queued", "sent", "acknowledged", "done", "failed", "expired", "cancelled")
    first: UUID | None = None
    for place, state in enumerate(states):
        at = now - timedelta(minutes=40 - place)
        command = commands.queue_command(
            session, devices[place // 3], kinds[place % 4], {}, "keeper", "left in a taxi", at
        )
        first = first or command.id
        command.state = state
        command.sent_at = None if state in {"queued", "cancelled"} else at + timedelta(seconds=3)
        if state in {"acknowledged", "done", "failed"}:
            command.acknowledged_at = at + timedelta(seconds=40)
        if state in {"done", "failed", "expired", "cancelled"}:
            command.finished_at = at + timedelta(seconds=50)
        command.detail = "The user switched the device off." if state == "failed" else ""
    waiting = commands.queue_command(
        session, devices[1], CommandKind.WIPE, {}, "keeper", "stolen", now
    )
    waiting.waiting_for = "approval"
    waiting.detail = "5 wipes within an hour are signed without a second administrator's approval."
    assert first is not None
    return first


def _invitations(session: Session, context: Context, policy: Policy, now: datetime) -> UUID:
    for address in ("used@example.org", "gone@example.org"):
        made, _key = enrolment.invite(
            session,
            context.keys,
            address,
            "",
            policy.id,
            timedelta(days=1),
            "keeper",
            now - timedelta(days=3),
        )
        made.used_at = now - timedelta(days=2) if address.startswith("used") else None
    waiting, _key = enrolment.invite(
        session,
        context.keys,
        "yui.kobayashi@example.org",
        "小林 結衣",
        policy.id,
        timedelta(days=14),
        "keeper",
        now,
    )
    return waiting.id


def _incidents(session: Session, relay_id: UUID, devices: list[UUID], now: datetime) -> None:
    relays.record_incident(
        session,
        "replayed",
        "Report 41 came again with other content; it was dropped.",
        now - timedelta(hours=7),
        relay_id=relay_id,
        sender=devices[0],
    )


def _mail(session: Session, devices: list[UUID], now: datetime) -> None:
    connector = Connector(
        id=uuid4(),
        name="exchange",
        key=keys.public_jwk(keys.new_key()),
        paired_at=now - timedelta(days=30),
        contact_at=now - timedelta(seconds=20),
        version="0.1.0",
    )
    session.add(connector)
    session.flush()
    for number, device_id in enumerate(devices[:12]):
        device = session.get_one(Device, device_id)
        blocked = number in {0, 6, 9}
        session.add(
            Partnership(
                connector_id=connector.id,
                mailbox=device.owner_address.partition("@")[0],
                user_address=device.owner_address,
                exchange_device_id=device.exchange_device_id,
                device_type="iPhone" if device.platform == "ios" else "Android",
                device_model=device.model,
                access_state="Blocked" if blocked else "Allowed",
                pass_id=uuid4(),
                first_seen_at=now - timedelta(days=20),
                seen_at=now,
                device_id=device.id,
                match="sure",
                match_reason="The device reports this DeviceId.",
                grace_key=device.owner_address,
                wanted="block" if blocked else "allow",
                wanted_because=f"{device.name} is {'not compliant' if blocked else 'healthy'}",
                wanted_since=now - timedelta(hours=3),
                applied="block" if blocked else "allow",
                applied_at=now - timedelta(hours=3),
            )
        )


def _patterns(session: Session, now: datetime) -> None:
    session.add(
        InstalledPatternSet(
            version="2026.11.20",
            sha256="cd" * 32,
            source="https://patterns.example.org/",
            rules=412,
            installed_at=now - timedelta(hours=30),
            activated_at=now - timedelta(hours=30),
            active=True,
        )
    )
    session.add(
        UpdateRun(
            started_at=now - timedelta(hours=30, seconds=20),
            finished_at=now - timedelta(hours=30),
            requested_by="schedule",
            source="https://patterns.example.org/",
            state="updated",
            from_version="2026.11.13",
            to_version="2026.11.20",
        )
    )
