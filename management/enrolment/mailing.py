"""Mail of invitations: who gets one, the request for it, and what became of each.

A request is a job. Each invitation that it covers carries the request's id until its mail went out,
was given up, or the job was cancelled; so a job that is done again mails nobody twice, but for the
one mail that was with the mail server when its process died.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from management.devices.models import Device
from management.devices.rules import EnrolmentState
from management.enrolment import mail_rules
from management.enrolment.mail_counts import IN_ONE, count
from management.enrolment.mail_rules import (
    AT_ONCE,
    MOST_AT_ONCE,
    MOST_WAITING,
    NO_MAIL_SERVER,
    NO_RELAY,
    ONCE_IN,
    Known,
    why_not,
)
from management.enrolment.models import Invitation
from management.enrolment.queries import Cursor, state_of
from management.enrolment.registrations import list_awaited
from management.limits import seeing_all
from management.outgoing_mail.queries import find_outgoing_mail
from management.outgoing_mail.rules import is_address
from management.relays.queries import list_used
from management.work.service import enqueue
from runtime.errors import RefusedError

MAIL = "enrolment.mail"
MOST_LOOKED_AT = 20_000
CHANGED = "The choice has changed since you looked at it. Look at it again."


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which invitations somebody wants to be mailed."""

    ids: tuple[UUID, ...] = ()
    """Those that were ticked; empty: all that *text* finds among the awaited."""
    text: str = ""
    insists: bool = False
    """Also to who got a mail within the last day."""


@dataclass(slots=True)
class Chosen:
    """Who gets a mail, newest invitation first, and why others get none."""

    invitations: list[Invitation] = field(default_factory=list)
    left_out: dict[str, int] = field(default_factory=dict)
    """Why -> how many."""
    job_id: UUID | None = None
    """What mails them, once it was asked for."""

    @property
    def digest(self) -> str:
        """What tells this choice from another."""
        return mail_rules.digest(tuple(one.id for one in self.invitations))


def why_not_set_up(session: Session) -> str:
    """Return what is missing before any invitation can be mailed, or nothing."""
    if find_outgoing_mail(session) is None:
        return NO_MAIL_SERVER
    return "" if list_used(session) else NO_RELAY


def choose(session: Session, wanted: Wanted, now: datetime) -> Chosen:
    """Return who would get a mail now."""
    chosen, planned, lately = Chosen(), Counter[str](), _mailed_lately(session, now)
    for some in _pages(session, wanted):
        enrolled, counts = _enrolled_since(session, some), count(session, some, now)
        for one in some:
            address = one.address.casefold()
            sent, waiting = counts.of(address)
            known = _known(one, now, address in lately, enrolled, planned[address] > 0)
            known = replace(known, sent=sent, waiting=waiting + planned[address])
            why = why_not(known, wanted.insists)
            if not why and len(chosen.invitations) >= MOST_AT_ONCE:
                why = AT_ONCE
            if why:
                chosen.left_out[why] = chosen.left_out.get(why, 0) + 1
            else:
                chosen.invitations.append(one)
                planned[address] += 1
    return chosen


def ask(
    session: Session, wanted: Wanted, expected: str, by: str, because: str, now: datetime
) -> Chosen:
    """Let everybody who is wanted get a mail, by a job; return who that is.

    *expected* is the digest of the choice that was looked at; it may be empty for ids. RefusedError
    when the choice is another one by now, when nobody would get a mail, and when none can go out.
    """
    if missing := why_not_set_up(session):
        raise RefusedError(missing)
    chosen = choose(session, wanted, now)
    if not chosen.invitations:
        raise RefusedError(next(iter(chosen.left_out), "Nobody who was invited is awaited."))
    if expected != chosen.digest and (expected or not wanted.ids):
        raise RefusedError(CHANGED)
    waiting = select(func.count()).select_from(Invitation).where(Invitation.mail_ask.is_not(None))
    with seeing_all(session):
        already = session.scalar(waiting) or 0
    if already + len(chosen.invitations) > MOST_WAITING:
        raise RefusedError(
            f"{already} mails are on their way already, and {MOST_WAITING} at most may be. Wait "
            "until they are out, or cancel them under Jobs."
        )
    chosen.job_id = _mark(session, chosen.invitations, by, because, wanted.insists, now)
    return chosen


