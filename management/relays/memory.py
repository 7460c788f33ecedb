"""Gives a relay that lost its memory everything again, but not as often as it likes.

A relay is emptied by a new disk or set back by a backup, and says so by naming another list of
devices than it was given. One that says it at every visit would make management send a million
devices every few seconds.
"""

from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from contracts.link import RelayStatus
from management.relays.models import Relay
from management.relays.service import announce_everything, record_incident

FORGETFUL = "forgetful"
FREE = 2
"""So often in a row it is given everything at once."""
FIRST_WAIT, LONGEST_WAIT = timedelta(minutes=10), timedelta(hours=12)
CALM = timedelta(days=1)
"""After so long without a loss the count begins anew."""


def next_refill(refills: int, refilled_at: datetime | None) -> datetime | None:
    """Return when a relay may be given everything again; None: at once. Pure."""
    if refilled_at is None or refills < FREE:
        return None
    doublings = min(refills - FREE, 20)
    return refilled_at + min(LONGEST_WAIT, FIRST_WAIT * (1 << doublings))


def check_memory(session: Session, relay: Relay, status: RelayStatus, now: datetime) -> str:
    """Give everything again to a relay that lost it; return why not yet, or nothing."""
    if status.devices_as_of is not None and status.devices_as_of == relay.devices_as_of_next:
        relay.devices_as_of = status.devices_as_of
    if relay.devices_as_of != status.devices_as_of:
        relay.devices_as_of, relay.trust_issue = status.devices_as_of, 0
        relay.lost_at = now
    if relay.lost_at is None:
        return ""
    if relay.refilled_at is not None and relay.lost_at - relay.refilled_at > CALM:
        relay.refills = 0
    until = next_refill(relay.refills, relay.refilled_at)
    if until is not None and now < until:
        return _complain(session, relay, until, now)
    relay.lost_at, relay.refilled_at, relay.refills = None, now, relay.refills + 1
    announce_everything(session, relay.id, now)
    return ""


def _complain(session: Session, relay: Relay, until: datetime, now: datetime) -> str:
    words = (
        f"The communication server lost its memory {relay.refills + 1} times in a short while. It "
        f"is told all devices again at {until:%Y-%m-%d %H:%M} UTC; until then devices that it does "
        "not know are refused there. Look at its disk, and whether two of them share a data "
        "folder. Disable and enable it here to tell it at once."
    )
    record_incident(session, FORGETFUL, words, now, relay_id=relay.id)
    return words
