"""Who would lose mail, from when on and why, before anything is switched on; changes nothing."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from hashlib import sha256
from hmac import compare_digest

from sqlalchemy.orm import Session

from management.keys import Keys
from management.mail_access import grounds, queries
from management.mail_access.decisions import managing, standing
from management.mail_access.models import Partnership
from management.mail_access.rules import Decision, Exempt, MailSettings, decide

SHOWN = 500
"""So many are shown."""
SEEN_HOLDS = timedelta(hours=1)
UNSEEN = "First look who would lose mail under exactly these settings."
SEEN_LONG_AGO = "More than an hour ago somebody looked who would lose mail. Look again."


@dataclass(frozen=True, slots=True)
class CutOff:
    """A phone that would lose mail."""

    row: Partnership
    at: datetime
    decision: Decision
    """As it will be at that time."""
    doors: tuple[str, ...] = ()
    """Other doors of the mailbox that would be closed with it: those that are open now."""


def digest(settings: MailSettings) -> str:
    """Return what tells these settings from others, leaving aside whether they are switched on."""
    text = queries.write_mail_settings(replace(settings, automatic=True))
    return sha256(text.encode()).hexdigest()[:32]


def seen(keys: Keys, settings: MailSettings, lose: int, at: datetime) -> str:
    """Return what proves for an hour that somebody looked: at these settings, then, so many."""
    stamp = f"{int(at.timestamp())}-{lose}"
    return f"{stamp}-{_mac(keys, settings, stamp)}"


def why_unseen(keys: Keys, settings: MailSettings, said: str, now: datetime) -> str:
    """Return why *said* does not prove that somebody looked at *settings*; empty: it does."""
    stamp, _, mac = said.rpartition("-")
    if not compare_digest(mac.encode(), _mac(keys, settings, stamp).encode()):
        return UNSEEN
    at = int(stamp.partition("-")[0])
    return SEEN_LONG_AGO if now.timestamp() - at > SEEN_HOLDS.total_seconds() else ""


def _mac(keys: Keys, settings: MailSettings, stamp: str) -> str:
    return keys.mac(f"looked who would lose mail: {stamp} {digest(settings)}".encode())


def preview(session: Session, settings: MailSettings, now: datetime) -> list[CutOff]:
    """Return who would lose mail under *settings*, the soonest first.

    The pause and the brake are left out: the list says what the settings mean.
    """
    rows = queries.list_live(session)
    return cut_off(session, rows, settings, now)


def preview_word(
    session: Session, ids: Collection[int], said: Exempt, now: datetime
) -> list[CutOff]:
    """Return which of these phones would lose mail by an administrator's word."""
    rows = queries.list_by_id(session, ids)
    return cut_off(session, rows, queries.read_mail_settings(session), now, said)


def cut_off(
    session: Session,
    rows: list[Partnership],
    settings: MailSettings,
    now: datetime,
    said: Exempt | None = None,
) -> list[CutOff]:
    """Return which of *rows* would lose mail under *settings*, the soonest first."""
    graces = grounds.list_graces(session, {row.grace_key for row in rows})
    ids = {row.device_id for row in rows if row.device_id is not None}
    devices = grounds.list_matched_devices(session, ids, settings)
    found = []
    for row in rows:
        grace = graces.get(row.grace_key)
        stands = replace(standing(row), exception=said) if said else standing(row)
        device, since, at = managing(row, devices), grace.since if grace else now, now
        decision = decide(stands, device, settings, since, None, at)
        if decision.access != "block" and decision.due_at is not None:
            at = decision.due_at
            decision = decide(stands, device, settings, since, None, at)
        if decision.access == "block" and row.wanted != "block":
            found.append(CutOff(row, at, decision, _doors(row, settings)))
    return sorted(found, key=lambda one: (one.at, one.row.id))


def _doors(row: Partnership, settings: MailSettings) -> tuple[str, ...]:
    open_now = (row.open_doors or "").split()
    return tuple(door for door in settings.close_doors if door in open_now)
