"""Publishes terms of use, asks devices, and keeps what their users said."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from contracts.agent import AskTerms, TermsAnswer
from management.context import Context
from management.devices.models import Device
from management.devices.queries import lock_device
from management.relays.service import send_order
from management.terms import rules
from management.terms.models import DeviceTerms, TermsVersion
from management.terms.queries import current_terms, not_asked
from management.work.service import enqueue
from runtime.errors import RefusedError

ASK = "terms.ask"


def publish(
    session: Session, uploaded: bytes, title: str, ask_again: bool, by: str, now: datetime
) -> TermsVersion:
    """Let a new version hold; with *ask_again* devices that are enrolled are asked too.

    RefusedError when the upload has no text, or is what holds already.
    """
    try:
        text = uploaded.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise RefusedError("Save the file as UTF-8 and upload it again.") from None
    clean = rules.sanitised(text.replace("\0", ""))
    if why := rules.problem(uploaded, clean):
        raise RefusedError(why)
    before = current_terms(session)
    if before is not None and before.sha256 == rules.hashed(clean):
        raise RefusedError(f"This is what holds already, as version {before.version}.")
    version = (session.scalar(select(func.max(TermsVersion.version))) or 0) + 1
    made = TermsVersion(
        version=version,
        title=title.strip()[:200] or rules.title_of(text) or f"Version {version}",
        html=clean,
        sha256=rules.hashed(clean),
        ask_again=ask_again,
        published_at=now,
        published_by=by,
    )
    session.add(made)
    session.flush()
    if ask_again:
        enqueue(session, ASK, f"{ASK}:{version}", {}, now=now)
    return made


def withdraw(session: Session, by: str, now: datetime) -> TermsVersion:
    """Let whoever enrols accept nothing from now on; RefusedError when nothing holds."""
    found = current_terms(session)
    if found is None:
        raise RefusedError("No terms of use hold at the moment.")
    found.withdrawn_at, found.withdrawn_by = now, by
    return found


def question(terms: TermsVersion, enrolment_id: UUID | None = None) -> AskTerms:
    """Return what a device is asked."""
    return AskTerms(
        version=terms.version, title=terms.title, html=terms.html, enrolment_id=enrolment_id
    )


def note_accepted(session: Session, device: Device, version: int, at: datetime) -> None:
    """Keep that the device's user accepted *version* while enrolling."""
    row = _row(session, device, version, at)
    row.accepted_version, row.accepted_at = version, at


def take_answer(session: Session, device: Device, said: TermsAnswer, at: datetime) -> None:
    """Keep what the user of an enrolled device answered; versions never asked count for nothing."""
    row = session.get(DeviceTerms, device.id)
    if row is None or said.version > row.asked_version:
        return
    if said.accepted:
        row.accepted_version, row.accepted_at = said.version, at
        if row.refused_version is not None and row.refused_version <= said.version:
            row.refused_version = row.refused_at = None
    else:
        row.refused_version, row.refused_at = said.version, at


def ask_some(session: Session, context: Context, after: UUID, limit: int, now: datetime) -> UUID:
    """Ask some enrolled devices behind *after*; return the last one, or *after* at the end."""
    terms = current_terms(session)
    if terms is None or not terms.ask_again:
        return after
    for found in not_asked(session, terms.version, after, limit):
        device = lock_device(session, found.id)
        send_order(session, context.keys, context.signer, device, question(terms), now)
        _row(session, device, terms.version, now)
        after = device.id
    session.flush()
    return after


def _row(session: Session, device: Device, version: int, at: datetime) -> DeviceTerms:
    row = session.get(DeviceTerms, device.id) or DeviceTerms(device_id=device.id)
    row.asked_version, row.asked_at, row.asked_epoch = version, at, device.epoch
    session.add(row)
    return row
