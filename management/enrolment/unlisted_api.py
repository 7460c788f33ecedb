"""The API's way to apply the allow-list to devices that are enrolled already."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated

from flask import Blueprint
from pydantic import Field
from sqlalchemy.orm import Session

from management.access import Permission, signed_in_name
from management.administrators import step_up
from management.allow_list.queries import find_setting, why_ended
from management.api.operations import STRICT, Code, Whole, operation
from management.audit.notes import note
from management.enrolment import unlisted
from management.web import context, reading, transaction
from runtime.clock import utc_now

bp = Blueprint("unlisted_api", __name__, url_prefix="/api/v1/allow-list/enrolled")
CHANGE = Permission.CHANGE_SETTINGS


@dataclass(frozen=True, slots=True, kw_only=True)
class UnlistedCount:
    """How many enrolled devices are not on the list, when that was counted last."""

    counted_at: datetime | None
    """Null: nobody counted yet, or the count is under way."""
    devices: int
    unlisted: int
    ended_because: str
    """Why the last count, or what was confirmed, holds no more; empty: nothing ended it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnlistedConfirmation:
    """That the caller saw the count."""

    __pydantic_config__ = STRICT

    unlisted: Annotated[int, Field(ge=1, le=10_000_000), Whole]
    """As it was counted."""
    code: Code


@dataclass(frozen=True, slots=True, kw_only=True)
class UnlistedReached:
    """To how many devices the list is applied, and when that begins."""

    devices: int
    begins_in_seconds: int
    """Until then its job can be cancelled."""


@operation(bp, "", Permission.VIEW)
def get_unlisted_count() -> UnlistedCount:
    """Get how many enrolled devices are not on the list, as counted last."""
    with reading() as session:
        return _count(session)


@operation(bp, "/count", CHANGE, "POST", 202, (409,))
def count_unlisted() -> UnlistedCount:
    """Compare the enrolled devices with the list, in the background."""
    with transaction("count unlisted devices") as session:
        unlisted.ask_count(session, utc_now())
        return _count(session)


@operation(bp, "/apply", CHANGE, "POST", 202, (409,))
def apply_allow_list(body: UnlistedConfirmation) -> UnlistedReached:
    """Apply the list to as many enrolled devices as were counted within the hour."""
    step_up.require_code(body.code)
    undo, said = timedelta(seconds=context().settings.undo_seconds), str(body.unlisted)
    with transaction("apply the allow-list") as session:
        reached = unlisted.confirm(session, said, signed_in_name(), undo, utc_now())
        note(session, "allow_list.apply", "", devices=reached)
    return UnlistedReached(devices=reached, begins_in_seconds=int(undo.total_seconds()))


def _count(session: Session) -> UnlistedCount:
    found = find_setting(session)
    if found is None:
        return UnlistedCount(counted_at=None, devices=0, unlisted=0, ended_because="")
    return UnlistedCount(
        counted_at=found.counted_at,
        devices=found.counted_devices or 0,
        unlisted=found.counted_unlisted or 0,
        ended_because=why_ended(session, found),
    )
