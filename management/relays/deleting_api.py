"""The API's way to forget a relay."""

from dataclasses import dataclass
from uuid import UUID

from flask import Blueprint

from contracts.types import Name
from management.access import Permission
from management.administrators import step_up
from management.api.operations import STRICT, Code, Reason, operation
from management.relays import deleting, edge
from management.web import reading
from runtime.clock import utc_now

bp = Blueprint("relays_deleting_api", __name__, url_prefix="/api/v1/relays/<uuid:relay_id>")
MANAGE = Permission.MANAGE_RELAYS


@dataclass(frozen=True, slots=True, kw_only=True)
class LonelyDevice:
    """A device that knows no other relay."""

    id: UUID
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HangingOnRelay:
    """What is lost or must move when a relay is deleted."""

    devices: int
    """Those last heard through it."""
    lonely: int
    """Those of them not heard since another relay is listed: they may have to enrol again."""
    named: tuple[LonelyDevice, ...]
    """The first 50 of the lonely ones, by name."""
    messages_not_collected: int
    """As the relay said at the last visit; devices send them again through another relay."""
    orders_not_confirmed: int
    """They go to another relay by themselves."""
    refusal: str
    """Why it may not be deleted now; empty: it may."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayDeletion:
    """That the caller means this relay."""

    __pydantic_config__ = STRICT

    name: Name
    """The relay's, to be sure."""
    because: Reason
    own_code: Code


@operation(bp, "/deletion", MANAGE, refusals=(404,))
def preview_relay_deletion(relay_id: UUID) -> HangingOnRelay:
    """Get what hangs on a communication server, before it is deleted."""
    with reading() as session:
        return _answer(deleting.look(session, relay_id, utc_now()))


@operation(bp, "/delete", MANAGE, "POST", refusals=(404, 409))
def delete_relay(relay_id: UUID, body: RelayDeletion) -> HangingOnRelay:
    """Forget a disabled communication server, or one that was not reached for a day.

    The answer says what hung on it.
    """
    step_up.require_code(body.own_code)
    return _answer(edge.delete(relay_id, body.name, body.because))


def _answer(found: deleting.Hanging) -> HangingOnRelay:
    return HangingOnRelay(
        devices=found.devices,
        lonely=found.lonely,
        named=tuple(LonelyDevice(id=one.id, name=one.name) for one in found.named),
        messages_not_collected=found.reports,
        orders_not_confirmed=found.orders,
        refusal=found.refusal,
    )
