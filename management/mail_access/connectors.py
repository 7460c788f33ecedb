"""Pairs connectors, knows them by their signatures, lets them in or not."""

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from uuid import UUID

from sqlalchemy import delete, func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from contracts import codec
from contracts import connector as messages
from contracts import keys as jwk
from contracts.codes import random_code
from contracts.request_signature import MAXIMUM_SKEW
from management import log_zips
from management.audit.service import record
from management.keys import Keys
from management.mail_access import queries
from management.mail_access.models import (
    PARTNERSHIPS,
    Connector,
    ConnectorLog,
    ConnectorNonce,
    MailDecision,
    MailWipe,
    PairingCode,
    Partnership,
)
from management.mail_access.rules import By
from management.mail_access.states import WipeState
from management.search.upkeep import drop
from runtime.errors import ForbiddenError, RefusedError, UnauthenticatedError

CODE_LENGTH = 16
CODE_VALID = timedelta(minutes=15)


def make_pairing_code(session: Session, keys: Keys, by: By, now: datetime) -> str:
    """Return a new one-time code of 16 characters; only its SHA-256 is kept, for 15 minutes."""
    code = random_code(CODE_LENGTH)
    session.execute(delete(PairingCode).where(PairingCode.expires_at < now - timedelta(days=30)))
    session.add(
        PairingCode(
            code_hash=_code_hash(code),
            created_at=now,
            created_by=by.name,
            expires_at=now + CODE_VALID,
        )
    )
    record(session, keys, by.name, "connector.invite", "pairing code", "", by.address, now=now)
    return code


def pair(
    session: Session, keys: Keys, asked: messages.PairingRequest, address: str, now: datetime
) -> Connector:
    """Return the new connector; the code is used up.

    Raises UnauthenticatedError, the same for a code that is unknown, used or too old.
    """
    used = session.execute(
        update(PairingCode)
        .where(
            PairingCode.code_hash == _code_hash(asked.code),
            PairingCode.used_at.is_(None),
            PairingCode.expires_at > now,
        )
        .values(used_at=now)
        .returning(PairingCode.created_by)
    ).scalar_one_or_none()
    if used is None:
        raise UnauthenticatedError(
            "The pairing code is unknown, used or older than 15 minutes. "
            "Make a new one in the console under Mail access, Connectors."
        )
    connector = Connector(
        name=asked.name[:100],
        kind=asked.kind,
        key=jwk.public_jwk(jwk.read_public(asked.key)),
        paired_at=now,
        version=asked.version[:50],
    )
    session.add(connector)
    session.flush()
    actor, subject = f"connector {connector.name}", f"{connector.name} {connector.id}"
    invited = f"invited by {used}"
    record(session, keys, actor, "connector.pair", subject, invited, address, now=now)
    return connector


def _code_hash(code: str) -> str:
    """Return the hash of what a person may have typed with spaces, hyphens or small letters."""
    plain = code.replace("-", "").replace(" ", "").upper()
    return sha256(plain.encode()).hexdigest()


def use_nonce(session: Session, connector_id: UUID, nonce: str, now: datetime) -> None:
    """Use up a signature's nonce; UnauthenticatedError when it came before."""
    old = now - 2 * MAXIMUM_SKEW
    session.execute(delete(ConnectorNonce).where(ConnectorNonce.used_at < old))
    try:
        with session.begin_nested():
            session.add(ConnectorNonce(connector_id=connector_id, nonce=nonce, used_at=now))
    except IntegrityError:
        raise UnauthenticatedError("This signature was used before.") from None


def note_call(session: Session, connector_id: UUID, now: datetime) -> Connector:
    """Return the connector that calls; its contact is now. Takes the lock of `lock_connectors`.

    ForbiddenError when it is disabled.
    """
    (connector,) = (row for row in queries.lock_connectors(session) if row.id == connector_id)
    require_enabled(connector)
    connector.contact_at = now
    return connector


def require_enabled(connector: Connector) -> None:
    """Raise ForbiddenError when the connector is disabled."""
    if connector.disabled_at is not None:
        raise ForbiddenError(
            f"The connector {connector.name} is disabled. Enable it in the console under Mail "
            "access, Connectors."
        )


def take_status(connector: Connector, status: messages.ConnectorStatus) -> None:
    """Store how the connector says it stands."""
    unreachable = "" if status.exchange_reachable else "The mail server cannot be reached."
    connector.version = status.version[:50]
    connector.problem = status.problem or unreachable
    connector.waiting = status.waiting
    connector.status = json.loads(codec.write(status))
    if status.release is not None and status.release.order == connector.update_order:
        connector.update_order = None


