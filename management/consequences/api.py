"""The API's view of what followed from violations, and of what freezes more."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from flask import Blueprint
from pydantic import Field

from management.access import Permission, signed_in_name
from management.api.operations import STRICT, Limit, Place, Reason, operation
from management.audit.notes import note
from management.consequences import freezes, queries, service
from management.consequences.queries import Told
from management.consequences.rules import Frozen
from management.paging import cut, number_cursor
from management.personal import list_of
from management.relays.queries import get_relay
from management.web import reading, transaction
from runtime.clock import utc_now
from runtime.errors import RefusedError

bp = Blueprint("consequences_api", __name__, url_prefix="/api/v1")


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsequenceQuery:
    """Which consequences are wanted."""

    device_id: UUID | None = None
    kind: Literal[
        "", "tell_user", "tell_administrators", "block_mail", "move_group", "selective_wipe"
    ] = ""
    unseen: bool = False
    """Only those whose violation stands and that no administrator put away."""
    after: Place = ""
    limit: Limit = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsequenceAnswer:
    """One consequence for one device, carried out once while its rule stays broken."""

    id: int
    device_id: UUID
    device_name: str
    kind: str
    rule: str
    because: str
    broken_since: datetime
    due_at: datetime
    at: datetime
    policy_id: UUID
    policy_version: int
    result: str
    """``done`` or ``refused``."""
    words: str
    """Why it was refused, or what became of it."""
    command_id: UUID | None
    ended_at: datetime | None
    """When the violation was seen to be mended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsequencePage:
    """Consequences, newest first."""

    items: tuple[ConsequenceAnswer, ...]
    next: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FreezeAnswer:
    """Why consequences and new mail blocks wait."""

    id: int | None
    """None: it goes on, and ends when the communication server answers."""
    cause: str
    """``relay_silence`` or ``mass_change``."""
    because: str
    mend: str
    since: datetime
    until: datetime | None
    """When it ends by itself."""
    relay_id: UUID | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Freezes:
    """What freezes consequences now, and for how many devices something waits."""

    items: tuple[FreezeAnswer, ...]
    held_devices: int
    next: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """Why it is safe to go on."""

    __pydantic_config__ = STRICT

    reason: Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class NoticeAnswer:
    """Who put a notice away."""

    id: int
    seen_by: str


@operation(bp, "/consequences", Permission.VIEW, shows=list_of("consequences"))
def list_consequences(query: ConsequenceQuery) -> ConsequencePage:
    """List what followed from violations, newest first."""
    place = number_cursor(query.after) if query.after else None
    with reading() as session:
        found = queries.list_carried_out(
            session, query.kind, query.device_id, query.unseen, place, query.limit + 1
        )
    shown, following = cut(found, query.limit, lambda row: (row.row.id,))
    return ConsequencePage(items=tuple(map(_answer, shown)), next=following)


@operation(bp, "/freezes", Permission.VIEW, paged_by="because")
def list_freezes() -> Freezes:
    """List what freezes consequences and new mail blocks now."""
    with reading() as session:
        found = queries.active_freezes(session, utc_now())
        return Freezes(items=tuple(map(_freeze, found)), held_devices=queries.count_held(session))


FreezeId = Annotated[int, Field(ge=1)]


@operation(
    bp, "/freezes/<int:freeze_id>/release", Permission.PAUSE_ENFORCEMENT, "POST", refusals=(409,)
)
def release_freeze(freeze_id: FreezeId, body: Release) -> Freezes:
    """Let consequences act again, because a person looked."""
    with transaction("release a freeze") as session:
        row = freezes.release(session, freeze_id, signed_in_name(), body.reason, utc_now())
        note(session, "freeze.release", row.cause, body.reason, since=row.since.isoformat())
    return list_freezes()


@operation(
    bp,
    "/relays/<uuid:relay_id>/outage/release",
    Permission.PAUSE_ENFORCEMENT,
    "POST",
    refusals=(409,),
)
def release_outage(relay_id: UUID, body: Release) -> Freezes:
    """Let consequences act although a communication server is silent, because a person looked."""
    with transaction("release an outage") as session:
        since = get_relay(session, relay_id).contact_at
        if since is None:
            raise RefusedError("This communication server was never reached.")
        by, now = signed_in_name(), utc_now()
        row = freezes.release_outage(session, relay_id, since, by, body.reason, now)
        note(session, "freeze.release", row.cause, body.reason, since=row.since.isoformat())
    return list_freezes()


@operation(bp, "/consequences/<int:row_id>/seen", Permission.SEND_COMMANDS, "POST")
def put_notice_away(row_id: int) -> NoticeAnswer:
    """Note that an administrator saw a notice."""
    with transaction("put a notice away") as session:
        row = service.put_away(session, row_id, signed_in_name())
        note(session, "consequence.seen", row.device_id, rule=row.rule)
        return NoticeAnswer(id=row.id, seen_by=row.seen_by)


def _freeze(one: Frozen) -> FreezeAnswer:
    return FreezeAnswer(
        id=one.freeze_id,
        cause=one.cause.value,
        because=one.because,
        mend=one.mend,
        since=one.since,
        until=one.until,
        relay_id=one.relay_id,
    )


def _answer(told: Told) -> ConsequenceAnswer:
    row = told.row
    return ConsequenceAnswer(
        id=row.id,
        device_id=row.device_id,
        device_name=told.name,
        kind=row.kind,
        rule=row.rule,
        because=row.because,
        broken_since=row.broken_since,
        due_at=row.due_at,
        at=row.at,
        policy_id=row.policy_id,
        policy_version=row.policy_version,
        result=row.result,
        words=row.words,
        command_id=row.command_id,
        ended_at=row.ended_at,
    )
