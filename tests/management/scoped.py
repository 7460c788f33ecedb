"""Two halves of a company in one database, and an administrator who may see one of them."""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID, uuid4

from flask import Flask
from sqlalchemy import select
from sqlalchemy.orm import Session

from contracts import keys
from contracts.agent import CommandKind
from management.access import Role
from management.administrators.models import Administrator, AdministratorGroup
from management.apps.models import App, DeviceApp
from management.audit.service import record
from management.commands import bulk
from management.commands import service as commands
from management.commands.rules import Waiting
from management.commands.service import Wanted
from management.compliance.service import rejudge
from management.context import Context
from management.database import Base
from management.devices.models import Device
from management.devices.rules import Fact, FactKind
from management.devices.service import record_facts
from management.enrolment import service as enrolment
from management.enrolment.models import EnrolmentAttempt
from management.enrolment_users import service as users
from management.groups.models import ROOT_GROUP
from management.groups.service import change_group, create_group
from management.listing import saved
from management.mail_access.models import Connector, MailWipe, Partnership
from management.policies import service as policies
from management.policies.inheritance import Link
from management.policies.rules import Requirements
from management.relays import service as relays
from management.returns.models import IdentityClaim
from tests.management.clients import ConsoleClient, api_client, signed_in_client
from tests.management.fleets import add_device

FOREIGN = "southmark"
"""In every text of the half that the limited administrator must not see."""
SHARED = "seen.by.both"
"""The app that every device of both halves holds."""


@dataclass
class Half:
    """What belongs to one half."""

    word: str
    groups: list[UUID] = field(default_factory=list)
    devices: list[UUID] = field(default_factory=list)
    commands: list[UUID] = field(default_factory=list)
    batches: list[UUID] = field(default_factory=list)
    invitations: list[UUID] = field(default_factory=list)
    users: list[UUID] = field(default_factory=list)
    partnerships: list[int] = field(default_factory=list)
    claims: list[UUID] = field(default_factory=list)
    wipes: list[UUID] = field(default_factory=list)
    apps: list[str] = field(default_factory=list)
    """Hashes of those that no device of the other half holds."""
    policy: UUID = field(default_factory=uuid4)

    def ids(self) -> set[str]:
        """Return every id that must stay inside this half."""
        found = (
            *self.groups, *self.devices, *self.commands, *self.batches, *self.invitations,
            *self.users, *self.claims, *self.wipes, *self.apps, self.policy,
        )  # fmt: skip
        return {str(one) for one in found}


def fill(context: Context, seed: int, now: datetime) -> tuple[Half, Half]:
    """Fill the database with two halves of random size and shape; return own and foreign."""
    chance = random.Random(seed)
    with context.database.transaction("fill two halves") as session:
        default = policies.ensure_default_policy(session, now)
        connector = Connector(
            id=uuid4(), name="exchange", key=keys.public_jwk(keys.new_key()), paired_at=now
        )
        session.add(connector)
        relay = relays.ensure_local_relay(
            session,
            "https://127.0.0.1:4344",
            "PEM",
            "https://mdm.example.org:4343",
            context.keys.ca_certificate(),
            now,
        )
        halves = Half("northmark"), Half(FOREIGN)
        for half in halves:
            _groups(session, half, default.id, now)
            for number in range(chance.randint(2, 5)):
                _device(session, context, half, number, chance, connector.id, relay.id, now)
            _people(session, context, half, now)
        _use_too(session, halves[0].policy, now)
        session.add(_app(session, SHARED, sum(len(half.devices) for half in halves)))
        saved.save(session, "keeper", f"{FOREIGN} view", "", shared=True, now=now)
        rejudge(session, [one for half in halves for one in half.devices], now)
    return halves


def _use_too(session: Session, shared: UUID, now: datetime) -> None:
    """Let a foreign group and a foreign policy use a policy that the other half sees."""
    beside = create_group(session, f"{FOREIGN} beside", ROOT_GROUP)
    given = {"android": shared, "ios": shared}
    change_group(session, beside.id, beside.name, ROOT_GROUP, given, "keeper", now)
    policies.create_policy(
        session, f"{FOREIGN} child", Requirements(), {}, "keeper", "test", now,
        Link(parent_id=shared),
    )  # fmt: skip


def _groups(session: Session, half: Half, default: UUID, now: datetime) -> None:
    policy = policies.create_policy(
        session, f"{half.word} rules", Requirements(), {}, half.word, half.word, now
    )
    top = create_group(session, f"{half.word} top", ROOT_GROUP)
    change_group(
        session, top.id, top.name, ROOT_GROUP, {"android": policy.id, "ios": policy.id},
        "keeper", now,
    )  # fmt: skip
    below = create_group(session, f"{half.word} below", top.id)
    half.policy, half.groups = policy.id, [top.id, below.id]


