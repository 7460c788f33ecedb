"""Whether a request to enrol is granted, for whom, and where the device comes.

Each question is asked only when the one before it was answered well, so that nobody without a key
learns anything about users, list or terms.
"""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Session

from contracts.agent import EnrolmentRequest
from management.allow_list import service as allow_list
from management.devices.models import Device
from management.devices.rules import EnrolmentState
from management.enrolment.models import Invitation
from management.enrolment.queries import state_of
from management.enrolment.rules import another_person, refusal, wrong_time
from management.enrolment_users import service as users
from management.enrolment_users.rules import WRONG
from management.groups.models import UNAUTHORIZED_GROUP
from management.terms.queries import current_terms
from management.terms.rules import must_accept


@dataclass(slots=True)
class Decision:
    """What becomes of a request."""

    refused_because: str = ""
    ask_terms: int | None = None
    address: str = ""
    """Of whom the device is; empty: nobody in particular."""
    person: str = ""
    user_name: str = ""
    group_id: UUID | None = None
    policy_id: UUID | None = None


def decide(
    session: Session,
    invitation: Invitation | None,
    known: Device | None,
    request: EnrolmentRequest,
    now: datetime,
) -> Decision:
    """Return what becomes of *request*, by its key and by the device that proved the same key."""
    why = wrong_time(request.sent_at, now) or refusal(
        state_of(invitation, now) if invitation else None
    )
    if why or invitation is None:
        return Decision(why)
    decision = Decision(
        address=invitation.address,
        person=invitation.person if invitation.address else "",
        group_id=invitation.group_id,
        policy_id=invitation.policy_id,
    )
    decision.refused_because = (
        _user(session, decision, invitation, request, now)
        or _taken(known, decision.address)
        or _listed(session, decision, request)
    )
    terms = current_terms(session)
    if not decision.refused_because and terms is not None:
        wanted = must_accept(terms.version, request.accepted_terms)
        decision.ask_terms = terms.version if wanted else None
    return decision


def _user(
    session: Session,
    decision: Decision,
    invitation: Invitation,
    request: EnrolmentRequest,
    now: datetime,
) -> str:
    """Return why user name and password do not do, or nothing; who it is goes into *decision*."""
    if not invitation.asks_user:
        return ""
    if not request.user_name:
        return "This enrolment key asks for your user name and password."
    proven = users.prove(session, request.user_name, request.user_password, now)
    if proven is None:
        return WRONG
    if why := another_person(proven.address, invitation.address):
        return why
    decision.user_name, decision.person = proven.name, proven.person
    decision.address = proven.address
    decision.group_id = proven.group_id or decision.group_id
    return ""


def _taken(device: Device | None, address: str) -> str:
    """Return why the device may not pass to another person, or nothing when it may."""
    if device is None or device.enrolment_state != EnrolmentState.ENROLLED:
        return ""
    return another_person(device.owner_address, address)


def _listed(session: Session, decision: Decision, request: EnrolmentRequest) -> str:
    answer = allow_list.judge(session, request.device)
    if answer.unauthorized:
        decision.group_id, decision.policy_id = UNAUTHORIZED_GROUP, None
    return answer.refused_because
