"""Tells whose mail is cut, outside mail: a message by the agent, and words for the help desk."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from contracts.agent import CommandKind
from management.commands.service import queue_command
from management.compliance.judgement import Judgement
from management.compliance.models import DeviceJudgement
from management.compliance.queries import read_judgement
from management.mail_access.matching import Match
from management.mail_access.models import Partnership
from runtime.errors import SekishoError

BY = "mail access"
VALID_FOR = timedelta(days=7)
LONGEST = 255


def tell_user(session: Session, row: Partnership, now: datetime) -> None:
    """Let the agent say that mail was cut, why, and what mends it; a stranger's phone has none."""
    if row.device_id is None or not Match(row.match).is_managed:
        return
    text = message(mending(session, row))
    reason = f"Mail of {row.exchange_device_id} was blocked"
    try:
        with session.begin_nested():
            queue_command(
                session,
                row.device_id,
                CommandKind.MESSAGE,
                {"text": text},
                BY,
                reason,
                now,
                valid_for=VALID_FOR,
            )
    except SekishoError:
        return  # a device that left cannot be told; the help desk can tell its user


def message(mends: Sequence[str]) -> str:
    """Return what the agent shows, short enough for one notice."""
    said = " ".join(mends) or "Ask your help desk."
    return f"Your company mail is blocked on this phone. {said}"[:LONGEST]


def mending(session: Session, row: Partnership) -> tuple[str, ...]:
    """Return what the user can do, rule by rule; for a phone that is not ours, to enrol it."""
    if row.device_id is None or not Match(row.match).is_managed:
        return ("Enrol this phone with the company; mail comes back within minutes.",)
    judged = session.get(DeviceJudgement, row.device_id)
    judgement: Judgement | None = read_judgement(judged) if judged else None
    if judgement is None:
        return ()
    return tuple(dict.fromkeys(one.mend for one in judgement.violations if one.mend))


def help_desk_text(row: Partnership, mends: Sequence[str]) -> str:
    """Return what the help desk can read to a user whose mail is cut."""
    why = "; ".join(line for line in row.wanted_because.split("\n") if line)
    phone = row.device_model or row.device_type or "phone"
    lines = [
        f"Mail for {row.user_address or row.mailbox} is blocked on the {phone} with the id "
        f"{row.exchange_device_id} since {row.wanted_since:%Y-%m-%d %H:%M} UTC.",
        f"Reason: {why}." if why else "",
        f"What mends it: {' '.join(mends)}" if mends else "",
        "Once that is done mail comes back by itself, usually within minutes of the phone's next "
        "report. Other phones of this user are not affected.",
    ]
    return "\n".join(line for line in lines if line)
