"""Reads connectors, partnerships and everything a decision about them rests on."""

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime, timedelta
from typing import TypeVar, cast
from uuid import UUID

from pydantic import TypeAdapter
from sqlalchemy import ColumnElement, func, or_, select, update
from sqlalchemy.orm import Session

from contracts.connector import BATCH, Access, Wanted
from management.database import locked
from management.devices.models import Device
from management.mail_access.matching import Match
from management.mail_access.models import Connector, MailDecision, MailWipe, Partnership
from management.mail_access.rules import MailSettings, Pause
from management.mail_access.states import WipeState
from management.safety import queries as safety
from runtime.errors import NotFoundError

SETTING = "mail_access"
KEEP_GONE = timedelta(days=30)
"""So long a block outlives its partnership, so that removing and adding it again gains nothing."""
CHUNK = 500
_SETTINGS = TypeAdapter(MailSettings)
T = TypeVar("T")


def read_mail_settings(session: Session) -> MailSettings:
    """Return what an administrator chose, else the defaults."""
    return _SETTINGS.validate_json(safety.read_setting(session, SETTING, "{}"))


def parse_mail_settings(text: str) -> MailSettings:
    """Return the settings that `write_mail_settings` wrote."""
    return _SETTINGS.validate_json(text)


def write_mail_settings(settings: MailSettings) -> str:
    """Return *settings* as the text that is stored."""
    return _SETTINGS.dump_json(settings).decode()


def find_pause(session: Session) -> Pause | None:
    """Return who paused all enforcement, or None."""
    row = safety.get_enforcement(session)
    if row.paused_at is None:
        return None
    return Pause(row.paused_at, row.paused_by, row.paused_because)


# --- connectors ---


def find_connector(session: Session, connector_id: UUID) -> Connector | None:
    """Return the connector or None."""
    return session.get(Connector, connector_id)


def get_connector(session: Session, connector_id: UUID) -> Connector:
    """Return the connector; NotFoundError when there is none of this id."""
    found = find_connector(session, connector_id)
    if found is None:
        raise NotFoundError("There is no such connector.")
    return found


def lock_connectors(session: Session) -> list[Connector]:
    """Return every connector, locked until this transaction ends, always in the same order.

    Whoever decides or stores mail access takes this lock first, so nobody waits in a circle.
    """
    return list(session.scalars(locked(select(Connector).order_by(Connector.id), Connector)))


def list_connectors(session: Session) -> list[Connector]:
    """Return every connector by name."""
    return list(session.scalars(select(Connector).order_by(Connector.name, Connector.paired_at)))


def list_wanted(
    session: Session, connector_id: UUID, now: datetime, since: datetime | None = None
) -> tuple[Wanted, ...]:
    """Return what this connector should hold; what is left alone is not in it.

    With *since*: only what was decided from then on, and that includes what is left alone; and
    the phones whose certificate is another since then.
    """
    fresh = Partnership.wanted != "leave"
    if since is not None:
        fresh = (Partnership.wanted_since >= since) | (Device.renewed_at >= since)
    managed = Partnership.match.in_((Match.SURE, Match.BY_HAND))
    rows = session.execute(
        select(
            Partnership.mailbox,
            Partnership.exchange_device_id,
            Partnership.wanted,
            Partnership.wanted_because,
            Partnership.wanted_since,
            Device.certificate_serial,
        )
        .outerjoin(Device, (Device.id == Partnership.device_id) & managed)
        .where(Partnership.connector_id == connector_id, fresh, _not_long_gone(now))
        .order_by(Partnership.id)
    )
    return tuple(
        Wanted(
            mailbox=mailbox,
            device_id=device_id,
            access=cast(Access, wanted),
            because=because,
            since=decided_at,
            certificate=certificate or "",
        )
        for mailbox, device_id, wanted, because, decided_at, certificate in rows
    )


def _not_long_gone(now: datetime) -> ColumnElement[bool]:
    return or_(Partnership.gone_at.is_(None), Partnership.gone_at > now - KEEP_GONE)


def list_wipe_tokens(session: Session, connector_id: UUID, now: datetime) -> tuple[str, ...]:
    """Return the signed wipes that this connector has not carried out yet."""
    wanted = (
        select(MailWipe.token)
        .join(Partnership, Partnership.id == MailWipe.partnership_id)
        .where(
            Partnership.connector_id == connector_id,
            MailWipe.state == WipeState.QUEUED,
            MailWipe.token != "",
            MailWipe.expires_at > now,
        )
        .order_by(MailWipe.queued_at)
        .limit(BATCH)
    )
    return tuple(session.scalars(wanted))


def connectors_of(session: Session, device_ids: Collection[UUID]) -> set[UUID]:
    """Return the connectors that know a phone of these devices."""
    wanted = select(Partnership.connector_id).where(Partnership.device_id.in_(list(device_ids)))
    return set(session.scalars(wanted.distinct()))


