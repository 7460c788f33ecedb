"""Compares the wall clock with the time that passed; a jump pauses enforcement."""

import logging
import time
from collections.abc import Callable
from datetime import datetime, timedelta

from management.audit import service as audit
from management.context import Context
from management.safety import service as safety
from management.safety.rules import clock_jump, freeze_reason
from runtime.clock import utc_now

NOTICED = timedelta(seconds=60)
"""A smaller jump is the usual work of NTP."""
STORE_SECONDS = 60.0
log = logging.getLogger(__name__)


def since_boot() -> float:
    """Return the seconds since the machine started, sleep included."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class ClockWatch:
    """Each call compares once, and once a minute with what the database remembers."""

    def __init__(
        self,
        context: Context,
        wall: Callable[[], datetime] = utc_now,
        passed: Callable[[], float] = since_boot,
    ) -> None:
        self.context, self.wall, self.passed = context, wall, passed
        self.before: tuple[datetime, float] | None = None
        self.stored_at: float | None = None

    def __call__(self) -> None:
        """Do one comparison."""
        wall, passed = self.wall(), self.passed()
        jump = clock_jump(*self.before, wall, passed, NOTICED) if self.before else None
        self.before = wall, passed
        because = freeze_reason(jump) if jump is not None else None
        if because is None and not self._minute_over(passed):
            return
        self.stored_at = passed
        with self.context.database.transaction("note clock") as session:
            because = safety.note_clock(session, wall, because)
            if because is not None:
                log.error("Enforcement is frozen.", extra={"because": because})
                audit.record(
                    session,
                    self.context.keys,
                    safety.CLOCK,
                    "enforcement.pause",
                    "enforcement",
                    because,
                    now=wall,
                )
        if because is not None and (why := safety.tell_signer(self.context.signer, because)):
            log.error("The signer was not told of the freeze.", extra={"because": why})

    def _minute_over(self, passed: float) -> bool:
        return self.stored_at is None or passed - self.stored_at >= STORE_SECONDS
