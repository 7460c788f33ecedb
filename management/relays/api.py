"""The API's view of communication servers."""

import base64
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated
from uuid import UUID

from flask import Blueprint
from pydantic import Field

from contracts.types import Name
from management.access import Permission
from management.administrators import step_up
from management.api.operations import STRICT, Code, Limit, Place, Reason, Whole, operation
from management.paging import cut, number_cursor
from management.relays import edge, queries
from management.relays.changes import Places, places_of
from management.relays.queries import Standing
from management.web import context, reading
from runtime.clock import utc_now
from runtime.errors import MalformedMessageError

bp = Blueprint("relays_api", __name__, url_prefix="/api/v1")


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayAnswer:
    """How a communication server stands."""

    id: UUID
    name: str
    link_url: str
    devices_url: str
    version: str
    paired_at: datetime
    contact_at: datetime | None
    problem: str
    """Empty: none."""
    problem_at: datetime | None
    inbound_waiting: int
    outbound_waiting: int
    disabled_at: datetime | None
    link_ms: int | None
    """How long it took to answer at the last visit."""
    revocations_behind: int
    """Changes of its list of devices that it has not got yet; 0: complete as of `contact_at`."""
    revocations_since: datetime | None
    """Of the oldest such change."""
    revocations_old: bool
    """For more than 15 minutes a relay in use could let in devices that are revoked."""
    silent_devices: int
    """Devices that speak through it and sent nothing signed for two digests' time."""
    silent_since: datetime | None
    certificate_source: str
    """``imported``, ``private`` (built-in CA), or empty: made at set-up."""
    certificate_sha256: str
    """Of what devices see now."""
    certificate_until: datetime | None
    devices_port: int
    http_port: int
    link_port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayPairing:
    """The relay that shows a one-time code (``sekisho communication code``)."""

    __pydantic_config__ = STRICT

    name: Name
    link_url: Name
    code: Annotated[str, Field(max_length=60)]
    devices_url: Annotated[str, Field(max_length=255)] = ""
    """Where devices reach it; empty: as the relay itself says."""
    own_code: Code


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayPlaces:
    """Where a relay is reached, and the ports it listens at."""

    __pydantic_config__ = STRICT

    link_url: Name
    devices_url: Name
    devices_port: Annotated[int, Field(ge=1, le=65_535), Whole]
    http_port: Annotated[int, Field(ge=1, le=65_535), Whole]
    link_port: Annotated[int, Field(ge=1, le=65_535), Whole]


BASE64 = r"^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$"


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayCertificateFile:
    """A ``.pfx``/``.p12`` file with key and chain; neither: a private one of the built-in CA."""

    __pydantic_config__ = STRICT

    pfx: Annotated[str, Field(max_length=140_000, pattern=BASE64)] = ""
    """Base64."""
    password: Annotated[str, Field(max_length=1000)] = ""
    own_code: Code


@dataclass(frozen=True, slots=True, kw_only=True)
class RelaySwitch:
    """Use a relay, or no more."""

    __pydantic_config__ = STRICT

    enabled: bool
    because: Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Relays:
    """All relays by name."""

    items: tuple[RelayAnswer, ...]
    next: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentQuery:
    """A page of incidents."""

    after: Place = ""
    limit: Limit = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentAnswer:
    """Something that an honest relay and network would not do."""

    at: datetime
    relay_id: UUID | None
    device_id: UUID | None
    problem: str
    detail: str
    reported_by: str
    repeats: int


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentPage:
    """Incidents, newest first."""

    items: tuple[IncidentAnswer, ...]
    next: str | None


@operation(bp, "/relays", Permission.VIEW, paged_by="id")
def list_relays() -> Relays:
    """List the communication servers and how they stand."""
    with reading() as session:
        found = queries.list_standing(session, _digest(), utc_now())
    return Relays(items=tuple(_answer(one) for one in found))


@operation(bp, "/relays/<uuid:relay_id>", Permission.VIEW, refusals=(404,))
def get_relay(relay_id: UUID) -> RelayAnswer:
    """Get one communication server and how it stands."""
    with reading() as session:
        queries.get_relay(session, relay_id)
        found = queries.list_standing(session, _digest(), utc_now())
    return next(_answer(one) for one in found if one.relay.id == relay_id)


