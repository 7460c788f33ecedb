"""How a simulated device becomes managed: the request it makes and the answer it believes."""

from datetime import datetime
from uuid import UUID, uuid4

from cryptography import x509

from agents.simulator.attesting import enrolment_chain
from agents.simulator.orders import RefusedOrderError, learn_time, open_order, order_key
from agents.simulator.renewing import renew_at
from agents.simulator.state import Asked, DeviceState, Membership
from agents.simulator.trust import Invitation
from contracts import codec, envelope, keys
from contracts.agent import (
    AskTerms,
    DeviceDescription,
    Enrolled,
    EnrolmentPost,
    EnrolmentRefused,
    EnrolmentRequest,
    Order,
    TrustStatement,
)
from runtime.errors import MalformedMessageError, RefusedError


class TermsAskedError(RefusedError):
    """Management wants the terms of use accepted first; enrol again with their version."""

    def __init__(self, terms: AskTerms) -> None:
        super().__init__(
            f"The terms of use must be accepted first: version {terms.version}, {terms.title}."
        )
        self.terms = terms


def ask(
    state: DeviceState,
    invitation: Invitation,
    code: str,
    trust: TrustStatement,
    description: DeviceDescription,
    user: tuple[str, str],
    local: datetime,
    accepted_terms: int | None = None,
) -> None:
    """Write the enrolment request into *state*; enrolment key and password only inside the JWE."""
    signer = keys.read_private(state.signing_key)
    enrolment_id = uuid4()
    request = EnrolmentRequest(
        enrolment_id=enrolment_id,
        aud="management",
        sent_at=local,
        enrolment_key=invitation.enrolment_key,
        user_name=user[0],
        user_password=user[1],
        signing_key=keys.public_jwk(signer),
        encryption_key=keys.public_jwk(keys.read_private(state.encryption_key)),
        device=description,
        accepted_terms=accepted_terms,
        attestation=enrolment_chain(
            state.phone, keys.raw_public(signer), invitation.enrolment_key, enrolment_id
        ),
    )
    sealed = envelope.seal(
        codec.write(request), envelope.ENROLMENT, signer, keys.read_public(trust.encryption_key)
    )
    post = EnrolmentPost(
        enrolment_id=request.enrolment_id, signing_key=request.signing_key, sealed=sealed
    )
    state.asked = Asked(
        enrolment_id=request.enrolment_id, code=code, body=codec.write(post).decode()
    )
    state.relay_url, state.fingerprint = invitation.relay_url, invitation.fingerprint
    state.trust, state.trust_asked_at, state.trust_tag = trust, local, ""
    state.phone.description, state.ended = description, ""


def read_answer(state: DeviceState, asked: Asked, sealed: str) -> Order:
    """Return management's answer; RefusedOrderError when it is not the answer to our request."""
    order = open_order(sealed, keys.read_private(state.encryption_key), order_key(state))
    body = order.body
    if isinstance(body, Enrolled):
        wanted = body.device_id
    elif isinstance(body, EnrolmentRefused | AskTerms):
        wanted = asked.enrolment_id
    else:
        raise RefusedOrderError("gap", f"A {body.kind} came before the answer to the enrolment.")
    if body.enrolment_id != asked.enrolment_id or order.aud != wanted:
        raise RefusedOrderError("foreign", "The answer belongs to another enrolment.")
    if order.seq != 1:
        raise RefusedOrderError("gap", f"The answer is order {order.seq}, not the first.")
    return order


def join(state: DeviceState, order: Order, enrolled: Enrolled, local: datetime) -> None:
    """Make the device a managed one."""
    _check_certificate(enrolled.certificate, state.signing_key, enrolled.device_id)
    state.membership = Membership(
        device_id=enrolled.device_id,
        enrolment_id=enrolled.enrolment_id,
        certificate=enrolled.certificate,
        ca_certificate=enrolled.ca_certificate,
        poll_seconds=enrolled.poll_seconds,
        digest_seconds=enrolled.digest_seconds,
        policy=enrolled.policy,
        epoch=order.epoch,
        order_seq=order.seq,
        renew_at=renew_at(enrolled.certificate),
    )
    state.management_ahead_seconds = None
    learn_time(state, order.sent_at, local)
    state.asked, state.token, state.reports = None, None, []
    state.posture_said = state.apps_said = state.reported_at = None
    state.note(order.sent_at, f"Enrolled as {enrolled.device_id}.")


def _check_certificate(pem: str, signing_key: str, device_id: UUID) -> None:
    """Refuse a certificate that is not for our key."""
    try:
        certificate = x509.load_pem_x509_certificate(pem.encode())
    except ValueError:
        raise MalformedMessageError("The device certificate cannot be read.") from None
    if certificate.public_key() != keys.raw_public(keys.read_private(signing_key)):
        raise MalformedMessageError(f"The certificate of {device_id} is for another key.")
