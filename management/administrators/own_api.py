"""The API's view of the token that asks: what it may, and how long."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from flask import Blueprint, g

from management.access import Permission, signed_in
from management.administrators.models import ApiToken
from management.api.operations import operation
from management.web import reading

bp = Blueprint("own_api", __name__, url_prefix="/api/v1")


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenAnswer:
    """The API token of this call."""

    name: str
    """What it is for."""
    administrator: str
    permissions: tuple[Permission, ...]
    """What it may now: what it carries, as far as its administrator may it now."""
    group_ids: tuple[UUID, ...] | None
    """Null: all devices; else those of these groups."""
    created_at: datetime
    expires_at: datetime


@operation(bp, "/token", Permission.VIEW, in_groups=True)
def get_token() -> TokenAnswer:
    """Get what the token of this call may now, and when it ends."""
    me = signed_in()
    with reading() as session:
        mine = session.get_one(ApiToken, g.token_hash)
    return TokenAnswer(
        name=mine.name,
        administrator=me.name,
        permissions=tuple(sorted(me.permissions)),
        group_ids=None if me.groups is None else tuple(sorted(me.groups)),
        created_at=mine.created_at,
        expires_at=mine.expires_at,
    )
