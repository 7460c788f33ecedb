"""The dry run of many phones: in the background, piece by piece, with progress.

It changes nothing. One is kept for each set of settings, and a new look replaces the old one.
"""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from management.context import Context
from management.handlers import Progress
from management.keys import Keys
from management.mail_access import dry_run, queries
from management.mail_access.models import MailTrial, Partnership
from management.mail_access.rules import MailSettings
from management.progress import said as _l
from management.work.models import Job
from management.work.queries import find_by_key
from management.work.service import enqueue
from runtime.clock import utc_now
from runtime.errors import NotFoundError

AT_ONCE = 2_000
"""Up to so many phones are looked at while the page waits."""
PIECE = 1_000
KEPT = timedelta(days=7)


def count_phones(session: Session) -> int:
    """Return how many phones the mail servers have."""
    live = select(func.count()).select_from(Partnership).where(Partnership.gone_at.is_(None))
    return session.scalar(live) or 0


def ask(session: Session, settings: MailSettings, by: str, now: datetime) -> MailTrial:
    """Queue a look at who would lose mail under *settings*; what was found before is replaced."""
    digest = dry_run.digest(settings)
    old = MailTrial.asked_at < now - KEPT
    session.execute(delete(MailTrial).where(old | (MailTrial.digest == digest)))
    session.expire_all()
    trial = MailTrial(
        digest=digest,
        settings=queries.write_mail_settings(settings),
        asked_by=by[:255],
        asked_at=now,
        total=count_phones(session),
    )
    session.add(trial)
    session.flush()
    payload = {"digest": digest, "asked_at": now.isoformat()}
    enqueue(session, "mail_access.try", _key(trial), payload, priority=3, now=now)
    return trial


def get_trial(session: Session, digest: str) -> MailTrial:
    """Return the look at the settings that *digest* tells from others; NotFoundError else."""
    found = session.get(MailTrial, digest)
    if found is None:
        raise NotFoundError("This look at who would lose mail is not kept any more. Look again.")
    return found


def seen(keys: Keys, trial: MailTrial) -> str:
    """Return what proves that somebody looked at the result; empty: there is none yet."""
    if trial.finished_at is None:
        return ""
    entered = queries.parse_mail_settings(trial.settings)
    return dry_run.seen(keys, entered, trial.lose, trial.finished_at)


def find_job(session: Session, trial: MailTrial) -> Job | None:
    """Return the work that does it."""
    return find_by_key(session, _key(trial))


def first_cut_off(session: Session, trial: MailTrial) -> list[dry_run.CutOff]:
    """Return the phones that would lose mail first, with their reasons of now."""
    rows = queries.list_by_id(session, [int(one) for one in trial.first.get("phones", [])])
    return dry_run.cut_off(session, rows, _switched_on(trial), trial.asked_at)


def run(context: Context, payload: dict[str, Any], progress: Progress) -> None:
    """Look at every phone; a repetition goes on behind the last piece that was kept."""
    going = True
    while going:
        with context.database.transaction("look at mail piece by piece") as session:
            trial = session.get(MailTrial, payload["digest"])
            if trial is None or trial.asked_at.isoformat() != payload["asked_at"]:
                return  # somebody looks anew
            going = _piece(session, trial)
            done, total = min(trial.looked_at, trial.total), trial.total
        progress(_l("%(done)s of %(total)s phones are looked at.", done=done, total=total))


def _piece(session: Session, trial: MailTrial) -> bool:
    """Look at the next phones; return whether there may be more."""
    rows = queries.list_from(session, trial.last_id, PIECE)
    if not rows:
        trial.finished_at = utc_now()
        return False
    live = [row for row in rows if row.gone_at is None]
    found = dry_run.cut_off(session, live, _switched_on(trial), trial.asked_at)
    known = [(str(at), int(number)) for at, number in trial.first.get("soonest", [])]
    known += [(one.at.isoformat(), one.row.id) for one in found]
    soonest = sorted(known)[: dry_run.SHOWN]
    trial.first = {"soonest": soonest, "phones": [number for _, number in soonest]}
    trial.last_id, trial.looked_at = rows[-1].id, trial.looked_at + len(live)
    trial.lose += len(found)
    return True


def _switched_on(trial: MailTrial) -> MailSettings:
    return replace(queries.parse_mail_settings(trial.settings), automatic=True)


def _key(trial: MailTrial) -> str:
    return f"mail_access.try:{trial.digest}:{trial.asked_at.isoformat()}"
