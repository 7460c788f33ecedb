"""Answers a request to enrol, once its seal and signature are known to hold.

Identity is proved, not claimed: serial number, IMEI and ActiveSync DeviceId are only written down.
The one thing that makes a device the same as before is the signing key that it proves to hold.
"""

from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from joserfc.jwk import ECKey
from sqlalchemy import select
from sqlalchemy.orm import Session

from contracts import envelope, keys
from contracts.agent import Enrolled, EnrolmentRefused, EnrolmentRequest, Order
from management.commands.service import send_again
from management.compliance.service import rejudge
from management.context import Context
from management.devices.models import Device
from management.devices.rules import EnrolmentState, Fact, FactKind
from management.devices.service import record_facts
from management.enrolment.models import EnrolmentAttempt, Invitation
from management.enrolment.queries import find_by_key, find_device_by_key, state_of
from management.enrolment.rules import another_person, refusal, wrong_time
from management.groups.models import ROOT_GROUP
from management.groups.queries import policy_in
from management.groups.service import lock_tree
from management.policies.delivery import document
from management.policies.queries import current_version, get_policy
from management.relays.models import OutboundMessage
from management.relays.service import ANSWER, acknowledge, announce_device, send_order
from management.returns.service import note_claims
from runtime.errors import UnauthenticatedError


def answer_request(
    session: Session, context: Context, request: EnrolmentRequest, relay_id: UUID, now: datetime
) -> EnrolmentAttempt:
    """Take the device in or refuse it, and leave the answer for the relay; return the attempt.

    The same request again gets the same answer. UnauthenticatedError when another key uses its id.
    """
    thumbprint = keys.thumbprint(keys.read_public(request.signing_key))
    before = session.get(EnrolmentAttempt, request.enrolment_id)
    if before is not None:
        if before.signing_key_thumbprint != thumbprint:
            raise UnauthenticatedError("The enrolment was begun with another key.")
        _answer_again(session, context, before, request, relay_id, now)
        return before
    invitation = find_by_key(session, request.enrolment_key)
    why = wrong_time(request.sent_at, now) or refusal(
        state_of(invitation, now) if invitation else None
    )
    if invitation is not None and not why:
        why = _taken(find_device_by_key(session, thumbprint), invitation)
    attempt = EnrolmentAttempt(
        enrolment_id=request.enrolment_id,
        at=now,
        invitation_id=invitation.id if invitation else None,
        signing_key_thumbprint=thumbprint,
        refused_because=why,
    )
    session.add(attempt)
    session.flush()
    if why or invitation is None:
        _refuse(session, context, attempt, request, relay_id, now)
    else:
        _grant(session, context, attempt, invitation, request, relay_id, now)
    return attempt


def _taken(device: Device | None, invitation: Invitation) -> str:
    """Return why the device may not pass to another person, or nothing when it may."""
    if device is None or device.enrolment_state != EnrolmentState.ENROLLED:
        return ""
    return another_person(device.owner_address, invitation.address)


def _grant(
    session: Session,
    context: Context,
    attempt: EnrolmentAttempt,
    invitation: Invitation,
    request: EnrolmentRequest,
    relay_id: UUID,
    now: datetime,
) -> None:
    tree = lock_tree(session)
    device = _device(session, attempt.signing_key_thumbprint, invitation, request, now)
    device.group_id = invitation.group_id if invitation.group_id in tree else ROOT_GROUP
    device.policy_is_own = invitation.policy_id is not None
    device.policy_id = invitation.policy_id or policy_in(
        session, tree, device.group_id, device.platform
    )
    device.relay_id = relay_id
    certificate, device.certificate_serial = context.keys.issue_device_certificate(
        device.id, keys.read_public(request.signing_key), now
    )
    new = device.epoch == 1
    session.add(device)
    session.flush()
    if new:
        note_claims(session, device, now)
    attempt.device_id = invitation.device_id = device.id
    invitation.used_at = now
    said = {
        FactKind.ENROLMENT: Fact(EnrolmentState.ENROLLED.value, "enrolment", now),
        FactKind.ASKED_POLICY: Fact(str(device.policy_id), invitation.created_by, now),
    }
    record_facts(session, device.id, said, now)
    announce_device(session, device.id, now)
    wiped = send_again(session, device, now)
    enrolment_id = request.enrolment_id
    welcome(session, context, device, enrolment_id, certificate, wiped, now, enrolment_id)
    rejudge(session, [device.id], now)


