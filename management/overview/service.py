"""Ends a device's enrolment everywhere at once."""

from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Session

from management.enrolment.service import retire


def retire_device(
    session: Session, device_id: UUID, by: str, now: datetime, because: str = ""
) -> None:
    """End the enrolment: relays close its mailbox, its commands end, its history stays."""
    retire(session, device_id, by, because, now)
