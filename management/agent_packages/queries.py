"""Reads agent packages."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from management.agent_packages.models import AgentDownload, AgentPackage, DeviceAgent
from management.agent_packages.rules import SOURCE, Identity, follows_source, why_not_released
from management.apps.models import App
from management.apps.queries import find_app, find_verdict, get_known
from management.devices.models import Device
from management.devices.rules import EnrolmentState
from management.enrolment.models import Invitation
from management.store.queries import publishable
from management.updates.rules import Component
from runtime.errors import NotFoundError


@dataclass(frozen=True, slots=True)
class Listed:
    """A package, what its scan found, and why it may not be handed out (empty: it may)."""

    row: AgentPackage
    app: App
    why_not: str
    other_signer: bool
    """Another key signed it than the package that was handed out last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What is handed out, and by which rule."""

    current: AgentPackage | None
    app: App | None
    """What its scan found."""
    follows: bool
    """The newest package of the update source is handed out by itself."""
    newest: AgentPackage | None
    """That the source offers, if it is here."""
    chosen_at: datetime | None
    chosen_by: str
    offered: str
    """The version that the source offered last."""
    problem: str
    """Why that one was not taken or not handed out."""
    looked_at: datetime | None


def get_package(session: Session, sha256: str) -> AgentPackage:
    """Return a package; NotFoundError when there is none with this hash."""
    found = session.get(AgentPackage, sha256)
    if found is None:
        raise NotFoundError("There is no such agent package.")
    return found


def current_package(session: Session) -> AgentPackage | None:
    """Return the package that is handed out."""
    return session.scalars(select(AgentPackage).where(AgentPackage.current)).first()


def last_released(session: Session) -> AgentPackage | None:
    """Return the package that was handed out last, withdrawn or not."""
    wanted = select(AgentPackage).where(AgentPackage.released_at.is_not(None))
    return session.scalars(wanted.order_by(AgentPackage.released_at.desc()).limit(1)).first()


def newest_of_source(session: Session) -> AgentPackage | None:
    """Return the package that the update source offers, if it is here."""
    row = session.get(AgentDownload, 1)
    return session.get(AgentPackage, row.offered_sha256) if row and row.offered_sha256 else None


def old_of_source(session: Session, kept: int, offered: str) -> list[AgentPackage]:
    """Return what only the source brought, nobody uses, and is neither among its *kept* newest nor
    what it has *offered* now (by hash).
    """
    wanted = select(AgentPackage).where(AgentPackage.source != "")
    rows = session.scalars(wanted.order_by(AgentPackage.version_code.desc())).all()
    used = (last_released(session), session.get(AgentPackage, offered))
    return [row for row in rows[kept:] if row not in used and not _is_others(session, row)]


def _is_others(session: Session, row: AgentPackage) -> bool:
    stored = find_app(session, row.sha256)
    if stored is None:
        return False
    return stored.uploaded_by != SOURCE or get_known(session, row.sha256).published


def standing(session: Session) -> Standing:
    """Return what is handed out, and by which rule."""
    row, current = session.get(AgentDownload, 1), current_package(session)
    said = row.follows if row else None
    return Standing(
        current=current,
        app=get_known(session, current.sha256) if current else None,
        follows=follows_source(said, last_released(session) is not None),
        newest=newest_of_source(session),
        chosen_at=row.chosen_at if row else None,
        chosen_by=row.chosen_by if row else "",
        offered=row.offered if row else "",
        problem=row.problem if row else "",
        looked_at=row.looked_at if row else None,
    )


def component(session: Session) -> Component:
    """Return how the package stands, for the page of updates."""
    found = standing(session)
    current = found.current
    return Component(
        kind="agent_package",
        version=found.app.version if found.app else "",
        since=current.released_at if current else None,
        source=current.source if current else "",
        by=current.uploaded_by if current and not current.source else "",
        looked_at=found.looked_at,
        offered=found.offered,
        problem=found.problem,
    )


def offered_package(session: Session) -> AgentPackage | None:
    """Return the package that is handed out, unless its verdict turned bad meanwhile."""
    current = current_package(session)
    if current is None or _checked(session, current)[1]:
        return None
    return current


def identity(session: Session, row: AgentPackage) -> Identity:
    """Return what the scan read of a package; of one not scanned, nothing."""
    app, said = get_known(session, row.sha256), find_verdict(session, row.sha256)
    code = str(said.result.get("version_code", "")) if said else ""
    return Identity(app.package, app.signer_sha256, int(code) if code.isdecimal() else 0)


def why_not(session: Session, row: AgentPackage) -> str:
    """Return why a package may not be handed out."""
    why = _checked(session, row)[1]
    current = current_package(session)
    before = identity(session, current) if current is not None else None
    return why_not_released(why, identity(session, row), before)


def _checked(session: Session, row: AgentPackage) -> tuple[App, str]:
    if find_app(session, row.sha256) is None:
        return get_known(session, row.sha256), "Its file was deleted. Upload it again."
    app, why = publishable(session, row.sha256)
    return app, why if app.verdict else "It is not scanned yet. Wait for the verdict."


def is_step_back(session: Session, row: AgentPackage) -> bool:
    """Tell whether the package is older than the one handed out last."""
    last = last_released(session)
    if last is None:
        return False
    return identity(session, row).version_code < identity(session, last).version_code


def has_other_signer(session: Session, row: AgentPackage) -> bool:
    """Tell whether another key signed it than the package handed out last, withdrawn or not."""
    last = last_released(session)
    if last is None:
        return False
    return get_known(session, last.sha256).signer_sha256 != (
        get_known(session, row.sha256).signer_sha256
    )


def list_packages(session: Session) -> list[Listed]:
    """Return the newest fifty packages."""
    rows = session.scalars(
        select(AgentPackage).order_by(AgentPackage.uploaded_at.desc()).limit(50)
    ).all()
    return [
        Listed(
            row,
            get_known(session, row.sha256),
            why_not(session, row),
            has_other_signer(session, row),
        )
        for row in rows
    ]


def agent_files(session: Session) -> dict[str, int]:
    """Return hash -> size of what relays must hold for the download page."""
    current = current_package(session)
    if current is None or find_app(session, current.sha256) is None:
        return {}
    return {current.sha256: current.size_bytes}


def offered_key(session: Session) -> Invitation | None:
    """Return the enrolment key that the download page puts into the package."""
    row = session.get(AgentDownload, 1)
    return session.get(Invitation, row.invitation_id) if row and row.invitation_id else None


def keys_for_many(session: Session, limit: int = 200) -> Sequence[Invitation]:
    """Return keys that are nobody's own and neither cancelled nor used up, the newest first."""
    wanted = select(Invitation).where(
        Invitation.address == "", Invitation.cancelled_at.is_(None), Invitation.used_at.is_(None)
    )
    return session.scalars(wanted.order_by(Invitation.created_at.desc()).limit(limit)).all()


def behind(session: Session, sha256: str, after: UUID, limit: int) -> Sequence[Device]:
    """Return enrolled Android devices that were not told of the package in their epoch, by id."""
    told = DeviceAgent
    return session.scalars(
        select(Device)
        .outerjoin(told, told.device_id == Device.id)
        .where(
            Device.enrolment_state == EnrolmentState.ENROLLED,
            Device.platform == "android",
            Device.id > after,
            or_(told.device_id.is_(None), told.sha256 != sha256, told.epoch != Device.epoch),
        )
        .order_by(Device.id)
        .limit(limit)
    ).all()
