"""The work ``attestation.take_back``: proofs that rest on a key which is revoked by now."""

from collections.abc import Callable
from typing import Any

from management.attestation.service import fail_revoked
from management.compliance.service import rejudge
from management.context import Context
from management.progress import said as _l
from runtime.clock import utc_now

BATCH = 50
"""Devices in one transaction."""


def take_back(context: Context, payload: dict[str, Any], progress: Callable[[str], None]) -> None:
    """Let these devices fail, and judge them anew; what is done is not found again."""
    count = 0
    while True:
        with context.database.transaction("take back proofs") as session:
            now = utc_now()
            found = fail_revoked(session, context.settings, now, BATCH)
            rejudge(session, found, now)
        if not found:
            break
        count += len(found)
        progress(_l("Took back the proofs of %(count)s devices.", count=count))
