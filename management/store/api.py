"""The API's view of the app store: what is offered to whom, publish, aim, withdraw."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated
from uuid import UUID

from flask import Blueprint
from pydantic import Field

from contracts.types import Sha256
from management.access import Permission, signed_in_name
from management.api.bodies import Because
from management.api.operations import STRICT, operation
from management.store import queries, service
from management.store.queries import Listed
from management.web import context, reading, transaction, visitor_address
from runtime.clock import utc_now

bp = Blueprint("store_api", __name__, url_prefix="/api/v1")

Category = Annotated[str, Field(max_length=100, pattern=r"^[^\x00]*$")]


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferedTo:
    """A group, and all below it that have no word of their own."""

    __pydantic_config__ = STRICT

    group_id: UUID
    required: bool
    """Installed without asking; else the user chooses."""


Targets = Annotated[tuple[OfferedTo, ...], Field(max_length=1000)]


@dataclass(frozen=True, slots=True, kw_only=True)
class NewOffer:
    """A stored, scanned app to offer in place of its older version."""

    __pydantic_config__ = STRICT

    sha256: Sha256
    category: Category = ""
    groups: Targets = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class NewLink:
    """A link to an app on Google Play or in the App Store."""

    __pydantic_config__ = STRICT

    link: Annotated[str, Field(min_length=1, max_length=1000, pattern=r"^[^\x00]*$")]
    """Its address there, a package, or a number."""
    name: Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[^\x00]*$")]
    category: Category = ""
    groups: Targets = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Aim:
    """To whom an entry is offered from now on; nobody else."""

    __pydantic_config__ = STRICT

    groups: Targets


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferedVersion:
    """A version that is or was on offer."""

    sha256: str
    version: str
    signer_sha256: str
    size_bytes: int
    published_at: datetime
    published_by: str
    current: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryAnswer:
    """An entry of the store."""

    id: UUID
    kind: str
    """``apk``, ``google_play`` or ``app_store``."""
    package: str
    """For the App Store its number."""
    name: str
    category: str
    created_at: datetime
    created_by: str
    withdrawn_at: datetime | None
    withdrawn_by: str
    withdrawn_because: str
    versions: tuple[OfferedVersion, ...]
    """The newest first; links have none."""
    groups: tuple[OfferedTo, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entries:
    """What is on offer, by category and name."""

    items: tuple[EntryAnswer, ...]
    next: str | None = None


@operation(bp, "/store/entries", Permission.VIEW, paged_by="id")
def list_store_entries() -> Entries:
    """List what the app store offers."""
    with reading() as session:
        found = [queries.read_entry(session, one.id) for one in queries.list_entries(session)]
    return Entries(items=tuple(map(_answer, found)))


@operation(bp, "/store/entries/<uuid:entry_id>", Permission.VIEW)
def get_store_entry(entry_id: UUID) -> EntryAnswer:
    """Get one entry, also a withdrawn one, with its versions and groups."""
    with reading() as session:
        return _answer(queries.read_entry(session, entry_id))


@operation(bp, "/store/entries", Permission.MANAGE_APPS, "POST", 201, (404, 409))
def publish_app(body: NewOffer) -> EntryAnswer:
    """Offer a stored, scanned app to groups; it takes the place of its older version."""
    with transaction("publish an app") as session:
        entry = service.publish(
            session,
            context().keys,
            body.sha256,
            body.category,
            _targets(body.groups),
            signed_in_name(),
            visitor_address(),
            utc_now(),
        )
    return get_store_entry(entry.id)


@operation(bp, "/store/links", Permission.MANAGE_APPS, "POST", 201, (404, 409))
def add_store_link(body: NewLink) -> EntryAnswer:
    """Point devices to an app in another store; nothing is fetched from there."""
    with transaction("add a store link") as session:
        entry = service.add_link(
            session,
            context().keys,
            body.link,
            body.name,
            body.category,
            _targets(body.groups),
            signed_in_name(),
            visitor_address(),
            utc_now(),
        )
    return get_store_entry(entry.id)


@operation(
    bp, "/store/entries/<uuid:entry_id>/groups", Permission.MANAGE_APPS, "PUT", refusals=(409,)
)
def aim_store_entry(entry_id: UUID, body: Aim) -> EntryAnswer:
    """Offer an entry to these groups instead of those before."""
    with transaction("aim a store entry") as session:
        service.aim(
            session,
            context().keys,
            entry_id,
            _targets(body.groups),
            signed_in_name(),
            visitor_address(),
            utc_now(),
        )
    return get_store_entry(entry_id)


@operation(
    bp, "/store/entries/<uuid:entry_id>/withdraw", Permission.MANAGE_APPS, "POST", refusals=(409,)
)
def withdraw_store_entry(entry_id: UUID, body: Because) -> EntryAnswer:
    """No longer offer an entry; devices that installed it keep it."""
    with transaction("withdraw a store entry") as session:
        service.withdraw(
            session,
            context().keys,
            entry_id,
            body.because,
            signed_in_name(),
            visitor_address(),
            utc_now(),
        )
    return get_store_entry(entry_id)


def _targets(groups: tuple[OfferedTo, ...]) -> dict[UUID, bool]:
    return {one.group_id: one.required for one in groups}


def _answer(found: Listed) -> EntryAnswer:
    plain = set(EntryAnswer.__dataclass_fields__) - {"versions", "groups"}
    names = OfferedVersion.__dataclass_fields__
    return EntryAnswer(
        **{name: getattr(found.entry, name) for name in plain},
        versions=tuple(
            OfferedVersion(**{name: getattr(row, name) for name in names}) for row in found.versions
        ),
        groups=tuple(
            OfferedTo(group_id=group.id, required=required) for group, required in found.targets
        ),
    )
