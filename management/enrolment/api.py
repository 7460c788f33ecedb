"""The API's view of enrolment keys: invitations, and keys for many devices."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Literal
from uuid import UUID

from flask import Blueprint
from pydantic import Field

from contracts.enrolment_key import typed
from contracts.types import Instant
from management.access import Permission, signed_in_name
from management.api.operations import STRICT, Limit, Place, Whole, Words, operation
from management.audit.notes import note
from management.enrolment import mailing, queries, service
from management.enrolment.models import Invitation
from management.enrolment.queries import Cursor
from management.enrolment.rules import InvitationState
from management.groups.models import ROOT_GROUP
from management.paging import cut, time_cursor
from management.personal import INVITATION, list_of
from management.rates import take_mails
from management.relays.queries import list_used
from management.web import context, reading, transaction
from runtime.clock import utc_now
from runtime.errors import RefusedError

bp = Blueprint("invitations_api", __name__, url_prefix="/api/v1")


@dataclass(frozen=True, slots=True, kw_only=True)
class InvitationQuery:
    """Which invitations are wanted."""

    state: Literal["", "active", "expired", "used", "cancelled"] = ""
    text: Words = ""
    """Words that address, name or reading begin with; of a Japanese name any part."""
    after: Place = ""
    limit: Limit = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class NewInvitation:
    """Asks one person to enrol one device."""

    __pydantic_config__ = STRICT

    address: Annotated[str, Field(max_length=254, pattern=r"^[^@\s\x00]+@[^@\s\x00]+$")]
    person: Annotated[str, Field(max_length=255, pattern=r"^[^\x00]*$")] = ""
    reading: Annotated[str, Field(max_length=100, pattern=r"^[^\x00]*$")] = ""
    """How the person's name is read, in kana; left out: as the directory's list says."""
    group_id: UUID = ROOT_GROUP
    """Where the device comes; left out: the root of all groups."""
    policy_id: UUID | None = None
    """Left out: the policy of the group."""
    days: Annotated[int, Field(ge=1, le=90), Whole] = 14
    devices: Annotated[int, Field(ge=1, le=1000), Whole] = 1
    """How many of the person's devices it lets in."""
    asks_user: bool = False
    """User name and password are asked too."""
    language: Literal["", "en", "ja"] = ""
    """Of the mail; left out: English and Japanese in one."""
    mail: bool = False
    """Mail it to the person, in the background; needs a mail server."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewKey:
    """A key that is nobody's own, for many devices."""

    __pydantic_config__ = STRICT

    purpose: Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00]*$")]
    expires_at: Instant
    """Three years ahead at most."""
    key: Annotated[str, Field(max_length=90, pattern=r"^[A-Za-z0-9-]*$")] = ""
    """Left out: a random one."""
    devices: Annotated[int, Field(ge=1, le=1_000_000), Whole] | None = None
    """How many it lets in; null: any number."""
    group_id: UUID = ROOT_GROUP
    policy_id: UUID | None = None
    asks_user: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class InvitationAnswer:
    """An enrolment key's entry, without the key."""

    id: UUID
    address: str
    """Empty: the key is nobody's own."""
    person: str
    """Who is invited, or what the key is for."""
    reading: str
    """How the person's name is read, in kana."""
    most_devices: int | None
    """Null: any number."""
    devices: int
    """How many it let in."""
    asks_user: bool
    group_id: UUID
    policy_id: UUID | None
    """Of its own; null: that of the group holds for the device."""
    state: str
    created_at: datetime
    created_by: str
    expires_at: datetime
    used_at: datetime | None
    device_id: UUID | None
    language: str
    """Of its mail; empty: English and Japanese."""
    mailed_at: datetime | None
    """When the newest mail went out."""
    mails: int
    """How many went out."""
    mail_next_at: datetime | None
    """A mail is on its way: when it is tried (again)."""
    mail_problem: str
    """Why the last attempt to mail it failed."""
    mail_problem_at: datetime | None
    """Since when every attempt failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InvitationPage:
    """Invitations, newest first."""

    items: tuple[InvitationAnswer, ...]
    next: str | None
    cut: bool
    """Always false: however many have the words, all of them are listed, page by page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InvitationMade:
    """A new key with everything a device needs; a secret, as long as it opens something."""

    invitation: InvitationAnswer
    key: str
    """The bare enrolment key."""
    typed: str
    """For typing without a server address: the relay's, the key and the print of our key."""
    link: str
    """Content of the QR code: ``sekisho://enrol?...``."""


