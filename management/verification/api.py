"""The API's view of the checks."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from flask import Blueprint

from management.access import Permission
from management.api.operations import operation
from management.verification import checks
from management.verification.rules import worst
from management.web import context
from runtime.clock import utc_now

bp = Blueprint("verification_api", __name__, url_prefix="/api/v1")

Stands = Literal["idle", "ok", "warn", "bad"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckAnswer:
    """What one check found."""

    name: str
    title: str
    stands: Stands
    """``idle``: not used here. The worst is ``bad``."""
    said: str
    mend: str
    """What would mend it; empty when nothing is to be done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """All checks, done at *at*."""

    at: datetime
    stands: Stands
    """The worst of all."""
    checks: tuple[CheckAnswer, ...]


@operation(bp, "/verification", Permission.CHANGE_SETTINGS)
def verify_configuration() -> Verification:
    """Check every part and setting live: it takes seconds."""
    now = utc_now()
    found = list(checks.run_all(context(), now))
    return Verification(
        at=now,
        stands=worst(finding for _, finding in found).value,
        checks=tuple(
            CheckAnswer(
                name=check.name,
                title=str(check.title),
                stands=finding.tone.value,
                said=str(finding.said),
                mend=str(finding.mend or ""),
            )
            for check, finding in found
        ),
    )
