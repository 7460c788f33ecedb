"""The API's view of saved views, and the end of an enrolment."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated
from uuid import UUID

from flask import Blueprint
from pydantic import Field

from management.access import Permission, signed_in_name
from management.api.operations import STRICT, Code, Reason, operation
from management.audit.notes import note
from management.devices import queries as devices
from management.listing import saved
from management.listing.address import whole_query
from management.listing.models import SavedView, ViewMark
from management.overview import service
from management.overview.device_api import DeviceDetails, get_device
from management.web import proofs, reading, transaction
from runtime.clock import utc_now

bp = Blueprint("views_api", __name__, url_prefix="/api/v1")


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewAnswer:
    """A filter of the device list under a name."""

    id: UUID
    name: str
    query: str
    """As in the address of the list."""
    owner: str
    shared: bool
    made_at: datetime
    pinned: bool = False
    """It stands in the caller's side bar."""
    opens: bool = False
    """The menu opens the caller's list with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retirement:
    """Why an enrolment ends."""

    __pydantic_config__ = STRICT

    because: Reason
    code: Code


@dataclass(frozen=True, slots=True, kw_only=True)
class Views:
    """One's own views and those that are shared, by name."""

    items: tuple[ViewAnswer, ...]
    next: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewView:
    """A filter to keep."""

    __pydantic_config__ = STRICT

    name: Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[^\x00]*\S[^\x00]*$")]
    query: Annotated[str, Field(max_length=20_000, pattern=r"^[^\x00]*$")]
    """As in the address of the list; what is no filter is left out. What remains has at most 1,000
    characters."""
    shared: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewMarks:
    """What the caller does with a view."""

    __pydantic_config__ = STRICT

    pinned: bool
    opens: bool
    """Another view then no longer does."""


@operation(bp, "/device-views", Permission.VIEW, in_groups=True, paged_by="id")
def list_device_views() -> Views:
    """List the saved views of the device list."""
    name = signed_in_name()
    with reading() as session:
        marks = saved.read_marks(session, name)
        found = saved.list_views(session, name)
    return Views(items=tuple(_answer(one, marks.get(one.id)) for one in found))


@operation(bp, "/device-views", Permission.VIEW, "POST", 201, (409,), in_groups=True)
def save_device_view(body: NewView) -> ViewAnswer:
    """Keep a filter under a name; one's own of the same name is replaced."""
    query, name = whole_query(body.query), body.name.strip()
    with transaction("save a view") as session:
        view = saved.save(session, signed_in_name(), name, query, body.shared, utc_now())
        note(session, "view.save", view.name, query=view.query, shared=view.shared)
        return _answer(view, saved.read_marks(session, signed_in_name()).get(view.id))


@operation(bp, "/device-views/<uuid:view_id>/delete", Permission.VIEW, "POST", in_groups=True)
def delete_device_view(view_id: UUID) -> ViewAnswer:
    """Delete a view of one's own."""
    with transaction("delete a view") as session:
        gone = saved.delete(session, signed_in_name(), view_id, utc_now())
        note(session, "view.delete", gone.name, query=gone.query)
        return _answer(gone)


@operation(bp, "/device-views/<uuid:view_id>/mark", Permission.VIEW, "POST", in_groups=True)
def mark_device_view(view_id: UUID, body: ViewMarks) -> ViewAnswer:
    """Pin a view to one's side bar, or open one's list with it."""
    name = signed_in_name()
    with transaction("mark a view") as session:
        view = saved.mark(session, name, view_id, body.pinned, body.opens)
        note(session, "view.mark", view.name, pinned=body.pinned, opens=body.opens)
        return _answer(view, saved.read_marks(session, name)[view_id])


@operation(
    bp,
    "/devices/<uuid:device_id>/retire",
    Permission.SEND_COMMANDS,
    "POST",
    refusals=(409,),
    in_groups=True,
)
def retire_device(device_id: UUID, body: Retirement) -> DeviceDetails:
    """End the enrolment: no mailbox, no mail. Its history stays.

    It cannot be taken back, so it takes a code of the caller's authenticator app.
    """
    with reading() as session:
        devices.get_device(session, device_id)
    proofs().require_code(body.code)
    with transaction("retire a device") as session:
        service.retire_device(session, device_id, signed_in_name(), utc_now())
        note(session, "device.retire", device_id, body.because)
    return get_device(device_id)


def _answer(view: SavedView, mark: ViewMark | None = None) -> ViewAnswer:
    return ViewAnswer(
        id=view.id,
        name=view.name,
        query=view.query,
        owner=view.owner,
        shared=view.shared,
        made_at=view.made_at,
        pinned=mark is not None and mark.pinned,
        opens=mark is not None and mark.opens,
    )
