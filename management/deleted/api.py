"""The API's view of what was deleted."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from flask import Blueprint

from management.access import Permission, signed_in
from management.api.bodies import Because
from management.api.operations import operation
from management.audit.notes import note
from management.deleted import service
from management.deleted.models import DeletedThing
from management.personal import list_of
from management.web import reading, transaction
from runtime.clock import utc_now

bp = Blueprint("deleted_api", __name__, url_prefix="/api/v1")


@dataclass(frozen=True, slots=True, kw_only=True)
class DeletedAnswer:
    """One thing that can be brought back."""

    id: UUID
    kind: str
    """``view``, ``group``, ``role`` or ``allowed_device``."""
    name: str
    deleted_at: datetime
    deleted_by: str
    kept_until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class DeletedThings:
    """What the caller may bring back, the latest first."""

    items: tuple[DeletedAnswer, ...]
    next: str | None = None


@operation(bp, "/deleted", Permission.VIEW, in_groups=True, paged_by="id", shows=list_of("deleted"))
def list_deleted() -> DeletedThings:
    """List what was deleted in the last thirty days and can be brought back."""
    with reading() as session:
        found = service.list_deleted(session, signed_in(), utc_now())
    return DeletedThings(items=tuple(map(_answer, found)))


@operation(
    bp, "/deleted/<uuid:thing_id>/restore", Permission.VIEW, "POST", refusals=(409,), in_groups=True
)
def restore_deleted(thing_id: UUID, body: Because) -> DeletedAnswer:
    """Bring a thing back as it was, under its id."""
    with transaction("restore what was deleted") as session:
        thing = service.restore(session, thing_id, signed_in(), utc_now())
        note(session, f"{thing.kind}.restore", thing_id, body.because, name=thing.name)
        return _answer(thing)


def _answer(thing: DeletedThing) -> DeletedAnswer:
    return DeletedAnswer(
        id=thing.id,
        kind=thing.kind,
        name=thing.name,
        deleted_at=thing.deleted_at,
        deleted_by=thing.deleted_by,
        kept_until=thing.deleted_at + service.KEPT,
    )
