"""The API's view of devices: list, one, its judgement, and why (also at a past instant)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from flask import Blueprint
from pydantic import AwareDatetime

from management.access import Permission
from management.api.operations import Limit, Place, Words, operation
from management.compliance.explaining import explain
from management.compliance.judgement import Judgement
from management.compliance.queries import get_judgement
from management.devices import queries
from management.devices.models import Device
from management.devices.polls import find_polled_at
from management.devices.rules import Fact, FactKind
from management.listing import queries as listing
from management.listing.address import NAMES, read_place, write_place
from management.listing.rules import DeviceFilter
from management.policies.treatment import Rule
from management.web import reading
from runtime.clock import utc_now

bp = Blueprint("devices_api", __name__, url_prefix="/api/v1")

State = Literal["", "healthy", "non_compliant", "out_of_sync", "inactive", "not_enrolled"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceQuery:
    """Which devices are wanted; what is empty filters nothing."""

    state: State = ""
    risk: Literal["", "none", "low", "medium", "high", "critical"] = ""
    rule: Rule | Literal[""] = ""
    """A broken rule."""
    platform: Literal["", "android", "ios"] = ""
    enrolment: Literal["", "enrolled", "retired", "wiped", "reset"] = ""
    ownership: Literal["", "company", "personal"] = ""
    mail: Words = ""
    """What the mail server said last: ``allowed``, ``blocked``..."""
    os: Words = ""
    """Main version of the system."""
    patch: Words = ""
    """Month of the security patch level (``2026-10``), or ``unknown``."""
    patterns: Words = ""
    """Version of the pattern set on the device."""
    policy_id: UUID | None = None
    group_id: UUID | None = None
    """Devices of the group and of all groups below it."""
    owner_address: Words = ""
    text: Words = ""
    """Words that the name, owner, address, model, serial number, IMEI or Exchange id begin with;
    of Japanese any two characters, of numbers also the last 4 to 6 digits."""
    sort: Literal["name", "contact", "since"] = "name"
    """The last two newest first, and only up to 10,000 devices; above that by name."""
    after: Place = ""
    limit: Limit = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceSummary:
    """One row of the list."""

    id: UUID
    name: str
    owner_name: str
    owner_address: str
    platform: str
    manufacturer: str
    model: str
    serial: str
    enrolment: str
    state: str
    since: datetime
    because: tuple[str, ...]
    """Why it is not healthy, in sentences."""
    contact_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CountAnswer:
    """How many devices fit."""

    value: int
    capped: bool
    """At least so many: nobody counted on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DevicePage:
    """Devices in the order asked for.

    A page may hold fewer than asked for although ``next`` is there: the search goes on behind it.
    """

    items: tuple[DeviceSummary, ...]
    next: str | None
    count: CountAnswer
    sort: str
    """``name`` whenever more than 10,000 devices fit: no other sort is offered then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceDetails:
    """All that identifies a device."""

    id: UUID
    name: str
    owner_name: str
    owner_address: str
    platform: str
    ownership: str
    manufacturer: str
    model: str
    serial: str
    imei: str
    exchange_device_id: str
    enrolment: str
    enrolled_at: datetime
    left_at: datetime | None
    group_id: UUID
    policy_id: UUID
    contact_at: datetime | None
    """When it last proved itself with a signed report."""
    polled_at: datetime | None
    """When a relay says it polled; a hint only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ViolationAnswer:
    """A broken rule."""

    rule: str
    finding: str
    """``broken``: a fact says so; ``unknown``: the device has not said it; ``not_applicable``."""
    severity: str
    because: str
    mend: str
    """What the user can do."""
    administrator_mend: str
    since: datetime
    facts: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class UndecidedAnswer:
    """A rule that no fact decides and that the policy bears."""

    rule: str
    finding: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsequenceAnswer:
    """Something that follows from a broken rule."""

    kind: str
    rule: str
    due_at: datetime
    group_id: UUID | None


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgementAnswer:
    """How a device stands and everything that explains it."""

    state: str
    since: datetime
    violations: tuple[ViolationAnswer, ...]
    risk: str
    """The gravest severity of what is broken, or ``none``."""
    missing: tuple[str, ...]
    """Facts that the device could say and never said."""
    stale: tuple[str, ...]
    """Good news of a device that is silent for too long."""
    undecided: tuple[UndecidedAnswer, ...]
    consequences: tuple[ConsequenceAnswer, ...]
    """All that follow, the earliest first."""
    policy_id: UUID
    policy_version: int
    next_due_at: datetime | None
    """When time alone changes the answer or makes a consequence due."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleAnswer:
    """How the device stands towards one rule."""

    rule: str
    outcome: str
    """``kept``, ``stale`` (kept, as far as a silent device is known), or as in a violation."""
    counts: bool
    """Whether it is a violation."""
    fact: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FactAnswer:
    """Something said of the device."""

    value: Any
    source: str
    said_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainQuery:
    """The instant to look at."""

    at: AwareDatetime | None = None
    """Left out: now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplanationAnswer:
    """A judgement together with the facts and the policy that it rests on."""

    device_id: UUID
    at: datetime
    policy: str
    pattern_version: str
    """Of the pattern set that was active; empty before the first."""
    log_begins_at: datetime
    """What was before is not told."""
    judgement: JudgementAnswer
    rules: tuple[RuleAnswer, ...]
    """Every rule that the policy asks."""
    facts: dict[str, FactAnswer]


