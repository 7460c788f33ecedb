"""The API's view of devices: list and one; `judgement_api` tells how it stands and why."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from flask import Blueprint
from pydantic import Field

from management.access import Permission
from management.api.bodies import CountAnswer
from management.api.operations import STRICT, FileAnswer, Limit, Place, Words, operation
from management.devices import queries
from management.devices.models import Device
from management.devices.polls import find_polled_at
from management.listing import queries as listing
from management.listing.address import NAMES, read_numbers, read_place, write_place
from management.listing.export import as_csv
from management.listing.held import missing_numbers
from management.listing.rules import LONGEST_NUMBER, MOST_NUMBERS, DeviceFilter
from management.overview.queries import name_groups, name_policies
from management.personal import DEVICE, file_of, list_of, tell_filter, tell_number
from management.policies.treatment import Rule
from management.web import reader, reading

bp = Blueprint("devices_api", __name__, url_prefix="/api/v1")

Number = Annotated[str, Field(max_length=LONGEST_NUMBER, pattern=r"^[^\s,;|\"'\x00]+$")]
State = Literal["", "healthy", "non_compliant", "out_of_sync", "inactive", "not_enrolled"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DevicesQuery:
    """Which devices are wanted, in which order; what is empty filters nothing."""

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
    app: Annotated[str, Field(pattern=r"^([0-9a-fA-F]{64})?$")] = ""
    """SHA-256 of the file of an app that the device holds."""
    command: Literal["", "failed", "waiting"] = ""
    """Of a command that the device has: one that failed; one that waits, for its undo window, an
    approval, a person, the device's return..."""
    numbers: Annotated[str, Field(max_length=2000, pattern=r"^[^\x00]*$")] = ""
    """Serial numbers and IMEIs with spaces or commas between them, of which the device has one;
    `find_devices_by_number` takes more of them."""
    text: Words = ""
    """Words that the name, owner, address, model, serial number, IMEI or Exchange id begin with;
    of Japanese any two characters, of numbers also the last 4 to 6 digits."""
    sort: Literal["name", "contact", "since"] = "name"
    """The last two newest first, and only up to 10,000 devices; above that by name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceQuery(DevicesQuery):
    """Which devices are wanted, and which page of them."""

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
    certificate_until: datetime | None
    renewed_at: datetime | None
    """When it began to use its present certificate, if not at its enrolment."""


@operation(bp, "/devices", Permission.VIEW, in_groups=True, shows=list_of("devices"))
def list_devices(query: DeviceQuery) -> DevicePage:
    """List devices with their state."""
    with reading() as session:
        page = listing.look(
            session, _filter(query), query.sort, read_place(query.after), query.limit
        )
    return DevicePage(
        items=tuple(_summary(row) for row in page.rows),
        next=write_place(page.more),
        count=CountAnswer(value=page.count.number, capped=page.count.more),
        sort=page.sort,
    )


@operation(
    bp,
    "/devices/list.csv",
    Permission.VIEW,
    in_groups=True,
    media_type="text/csv; charset=utf-8",
    shows=file_of("device.export", "devices"),
)
def export_devices(query: DevicesQuery) -> FileAnswer:
    """Get all devices of a filter as a CSV file, in the order asked for.

    It begins with a byte order mark and has a line of names; nothing in it is taken for a formula.
    The audit trail notes who took it.
    """
    wanted = _filter(query)
    with reading() as session:
        tell_number(listing.count_devices(session, wanted))
        groups, policies = name_groups(session), name_policies(session)
    return FileAnswer("devices.csv", as_csv(reader(), wanted, groups, policies, query.sort))


def _filter(query: DevicesQuery) -> DeviceFilter:
    said = {field: getattr(query, field) for field in NAMES.values()}
    said |= {"app": query.app.lower(), "numbers": read_numbers(query.numbers)}
    return DeviceFilter(**said)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceNumbers:
    """Numbers to look for."""

    __pydantic_config__ = STRICT

    numbers: Annotated[tuple[Number, ...], Field(min_length=1, max_length=MOST_NUMBERS)]
    """Serial numbers and IMEIs, whole and in any letter case."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberedDevices:
    """The devices that have one of the numbers, by name, and the numbers that none has."""

    items: tuple[DeviceSummary, ...]
    """At most 1,000: of a number that very many devices claim not all may be here."""
    count: CountAnswer
    missing: tuple[str, ...]
    """Numbers of no device, or of none that you see."""


@operation(
    bp, "/devices/by-number", Permission.VIEW, "POST", in_groups=True, shows=list_of("devices")
)
def find_devices_by_number(body: DeviceNumbers) -> NumberedDevices:
    """Find devices by up to 1,000 serial numbers and IMEIs. Changes nothing."""
    numbers = read_numbers(" ".join(body.numbers))
    tell_filter({"numbers": numbers})
    with reading() as session:
        page = listing.look(session, DeviceFilter(numbers=numbers), limit=MOST_NUMBERS)
        missing = missing_numbers(session, numbers)
    return NumberedDevices(
        items=tuple(_summary(row) for row in page.rows),
        count=CountAnswer(value=page.count.number, capped=page.count.more),
        missing=tuple(missing),
    )


@operation(bp, "/devices/<uuid:device_id>", Permission.VIEW, in_groups=True, shows=DEVICE)
def get_device(device_id: UUID) -> DeviceDetails:
    """Get one device."""
    with reading() as session:
        device = queries.get_device(session, device_id)
        return _details(device, find_polled_at(session, device_id))


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
        certificate_until=device.certificate_until,
        renewed_at=device.renewed_at,
    )
