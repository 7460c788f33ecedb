"""The job that mails invitations: one mail a second at most, failures later again, then told."""

import time
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from contracts.enrolment_key import typed
from management.audit.service import record
from management.context import Context
from management.enrolment import mail_rules, mail_steps, mailing, service
from management.enrolment.letters import Invited, about, letter
from management.enrolment.mail_rules import NO_MAIL_SERVER, NO_RELAY
from management.enrolment.models import Invitation
from management.groups.queries import policy_in, read_tree
from management.handlers import Progress
from management.outgoing_mail import smtp
from management.outgoing_mail.queries import find_outgoing_mail
from management.outgoing_mail.rules import MailServer
from management.outgoing_mail.service import server_of
from management.policies.models import ROOT_GROUP
from management.policies.queries import current_version
from management.progress import said as _l
from management.relays.queries import list_used
from runtime.clock import utc_now
from runtime.errors import HopelessError, SekishoError, UnavailableError
from runtime.process import crash_point

AGAIN = " It is sent again."
"""What `smtp.UncertainError` promises; after the last attempt nobody does it."""
PAUSE_SECONDS = 1.0
"""From the beginning of one mail to that of the next: receivers take floods for spam."""
SHIFT_SECONDS = 30.0
"""So long a job mails; then another goes on, so that wipes and locks find a free worker between."""
SILENT = 2
"""Mails in a row to whose receiver the server said nothing; then it is not the receiver."""


@dataclass(frozen=True, slots=True)
class Way:
    """By what the mails of a round go out, and what all of them name."""

    server: MailServer
    relay_url: str
    fingerprint: str


class _SameForAllError(SekishoError):
    """What went wrong has nothing to do with the one mail that was tried."""


@dataclass(frozen=True, slots=True)
class Round:
    """One attempt at all that is left of a request."""

    context: Context
    payload: dict[str, Any]

    @property
    def request(self) -> UUID:
        """Which request it is."""
        return UUID(self.payload["ask"])

    @property
    def failures(self) -> int:
        """How often what fails now has failed in a row."""
        return int(self.payload["failures"]) + 1

    def next_at(self, now: datetime) -> datetime | None:
        """Return when what fails now is tried again; None: it is not."""
        wait = mail_rules.wait_after(self.failures)
        return now + wait if wait else None

    @property
    def began(self) -> datetime | None:
        """Return when an earlier job began this round; None: it begins now."""
        since = self.payload.get("began")
        return datetime.fromisoformat(since) if since else None

    def waiting(self, before: datetime | None = None) -> list[UUID]:
        """Return the invitations whose mail has not gone out, nor failed since *before*."""
        with self.context.database.reading() as session:
            return list(mail_steps.list_waiting(session, self.request, before))


def send(context: Context, payload: dict[str, Any], progress: Progress) -> None:
    """Mail the invitations of a request that were not mailed yet, for one shift."""
    this, since = Round(context, payload), utc_now()
    try:
        problem, silent, is_done = _shift(this, _way(context), progress)
    except _SameForAllError as error:
        problem, silent, is_done = str(error), 0, True
        _failed(this, this.waiting(), problem)
    if is_done:
        _end(this, problem, progress)
        return
    with context.database.transaction("let another job go on mailing") as session:
        told = {"problem": problem[:1000], "silent": silent}
        mail_steps.go_on(session, payload, this.began or since, told)


def _shift(this: Round, way: Way, progress: Progress) -> tuple[str, int, bool]:
    """Return the last problem of the round, to how many receivers in a row the server said nothing,
    and whether all were tried.
    """
    waiting, total = this.waiting(this.began), int(this.payload["total"])
    problem, silent = str(this.payload.get("problem", "")), int(this.payload.get("silent", 0))
    ends = _later(SHIFT_SECONDS)
    for left in range(len(waiting), 0, -1):
        if left < len(waiting) and time.monotonic() >= ends:
            return problem, silent, False
        next_one = _later(PAUSE_SECONDS)
        why, was_silent = _mail(this, way, waiting[-left])
        silent = silent + 1 if was_silent else 0
        if silent == SILENT:
            raise _SameForAllError(why)
        problem = why or problem
        progress(_l("%(done)s of %(total)s mails are done.", done=total - left + 1, total=total))
        time.sleep(max(0.0, next_one - time.monotonic()) if left > 1 else 0.0)
    return problem, silent, True


def _later(seconds: float) -> float:
    return time.monotonic() + seconds


