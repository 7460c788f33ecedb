"""Takes what relays delivered: requests to enrol, and reports, each exactly once and in order.

Nothing that a device or a relay sends may stop the others: what cannot be taken is noted as an
incident and removed. A device keeps every report until management's signed receipt comes, so what
is removed here wrongly comes again.
"""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.orm import Session

from contracts.agent import Receipt
from contracts.link import Inbound
from management.attestation.service import follow_report
from management.check_in.items import acknowledge_orders, take_items
from management.check_in.opening import (
    Opened,
    SuspiciousError,
    open_ahead,
    open_report,
    open_request,
)
from management.check_in.rules import Place, place, remember, said_when
from management.commands.queries import having_sent
from management.commands.service import order_acknowledged
from management.compliance.queries import wish_of, wishes_of
from management.compliance.service import Wishes, rejudge
from management.context import Context
from management.devices.fact_log import log_together
from management.devices.models import Device
from management.devices.queries import find_held, hold, lock_device
from management.devices.rules import EnrolmentState
from management.devices.service import record_contact
from management.enrolment.epochs import STEP
from management.enrolment.granting import answer_request
from management.enrolment.renewing import SignedBy, answer_renewals, settle
from management.policies.rules import Requirements
from management.relays.models import OutboundMessage
from management.relays.service import (
    ORDER,
    acknowledge_all,
    move_mailbox,
    record_incident,
    send_to_all,
)
from runtime.errors import SekishoError, UnavailableError

log = logging.getLogger(__name__)
_WRONG = {
    Place.ALTERED: ("altered", "Report {seq} came again with another content."),
    Place.GAP: ("gap", "Report {seq} came, {wanted} was next."),
    Place.OLD_EPOCH: ("replayed", "Report {seq} belongs to an earlier enrolment ({epoch})."),
    Place.UNKNOWN_EPOCH: ("foreign", "Report {seq} names an enrolment ({epoch}) never made."),
}


@dataclass(slots=True)
class _Pass:
    """What one call of `take` has to finish at its end."""

    context: Context
    relay_id: UUID
    now: datetime
    heard: dict[UUID, None] = field(default_factory=dict)
    """Devices that said something new, in order."""
    repeated: dict[UUID, None] = field(default_factory=dict)
    sent: frozenset[UUID] = frozenset()
    """Devices with commands on their way to them; none is sent while we hold the device."""
    acks: dict[UUID, tuple[int, int]] = field(default_factory=dict)
    """Device -> epoch and number of the order up to which it holds all: news not stored yet."""
    asked: Wishes = field(default_factory=dict)


def take(
    session: Session, context: Context, relay_id: UUID, items: Iterable[Inbound], now: datetime
) -> None:
    """Take delivered messages in order; then judge the devices anew and receipt their reports.

    After the commit the relay may forget all *items*. UnavailableError (the signer is away): roll
    back, and take the same items later.
    """
    delivered = list(items)
    senders = {item.sender for item in delivered if item.kind == "report"}
    hold(session, senders)
    sent = frozenset(having_sent(session, list(senders)))
    asked = _asked_of(session, senders)
    if _take_together(session, _Pass(context, relay_id, now, sent=sent, asked=asked), delivered):
        return
    this = _Pass(context, relay_id, now, sent=sent, asked=asked)
    for item in delivered:
        _take_one(session, this, item)
    _finish(session, this)


def _take_together(session: Session, this: _Pass, items: Sequence[Inbound]) -> bool:
    """Take all of it, which costs a third of one by one; False, and nothing, when one cannot be.

    Everything is worked out on the held devices first and written at the end, each row once. What
    is suspicious is noted and spoils nothing for the others.
    """
    if len(items) < 2:
        return False
    try:
        with session.begin_nested(), log_together(session):
            _take_each(session, this, items)
            _store_acks(session, this)
            _finish(session, this)
    except (UnavailableError, OperationalError, InterfaceError):
        raise
    except Exception:  # noqa: BLE001  (one by one, whoever is to blame is found and noted)
        return False
    return True


def _take_each(session: Session, this: _Pass, items: Sequence[Inbound]) -> None:
    ahead = open_ahead(session, items, this.context.keys.opening_key)
    for number, item in enumerate(items):
        try:
            _take_item(session, this, item, ahead.get(number))
        except SuspiciousError as error:
            _note(session, this, item, error.problem, error.detail)


def _finish(session: Session, this: _Pass) -> None:
    rejudge(session, this.heard, this.now, this.asked)
    _receipt(session, this)


def _take_one(session: Session, this: _Pass, item: Inbound) -> None:
    """Take one message, or nothing of it and an incident instead."""
    try:
        with session.begin_nested():
            this.acks.clear()
            _take_item(session, this, item)
            _store_acks(session, this)
    except SuspiciousError as error:
        _note(session, this, item, error.problem, error.detail)
    except (UnavailableError, OperationalError, InterfaceError):
        raise  # the signer or the database is away: all of it comes again
    except SekishoError as error:
        _note(session, this, item, "unreadable", str(error))
    except Exception as error:  # the loop's edge: no message stops the others
        log.exception("A delivered message could not be taken", extra={"sender": str(item.sender)})
        _note(session, this, item, "unreadable", f"Taking it failed ({type(error).__name__}).")