@operation(bp, "/invitations", Permission.VIEW, in_groups=True, shows=list_of("invitations"))
def list_invitations(query: InvitationQuery) -> InvitationPage:
    """List invitations, newest first."""
    now = utc_now()
    place = Cursor(*time_cursor(query.after)) if query.after else None
    state = InvitationState(query.state) if query.state else None
    with reading() as session:
        found = queries.list_invitations(session, now, state, query.text, place, query.limit + 1)
    shown, following = cut(found, query.limit, lambda row: (row.created_at, row.id))
    return InvitationPage(
        items=tuple(_answer(row, now) for row in shown),
        next=following,
        cut=False,
    )


@operation(
    bp, "/invitations/<uuid:invitation_id>", Permission.VIEW, in_groups=True, shows=INVITATION
)
def get_invitation(invitation_id: UUID) -> InvitationAnswer:
    """Get one invitation as it stands now."""
    with reading() as session:
        return _answer(queries.get_invitation(session, invitation_id), utc_now())


@operation(bp, "/invitations", Permission.INVITE, "POST", 201, (404, 409, 503), in_groups=True)
def make_invitation(body: NewInvitation) -> InvitationMade:
    """Invite one person and get the key and link for the device."""
    now, keys = utc_now(), context().keys
    fingerprint = str(context().signer.status()["thumbprint"])
    with transaction("invite") as session:
        relays = list_used(session)
        if not relays:
            raise RefusedError("No relay is paired, so no device can enrol.")
        invitation, key = service.invite(
            session,
            keys,
            body.address,
            body.person,
            body.policy_id,
            timedelta(days=body.days),
            signed_in_name(),
            now,
            body.group_id,
            body.devices,
            body.asks_user,
            body.reading,
            body.language,
        )
        note(session, "invitation.make", body.address, invitation=str(invitation.id))
        if body.mail:
            take_mails(mailing.ask_first(session, [invitation], signed_in_name(), now))
    return _made(invitation, key, relays[0].devices_url, fingerprint, now)


@operation(bp, "/enrolment-keys", Permission.INVITE, "POST", 201, (404, 409, 503), in_groups=True)
def make_key(body: NewKey) -> InvitationMade:
    """Make a key for many devices; it is listed among the invitations."""
    now = utc_now()
    fingerprint = str(context().signer.status()["thumbprint"])
    with transaction("make an enrolment key") as session:
        relays = list_used(session)
        if not relays:
            raise RefusedError("No relay is paired, so no device can enrol.")
        invitation, key = service.make_key(
            session,
            context().keys,
            body.purpose,
            body.key,
            body.policy_id,
            body.expires_at,
            signed_in_name(),
            now,
            body.group_id,
            body.devices,
            body.asks_user,
        )
        note(session, "enrolment_key.make", body.purpose, invitation=str(invitation.id))
    return _made(invitation, key, relays[0].devices_url, fingerprint, now)


@operation(
    bp,
    "/invitations/<uuid:invitation_id>/cancel",
    Permission.INVITE,
    "POST",
    refusals=(409,),
    in_groups=True,
)
def cancel_invitation(invitation_id: UUID) -> InvitationAnswer:
    """Let the invitation's key open nothing any more."""
    with transaction("cancel an invitation") as session:
        found = service.cancel_invitation(session, invitation_id, utc_now())
        note(session, "invitation.cancel", found.address, invitation=str(invitation_id))
    return _answer(found, utc_now())


def _made(
    invitation: Invitation, key: str, relay_url: str, fingerprint: str, now: datetime
) -> InvitationMade:
    return InvitationMade(
        invitation=_answer(invitation, now),
        key=key,
        typed=typed(key, fingerprint, relay_url),
        link=service.qr_content(key, relay_url, fingerprint),
    )


def _answer(invitation: Invitation, now: datetime) -> InvitationAnswer:
    return InvitationAnswer(
        id=invitation.id,
        address=invitation.address,
        person=invitation.person,
        reading=invitation.reading,
        most_devices=invitation.most_devices,
        devices=invitation.devices,
        asks_user=invitation.asks_user,
        group_id=invitation.group_id,
        policy_id=invitation.policy_id,
        state=queries.state_of(invitation, now).value,
        created_at=invitation.created_at,
        created_by=invitation.created_by,
        expires_at=invitation.expires_at,
        used_at=invitation.used_at,
        device_id=invitation.device_id,
        language=invitation.language,
        mailed_at=invitation.mailed_at,
        mails=invitation.mails,
        mail_next_at=invitation.mail_next_at,
        mail_problem=invitation.mail_problem,
        mail_problem_at=invitation.mail_problem_at,
    )
