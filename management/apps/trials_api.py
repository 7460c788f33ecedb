"""The API's view of what a pattern set would change before it goes live."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from flask import Blueprint

from management.access import Permission
from management.api.operations import operation
from management.apps import candidates
from management.apps.models import SetTrial
from management.personal import list_of, tell_number
from management.web import reading
from runtime.errors import NotFoundError

bp = Blueprint("set_trials_api", __name__, url_prefix="/api/v1")


@dataclass(frozen=True, slots=True, kw_only=True)
class TurningApp:
    """An app that would turn malicious."""

    sha256: str
    name: str
    before: str
    rule: str
    devices: int
    approved: bool
    in_store: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SetTrialAnswer:
    """What a set would change, or would have changed, when it goes live."""

    version: str
    tried_at: datetime
    judged: int
    """Known apps."""
    unread: int
    """Apps whose file must be read first, which happens after it went live."""
    malicious: int
    milder: int
    devices: int
    """Devices that hold one of those that would turn malicious."""
    because: str
    """Why a person must say that it may go live; empty: it may by itself."""
    apps: tuple[TurningApp, ...]
    """The first 200, the most widespread first."""
    device_ids: tuple[UUID, ...]
    """The first 200."""


@operation(
    bp,
    "/pattern-sets/<version>/trial",
    Permission.VIEW,
    shows=list_of("devices of a pattern set's trial"),
)
def get_pattern_set_trial(version: str) -> SetTrialAnswer:
    """Get what a pattern set would change; not found when it was not tried before it went live."""
    with reading() as session:
        found = candidates.find_trial(session, version)
    if found is None:
        raise NotFoundError("This set was not tried before it went live.")
    tell_number(len(found.device_ids))
    return _answer(found)


def _answer(found: SetTrial) -> SetTrialAnswer:
    same = ("version", "tried_at", "judged", "unread", "malicious", "milder", "devices", "because")
    said = ("sha256", "name", "before", "rule", "devices")
    told = ("approved", "in_store")  # not in what earlier releases stored
    return SetTrialAnswer(
        **{name: getattr(found, name) for name in same},
        apps=tuple(
            TurningApp(
                **{name: one[name] for name in said} | {name: bool(one.get(name)) for name in told}
            )
            for one in found.apps
        ),
        device_ids=tuple(UUID(one) for one in found.device_ids),
    )
