"""Makes one installed pattern set the active one, and tells everybody whom it concerns."""

import logging
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from management.database import locked
from management.updates.models import InstalledPatternSet, PatternActivation, UpdateSource
from management.updates.queries import find_active_set, find_set, list_sets
from management.updates.rules import KEPT
from management.work.service import enqueue
from updater.install import Installed, is_whole

log = logging.getLogger(__name__)


def locked_source(session: Session) -> UpdateSource:
    """Return the one row of settings; whoever holds it is the only one who changes updates."""
    session.flush()
    wanted = locked(select(UpdateSource).where(UpdateSource.id == 1), UpdateSource)
    row = session.scalars(wanted).first()
    if row is None:
        with suppress(IntegrityError), session.begin_nested():  # another process may be faster
            session.add(UpdateSource(id=1))
        row = session.scalars(wanted).one()
    return row


def store_installed(
    session: Session, installed: Installed, source: str, now: datetime
) -> InstalledPatternSet:
    """Return the row of what lies on disk, made or brought up to date."""
    row = find_set(session, installed.version)
    if row is None:
        row = InstalledPatternSet(version=installed.version, active=False)
        session.add(row)
    row.sha256, row.rules = installed.sha256, installed.rules
    row.source, row.installed_at = source[:255], now
    session.flush()
    return row


def activate(session: Session, row: InstalledPatternSet, now: datetime) -> None:
    """Make *row* the one active set; queue the second look at all apps and the word to devices."""
    locked_source(session)
    everything = update(InstalledPatternSet).values(active=False)
    session.execute(everything, execution_options={"synchronize_session": "fetch"})
    row.active, row.activated_at = True, now
    session.add(PatternActivation(version=row.version, activated_at=now))
    session.flush()
    forget_old_sets(session)
    turn = f"{row.version}:{now.isoformat()}"
    payload = {"pattern_version": row.version}
    enqueue(session, "apps.retro_hunt", f"apps.retro_hunt:{turn}", payload, now=now)
    announce = {**payload, "turn": turn, "after": ""}
    enqueue(session, "updates.announce", f"updates.announce:{turn}:", announce, now=now)


def forget_old_sets(session: Session) -> None:
    """Forget all but the active set and the `KEPT` ones used last; `updater.install.sweep` frees
    the space."""
    inactive = [row for row in list_sets(session) if not row.active]
    inactive.sort(key=lambda row: row.activated_at or row.installed_at, reverse=True)
    for row in inactive[KEPT:]:
        session.delete(row)
    session.flush()


def forget_damaged(session: Session, patterns: Path) -> None:
    """Forget the active set when its files below *patterns* are gone or damaged."""
    active = find_active_set(session)
    if active is not None and not is_whole(patterns / active.version):
        log.error("The active pattern set is damaged", extra={"version": active.version})
        session.delete(active)
        session.flush()
