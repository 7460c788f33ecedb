"""Ends a device's enrolment everywhere at once."""

from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Session

from management.compliance.service import rejudge
from management.devices.queries import lock_device
from management.devices.rules import EnrolmentState
from management.devices.service import end_enrolment
from management.relays.service import announce_device
from runtime.errors import RefusedError


def retire_device(session: Session, device_id: UUID, by: str, now: datetime) -> None:
    """End the enrolment: relays close its mailbox, mail is decided anew, its history stays."""
    device = lock_device(session, device_id)
    if device.enrolment_state != EnrolmentState.ENROLLED:
        raise RefusedError(f"The device is {device.enrolment_state} already.")
    end_enrolment(session, device, EnrolmentState.RETIRED, by, now)
    announce_device(session, device.id, now)
    rejudge(session, [device.id], now)
