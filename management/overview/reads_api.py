"""The API's view of the dashboard, and of what a device's page brings together."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from flask import Blueprint

from management.access import Permission, signed_in
from management.api.bodies import CountAnswer
from management.api.operations import PageQuery, operation
from management.apps import approvals
from management.apps import queries as apps
from management.devices import queries as devices
from management.devices.rules import FactKind
from management.overview.queries import Dashboard, read_dashboard
from management.paging import cut, number_cursor
from management.personal import DEVICE
from management.relays.queries import list_incidents
from management.web import reading
from runtime.clock import utc_now

bp = Blueprint("reads_api", __name__, url_prefix="/api/v1")


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemVersion:
    """How many enrolled devices run a main version of a system."""

    platform: str
    os: str
    devices: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DashboardAnswer:
    """How the fleet and this server stand; `/devices` with the same filter names the devices."""

    at: datetime
    states: dict[str, int]
    """All devices; the numbers below, up to ``patterns``, are of those that are enrolled."""
    platforms: dict[str, int]
    risks: dict[str, int]
    rules: dict[str, int]
    """Broken rule -> devices."""
    mail: dict[str, int]
    """What the mail server said last."""
    systems: tuple[SystemVersion, ...]
    patches: dict[str, int]
    """Month of the security patch level of Android devices."""
    patterns: dict[str, int]
    """Version of the pattern set on the device."""
    open_commands: dict[str, int]
    waiting_for_approval: CountAnswer
    """Commands; counted to 100."""
    mail_blocks_held: int
    invitations: dict[str, int]
    active_patterns: str
    """Empty: no set is active."""
    incidents: int | None
    """With relays or networks, of the last 7 days. This and what follows is null for who is limited
    to groups."""
    failed_jobs: int | None
    connectors: int | None
    relays_with_a_problem: tuple[UUID, ...] | None


@operation(bp, "/dashboard", Permission.VIEW, in_groups=True)
def get_dashboard() -> DashboardAnswer:
    """Get the numbers of the dashboard, of the devices that you see."""
    with reading() as session:
        shown = read_dashboard(session, utc_now())
    numbers, waiting = shown.numbers, shown.waiting_for_approval
    versions = sorted(numbers.systems.items())
    return DashboardAnswer(
        at=shown.read_at,
        states=dict(numbers.states),
        platforms=dict(numbers.platforms),
        risks=dict(numbers.risks),
        rules=dict(numbers.rules),
        mail=dict(numbers.mail),
        systems=tuple(
            SystemVersion(platform=platform, os=os, devices=number)
            for (platform, os), number in versions
        ),
        patches=dict(numbers.patches),
        patterns=dict(numbers.patterns),
        open_commands=dict(shown.open_commands),
        waiting_for_approval=CountAnswer(value=waiting.number, capped=waiting.more),
        mail_blocks_held=shown.mail_held,
        invitations={state.value: number for state, number in shown.invitations.items()},
        active_patterns=shown.pattern_set.version if shown.pattern_set else "",
        **_of_the_server(shown),
    )


def _of_the_server(shown: Dashboard) -> dict[str, Any]:
    names = ("incidents", "failed_jobs", "connectors", "relays_with_a_problem")
    if signed_in().is_limited:
        return dict.fromkeys(names)
    ill = tuple(relay.id for relay in shown.relays if relay.problem)
    return dict(
        zip(names, (shown.incidents, shown.failed_jobs, shown.connectors, ill), strict=True)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceLogQuery(PageQuery):
    """Which entries of a device's log."""

    kind: FactKind | None = None
    """Only what was said of this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SaidOfDevice:
    """What a source said of a device at a time."""

    id: int
    kind: str
    value: Any
    source: str
    """``agent``, ``relay``, ``mail server``..."""
    said_at: datetime
    received_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceLog:
    """Entries of the log, newest first."""

    items: tuple[SaidOfDevice, ...]
    next: str | None


@operation(bp, "/devices/<uuid:device_id>/log", Permission.VIEW, in_groups=True, shows=DEVICE)
def list_device_log(device_id: UUID, query: DeviceLogQuery) -> DeviceLog:
    """List everything that was said of a device, newest first."""
    before = number_cursor(query.after) if query.after else None
    with reading() as session:
        devices.get_device(session, device_id)
        found = devices.list_log(session, device_id, query.kind, before, query.limit + 1)
    shown, following = cut(found, query.limit, lambda row: (row.id,))
    return DeviceLog(
        items=tuple(
            SaidOfDevice(
                id=row.id,
                kind=row.kind,
                value=row.value.get("value"),
                source=row.source,
                said_at=row.said_at,
                received_at=row.received_at,
            )
            for row in shown
        ),
        next=following,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class AppOnDevice:
    """An app that a device says it holds, with what is known of it."""

    package: str
    name: str
    version: str
    sha256: str
    signer_sha256: str
    first_seen_at: datetime
    said_at: datetime
    verdict: str
    """Empty: nobody judged it."""
    rule: str
    family: str
    approved: bool
    """Somebody answers for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AppsOnDevice:
    """Apps of a device, by package."""

    items: tuple[AppOnDevice, ...]
    next: str | None = None


@operation(
    bp,
    "/devices/<uuid:device_id>/apps",
    Permission.VIEW,
    in_groups=True,
    paged_by="package",
    shows=DEVICE,
)
def list_device_apps(device_id: UUID) -> AppsOnDevice:
    """List the apps that a device says it holds."""
    with reading() as session:
        devices.get_device(session, device_id)
        held = apps.list_device_apps(session, device_id)
        rows = apps.known_rows(session, [app.sha256 for app, _known in held])
        signers = {row.sha256: row.proven_signer for row in rows}
        approved = approvals.approved_hashes(session, signers)
    return AppsOnDevice(
        items=tuple(_app(app, known, app.sha256 in approved) for app, known in held)
    )


def _app(app: Any, known: Any, approved: bool) -> AppOnDevice:
    said = ("package", "name", "version", "sha256", "signer_sha256", "first_seen_at", "said_at")
    fields: dict[str, Any] = {name: getattr(app, name) for name in said}
    fields |= {name: getattr(known, name, "") for name in ("verdict", "rule", "family")}
    return AppOnDevice(**fields, approved=approved)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceIncident:
    """Something about a device's messages that an honest relay and network would not do."""

    at: datetime
    relay_id: UUID | None
    problem: str
    detail: str
    reported_by: str
    repeats: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceIncidents:
    """Incidents, newest first."""

    items: tuple[DeviceIncident, ...]
    next: str | None


@operation(bp, "/devices/<uuid:device_id>/incidents", Permission.VIEW, in_groups=True, shows=DEVICE)
def list_device_incidents(device_id: UUID, query: PageQuery) -> DeviceIncidents:
    """List what relays and networks were caught at with a device's messages, newest first."""
    before = number_cursor(query.after) if query.after else None
    names = DeviceIncident.__dataclass_fields__
    with reading() as session:
        devices.get_device(session, device_id)
        found = list_incidents(session, sender=device_id, before_id=before, limit=query.limit + 1)
    shown, following = cut(found, query.limit, lambda row: (row.id,))
    return DeviceIncidents(
        items=tuple(
            DeviceIncident(**{name: getattr(row, name) for name in names}) for row in shown
        ),
        next=following,
    )
