"""Asks devices for files of apps, and takes what they say and send."""

from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy.orm import Session

from contracts.agent import AppUpload, UploadApp
from contracts.files import LARGEST_FILE_BYTES
from management.apps.queries import get_known
from management.audit import service as audit
from management.audit.rules import differences
from management.collecting.models import AppRequest, CollectingSettings
from management.collecting.queries import find_holder, find_open, list_expired, read_settings
from management.collecting.rules import OPEN, VALID_FOR, RequestState, may_ask
from management.context import Context
from management.devices.models import Device
from management.keys import Keys
from management.relays.service import send_order
from runtime.errors import RefusedError


def ask_for(
    session: Session, context: Context, sha256: str, by: str, address: str, now: datetime
) -> AppRequest:
    """Order one device that holds the app to send its file; RefusedError says why none is asked."""
    app = get_known(session, sha256)
    if app.stored:
        raise RefusedError("The file is here already.")
    if find_open(session, sha256) is not None:
        raise RefusedError("A device was asked for this file already. Wait for it.")
    settings = read_settings(session)
    allowed = [
        kind
        for kind in ("company", "personal")
        if may_ask(kind, settings.company, settings.personal)
    ]
    device = find_holder(session, sha256, allowed)
    if device is None:
        raise RefusedError(
            "No device that may be asked holds this app. Devices that belong to their users are "
            "not asked unless the settings of apps say so."
        )
    row = _order(session, context, device, sha256, by, now, now + VALID_FOR)
    details = {"device_id": str(device.id), "name": app.name or app.package}
    audit.record(
        session, context.keys, by, "app.ask_for", sha256, address=address, details=details, now=now
    )
    return row


def ask_again(session: Session, context: Context, upload_id: UUID, now: datetime) -> None:
    """Ask the same device once more until the same time: a relay lost what it had sent."""
    row = session.get(AppRequest, upload_id)
    device = session.get(Device, row.device_id) if row else None
    if row is None or device is None or row.state != RequestState.SENT:
        return
    end(row, RequestState.FAILED, "The communication server lost it; the device sends anew.", now)
    session.flush()
    _order(session, context, device, row.sha256, row.requested_by, now, row.expires_at)


def _order(
    session: Session,
    context: Context,
    device: Device,
    sha256: str,
    by: str,
    now: datetime,
    expires_at: datetime,
) -> AppRequest:
    row = AppRequest(
        id=uuid4(),
        sha256=sha256,
        device_id=device.id,
        state=RequestState.ORDERED.value,
        requested_by=by,
        requested_at=now,
        expires_at=expires_at,
    )
    session.add(row)
    session.flush()
    body = UploadApp(
        upload_id=row.id, sha256=sha256, largest_bytes=LARGEST_FILE_BYTES, expires_at=expires_at
    )
    send_order(session, context.keys, context.signer, device, body, now)
    return row


def take_word(session: Session, device: Device, said: AppUpload, now: datetime) -> None:
    """Note what a device says of a file it was asked for; others' and ended ones are left alone."""
    row = session.get(AppRequest, said.upload_id)
    if row is None or row.device_id != device.id or row.state != RequestState.ORDERED:
        return
    if said.state == "refused" or not said.key or not said.size_bytes:
        end(row, RequestState.REFUSED, said.detail or "It gave no reason.", now)
        return
    row.state, row.key, row.size_bytes = RequestState.SENT.value, said.key, said.size_bytes


def end(row: AppRequest, state: RequestState, detail: str, now: datetime) -> None:
    """Close a request; the key is forgotten."""
    if row.state in OPEN:
        row.state, row.detail, row.finished_at = state.value, detail[:1000], now
        row.key = ""


def expire(session: Session, now: datetime) -> int:
    """Close the requests whose time is over; return how many."""
    expired = list_expired(session, now)
    for row in expired:
        end(row, RequestState.EXPIRED, "The device did not send it in time.", now)
    session.flush()
    return len(expired)


def save_settings(
    session: Session,
    keys: Keys,
    company: bool,
    personal: bool,
    by: str,
    address: str,
    now: datetime,
) -> None:
    """Say from whose devices files of apps may be asked for."""
    row = session.get(CollectingSettings, 1) or CollectingSettings(id=1)
    before = {"company": bool(row.company), "personal": bool(row.personal)}
    row.company, row.personal, row.changed_at, row.changed_by = company, personal, now, by
    session.add(row)
    details = differences(before, {"company": company, "personal": personal})
    audit.record(
        session, keys, by, "app.collecting", "settings", address=address, details=details, now=now
    )


def request_of(session: Session, upload_id: UUID) -> AppRequest | None:
    """Return a request, if there is one of that id."""
    return session.get(AppRequest, upload_id)