def bump(session: Session, connector_ids: Collection[UUID]) -> None:
    """Raise the issue of these connectors' lists."""
    if connector_ids:
        session.execute(
            update(Connector)
            .where(Connector.id.in_(list(connector_ids)))
            .values(issue=Connector.issue + 1)
        )


# --- which partnerships to decide ---


def list_touched_by(session: Session, device_ids: Collection[UUID]) -> list[Partnership]:
    """Return the partnerships that these devices are, were, say they are, or may be."""
    found: dict[int, Partnership] = {}
    for some in chunks(device_ids):
        said = select(Device.exchange_device_id).where(
            Device.id.in_(some), Device.exchange_device_id != ""
        )
        owners = select(Device.owner_address).where(Device.id.in_(some))
        alike = Partnership.match.in_(("none", "proposed")) & Partnership.user_address.in_(owners)
        wanted = select(Partnership).where(
            or_(Partnership.device_id.in_(some), Partnership.exchange_device_id.in_(said), alike)
        )
        found.update((row.id, row) for row in session.scalars(wanted))
    return list(found.values())


def list_by_id(session: Session, ids: Collection[int]) -> list[Partnership]:
    """Return these partnerships, in the order of their ids."""
    found = [
        row
        for some in chunks(ids)
        for row in session.scalars(select(Partnership).where(Partnership.id.in_(some)))
    ]
    return sorted(found, key=lambda row: row.id)


def list_due(session: Session, now: datetime, limit: int) -> list[Partnership]:
    """Return partnerships that time alone may have changed, longest due first."""
    wanted = select(Partnership).where(Partnership.next_due_at <= now)
    return list(session.scalars(wanted.order_by(Partnership.next_due_at).limit(limit)))


def list_from(session: Session, after: int, limit: int) -> list[Partnership]:
    """Return the next partnerships whose id is above *after*."""
    wanted = select(Partnership).where(Partnership.id > after).order_by(Partnership.id)
    return list(session.scalars(wanted.limit(limit)))


def list_live(session: Session) -> list[Partnership]:
    """Return every partnership that the mail servers have."""
    wanted = select(Partnership).where(Partnership.gone_at.is_(None)).order_by(Partnership.id)
    return list(session.scalars(wanted))


_HELD = (Partnership.held_at.is_not(None), Partnership.gone_at.is_(None))


def count_held(session: Session) -> int:
    """Return how many blocks wait for confirmation."""
    wanted = select(func.count()).select_from(Partnership)
    return session.scalar(wanted.where(*_HELD)) or 0


def list_held(session: Session) -> list[Partnership]:
    """Return the partnerships whose block waits for confirmation."""
    wanted = select(Partnership).where(*_HELD)
    return list(session.scalars(wanted.order_by(Partnership.held_at, Partnership.id)))


def list_known(
    session: Session, connector_id: UUID, device_ids: Collection[str]
) -> dict[tuple[str, str], Partnership]:
    """Return this connector's partnerships of these DeviceIds by (mailbox, DeviceId)."""
    return {
        (row.mailbox, row.exchange_device_id): row
        for some in chunks(device_ids)
        for row in session.scalars(
            select(Partnership).where(
                Partnership.connector_id == connector_id,
                Partnership.exchange_device_id.in_(some),
            )
        )
    }


# --- pages ---


def audited_name(row: Partnership) -> str:
    """Return what the audit trail calls the phone, when somebody acts on it or looks at it."""
    return f"{row.mailbox} {row.exchange_device_id}"


def get_partnership(session: Session, partnership_id: int) -> Partnership:
    """Return the partnership; NotFoundError when there is none of this id."""
    found = session.get(Partnership, partnership_id)
    if found is None:
        raise NotFoundError("There is no such partnership.")
    return found


def list_device_partnerships(session: Session, device_id: UUID) -> list[Partnership]:
    """Return the partnerships matched to one device, for its page."""
    wanted = select(Partnership).where(Partnership.device_id == device_id)
    return list(session.scalars(wanted.order_by(Partnership.id)))


def find_device_name(session: Session, device_id: UUID | None) -> str:
    """Return the name of the device, or nothing."""
    if device_id is None:
        return ""
    return session.scalar(select(Device.name).where(Device.id == device_id)) or ""


def list_history(session: Session, partnership_id: int, limit: int = 100) -> list[MailDecision]:
    """Return the latest changes of one partnership, newest first."""
    wanted = select(MailDecision).where(MailDecision.partnership_id == partnership_id)
    return list(session.scalars(wanted.order_by(MailDecision.id.desc()).limit(limit)))


def chunks(items: Collection[T]) -> Iterator[Sequence[T]]:
    """Yield the different *items* in lists that one statement can hold."""
    all_of_them = list(dict.fromkeys(items))
    for start in range(0, len(all_of_them), CHUNK):
        yield all_of_them[start : start + CHUNK]