def ask_first(session: Session, made: Sequence[Invitation], by: str, now: datetime) -> int:
    """Let new invitations be mailed; return how many. RefusedError when none can go out."""
    wanted = Wanted(ids=tuple(one.id for one in made), insists=True)
    return len(ask(session, wanted, "", by, "", now).invitations)


def _mark(
    session: Session, some: list[Invitation], by: str, because: str, insists: bool, now: datetime
) -> UUID | None:
    request = uuid4()
    for one in some:
        one.mail_ask, one.mail_next_at = request, now
    session.flush()
    payload = {
        "ask": str(request),
        "by": by,
        "because": because,
        "insists": insists,
        "total": len(some),
        "failures": 0,
    }
    job = enqueue(session, MAIL, f"{MAIL}:{request}:0", payload, 4, now=now)
    return job.id if job else None


def _pages(session: Session, wanted: Wanted) -> Iterator[list[Invitation]]:
    """Yield the invitations that are wanted, in pages, the newest first."""
    if wanted.ids:
        yield _read(session, wanted.ids[:MOST_LOOKED_AT])
        return
    looked_at, after = 0, None
    while page := list_awaited(session, wanted.text, after, IN_ONE):
        looked_at += len(page)
        if looked_at > MOST_LOOKED_AT:
            raise RefusedError("Too many invitations match. Add a word to the filter.")
        yield _read(session, [row.id for row in page])
        after = Cursor(page[-1].at, page[-1].id)


def _read(session: Session, ids: Sequence[UUID]) -> list[Invitation]:
    parts = (ids[start : start + IN_ONE] for start in range(0, len(ids), IN_ONE))
    found = [
        one
        for part in parts
        for one in session.scalars(
            select(Invitation)
            .where(Invitation.id.in_(part))
            .execution_options(populate_existing=True)
        )
    ]
    return sorted(found, key=lambda one: (one.created_at, one.id), reverse=True)


def _known(
    one: Invitation, now: datetime, lately: bool, enrolled: dict[str, datetime], newer: bool
) -> Known:
    since = enrolled.get(one.address.casefold())
    return Known(
        state=state_of(one, now),
        is_personal=bool(one.address),
        can_be_mailed=is_address(one.address),
        devices=one.devices,
        mails=one.mails,
        is_on_its_way=one.mail_ask is not None and mail_rules.is_on_its_way(one.mail_next_at, now),
        mailed_lately=lately,
        enrolled_since=since is not None and since > one.created_at,
        has_newer=newer,
    )


def _mailed_lately(session: Session, now: datetime) -> set[str]:
    """Return whom a mail went to within a day, whoever invited them."""
    wanted = select(Invitation.address).where(Invitation.mailed_at > now - ONCE_IN).distinct()
    with seeing_all(session):
        return {address.casefold() for address in session.scalars(wanted)}


def _enrolled_since(session: Session, some: Iterable[Invitation]) -> dict[str, datetime]:
    """Return when the newest device of each person enrolled that is still enrolled."""
    addresses = sorted({spelt for one in some for spelt in (one.address, one.address.lower())})
    newest: dict[str, datetime] = {}
    for start in range(0, len(addresses), IN_ONE):
        wanted = (
            select(Device.owner_address, func.max(Device.enrolled_at))
            .where(
                Device.owner_address.in_(addresses[start : start + IN_ONE]),
                Device.enrolment_state == EnrolmentState.ENROLLED,
            )
            .group_by(Device.owner_address)
        )
        with seeing_all(session):
            rows = session.execute(wanted).all()
        for address, at in rows:
            spelt = address.casefold()
            newest[spelt] = max(at, newest.get(spelt, at))
    return newest


def why_not_now(session: Session, one: Invitation, insists: bool, now: datetime) -> str:
    """Return why the mail does not go out after all: much may have happened since it was asked."""
    lately = one.address.casefold() in _mailed_lately(session, now)
    known = _known(one, now, lately, _enrolled_since(session, [one]), False)
    sent, _ = count(session, [one], now).of(one.address)
    return why_not(replace(known, is_on_its_way=False, sent=sent), insists)