def cancelled(session: Session, payload: dict[str, Any], by: str, now: datetime) -> None:
    """Let what a cancelled request has not mailed yet not be mailed."""
    mail_steps.drop(session, UUID(payload["ask"]))


def _way(context: Context) -> Way:
    try:
        with context.database.reading() as session:
            row, relays = find_outgoing_mail(session), list_used(session)
        if row is None or not relays:
            raise UnavailableError(NO_RELAY if row else NO_MAIL_SERVER)
        fingerprint = str(context.signer.status()["thumbprint"])
        return Way(server_of(row, context.keys), relays[0].devices_url, fingerprint)
    except SekishoError as error:
        raise _SameForAllError(str(error)) from None


def _mail(this: Round, way: Way, invitation_id: UUID) -> tuple[str, bool]:
    """Mail one invitation; return why that failed, or nothing, and whether the server said nothing
    to its receiver. _SameForAllError: all would fail.
    """
    now = utc_now()
    with this.context.database.reading() as session:
        row = mail_steps.find_waiting(session, this.request, invitation_id)
        why = mailing.why_not_now(session, row, this.payload["insists"], now) if row else ""
    if row is None or why:
        return _left_out(this, invitation_id), False
    try:
        with this.context.database.reading() as session:
            contact = _contact(session, row)
        key = this.context.keys.unseal(row.key_sealed)
        invited = _invited(row, way, key, this.context.settings.public_name, contact)
    except SekishoError as error:  # of this invitation alone: its policy, or its key
        _failed(this, [invitation_id], str(error))
        return str(error), False
    said: list[smtp.Step] = []
    try:
        smtp.send(way.server, letter(invited, way.server.sender, now), said)
    except SekishoError as error:
        problem = mail_rules.without((key, invited.key, invited.link), str(error))
        if this.next_at(now) is None:
            problem = problem.removesuffix(AGAIN)
        if not any(_takes_sender(step) for step in said):
            raise _SameForAllError(problem) from None
        _failed(this, [invitation_id], problem)
        return problem, not any(step.asked.startswith("RCPT ") for step in said)
    crash_point("after effect invitation mailed")
    _sent(this, row)
    return "", False


def _takes_sender(step: smtp.Step) -> bool:
    return step.asked.startswith("MAIL ") and step.answered.startswith("2")


def _left_out(this: Round, invitation_id: UUID) -> str:
    """It was used, cancelled or ended, or the person got a mail meanwhile: nobody need know."""
    with this.context.database.transaction("leave an invitation out") as session:
        mail_steps.drop(session, this.request, invitation_id)
    return ""


def _sent(this: Round, row: Invitation) -> None:
    about = {"invitation": str(row.id), "reminder": row.mails > 0}
    by, because = this.payload["by"], this.payload["because"]
    with this.context.database.transaction("note the mail of an invitation") as session:
        mail_steps.note_sent(session, this.request, row.id, utc_now())
        keys = this.context.keys
        record(session, keys, by, "invitation.mail", row.address, because, details=about)


def _failed(this: Round, invitation_ids: list[UUID], why: str) -> None:
    now = utc_now()
    with this.context.database.transaction("note mails that failed") as session:
        mail_steps.note_failed(session, invitation_ids, why, this.next_at(now), now)


def _end(this: Round, problem: str, progress: Progress) -> None:
    """Queue another round for what is left; HopelessError when it was given up."""
    if not problem:
        return
    next_at = this.next_at(utc_now())
    if next_at is None:
        raise HopelessError(
            f"Not all invitations could be mailed, after {this.failures} attempts. Registrations "
            f"says which. The last answer: {problem}"
        )
    left = this.waiting()
    with this.context.database.transaction("try mails again later") as session:
        if left:
            mail_steps.try_again(session, this.payload, this.failures, next_at)
    progress(_l("%(count)s mails failed and are tried again later.", count=len(left)))


def _contact(session: Session, row: Invitation) -> str:
    """Return whom the policy lets users ask, or nothing."""
    tree = read_tree(session)
    group = row.group_id if row.group_id in tree else ROOT_GROUP
    policy_id = row.policy_id or policy_in(session, tree, group, "android")
    general = current_version(session, policy_id).settings.get("general", {})
    return str(general.get("support_contact") or "")


def _invited(row: Invitation, way: Way, key: str, here: str, contact: str) -> Invited:
    link = service.qr_content(key, way.relay_url, way.fingerprint)
    shown = typed(key, way.fingerprint, way.relay_url)
    return about(row, here, way.relay_url, link, shown, contact)
