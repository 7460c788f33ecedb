"""Wipes single phones through the mail server, also those whose agent is gone.

The order is signed by the signer, which counts it against the limits of all wipes; the connector
carries out nothing that the signer did not sign, and reads the target back first.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from contracts import agent
from contracts import connector as messages
from contracts.agent import CommandKind
from management.audit.service import record
from management.context import Context
from management.keys import Keys
from management.mail_access import queries
from management.mail_access.models import Connector, MailDecision, MailWipe, Partnership
from management.mail_access.rules import By
from management.mail_access.states import WipeState
from management.safety.queries import get_enforcement
from management.signer_messages import MOST_ORDERS
from management.work.service import enqueue
from runtime.errors import NotFoundError, RefusedError

WORK = "mail_access.sign_wipes"
VALID_FOR = timedelta(days=1)


def order_wipe(
    session: Session,
    keys: Keys,
    partnership_id: int,
    typed_device_id: str,
    account_only: bool,
    by: By,
    reason: str,
    now: datetime,
) -> MailWipe:
    """Queue the wipe of exactly one phone, whose DeviceId was typed to be sure.

    RefusedError without a reason, with another DeviceId, for a phone that the server does not name
    or that is gone, and while a wipe of it is open.
    """
    row = queries.get_partnership(session, partnership_id)
    if refused := _refusal(session, row, typed_device_id, reason):
        raise RefusedError(refused)
    wipe = MailWipe(
        id=uuid4(),
        partnership_id=row.id,
        account_only=account_only,
        state=WipeState.QUEUED,
        requested_by=by.name,
        reason=reason[:1000],
        queued_at=now,
        expires_at=now + VALID_FOR,
        changed_at=now,
    )
    session.add(wipe)
    session.flush()
    _note(session, row, wipe, f"{by.name}: {reason}", now)
    details: dict[str, Any] = {"wipe": str(wipe.id), "account_only": account_only}
    subject = f"{row.mailbox} {row.exchange_device_id}"
    record(session, keys, by.name, "mail.wipe", subject, reason, by.address, details, now)
    enqueue(session, WORK, f"{WORK}:{wipe.id}", {}, priority=2, now=now)
    return wipe


def _refusal(session: Session, row: Partnership, typed: str, reason: str) -> str:
    if not reason.strip():
        return "Say why: the reason goes into the history and the audit trail."
    if typed.strip() != row.exchange_device_id:
        return "The DeviceId that you typed is not that of this phone. Nothing is wiped."
    if row.gone_at is not None:
        return "The mail server does not know this phone any more."
    if not row.guid:
        return "The mail server did not name this phone's Guid, so it cannot be told apart surely."
    if any(WipeState(one.state).is_open for one in list_wipes(session, row.id)):
        return "A wipe of this phone is on its way already."
    return ""


def cancel_wipe(session: Session, keys: Keys, wipe_id: UUID, by: By, now: datetime) -> MailWipe:
    """Take a wipe back that the connector has not got; RefusedError once it may have it."""
    wipe = session.get(MailWipe, wipe_id)
    if wipe is None:
        raise NotFoundError("There is no such wipe.")
    if wipe.state != WipeState.QUEUED or wipe.token:
        raise RefusedError("The connector may have this wipe already; it cannot be taken back.")
    _step(session, wipe, WipeState.CANCELLED, f"Taken back by {by.name}.", now)
    record(session, keys, by.name, "mail.wipe_cancel", str(wipe.id), "", by.address, now=now)
    return wipe


def sign_queued(context: Context, now: datetime) -> int:
    """Have waiting wipes signed; what the limits or a pause hold back waits and says why.

    Repeating it is harmless: the signer counts a command once. Returns how many were signed.
    """
    with context.database.transaction("end old mail wipes") as session:
        _expire(session, now)
    with context.database.reading() as session:
        pause = get_enforcement(session)
        waiting = _list_unsigned(session)
        orders = [(order(wipe, row, now), wipe.requested_by) for wipe, row in waiting]
    if not orders or pause.paused_at is not None:
        return 0
    signed = context.signer.sign_orders(orders)
    with context.database.transaction("keep signed mail wipes") as session:
        queries.lock_connectors(session)
        for (known, row), answer in zip(waiting, signed, strict=True):
            wipe = session.get_one(MailWipe, known.id)
            if wipe.state != WipeState.QUEUED:
                continue
            wipe.token, wipe.detail, wipe.changed_at = answer.token, answer.text[:4000], now
            if answer.token:
                queries.bump(session, {row.connector_id})
    return sum(bool(one.token) for one in signed)


def sign_anew(session: Session, now: datetime) -> None:
    """Let waiting wipes be signed with the order-signing key of now; no connector takes the old."""
    waiting = (MailWipe.state == WipeState.QUEUED) & (MailWipe.token != "")
    session.execute(
        update(MailWipe)
        .where(waiting)
        .values(token="", changed_at=now)
        .execution_options(synchronize_session=False)
    )


def take_report(
    session: Session, keys: Keys, connector: Connector, report: messages.WipeReport, now: datetime
) -> None:
    """Note how far a wipe is; nothing for one of another connector, or that ended."""
    wipe = session.get(MailWipe, report.command_id)
    row = session.get(Partnership, wipe.partnership_id) if wipe else None
    if wipe is None or row is None or row.connector_id != connector.id:
        return
    following = WipeState(report.state)
    if wipe.state not in _BEFORE[following]:
        return
    _step(session, wipe, following, report.detail, now)
    actor, subject = f"connector {connector.name}", f"{row.mailbox} {row.exchange_device_id}"
    action = f"mail.wipe_{following.value}"
    record(session, keys, actor, action, subject, report.detail[:255], now=now)


_BEFORE = {
    WipeState.DONE: (WipeState.QUEUED, WipeState.EXPIRED),
    WipeState.FAILED: (WipeState.QUEUED, WipeState.EXPIRED),
    WipeState.ACKNOWLEDGED: (WipeState.QUEUED, WipeState.EXPIRED, WipeState.DONE),
}


def list_wipes(session: Session, partnership_id: int) -> Sequence[MailWipe]:
    """Return the wipes of one phone, the newest first."""
    wanted = select(MailWipe).where(MailWipe.partnership_id == partnership_id)
    return session.scalars(wanted.order_by(MailWipe.queued_at.desc())).all()


def _list_unsigned(session: Session) -> list[tuple[MailWipe, Partnership]]:
    wanted = (
        select(MailWipe, Partnership)
        .join(Partnership, Partnership.id == MailWipe.partnership_id)
        .where(MailWipe.state == WipeState.QUEUED, MailWipe.token == "")
        .order_by(MailWipe.queued_at)
        .limit(MOST_ORDERS)
    )
    return [(wipe, row) for wipe, row in session.execute(wanted)]


def order(wipe: MailWipe, row: Partnership, now: datetime) -> agent.Order:
    """Return the order that the signer is asked to sign for *wipe*."""
    kind = CommandKind.SELECTIVE_WIPE if wipe.account_only else CommandKind.WIPE
    said = {
        "connector": str(row.connector_id),
        "mailbox": row.mailbox,
        "device_id": row.exchange_device_id,
        "guid": row.guid,
        "account_only": "yes" if wipe.account_only else "no",
    }
    return agent.Order(
        iss="management",
        aud=row.connector_id,
        epoch=1,
        seq=0,
        ack=0,
        sent_at=now,
        body=agent.RunCommand(
            command_id=wipe.id, command=kind, arguments=said, expires_at=wipe.expires_at
        ),
    )


def _expire(session: Session, now: datetime) -> None:
    session.execute(
        update(MailWipe)
        .where(MailWipe.state == WipeState.QUEUED, MailWipe.expires_at <= now)
        .values(state=WipeState.EXPIRED, changed_at=now)
        .execution_options(synchronize_session=False)
    )


def _step(
    session: Session, wipe: MailWipe, following: WipeState, detail: str, now: datetime
) -> None:
    wipe.state, wipe.detail, wipe.changed_at = following, detail[:4000], now
    row = session.get_one(Partnership, wipe.partnership_id)
    _note(session, row, wipe, detail, now)


def _note(session: Session, row: Partnership, wipe: MailWipe, because: str, now: datetime) -> None:
    what = "account only" if wipe.account_only else "whole phone"
    words = f"wipe ({what}): {wipe.state}. {because}"[:4000]
    session.add(MailDecision(partnership_id=row.id, at=now, event="wipe", access="", because=words))