@operation(bp, "/devices", Permission.VIEW)
def list_devices(query: DeviceQuery) -> DevicePage:
    """List devices with their state."""
    fields = {field: getattr(query, field) for field in NAMES.values()}
    with reading() as session:
        page = listing.look(
            session, DeviceFilter(**fields), query.sort, read_place(query.after), query.limit
        )
    return DevicePage(
        items=tuple(_summary(row) for row in page.rows),
        next=write_place(page.more),
        count=CountAnswer(value=page.count.number, capped=page.count.more),
        sort=page.sort,
    )


@operation(bp, "/devices/<uuid:device_id>", Permission.VIEW)
def get_device(device_id: UUID) -> DeviceDetails:
    """Get one device."""
    with reading() as session:
        device = queries.get_device(session, device_id)
        return _details(device, find_polled_at(session, device_id))


@operation(bp, "/devices/<uuid:device_id>/judgement", Permission.VIEW)
def get_device_judgement(device_id: UUID) -> JudgementAnswer:
    """Get the stored judgement of a device, which mail access and the console read too."""
    with reading() as session:
        queries.get_device(session, device_id)
        return answer_of(get_judgement(session, device_id))


@operation(bp, "/devices/<uuid:device_id>/explanation", Permission.VIEW)
def explain_device(device_id: UUID, query: ExplainQuery) -> ExplanationAnswer:
    """Explain how a device stands, or stood at a past instant."""
    with reading() as session:
        found = explain(session, device_id, query.at, utc_now())
    return ExplanationAnswer(
        device_id=device_id,
        at=found.at,
        policy=found.asked.name,
        pattern_version=found.pattern_version,
        log_begins_at=found.begins_at,
        rules=tuple(
            RuleAnswer(
                rule=one.rule.value,
                outcome=one.outcome,
                counts=one.counts,
                fact=one.kind.value,
            )
            for one in found.checks
        ),
        judgement=answer_of(found.judgement),
        facts=_facts(found.facts),
    )


def answer_of(judgement: Judgement) -> JudgementAnswer:
    """Return a judgement as the API says it."""
    return JudgementAnswer(
        state=judgement.state.value,
        since=judgement.since,
        violations=tuple(
            ViolationAnswer(
                rule=one.rule.value,
                finding=one.finding.value,
                severity=one.severity.value,
                because=one.because,
                mend=one.mend,
                administrator_mend=one.administrator_mend,
                since=one.since,
                facts=tuple(kind.value for kind in one.facts),
            )
            for one in judgement.violations
        ),
        risk=judgement.risk.value,
        missing=tuple(kind.value for kind in judgement.missing),
        stale=tuple(kind.value for kind in judgement.stale),
        undecided=tuple(
            UndecidedAnswer(rule=one.rule.value, finding=one.finding.value)
            for one in judgement.undecided
        ),
        consequences=tuple(
            ConsequenceAnswer(
                kind=one.kind.value, rule=one.rule.value, due_at=one.due_at, group_id=one.group_id
            )
            for one in judgement.consequences
        ),
        policy_id=UUID(judgement.policy_id),
        policy_version=judgement.policy_version,
        next_due_at=judgement.next_due_at,
    )


def _summary(row: listing.ListedDevice) -> DeviceSummary:
    device = row.device
    return DeviceSummary(
        id=device.id,
        name=device.name,
        owner_name=device.owner_name,
        owner_address=device.owner_address,
        platform=device.platform,
        manufacturer=device.manufacturer,
        model=device.model,
        serial=device.serial,
        enrolment=device.enrolment_state,
        state=row.state,
        since=row.since,
        because=_because(row.violations),
        contact_at=device.contact_at,
    )


def _because(violations: Sequence[Mapping[str, object]]) -> tuple[str, ...]:
    return tuple(str(violation["because"]) for violation in violations)


def _details(device: Device, polled_at: datetime | None) -> DeviceDetails:
    return DeviceDetails(
        id=device.id,
        name=device.name,
        owner_name=device.owner_name,
        owner_address=device.owner_address,
        platform=device.platform,
        ownership=device.ownership,
        manufacturer=device.manufacturer,
        model=device.model,
        serial=device.serial,
        imei=device.imei,
        exchange_device_id=device.exchange_device_id,
        enrolment=device.enrolment_state,
        enrolled_at=device.enrolled_at,
        left_at=device.left_at,
        group_id=device.group_id,
        policy_id=device.policy_id,
        contact_at=device.contact_at,
        polled_at=polled_at,
    )


def _facts(facts: Mapping[FactKind, Fact]) -> dict[str, FactAnswer]:
    return {
        kind.value: FactAnswer(value=fact.value, source=fact.source, said_at=fact.said_at)
        for kind, fact in facts.items()
    }
