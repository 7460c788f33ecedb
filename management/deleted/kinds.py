"""What can be brought back, by whom, and what is looked at before."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from management.access import Permission
from management.texts import Text
from management.texts import lazy as _l

Values = Mapping[str, Any]
"""A row as it was: column -> value."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of thing."""

    label: Text
    permission: Permission
    """Whoever may delete it may bring it back."""
    check: str
    """``module:function``: takes the session, the thing's row and who asks; raises RefusedError
    with the reason why it cannot come back as it was."""
    own: bool = False
    """Only who deleted it sees it here and brings it back."""


KINDS = {
    "view": Kind(
        _l("Saved view"), Permission.VIEW, "management.listing.saved:require_room", own=True
    ),
    "group": Kind(
        _l("Group"), Permission.CHANGE_POLICIES, "management.groups.service:require_place"
    ),
    "role": Kind(
        _l("Role"),
        Permission.MANAGE_ADMINISTRATORS,
        "management.administrators.roles:require_restorable",
    ),
    "allowed_device": Kind(
        _l("Device of the allow-list"),
        Permission.INVITE,
        "management.allow_list.service:require_unlisted",
    ),
}