def read_status(connector: Connector) -> messages.ConnectorStatus | None:
    """Return what the connector said of itself last, or None."""
    if not connector.status:
        return None
    return codec.read(messages.ConnectorStatus, json.dumps(connector.status))


def disable_connector(
    session: Session, keys: Keys, connector_id: UUID, by: By, reason: str, now: datetime
) -> None:
    """Refuse this connector from now on; what it did at the mail server stays."""
    connector = queries.get_connector(session, connector_id)
    connector.disabled_at = connector.disabled_at or now
    subject = f"{connector.name} {connector.id}"
    record(session, keys, by.name, "connector.disable", subject, reason, by.address, now=now)


def change_log_level(
    session: Session,
    keys: Keys,
    connector_id: UUID,
    level: messages.LogLevel,
    by: By,
    now: datetime,
) -> None:
    """Let a connector log more or less for an hour."""
    connector = queries.get_connector(session, connector_id)
    connector.log_level = level
    connector.log_level_until = log_zips.until(level, now)
    subject = f"{connector.name} {connector.id}"
    record(session, keys, by.name, "connector.log_level", subject, level, by.address, now=now)


def log_level_of(connector: Connector, now: datetime) -> messages.LogLevel:
    """Return the level that holds now."""
    return log_zips.level_now(connector.log_level, connector.log_level_until, now)


@dataclass(frozen=True, slots=True)
class Hanging:
    """What is forgotten with a connector."""

    phones: int
    """That it sees at the mail server now."""
    blocked: int
    """Of them: blocked by it; they stay so at the mail server."""
    by_hand: int
    """Words of administrators about single phones."""
    wipes: int
    """Phones with a wipe that is not over."""


def look(session: Session, connector_id: UUID) -> Hanging:
    """Return what hangs on the connector; NotFoundError when there is none."""
    queries.get_connector(session, connector_id)
    ours = Partnership.connector_id == connector_id
    here = (ours, Partnership.gone_at.is_(None))
    phones = func.count(MailWipe.partnership_id.distinct())
    open_wipes = select(phones).select_from(MailWipe).join(Partnership)
    found = (
        select(func.count()).select_from(Partnership).where(*here),
        select(func.count()).select_from(Partnership).where(*here, Partnership.applied == "block"),
        select(func.count()).select_from(Partnership).where(ours, Partnership.exception != ""),
        open_wipes.where(ours, MailWipe.state == WipeState.QUEUED),
    )
    return Hanging(*(session.scalar(one) or 0 for one in found))


def require_typed(session: Session, connector_id: UUID, typed: str) -> None:
    """Raise RefusedError unless the connector's name was typed."""
    if typed.strip() != queries.get_connector(session, connector_id).name:
        raise RefusedError("Type the name of the connector exactly as it stands here.")


def delete_connector(
    session: Session, keys: Keys, connector_id: UUID, by: By, reason: str, now: datetime
) -> None:
    """Forget a connector and all that it reported; RefusedError unless it is disabled.

    What it did at the mail server stays there: undo it first.
    """
    connector = queries.get_connector(session, connector_id)
    if connector.disabled_at is None:
        raise RefusedError("Disable the connector first; undo what it did if that shall go too.")
    ours = select(Partnership.id).where(Partnership.connector_id == connector_id)
    drop(session, PARTNERSHIPS, ours)
    for gone in (
        delete(MailDecision).where(MailDecision.partnership_id.in_(ours)),
        delete(MailWipe).where(MailWipe.partnership_id.in_(ours)),
        delete(Partnership).where(Partnership.connector_id == connector_id),
        delete(ConnectorNonce).where(ConnectorNonce.connector_id == connector_id),
        delete(ConnectorLog).where(ConnectorLog.connector_id == connector_id),
    ):
        session.execute(gone.execution_options(synchronize_session=False))
    subject = f"{connector.name} {connector.id}"
    session.delete(connector)
    record(session, keys, by.name, "connector.delete", subject, reason, by.address, now=now)


def enable_connector(
    session: Session, keys: Keys, connector_id: UUID, by: By, reason: str, now: datetime
) -> None:
    """Let a disabled connector work again."""
    connector = queries.get_connector(session, connector_id)
    connector.disabled_at = None
    subject = f"{connector.name} {connector.id}"
    record(session, keys, by.name, "connector.enable", subject, reason, by.address, now=now)
