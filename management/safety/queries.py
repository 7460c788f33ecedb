"""Reads the pause switch and the console's settings."""

from sqlalchemy.orm import Session

from management.safety.models import Enforcement, Setting


def get_enforcement(session: Session) -> Enforcement:
    """Return the one row; a fresh database, where nobody paused anything, has none yet."""
    found = session.get(Enforcement, 1)
    return found or Enforcement(id=1, paused_by="", paused_because="")


def is_paused(session: Session) -> bool:
    """Tell whether mail blocks and wipes are paused."""
    return get_enforcement(session).paused_at is not None


def read_setting(session: Session, name: str, default: str) -> str:
    """Return the text stored under *name*, or *default*."""
    found = session.get(Setting, name)
    return default if found is None else found.value
