"""Reads the installed pattern sets, the update source and the attempts so far."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from management.devices.models import Device
from management.devices.rules import EnrolmentState
from management.handlers import FROM_SOURCE, resolve
from management.settings import Settings
from management.updates.models import (
    InstalledPatternSet,
    PatternActivation,
    UpdateRun,
    UpdateSource,
)
from management.updates.rules import Component, RunState, Schedule, previous_version
from runtime.errors import NotFoundError
from updater.trusted_root import TrustedRoot, read_root


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """What is installed, where updates come from and what became of them."""

    source: UpdateSource
    trusted: TrustedRoot | None
    sets: list[InstalledPatternSet]
    active: InstalledPatternSet | None
    before: str | None
    """The version that going back leads to."""
    running: UpdateRun | None
    runs: list[UpdateRun]
    last: UpdateRun | None


def patterns_folder(settings: Settings) -> Path:
    """Return the folder that holds one folder for each installed pattern set."""
    return settings.home / "patterns"


def pattern_version_at(session: Session, at: datetime) -> str:
    """Return the version of the set that was active at an instant; empty before the first."""
    newest = (PatternActivation.activated_at.desc(), PatternActivation.id.desc())
    return (
        session.scalars(
            select(PatternActivation.version)
            .where(PatternActivation.activated_at <= at)
            .order_by(*newest)
            .limit(1)
        ).first()
        or ""
    )


def find_active_set(session: Session) -> InstalledPatternSet | None:
    """Return the active pattern set, if any was activated yet."""
    return session.scalars(select(InstalledPatternSet).where(InstalledPatternSet.active)).first()


def active_set(session: Session) -> InstalledPatternSet:
    """Return the active pattern set; NotFoundError before the first one was installed."""
    found = find_active_set(session)
    if found is None:
        raise NotFoundError(
            "No pattern set is active yet. Start the server once, which installs the one it"
            " shipped with."
        )
    return found


def active_folder(session: Session, settings: Settings) -> Path:
    """Return the unpacked folder of the active pattern set."""
    return patterns_folder(settings) / active_set(session).version


def find_set(session: Session, version: str) -> InstalledPatternSet | None:
    """Return the installed pattern set *version*, if it is still on disk."""
    return session.get(InstalledPatternSet, version)


def get_set(session: Session, version: str) -> InstalledPatternSet:
    """Return the installed pattern set *version*; NotFoundError when it is not here."""
    found = find_set(session, version)
    if found is None:
        raise NotFoundError(f"Pattern set {version} is not installed on this server.")
    return found


def list_sets(session: Session) -> list[InstalledPatternSet]:
    """Return every installed pattern set, the one installed last first."""
    order = (InstalledPatternSet.installed_at.desc(), InstalledPatternSet.version.desc())
    return list(session.scalars(select(InstalledPatternSet).order_by(*order)))


def ever_active(sets: list[InstalledPatternSet]) -> list[str]:
    """Return the versions that were active once: one that waits for a person is none to go to."""
    return [row.version for row in sets if row.activated_at is not None]


def find_source(session: Session) -> UpdateSource | None:
    """Return what an administrator entered about the source, if anything."""
    return session.get(UpdateSource, 1)


def source_or_blank(session: Session) -> UpdateSource:
    """Return what was entered about the source, or a row of defaults that is not stored."""
    return find_source(session) or UpdateSource(
        id=1,
        address="",
        root="",
        schedule=Schedule.OFF,
        day=1,
        hour=3,
        window_minutes=60,
        held_version="",
        held_because="",
    )


def get_overview(session: Session) -> Overview:
    """Return what the page of updates shows."""
    source, sets = source_or_blank(session), list_sets(session)
    active = find_active_set(session)
    return Overview(
        source=source,
        trusted=read_root(source.root.encode()) if source.root else None,
        sets=sets,
        active=active,
        before=previous_version(active.version, ever_active(sets)) if active else None,
        running=find_running(session),
        runs=list_runs(session, 30),
        last=find_last_update(session),
    )


def list_components(session: Session) -> list[Component]:
    """Return how all stands that the source brings beside pattern sets."""
    return [resolve(part.component)(session) for part in FROM_SOURCE]


def get_run(session: Session, run_id: UUID) -> UpdateRun:
    """Return one attempt; NotFoundError when there is none of that id."""
    found = session.get(UpdateRun, run_id)
    if found is None:
        raise NotFoundError("This update run does not exist.")
    return found


def find_running(session: Session) -> UpdateRun | None:
    """Return the attempt that is going on, if any."""
    wanted = select(UpdateRun).where(UpdateRun.state == RunState.RUNNING)
    return session.scalars(wanted.order_by(UpdateRun.started_at).limit(1)).first()


def list_runs(session: Session, limit: int = 50) -> list[UpdateRun]:
    """Return the last attempts, the latest first."""
    return list(
        session.scalars(select(UpdateRun).order_by(UpdateRun.started_at.desc()).limit(limit))
    )


def find_last_update(session: Session) -> UpdateRun | None:
    """Return the last attempt that found the source in order, whether or not it brought news."""
    fine = UpdateRun.state.in_((RunState.UPDATED, RunState.NOTHING_NEW, RunState.WAITING))
    wanted = select(UpdateRun).where(fine).order_by(UpdateRun.finished_at.desc()).limit(1)
    return session.scalars(wanted).first()


def list_enrolled_after(session: Session, after: UUID | None, limit: int) -> list[Device]:
    """Return the next *limit* enrolled devices in the order of their ids."""
    wanted = select(Device).where(Device.enrolment_state == EnrolmentState.ENROLLED)
    if after is not None:
        wanted = wanted.where(Device.id > after)
    return list(session.scalars(wanted.order_by(Device.id).limit(limit)))