def _device(
    session: Session,
    thumbprint: str,
    invitation: Invitation,
    request: EnrolmentRequest,
    now: datetime,
) -> Device:
    """Return the device that proved this key before, in a new epoch, or else a new one."""
    fields = _described(invitation, request, now)
    device = find_device_by_key(session, thumbprint)
    if device is None:
        return Device(id=uuid4(), epoch=1, **fields)
    for name, value in fields.items():
        setattr(device, name, value)
    start_counting(session, device, device.epoch + 1, now)
    return device


def start_counting(session: Session, device: Device, epoch: int, now: datetime) -> None:
    """Begin *epoch*: reports and orders count from one, orders of before are worth nothing."""
    device.epoch = epoch
    device.inbound_seq = device.outbound_seq = device.outbound_ack = device.receipted_seq = 0
    device.recent_reports = {}
    acknowledge(session, device.id, device.epoch, 0, now)


def _described(invitation: Invitation, request: EnrolmentRequest, now: datetime) -> dict[str, Any]:
    said = request.device
    owner = invitation.person or invitation.address.partition("@")[0]
    return {
        "name": f"{said.model or said.platform} ({owner})"[:255],
        "owner_name": invitation.person,
        "owner_address": invitation.address,
        "platform": said.platform,
        "ownership": said.ownership,
        "management_mode": said.management_mode,
        "manufacturer": said.manufacturer,
        "model": said.model,
        "serial": said.serial,
        "imei": said.imei,
        "exchange_device_id": said.exchange_device_id,
        "enrolment_state": EnrolmentState.ENROLLED.value,
        "enrolled_at": now,
        "left_at": None,
        "signing_key": keys.public_jwk(keys.read_public(request.signing_key)),
        "encryption_key": keys.public_jwk(keys.read_public(request.encryption_key)),
    }


def welcome(
    session: Session,
    context: Context,
    device: Device,
    enrolment_id: UUID,
    certificate: str,
    wiped: bool,
    now: datetime,
    recipient: UUID,
) -> None:
    """Write order 1 of the epoch; a device that is to be *wiped* gets no settings before.

    *recipient* is the enrolment that it answers, or the device that begins anew.
    """
    version = current_version(session, device.policy_id)
    policy = document(
        get_policy(session, device.policy_id),
        version,
        context.keys,
        device.platform,
        device.owner_address,
    )
    body = Enrolled(
        enrolment_id=enrolment_id,
        device_id=device.id,
        certificate=certificate,
        ca_certificate=context.keys.ca_certificate(),
        poll_seconds=context.settings.poll_seconds,
        digest_seconds=context.settings.digest_seconds,
        policy=replace(policy, settings={}, needs=()) if wiped else policy,
    )
    answers = None if recipient == device.id else recipient
    send_order(session, context.keys, context.signer, device, body, now, recipient=answers)
    device.ordered_policy = "" if wiped else f"{device.policy_id}/{version.version}"


def _refuse(
    session: Session,
    context: Context,
    attempt: EnrolmentAttempt,
    request: EnrolmentRequest,
    relay_id: UUID,
    now: datetime,
) -> None:
    order = Order(
        iss="management",
        aud=attempt.enrolment_id,
        epoch=1,
        seq=1,
        ack=0,
        sent_at=now,
        body=EnrolmentRefused(enrolment_id=attempt.enrolment_id, reason=attempt.refused_because),
    )
    requester: ECKey = keys.read_public(request.encryption_key)
    session.add(
        OutboundMessage(
            recipient=attempt.enrolment_id,
            epoch=1,
            seq=1,
            kind=ANSWER,
            relay_id=relay_id,
            sealed=envelope.encrypt(context.signer.sign_order(order), requester),
            written_at=now,
        )
    )
    session.flush()


def _answer_again(
    session: Session,
    context: Context,
    attempt: EnrolmentAttempt,
    request: EnrolmentRequest,
    relay_id: UUID,
    now: datetime,
) -> None:
    """Let the relay have the answer once more; none is left when the device acknowledged it."""
    answer = session.scalars(
        select(OutboundMessage).where(OutboundMessage.recipient == attempt.enrolment_id)
    ).first()
    if answer is not None:
        answer.handed_at, answer.relay_id = None, relay_id
    elif attempt.refused_because:
        _refuse(session, context, attempt, request, relay_id, now)
