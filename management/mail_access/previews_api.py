"""What programs ask before mail settings hold: who would lose mail, from when on and why."""

from dataclasses import asdict, dataclass, replace
from datetime import datetime

from flask import Blueprint
from sqlalchemy.orm import Session

from management.access import Permission
from management.api.operations import operation
from management.mail_access import dry_run, trial
from management.mail_access.models import MailTrial
from management.mail_access.pages import by
from management.mail_access.rules import MailSettings
from management.mail_access.settings_api import MailSettingsAnswer
from management.personal import list_of, tell_number
from management.web import context, reading, transaction
from runtime.clock import utc_now

bp = Blueprint("mail_previews_api", __name__, url_prefix="/api/v1/mail-access")
MANAGE = Permission.MANAGE_MAIL_ACCESS


@dataclass(frozen=True, slots=True, kw_only=True)
class CutOffAnswer:
    """A phone that would lose mail, when and why."""

    partnership_id: int
    mailbox: str
    at: datetime
    because: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PreviewAnswer:
    """Who would lose mail under these settings, the soonest first."""

    seen: str
    """Proves for an hour that these settings were looked at; empty while phones are looked at."""
    look: str
    """Names the look for `get_mail_preview`; empty: all was looked at while you waited."""
    looked_at: int
    of: int
    """So many of all phones are looked at."""
    phones: int
    """So many would lose mail."""
    first: tuple[CutOffAnswer, ...]
    """The first 500; none before all are looked at."""


@operation(bp, "/settings/preview", MANAGE, "POST", shows=list_of("who would lose mail"))
def preview_mail_settings(body: MailSettingsAnswer) -> PreviewAnswer:
    """Get who would lose mail under settings, before they hold.

    Of more than 2,000 phones it is found out in the background: `look` is what to ask
    `get_mail_preview` for.
    """
    entered, now = MailSettings(**asdict(body)), utc_now()
    with reading() as session:
        count = trial.count_phones(session)
        few = count <= trial.AT_ONCE
        found = dry_run.preview(session, replace(entered, automatic=True), now) if few else []
    if not few:
        with transaction("look who would lose mail") as session:
            return _looked(session, trial.ask(session, entered, by().name, now))
    return PreviewAnswer(
        seen=dry_run.seen(context().keys, entered, len(found), now),
        look="",
        looked_at=count,
        of=count,
        phones=len(found),
        first=_first(found),
    )


@operation(bp, "/settings/previews/<look>", MANAGE, shows=list_of("who would lose mail"))
def get_mail_preview(look: str) -> PreviewAnswer:
    """Get how far a look at who would lose mail is, or what it found."""
    with reading() as session:
        return _looked(session, trial.get_trial(session, look))


def _looked(session: Session, asked: MailTrial) -> PreviewAnswer:
    found = trial.first_cut_off(session, asked) if asked.finished_at else []
    return PreviewAnswer(
        seen=trial.seen(context().keys, asked),
        look=asked.digest,
        looked_at=asked.looked_at,
        of=asked.total,
        phones=asked.lose,
        first=_first(found),
    )


def _first(found: list[dry_run.CutOff]) -> tuple[CutOffAnswer, ...]:
    tell_number(len(found[: dry_run.SHOWN]))
    return tuple(
        CutOffAnswer(
            partnership_id=one.row.id,
            mailbox=one.row.mailbox,
            at=one.at,
            because=one.decision.because,
        )
        for one in found[: dry_run.SHOWN]
    )
