"""Writes orders for relays to carry, tells relays whom they serve, and keeps their incidents."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, cast
from uuid import UUID, uuid4

from sqlalchemy import Table, bindparam, delete, insert, literal, select, update
from sqlalchemy.orm import Session

from contracts import envelope
from contracts.agent import MANAGEMENT, Order, OrderBody
from contracts.keys import read_public
from management.devices.models import Device
from management.devices.queries import lock_device
from management.devices.rules import EnrolmentState
from management.keys import Keys
from management.relays.listing import list_now
from management.relays.models import KnownDeviceChange, OutboundMessage, Relay, RelayIncident
from management.relays.queries import list_relays
from management.signer_client import SignerClient
from management.signer_messages import MOST_ORDERS
from runtime.errors import RefusedError

ORDER = "order"
ANSWER = "enrolment_answer"
_MESSAGES = cast("Table", OutboundMessage.__table__)
SAME_INCIDENT = timedelta(days=1)
"""An incident that comes again within this time only counts up."""


def send_order(
    session: Session,
    context_keys: Keys,
    signer: SignerClient,
    device: Device,
    body: OrderBody,
    now: datetime,
    recipient: UUID | None = None,
) -> int:
    """Number, sign, seal and store an order for *device*; return its number in the epoch.

    *recipient* is the enrolment id when the order answers an enrolment. The relay gets it at its
    next visit. RefusedError when the signer's limits forbid it; then nothing is stored.
    """
    device = lock_device(session, device.id)
    order = draft_order(device, body, now)
    sealed = envelope.encrypt(signer.sign_order(order), read_public(device.encryption_key))
    _keep(session, device, order, sealed, now, recipient)
    return order.seq


def send_to_all(
    session: Session,
    signer: SignerClient,
    devices: Sequence[Device],
    body: OrderBody,
    now: datetime,
) -> None:
    """Send the same order to locked *devices*, signed together; it is one without limits."""
    for start in range(0, len(devices), MOST_ORDERS):
        some = devices[start : start + MOST_ORDERS]
        orders = [draft_order(device, body, now) for device in some]
        signed = signer.sign_orders([(order, "") for order in orders])
        rows = []
        for device, order, one in zip(some, orders, signed, strict=True):
            if not one.token:
                raise RefusedError(one.text)
            sealed = envelope.encrypt(one.token, read_public(device.encryption_key))
            rows.append(_numbered(session, device, order, sealed, now, None))
        session.connection().execute(insert(_MESSAGES), rows)


def draft_order(device: Device, body: OrderBody, now: datetime) -> Order:
    """Return the device's next order, to be signed outside of any transaction."""
    return Order(
        iss="management",
        aud=device.id,
        epoch=device.epoch,
        seq=device.outbound_seq + 1,
        ack=device.inbound_seq,
        sent_at=now,
        body=body,
    )


def keep_order(session: Session, device: Device, order: Order, sealed: str, now: datetime) -> bool:
    """Store a drafted, signed and sealed order; False when it is not the next one any more.

    *device* is locked. A stale draft is thrown away: nobody else ever saw it.
    """
    if (order.epoch, order.seq) != (device.epoch, device.outbound_seq + 1):
        return False
    _keep(session, device, order, sealed, now, None)
    return True


def _keep(
    session: Session,
    device: Device,
    order: Order,
    sealed: str,
    now: datetime,
    recipient: UUID | None,
) -> None:
    row = _numbered(session, device, order, sealed, now, recipient)
    session.add(OutboundMessage(**row))
    session.flush()


def _numbered(
    session: Session,
    device: Device,
    order: Order,
    sealed: str,
    now: datetime,
    recipient: UUID | None,
) -> dict[str, Any]:
    """Count the order as written and return its row."""
    device.outbound_seq, device.receipted_seq = order.seq, max(order.ack, device.receipted_seq)
    return {
        "recipient": recipient or device.id,
        "epoch": order.epoch,
        "seq": order.seq,
        "kind": ANSWER if recipient else ORDER,
        "relay_id": device.relay_id or _any_relay(session),
        "sealed": sealed,
        "written_at": now,
    }


def announce_device(session: Session, device_id: UUID, now: datetime) -> None:
    """Let every relay learn at its next visit whether the device may use its mailbox."""
    for relay in list_relays(session):
        session.merge(KnownDeviceChange(relay_id=relay.id, device_id=device_id, changed_at=now))
    session.flush()


def announce_everything(session: Session, relay_id: UUID, now: datetime) -> None:
    """Let a new (or emptied) relay learn all devices, and hand it again what it had."""
    session.execute(delete(KnownDeviceChange).where(KnownDeviceChange.relay_id == relay_id))
    change = KnownDeviceChange
    everybody = select(
        literal(relay_id, change.relay_id.type), Device.id, literal(now, change.changed_at.type)
    ).where(Device.enrolment_state == EnrolmentState.ENROLLED)
    session.execute(
        insert(change).from_select(["relay_id", "device_id", "changed_at"], everybody)
    )  # in the database alone: there may be a million
    session.execute(
        update(OutboundMessage)
        .where(
            OutboundMessage.relay_id == relay_id,
            OutboundMessage.acknowledged_at.is_(None),
        )
        .values(handed_at=None)
        .execution_options(synchronize_session="fetch")
    )
    session.flush()


