"""Reads what devices were asked to send."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from management.apps.models import DeviceApp
from management.collecting.models import AppRequest, CollectingSettings
from management.collecting.rules import OPEN, RequestState
from management.devices.models import Device
from management.devices.rules import EnrolmentState


def read_settings(session: Session) -> CollectingSettings:
    """Return whose apps may be asked for; the defaults when nobody changed them."""
    found = session.get(CollectingSettings, 1)
    return found or CollectingSettings(id=1, company=True, personal=False, changed_by="")


def find_open(session: Session, sha256: str) -> AppRequest | None:
    """Return the request for this file that is going on, if one is."""
    wanted = select(AppRequest).where(AppRequest.sha256 == sha256, AppRequest.state.in_(OPEN))
    return session.scalars(wanted.limit(1)).first()


def list_requests(session: Session, sha256: str) -> Sequence[tuple[AppRequest, Device]]:
    """Return the last requests for a file with their devices, the newest first."""
    wanted = (
        select(AppRequest, Device)
        .join(Device, Device.id == AppRequest.device_id)
        .where(AppRequest.sha256 == sha256)
        .order_by(AppRequest.requested_at.desc())
        .limit(20)
    )
    return [(row[0], row[1]) for row in session.execute(wanted)]


def is_any_open(session: Session) -> bool:
    """Tell whether a device was asked for a file and has not sent it whole."""
    wanted = select(AppRequest.id).where(AppRequest.state.in_(OPEN)).limit(1)
    return session.scalars(wanted).first() is not None


def list_on_their_way(session: Session, relay_id: UUID) -> Sequence[AppRequest]:
    """Return the open requests to devices that speak through this relay."""
    wanted = (
        select(AppRequest)
        .join(Device, Device.id == AppRequest.device_id)
        .where(AppRequest.state.in_(OPEN), Device.relay_id == relay_id)
        .order_by(AppRequest.requested_at)
        .limit(200)
    )
    return session.scalars(wanted).all()


def announced_bytes(session: Session, besides: UUID) -> int:
    """Return how much room the files on their way here take, but for one request."""
    wanted = select(func.coalesce(func.sum(AppRequest.size_bytes), 0)).where(
        AppRequest.state == RequestState.SENT, AppRequest.id != besides
    )
    return session.scalar(wanted) or 0


def list_expired(session: Session, now: datetime) -> Sequence[AppRequest]:
    """Return open requests whose time is over."""
    wanted = select(AppRequest).where(AppRequest.state.in_(OPEN), AppRequest.expires_at <= now)
    return session.scalars(wanted.limit(200)).all()


def find_holder(session: Session, sha256: str, ownerships: Sequence[str]) -> Device | None:
    """Return an enrolled device that holds the app and may be asked: the one heard of last."""
    wanted = (
        select(Device)
        .join(DeviceApp, DeviceApp.device_id == Device.id)
        .where(
            DeviceApp.sha256 == sha256,
            Device.platform == "android",
            Device.enrolment_state == EnrolmentState.ENROLLED,
            Device.ownership.in_(ownerships),
            Device.contact_at.is_not(None),
        )
        .order_by(Device.contact_at.desc())
        .limit(1)
    )
    return session.scalars(wanted).first()
