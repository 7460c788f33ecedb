"""Compares the passwords in requests to enrol before the transaction that takes them.

It takes a tenth of a second on purpose, and inside every other writer would wait for it. Of each
name one password is compared at a time: others of the same name that come with it count as wrong.
"""

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from contracts.agent import EnrolmentRequest
from contracts.link import Inbound
from management.check_in.opening import SuspiciousError, open_request
from management.context import Context
from management.enrolment.models import Invitation
from management.enrolment.queries import state_of
from management.enrolment.rules import key_hash, refusal
from management.enrolment_users import service as users
from management.enrolment_users.rules import name_hash


def compare_ahead(context: Context, items: Iterable[Inbound], now: datetime) -> None:
    """Compare those that will be asked; what cannot be read is refused when it is taken."""
    guesses: dict[str, str] = {}
    for item in items:
        if item.kind != "enrolment":
            continue
        try:
            request = open_request(item, context.keys.opening_key)
        except SuspiciousError:
            continue
        with context.database.reading() as session:
            if request.user_name and _is_asked(session, request, now):
                _compare(session, guesses, request, now)


def _compare(
    session: Session, guesses: dict[str, str], request: EnrolmentRequest, now: datetime
) -> None:
    """Compare the first password of a name; *guesses*: what was compared, by name."""
    name, password = name_hash(request.user_name), request.user_password
    is_first = name not in guesses
    if guesses.setdefault(name, password) != password or is_first:
        users.compare_ahead(session, request.user_name, password, now, is_first)


def _is_asked(session: Session, request: EnrolmentRequest, now: datetime) -> bool:
    """Tell whether somebody asks for it: nobody without a key makes this server work."""
    wanted = select(Invitation).where(Invitation.key_hash == key_hash(request.enrolment_key))
    invitation = session.scalars(wanted).first()
    if invitation is None or not invitation.asks_user:
        return False
    return not refusal(state_of(invitation, now))