def _take_item(session: Session, this: _Pass, item: Inbound, opened: Opened | None = None) -> None:
    key_of = this.context.keys.opening_key
    if item.kind == "enrolment":
        request = open_request(item, key_of)
        answer_request(session, this.context, request, this.relay_id, this.now)
    else:
        _take_report(session, this, opened or open_report(session, item, key_of))


def _take_report(session: Session, this: _Pass, opened: Opened) -> None:
    device, report = opened.device, opened.report
    where = place(
        report.epoch,
        report.seq,
        device.epoch,
        device.inbound_seq,
        device.recent_reports,
        opened.hashed,
    )
    if where is Place.REPEATED:
        this.repeated[device.id] = None
    elif where is Place.OLD_EPOCH and _begins_anew(device, report.epoch):
        log.info("A report from before the epoch that the device has yet to begin")
    elif where is not Place.NEXT:
        problem, words = _WRONG[where]
        raise SuspiciousError(
            problem,
            words.format(seq=report.seq, epoch=report.epoch, wanted=device.inbound_seq + 1),
        )
    elif opened.signed_by is SignedBy.FORMER:
        raise SuspiciousError(
            "forged",
            f"Report {report.seq} is signed with the key that the device had before it renewed its "
            "keys: a copy of it is in use, or the device was set back.",
        )
    elif device.enrolment_state != EnrolmentState.ENROLLED:
        raise SuspiciousError("foreign", f"It reports although it is {device.enrolment_state}.")
    else:
        _accept(session, this, opened)


def _store_acks(session: Session, this: _Pass) -> None:
    acknowledge_all(session, this.acks, this.now)
    this.acks.clear()


def _begins_anew(device: Device, epoch: int) -> bool:
    """Tell whether we raised the device's epoch and it cannot know that yet."""
    return device.outbound_ack == 0 and device.epoch - epoch >= STEP


def _accept(session: Session, this: _Pass, opened: Opened) -> None:
    device, report = opened.device, opened.report
    said_at = said_when(report.sent_at, device.contact_at or device.enrolled_at, this.now)
    device.inbound_seq = report.seq
    device.recent_reports = remember(device.recent_reports, report.seq, opened.hashed)
    move_mailbox(session, device, this.relay_id)
    silence = _asked(session, this, device).maximum_silence
    record_contact(session, device, said_at, silence, this.now)
    if acknowledge_orders(session, device, report.ack, this.now):
        this.acks[device.id] = (device.epoch, device.outbound_ack)
        if device.id in this.sent:
            order_acknowledged(session, device, device.outbound_ack, this.now)
    settle(session, device, opened.signed_by, report.ack, this.now)
    take_items(session, device, report.items, said_at, this.now)
    answer_renewals(session, this.context, device, report.items, this.now)
    attested = _asked(session, this, device).attested
    follow_report(session, this.context, device, report.items, attested, this.now)
    this.heard[device.id] = None


def _asked_of(session: Session, device_ids: Iterable[UUID]) -> Wishes:
    """Return what the policies of held devices ask: read before anything waits to be written."""
    devices = (find_held(session, Device, device_id) for device_id in device_ids)
    return wishes_of(session, (device.policy_id for device in devices if device is not None))


def _asked(session: Session, this: _Pass, device: Device) -> Requirements:
    if device.policy_id not in this.asked:
        this.asked[device.policy_id] = wish_of(session, device.policy_id)
    return this.asked[device.policy_id].requirements


def _receipt(session: Session, this: _Pass) -> None:
    """See that devices learn which reports management holds, with one order each at most.

    Any order carries it. A repeated report means that the device does not know yet: what lies in
    its mailbox is handed out once more, and only when nothing lies there a new receipt is written.
    So neither a chatty device nor a replaying relay makes orders pile up.
    """
    devices = [lock_device(session, device_id) for device_id in this.heard | this.repeated]
    wanting = [device for device in devices if _wants_receipt(session, this, device)]
    send_to_all(session, this.context.signer, wanting, Receipt(), this.now)


def _wants_receipt(session: Session, this: _Pass, device: Device) -> bool:
    if device.enrolment_state != EnrolmentState.ENROLLED:
        return False
    if device.receipted_seq != device.inbound_seq:
        return True
    return device.id not in this.heard and not _hand_again(session, device)


def _hand_again(session: Session, device: Device) -> bool:
    newest = session.scalars(
        select(OutboundMessage)
        .where(
            OutboundMessage.recipient == device.id,
            OutboundMessage.kind == ORDER,
            OutboundMessage.acknowledged_at.is_(None),
        )
        .order_by(OutboundMessage.epoch.desc(), OutboundMessage.seq.desc())
        .limit(1)
    ).first()
    if newest is None:
        return False
    newest.handed_at = None
    return True


def _note(session: Session, this: _Pass, item: Inbound, problem: str, detail: str) -> None:
    """Keep the incident, under the sender only if that is a device of ours.

    Other ids are whatever a stranger or relay made up; a row for each would fill the table.
    """
    ours = item.kind == "report" and session.get(Device, item.sender) is not None
    sender = item.sender if ours else None
    record_incident(session, problem, detail, this.now, relay_id=this.relay_id, sender=sender)
