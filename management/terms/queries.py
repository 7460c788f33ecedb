"""Reads terms of use and what devices said to them."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from management.devices.models import Device
from management.devices.rules import EnrolmentState
from management.terms.models import DeviceTerms, TermsVersion
from runtime.errors import NotFoundError


def current_terms(session: Session) -> TermsVersion | None:
    """Return the version that holds; None: whoever enrols accepts nothing."""
    newest = select(TermsVersion).order_by(TermsVersion.version.desc()).limit(1)
    found = session.scalars(newest).first()
    return None if found is None or found.withdrawn_at is not None else found


def get_terms(session: Session, version: int) -> TermsVersion:
    """Return one version; NotFoundError when there is none of that number."""
    found = session.get(TermsVersion, version)
    if found is None:
        raise NotFoundError("There is no such version of the terms of use.")
    return found


def list_terms(session: Session) -> Sequence[TermsVersion]:
    """Return all versions, the newest first."""
    return session.scalars(select(TermsVersion).order_by(TermsVersion.version.desc())).all()


def terms_of(session: Session, device_id: UUID) -> DeviceTerms | None:
    """Return what a device was asked and said."""
    return session.get(DeviceTerms, device_id)


def count_answers(session: Session) -> dict[int, tuple[int, int]]:
    """Return for each version how many enrolled devices accepted it last and refused it last."""
    accepted = _count(session, DeviceTerms.accepted_version)
    refused = _count(session, DeviceTerms.refused_version)
    return {
        version: (accepted.get(version, 0), refused.get(version, 0))
        for version in accepted.keys() | refused.keys()
    }


def not_asked(session: Session, version: int, after: UUID, limit: int) -> Sequence[Device]:
    """Return enrolled devices that were not asked about *version* in their epoch, by id."""
    asked = (
        select(DeviceTerms.device_id)
        .where(
            DeviceTerms.device_id == Device.id,
            (DeviceTerms.accepted_version == version)
            | ((DeviceTerms.asked_version == version) & (DeviceTerms.asked_epoch == Device.epoch)),
        )
        .exists()
    )
    return session.scalars(
        select(Device)
        .where(Device.enrolment_state == EnrolmentState.ENROLLED, Device.id > after, ~asked)
        .order_by(Device.id)
        .limit(limit)
    ).all()


def _count(session: Session, column: object) -> dict[int, int]:
    rows = session.execute(
        select(column, func.count())  # type: ignore[call-overload]
        .join(Device, Device.id == DeviceTerms.device_id)
        .where(Device.enrolment_state == EnrolmentState.ENROLLED, column.is_not(None))  # type: ignore[attr-defined]
        .group_by(column)
    )
    return {int(version): int(count) for version, count in rows}
