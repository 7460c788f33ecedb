"""Takes a device in once its request is granted; its seal and signature are known to hold.

Identity is proved, not claimed: serial number, IMEI and ActiveSync DeviceId are only written down.
The one thing that makes a device the same as before is the signing key that it proves to hold.
"""

from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy.orm import Session

from contracts import keys
from contracts.agent import EnrolmentRequest
from management.attestation.service import take_enrolment as take_attestation
from management.commands.service import send_again
from management.compliance.service import rejudge
from management.context import Context
from management.devices.models import Device
from management.devices.rules import EnrolmentState, Fact, FactKind
from management.devices.service import give_policy, record_facts
from management.directory.service import take_device as take_owner
from management.enrolment.answers import answer_again, refuse, welcome
from management.enrolment.deciding import Decision, decide
from management.enrolment.models import EnrolmentAttempt, Invitation
from management.enrolment.queries import find_by_key, find_device_by_key, was_let_in
from management.enrolment.renewing import certify, drop
from management.enrolment.rules import is_used_up
from management.groups.models import ROOT_GROUP
from management.groups.queries import policy_in
from management.groups.service import lock_tree
from management.relays.service import acknowledge, announce_device
from management.returns.service import note_claims
from management.terms.service import note_accepted
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
        answer_again(session, context, before, request, relay_id, now)
        return before
    invitation = find_by_key(session, request.enrolment_key)
    known = find_device_by_key(session, thumbprint)
    decision = decide(session, invitation, known, request, now)
    attempt = EnrolmentAttempt(
        enrolment_id=request.enrolment_id,
        at=now,
        invitation_id=invitation.id if invitation else None,
        signing_key_thumbprint=thumbprint,
        refused_because=decision.refused_because,
        asked_terms=decision.ask_terms,
        described=_in_words(request),
        user_name=decision.user_name,
    )
    session.add(attempt)
    session.flush()
    if decision.refused_because or decision.ask_terms is not None or invitation is None:
        refuse(session, context, attempt, request, relay_id, now)
    else:
        device = _device(session, known, decision, request, now)
        _place(session, device, decision, invitation.created_by, now)
        device.relay_id = relay_id
        _grant(session, context, attempt, invitation, device, request, now)
    return attempt


def _place(session: Session, device: Device, decision: Decision, by: str, now: datetime) -> None:
    """Put the device into its group; a group that was deleted meanwhile means the root.

    What a device that comes back was asked already is asked of it without a break.
    """
    tree = lock_tree(session)
    wanted = decision.group_id
    device.group_id = wanted if wanted is not None and wanted in tree else ROOT_GROUP
    is_own = decision.policy_id is not None
    policy_id = decision.policy_id or policy_in(session, tree, device.group_id, device.platform)
    if device.epoch > 1:
        give_policy(session, device, policy_id, by, now, is_own)
    else:
        device.policy_is_own, device.policy_id = is_own, policy_id


def _grant(
    session: Session,
    context: Context,
    attempt: EnrolmentAttempt,
    invitation: Invitation,
    device: Device,
    request: EnrolmentRequest,
    now: datetime,
) -> None:
    certificate = certify(context, device, now)
    new = device.epoch == 1
    session.add(device)
    session.flush()
    if new:
        note_claims(session, device, now)
    _count(session, invitation, attempt, now)
    attempt.device_id = invitation.device_id = device.id
    if request.accepted_terms is not None:
        note_accepted(session, device, request.accepted_terms, now)
    said = {
        FactKind.ENROLMENT: Fact(EnrolmentState.ENROLLED.value, "enrolment", now),
        FactKind.ASKED_POLICY: Fact(str(device.policy_id), invitation.created_by, now),
    }
    record_facts(session, device.id, said, now)
    take_attestation(session, context.settings, device, request, now)
    take_owner(session, device, now)
    announce_device(session, device.id, now)
    wiped = send_again(session, device, now)
    enrolment_id = request.enrolment_id
    welcome(session, context, device, enrolment_id, certificate, wiped, now, enrolment_id)
    rejudge(session, [device.id], now)


def _count(
    session: Session, invitation: Invitation, attempt: EnrolmentAttempt, now: datetime
) -> None:
    """Count the device for its key, once however often it enrols."""
    if was_let_in(session, invitation.id, attempt.signing_key_thumbprint):
        return
    invitation.devices += 1
    if is_used_up(invitation.devices, invitation.most_devices):
        invitation.used_at = now


def _device(
    session: Session,
    known: Device | None,
    decision: Decision,
    request: EnrolmentRequest,
    now: datetime,
) -> Device:
    """Return the device that proved this key before, in a new epoch, or else a new one."""
    fields = _described(known, decision, request, now)
    if known is None:
        return Device(id=uuid4(), epoch=1, **fields)
    for name, value in fields.items():
        setattr(known, name, value)
    start_counting(session, known, known.epoch + 1, now)
    return known


def start_counting(session: Session, device: Device, epoch: int, now: datetime) -> None:
    """Begin *epoch*: reports and orders count from one, orders of before are worth nothing."""
    device.epoch = epoch
    device.inbound_seq = device.outbound_seq = device.outbound_ack = device.receipted_seq = 0
    device.recent_reports = {}
    drop(session, device, now)
    acknowledge(session, device.id, device.epoch, 0, now)


def _described(
    known: Device | None, decision: Decision, request: EnrolmentRequest, now: datetime
) -> dict[str, Any]:
    said = request.device
    address, person = decision.address, decision.person
    if known is not None and not address:
        address, person = known.owner_address, known.owner_name
    owner = person or address.partition("@")[0]
    name = said.model or said.platform
    return {
        "name": (f"{name} ({owner})" if owner else name)[:255],
        "owner_name": person,
        "owner_address": address,
        "platform": said.platform,
        "ownership": said.ownership,
        "management_mode": said.management_mode,
        "manufacturer": said.manufacturer,
        "model": said.model,
        "serial": said.serial,
        "imei": said.imei or said.meid,
        "wifi_mac": said.wifi_mac,
        "enterprise_id": said.enterprise_id,
        "exchange_device_id": said.exchange_device_id,
        "enrolment_state": EnrolmentState.ENROLLED.value,
        "enrolled_at": now,
        "left_at": None,
        "signing_key": keys.public_jwk(keys.read_public(request.signing_key)),
        "key_thumbprint": keys.thumbprint(keys.read_public(request.signing_key)),
        "renewed_at": None,
        "encryption_key": keys.public_jwk(keys.read_public(request.encryption_key)),
    }


def _in_words(request: EnrolmentRequest) -> str:
    """Return what a device says of itself, for people."""
    said = request.device
    numbers = said.serial or said.imei or said.meid
    return " ".join(part for part in (said.manufacturer, said.model, numbers) if part)[:255]
