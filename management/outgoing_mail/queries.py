"""Reads the settings of outgoing mail."""

from sqlalchemy.orm import Session

from management.outgoing_mail.models import OutgoingMail


def find_outgoing_mail(session: Session) -> OutgoingMail | None:
    """Return what was entered."""
    return session.get(OutgoingMail, 1)
