"""The answers to requests to enrol: welcome, refused, or first the terms of use."""

from dataclasses import replace
from datetime import datetime
from uuid import UUID

from joserfc.jwk import ECKey
from sqlalchemy import select
from sqlalchemy.orm import Session

from contracts import envelope, keys
from contracts.agent import AskTerms, Enrolled, EnrolmentRefused, EnrolmentRequest, Order
from management.context import Context
from management.devices.models import Device
from management.enrolment.models import EnrolmentAttempt
from management.policies.delivery import document
from management.policies.queries import current_version, get_policy
from management.relays.models import OutboundMessage
from management.relays.service import ANSWER, send_order
from management.terms.queries import get_terms
from management.terms.service import question


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


def refuse(
    session: Session,
    context: Context,
    attempt: EnrolmentAttempt,
    request: EnrolmentRequest,
    relay_id: UUID,
    now: datetime,
) -> None:
    """Say why, or which terms of use are to be accepted first."""
    number = attempt.asked_terms
    body: AskTerms | EnrolmentRefused
    if number is not None:
        body = question(get_terms(session, number), attempt.enrolment_id)
    else:
        body = EnrolmentRefused(enrolment_id=attempt.enrolment_id, reason=attempt.refused_because)
    order = Order(
        iss="management",
        aud=attempt.enrolment_id,
        epoch=1,
        seq=1,
        ack=0,
        sent_at=now,
        body=body,
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


def answer_again(
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
    elif attempt.refused_because or attempt.asked_terms is not None:
        refuse(session, context, attempt, request, relay_id, now)