def move_mailbox(session: Session, device: Device, relay_id: UUID) -> None:
    """Note through which relay the device speaks; what it has not acknowledged goes there too."""
    if device.relay_id == relay_id:
        return
    device.relay_id = relay_id
    session.execute(
        update(OutboundMessage)
        .where(
            OutboundMessage.recipient == device.id,
            OutboundMessage.acknowledged_at.is_(None),
        )
        .values(relay_id=relay_id, handed_at=None)
        .execution_options(synchronize_session="fetch")
    )


def acknowledge(session: Session, recipient: UUID, epoch: int, seq: int, now: datetime) -> None:
    """Note that the device holds the orders up to *seq* of *epoch* and all of earlier epochs."""
    session.execute(
        update(OutboundMessage)
        .where(
            OutboundMessage.recipient == recipient,
            OutboundMessage.acknowledged_at.is_(None),
            (OutboundMessage.epoch < epoch)
            | ((OutboundMessage.epoch == epoch) & (OutboundMessage.seq <= seq)),
        )
        .values(acknowledged_at=now)
        .execution_options(synchronize_session="fetch")
    )


def acknowledge_all(session: Session, acks: Mapping[UUID, tuple[int, int]], now: datetime) -> None:
    """Note for each device that it holds its orders up to (epoch, number); see `acknowledge`.

    Whoever writes an order writes it through at once, so all of them are in the table.
    """
    if not acks:
        return
    row = _MESSAGES.c
    epoch, seq = bindparam("of_epoch", type_=row.epoch.type), bindparam("to", type_=row.seq.type)
    held = (row.epoch < epoch) | ((row.epoch == epoch) & (row.seq <= seq))
    told = (
        update(_MESSAGES)
        .where(row.recipient == bindparam("who", type_=row.recipient.type))
        .where(row.acknowledged_at.is_(None), held)
        .values(acknowledged_at=now)
    )
    values = [{"who": one, "of_epoch": of, "to": to} for one, (of, to) in acks.items()]
    session.connection().execute(told, values)


def pair_relay(
    session: Session,
    name: str,
    link_url: str,
    link_certificate: str,
    devices_url: str,
    ca_certificate: str,
    now: datetime,
) -> Relay:
    """Take a communication server into service; it learns all devices at its first visit."""
    relay = Relay(
        id=uuid4(),
        name=name,
        link_url=link_url,
        link_certificate=link_certificate,
        devices_url=devices_url,
        ca_certificate=ca_certificate,
        paired_at=now,
        problem="",
        trust_issue=0,
    )
    session.add(relay)
    session.flush()
    list_now(session, relay, now)
    announce_everything(session, relay.id, now)
    return relay


def ensure_local_relay(
    session: Session,
    link_url: str,
    link_certificate: str,
    devices_url: str,
    ca_certificate: str,
    now: datetime,
    name: str = "local",
) -> Relay:
    """Return the communication server of this machine as set-up made it; safe to repeat.

    *link_url* is ``https://host:port``, *link_certificate* the PEM that its link listener shows
    (pinned), *devices_url* where devices reach it and *ca_certificate* what its device-side TLS
    chains to. What changed since the last set-up is stored, and the relay gets everything again
    when its link certificate is another one. What the console changed since stays.
    """
    found = session.scalars(select(Relay).where(Relay.name == name)).first()
    if found is None:
        made = pair_relay(
            session, name, link_url, link_certificate, devices_url, ca_certificate, now
        )
        made.set_up_url = devices_url
        return made
    if found.link_certificate != link_certificate:
        found.trust_issue, found.paired_at = 0, now
        announce_everything(session, found.id, now)
    found.link_certificate = link_certificate
    if not found.wanted_settings:
        found.link_url = link_url
    if found.set_up_url != devices_url:
        found.set_up_url = found.devices_url = devices_url
    if not found.tls_source:
        found.ca_certificate = ca_certificate
    if found.disabled_at is None:
        list_now(session, found, now)
    return found


def record_incident(
    session: Session,
    problem: str,
    detail: str,
    now: datetime,
    *,
    relay_id: UUID | None = None,
    sender: UUID | None = None,
    reported_by: str = MANAGEMENT,
) -> RelayIncident:
    """Keep what an honest relay would not do; the same within a day only counts up."""
    same = session.scalars(
        select(RelayIncident)
        .where(
            RelayIncident.at >= now - SAME_INCIDENT,
            RelayIncident.problem == problem,
            RelayIncident.sender == sender,
            RelayIncident.relay_id == relay_id,
            RelayIncident.reported_by == reported_by,
        )
        .order_by(RelayIncident.id.desc())
        .limit(1)
    ).first()
    if same is not None:
        same.repeats += 1
        return same
    incident = RelayIncident(
        at=now,
        relay_id=relay_id,
        sender=sender,
        problem=problem,
        detail=detail[:1000],
        reported_by=reported_by,
        repeats=1,
    )
    session.add(incident)
    session.flush()
    return incident


def note_problem(relay: Relay, problem: str, now: datetime) -> bool:
    """Keep why a visit failed, or that it went well (empty); return whether that is news."""
    if relay.problem == problem[:1000]:
        return False
    relay.problem = problem[:1000]
    relay.problem_at = now if problem else None
    return True


def _any_relay(session: Session) -> UUID | None:
    found = select(Relay.id).where(Relay.disabled_at.is_(None)).order_by(Relay.paired_at).limit(1)
    return session.scalars(found).first()