def _device(
    session: Session,
    context: Context,
    half: Half,
    number: int,
    chance: random.Random,
    connector: UUID,
    relay: UUID,
    now: datetime,
) -> None:
    word = f"{half.word}{number}"
    device = add_device(
        session,
        half.policy,
        f"{word} phone",
        owner_name=f"{word} person",
        owner_address=f"{word}@example.org",
        serial=word,
        model=word,
        imei=str(chance.randrange(10**14, 10**15)),
        exchange_device_id=word,
        platform=chance.choice(["android", "ios"]),
        group_id=chance.choice(half.groups),
    )
    half.devices.append(device.id)
    said = {
        FactKind.ROOTED: Fact(chance.random() < 0.5, word, now),
        FactKind.OS_VERSION: Fact(str(chance.randint(11, 16)), word, now),
        FactKind.MAIL_STATE: Fact({"mailbox": word, "state": "Blocked"}, word, now),
    }
    record_facts(session, device.id, said, now)
    command = commands.queue_command(
        session, device.id, CommandKind.LOCK, {}, "keeper", f"{word} lost", now
    )
    command.waiting_for = Waiting.APPROVAL
    half.commands.append(command.id)
    batch = bulk.draft(session, [device], Wanted(CommandKind.LOCATE, {}, "keeper", word), now)
    half.batches.append(batch.id)
    session.add(_app(session, word))
    half.apps.append(_hash(word))
    session.add_all([_held(device.id, word, now), _held(device.id, SHARED, now)])
    phone = _partnership(device, connector, word, now)
    claim = IdentityClaim(device_id=device.id, earlier_id=device.id, claims="serial", made_at=now)
    session.add_all([phone, claim])
    session.flush()
    half.partnerships.append(phone.id)
    wipe = _wipe(phone.id, half.word, now)
    session.add(wipe)
    half.wipes.append(wipe.id)
    half.claims.append(claim.id)
    record(session, context.keys, "keeper", "device.lock", str(device.id), f"{word} lost")
    relays.record_incident(
        session, "replayed", f"{word} came again", now, relay_id=relay, sender=device.id
    )


def _held(device_id: UUID, word: str, now: datetime) -> DeviceApp:
    return DeviceApp(
        device_id=device_id, package=f"org.{word}", sha256=_hash(word), name=f"{word} app",
        version="1", first_seen_at=now, said_at=now,
    )  # fmt: skip


def _app(session: Session, word: str, devices: int = 1) -> App:
    return App(
        sha256=_hash(word), package=f"org.{word}", name=f"{word} app", first_seen_at=NOW,
        devices=devices, verdict="malicious",
    )  # fmt: skip


def _hash(word: str) -> str:
    return word.encode().hex().ljust(64, "0")[:64]


def _partnership(device: Device, connector: UUID, word: str, now: datetime) -> Partnership:
    return Partnership(
        connector_id=connector,
        mailbox=word,
        user_address=f"{word}@example.org",
        exchange_device_id=word,
        access_state="Allowed",
        pass_id=uuid4(),
        first_seen_at=now,
        seen_at=now,
        device_id=device.id,
        match="sure",
        grace_key=word,
        wanted_since=now,
        wanted="block",
        held_at=now,
    )


def _wipe(partnership_id: int, word: str, now: datetime) -> MailWipe:
    """Return one that waits for an approval, together with those of its half."""
    return MailWipe(
        id=uuid4(), partnership_id=partnership_id, account_only=True, state="queued",
        requested_by=f"{word} keeper", reason=word, queued_at=now, changed_at=now,
        expires_at=now + timedelta(days=1), detail="It waits for an approval.",
    )  # fmt: skip


def _people(session: Session, context: Context, half: Half, now: datetime) -> None:
    invitation, _key = enrolment.invite(
        session, context.keys, f"{half.word}@example.org", f"{half.word} guest", None,
        timedelta(days=3), "keeper", now, half.groups[0],
    )  # fmt: skip
    half.invitations.append(invitation.id)
    user, _password = users.add_user(
        session, f"{half.word}user", f"{half.word} user", f"{half.word}@example.org",
        half.groups[1], "", "keeper", now,
    )  # fmt: skip
    half.users.append(user.id)
    session.add(
        EnrolmentAttempt(
            enrolment_id=uuid4(),
            at=now,
            invitation_id=invitation.id,
            signing_key_thumbprint=half.word,
            refused_because=f"{half.word} was refused",
            described=f"{half.word} tablet",
        )
    )


NOW = datetime.fromisoformat("2026-11-01T00:00:00+00:00")


def limit_to(context: Context, name: str, groups: list[UUID]) -> None:
    """Limit an administrator to groups."""
    with context.database.transaction("limit an administrator") as session:
        person = session.scalars(select(Administrator).where(Administrator.name == name)).one()
        person.limited = True
        session.add_all(
            AdministratorGroup(administrator_id=person.id, group_id=one) for one in groups
        )


def limited_browser(app: Flask, context: Context, groups: list[UUID]) -> ConsoleClient:
    """Return the browser of an administrator who holds everything, but only in *groups*."""
    client = signed_in_client(app, context, "scout", Role.OWNER)
    limit_to(context, "scout", groups)
    return client


def limited_program(app: Flask, context: Context, groups: list[UUID]) -> ConsoleClient:
    """Return the same as a program."""
    client = api_client(app, context, "ranger", Role.OWNER)
    limit_to(context, "ranger", groups)
    return client


OWN_TABLES = {
    "administrator", "admin_session", "api_token", "audit_entry", "sign_in_failure", "api_answer",
    "api_edit",
}  # fmt: skip


def contents(context: Context) -> dict[str, list[str]]:
    """Return every row of every table, but those that a refused request may write."""
    return dict(_tables(context))


def _tables(context: Context) -> Iterator[tuple[str, list[str]]]:
    with context.database.reading() as session:
        for table in Base.metadata.sorted_tables:
            if table.name not in OWN_TABLES:
                yield table.name, sorted(repr(row) for row in session.execute(select(table)))
