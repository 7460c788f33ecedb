"""The API's way to mail invitations and to remind those who are awaited."""

from dataclasses import dataclass
from typing import Annotated
from uuid import UUID

from flask import Blueprint
from pydantic import Field

from management.access import Permission, signed_in_name
from management.api.operations import STRICT, Reason, Words, operation
from management.audit.notes import note
from management.enrolment import mailing
from management.enrolment.mail_rules import MOST_AT_ONCE
from management.enrolment.mailing import Chosen, Wanted
from management.rates import take_mails
from management.web import reading, transaction
from runtime.clock import utc_now

bp = Blueprint("reminders_api", __name__, url_prefix="/api/v1/reminders")
Ids = Annotated[tuple[UUID, ...], Field(max_length=MOST_AT_ONCE)]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReminderChoice:
    """Whose invitations are to be mailed."""

    __pydantic_config__ = STRICT

    invitation_ids: Ids = ()
    """Left out: all that are awaited and have the words of `text`."""
    text: Words = ""
    insists: bool = False
    """Also to people who got a mail within the last day."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewReminders:
    """Mails invitations again, or for the first time."""

    __pydantic_config__ = STRICT

    reason: Reason
    invitation_ids: Ids = ()
    text: Words = ""
    insists: bool = False
    digest: Annotated[str, Field(pattern=r"^([0-9a-f]{64})?$")] = ""
    """As the preview says; may be left out only where `invitation_ids` name them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReminderPreview:
    """Who would get a mail now, in numbers."""

    people: int
    left_out: dict[str, int]
    """Why others get none -> how many."""
    digest: str
    """Stands for exactly this choice."""
    missing: str
    """What has to be set up before any mail goes out; empty: nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RemindersAsked:
    """Mails that go out in the background."""

    people: int
    left_out: dict[str, int]
    job_id: UUID | None
    """Tells how far it is, and can be cancelled."""


@operation(bp, "/preview", Permission.INVITE, "POST", in_groups=True)
def preview_reminders(body: ReminderChoice) -> ReminderPreview:
    """Count who would get a mail now and who would not, and why. Nothing is sent."""
    wanted = Wanted(ids=body.invitation_ids, text=body.text, insists=body.insists)
    with reading() as session:
        chosen = mailing.choose(session, wanted, utc_now())
        missing = mailing.why_not_set_up(session)
    return ReminderPreview(
        people=len(chosen.invitations),
        left_out=chosen.left_out,
        digest=chosen.digest,
        missing=missing,
    )


@operation(bp, "", Permission.INVITE, "POST", 202, (409,), in_groups=True)
def send_reminders(body: NewReminders) -> RemindersAsked:
    """Mail invitations to those who have not used them; at most once a day for one person.

    Nobody gets a mail who enrolled, and nobody for an invitation that ended or was cancelled.
    """
    wanted = Wanted(ids=body.invitation_ids, text=body.text, insists=body.insists)
    with transaction("ask for mails") as session:
        by, now = signed_in_name(), utc_now()
        chosen = mailing.ask(session, wanted, body.digest, by, body.reason, now)
        take_mails(len(chosen.invitations))
        about = {"people": len(chosen.invitations), "insists": body.insists, "text": body.text}
        note(session, "invitation.remind", chosen.job_id, body.reason, **about)
    return _asked(chosen)


def _asked(chosen: Chosen) -> RemindersAsked:
    return RemindersAsked(
        people=len(chosen.invitations), left_out=chosen.left_out, job_id=chosen.job_id
    )