@operation(bp, "/relays", Permission.MANAGE_RELAYS, "POST", status=201, refusals=(403, 409, 503))
def pair_relay(body: RelayPairing) -> RelayAnswer:
    """Pair with the communication server that shows the code.

    Both sides prove the code over what they see of each other and pin the other's key.
    """
    step_up.require_code(body.own_code)
    relay = edge.pair(body.name, body.link_url, body.code, body.devices_url)
    return get_relay(relay.id)


@operation(
    bp, "/relays/<uuid:relay_id>/places", Permission.MANAGE_RELAYS, "PUT", refusals=(404, 409)
)
def place_relay(relay_id: UUID, body: RelayPlaces) -> RelayAnswer:
    """Move a communication server to other addresses or ports.

    The former ports stay open and the former address stays in the devices' list for 30 days.
    """
    edge.place(
        relay_id,
        Places(
            link_url=body.link_url,
            devices_url=body.devices_url,
            devices_port=body.devices_port,
            http_port=body.http_port,
            link_port=body.link_port,
        ),
    )
    return get_relay(relay_id)


@operation(
    bp, "/relays/<uuid:relay_id>/certificate", Permission.MANAGE_RELAYS, "PUT", refusals=(404, 409)
)
def certify_relay(relay_id: UUID, body: RelayCertificateFile) -> RelayAnswer:
    """Let devices see another certificate; no request fails meanwhile.

    It is checked first: chain, key, times and name.
    """
    step_up.require_code(body.own_code)
    if body.pfx:
        edge.import_certificate(relay_id, _decoded(body.pfx), body.password)
    else:
        edge.issue_certificate(relay_id)
    return get_relay(relay_id)


@operation(
    bp, "/relays/<uuid:relay_id>/switch", Permission.MANAGE_RELAYS, "PUT", refusals=(404, 409)
)
def switch_relay(relay_id: UUID, body: RelaySwitch) -> RelayAnswer:
    """Use a communication server, or no more: then devices are told to use the others."""
    edge.switch(relay_id, body.enabled, body.because)
    return get_relay(relay_id)


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        raise MalformedMessageError("pfx: this is no base64.") from None


def _digest() -> timedelta:
    return timedelta(seconds=context().settings.digest_seconds)


def _answer(standing: Standing) -> RelayAnswer:
    row, behind, silent = standing.relay, standing.behind, standing.silent
    places = places_of(row)
    return RelayAnswer(
        id=row.id,
        name=row.name,
        link_url=row.link_url,
        devices_url=row.devices_url,
        version=row.version,
        paired_at=row.paired_at,
        contact_at=row.contact_at,
        problem=row.problem,
        problem_at=row.problem_at,
        inbound_waiting=row.inbound_waiting,
        outbound_waiting=row.outbound_waiting,
        disabled_at=row.disabled_at,
        link_ms=row.link_ms,
        revocations_behind=behind.count if behind else 0,
        revocations_since=behind.since if behind else None,
        revocations_old=standing.is_list_old,
        silent_devices=silent.count if silent else 0,
        silent_since=silent.since if silent else None,
        certificate_source=row.tls_source,
        certificate_sha256=row.tls_shown,
        certificate_until=row.tls_until,
        devices_port=places.devices_port,
        http_port=places.http_port,
        link_port=places.link_port,
    )


@operation(bp, "/relay-incidents", Permission.VIEW)
def list_relay_incidents(query: IncidentQuery) -> IncidentPage:
    """List what relays and networks were caught at, newest first."""
    before = number_cursor(query.after) if query.after else None
    with reading() as session:
        found = queries.list_incidents(session, before_id=before, limit=query.limit + 1)
    shown, following = cut(found, query.limit, lambda row: (row.id,))
    return IncidentPage(
        items=tuple(
            IncidentAnswer(
                at=row.at,
                relay_id=row.relay_id,
                device_id=row.sender,
                problem=row.problem,
                detail=row.detail,
                reported_by=row.reported_by,
                repeats=row.repeats,
            )
            for row in shown
        ),
        next=following,
    )
