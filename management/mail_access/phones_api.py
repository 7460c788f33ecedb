"""What programs do to phones at the mail server: exceptions, matches, held blocks, wipes."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from flask import Blueprint
from pydantic import AwareDatetime, Field

from management.access import Permission, signed_in_name
from management.api.bodies import Because
from management.api.operations import STRICT, Code, Reason, Whole, operation
from management.audit.notes import note
from management.mail_access import by_hand, queries, wipe_approving, wiping
from management.mail_access.console_api import PartnershipAnswer, described
from management.mail_access.models import MailWipe
from management.mail_access.pages import by
from management.personal import PARTNERSHIP, list_of, tell_number, tell_subject
from management.web import context, proofs, reading, transaction
from runtime.clock import utc_now
from runtime.errors import RefusedError

bp = Blueprint("mail_phones_api", __name__, url_prefix="/api/v1/mail-access")
Number = Annotated[int, Field(ge=1, le=2**63 - 1), Whole]
Numbers = Annotated[tuple[Number, ...], Field(min_length=1, max_length=1000)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """Whose phone it is."""

    __pydantic_config__ = STRICT

    device_id: UUID | None
    """Null: of none of our devices."""
    automatic: bool = False
    """Let it be found again by itself; then `device_id` is null."""
    because: Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class WordAboutPhones:
    """What is to hold for phones whatever is judged, until a time."""

    __pydantic_config__ = STRICT

    partnership_ids: Numbers
    word: Literal["allow", "block", "leave", "end", "choose", "unchoose"]
    """`end` ends exceptions; `choose` and `unchoose` say which phones are controlled at all, where
    only chosen ones are."""
    until: AwareDatetime | None = None
    """When the exception ends; needed for `allow`, `block` and `leave`."""
    because: Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldBlocks:
    """Which held blocks may act."""

    __pydantic_config__ = STRICT

    partnership_ids: Numbers
    """As they were listed with `only=held`; whatever is held meanwhile waits for another look."""
    because: Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """How many phones were decided anew."""

    phones: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NewMailWipe:
    """A wipe of exactly one phone through the mail server."""

    __pydantic_config__ = STRICT

    exchange_device_id: Annotated[str, Field(min_length=1, max_length=64)]
    """Of this phone, written out to be sure."""
    account_only: bool
    """Take away mail, contacts and calendar only; else everything on the phone."""
    because: Reason
    code: Code


@dataclass(frozen=True, slots=True, kw_only=True)
class MailWipeAnswer:
    """A wipe through the mail server and what became of it."""

    id: UUID
    partnership_id: int
    account_only: bool
    state: str
    detail: str
    requested_by: str
    reason: str
    queued_at: datetime
    expires_at: datetime
    changed_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class MailWipes:
    """The wipes of one phone, newest first."""

    items: tuple[MailWipeAnswer, ...]
    next: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WipeApprovalAnswer:
    """What an approval of this wipe would cover, as the signer holds it."""

    fingerprint: str
    wipes: tuple[UUID, ...]
    approved_by: tuple[str, ...]
    needed: int
    approved: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class WipeApproval:
    """One's own proof."""

    __pydantic_config__ = STRICT

    fingerprint: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    code: Annotated[str, Field(pattern=r"^[0-9]{6,10}$")]
    """From the entry for approvals in one's authenticator app."""


MANAGE, WIPE = Permission.MANAGE_MAIL_ACCESS, Permission.WIPE_DEVICES
PHONE = "/partnerships/<int:partnership_id>"


@operation(bp, f"{PHONE}/match", MANAGE, "POST", refusals=(404, 409), in_groups=True)
def match_partnership(partnership_id: int, body: Match) -> PartnershipAnswer:
    """Say by hand whose phone it is, or let that be found by itself again; it is decided anew."""
    keys, now = context().keys, utc_now()
    if body.automatic and body.device_id is not None:
        raise RefusedError("automatic and device_id exclude each other.")
    with transaction("match a partnership") as session:
        if body.automatic:
            by_hand.match_again(session, keys, partnership_id, by(), body.because, now)
        else:
            chosen = body.device_id
            by_hand.match_by_hand(session, keys, partnership_id, chosen, by(), body.because, now)
        return described(queries.get_partnership(session, partnership_id))


@operation(bp, f"{PHONE}/again", MANAGE, "POST", refusals=(404, 409), in_groups=True)
def take_control_again(partnership_id: int, body: Because) -> PartnershipAnswer:
    """Take control again of a phone that somebody overrode at the mail server."""
    with transaction("take control again") as session:
        keys = context().keys
        by_hand.take_control_again(session, keys, partnership_id, by(), body.because, utc_now())
        return described(queries.get_partnership(session, partnership_id))


@operation(bp, "/words", MANAGE, "POST", refusals=(404, 409), in_groups=True)
def say_about_phones(body: WordAboutPhones) -> Decided:
    """Let an administrator's word hold for up to 1,000 phones; it acts within a minute."""
    keys, now, ids = context().keys, utc_now(), sorted(set(body.partnership_ids))
    with transaction("say a word about phones") as session:
        if body.word == "end":
            number = by_hand.end_exceptions(session, keys, ids, by(), body.because, now)
        elif body.word in ("choose", "unchoose"):
            chosen = body.word == "choose"
            number = by_hand.control(session, keys, ids, chosen, by(), body.because, now)
        else:
            number = by_hand.make_exceptions(session, keys, ids, _word(body), by(), now)
    return Decided(phones=number)


def _word(body: WordAboutPhones) -> by_hand.Word:
    if body.until is None or body.word not in ("allow", "block", "leave"):
        raise RefusedError("until: an exception ends; say when.")
    return by_hand.Word(body.word, body.because, body.until)


@operation(bp, "/held/confirm", MANAGE, "POST", refusals=(409,), in_groups=True)
def confirm_held_blocks(body: HeldBlocks) -> Decided:
    """Let exactly these held blocks act; refused (409) when one of them is not held any more."""
    ids, keys = sorted(set(body.partnership_ids)), context().keys
    with transaction("confirm held blocks") as session:
        number = by_hand.confirm_held(session, keys, ids, by(), body.because, utc_now())
    return Decided(phones=number)


# --- wipes ---


@operation(bp, f"{PHONE}/wipes", Permission.VIEW, paged_by="id", in_groups=True, shows=PARTNERSHIP)
def list_mail_wipes(partnership_id: int) -> MailWipes:
    """List the wipes of one phone through the mail server, newest first."""
    with reading() as session:
        row = queries.get_partnership(session, partnership_id)
        tell_subject(queries.audited_name(row))
        found = wiping.list_wipes(session, partnership_id)
    return MailWipes(items=tuple(map(_wipe, found)))


@operation(bp, f"{PHONE}/wipes", WIPE, "POST", 201, (404, 409), in_groups=True)
def order_mail_wipe(partnership_id: int, body: NewMailWipe) -> MailWipeAnswer:
    """Wipe one phone through the mail server; above the signer's limits it waits for approvals.

    It cannot be taken back once signed, so it takes a code of the caller's authenticator app.
    """
    with reading() as session:
        queries.get_partnership(session, partnership_id)
    proofs().require_code(body.code)
    with transaction("order a wipe through the mail server") as session:
        return _wipe(
            wiping.order_wipe(
                session,
                context().keys,
                partnership_id,
                body.exchange_device_id,
                body.account_only,
                by(),
                body.because,
                utc_now(),
            )
        )


@operation(bp, "/wipes/<uuid:wipe_id>/cancel", WIPE, "POST", refusals=(409,), in_groups=True)
def cancel_mail_wipe(wipe_id: UUID) -> MailWipeAnswer:
    """Take back a wipe that has not been signed yet."""
    with transaction("take back a wipe") as session:
        return _wipe(wiping.cancel_wipe(session, context().keys, wipe_id, by(), utc_now()))


@operation(
    bp,
    "/wipes/<uuid:wipe_id>/approval",
    WIPE,
    refusals=(409, 503),
    in_groups=True,
    shows=list_of("mail wipes that wait"),
)
def get_mail_wipe_approval(wipe_id: UUID) -> WipeApprovalAnswer:
    """Get what an approval would cover: all that the same person ordered and that waits."""
    with reading() as session:
        waiting = wipe_approving.waiting_with(session, wipe_id, utc_now())
    tell_number(len(waiting))
    return _approval(wipe_approving.propose(context().signer, waiting, utc_now()))


@operation(bp, "/wipes/<uuid:wipe_id>/approval", WIPE, "POST", refusals=(409, 503), in_groups=True)
def approve_mail_wipes(wipe_id: UUID, body: WipeApproval) -> WipeApprovalAnswer:
    """Prove with one's own code that one wants exactly this set."""
    signer, name = context().signer, signed_in_name()
    with reading() as session:
        waiting = wipe_approving.waiting_with(session, wipe_id, utc_now())
    found = wipe_approving.propose(signer, waiting, utc_now())
    said = wipe_approving.approve(signer, found, body.fingerprint, name, body.code)
    with transaction("approve wipes through the mail server") as session:
        if said["approved"]:
            wipe_approving.sign_now(session, utc_now())
        note(session, "mail.wipe_approve", wipe_id, set=body.fingerprint, wipes=str(len(waiting)))
    return _approval(wipe_approving.WaitingSet(waiting, said))


def _wipe(row: MailWipe) -> MailWipeAnswer:
    return MailWipeAnswer(
        id=row.id,
        partnership_id=row.partnership_id,
        account_only=row.account_only,
        state=row.state,
        detail=row.detail,
        requested_by=row.requested_by,
        reason=row.reason,
        queued_at=row.queued_at,
        expires_at=row.expires_at,
        changed_at=row.changed_at,
    )


def _approval(found: wipe_approving.WaitingSet) -> WipeApprovalAnswer:
    said = found.signer
    return WipeApprovalAnswer(
        fingerprint=found.fingerprint,
        wipes=tuple(wipe.id for wipe, _row in found.wipes),
        approved_by=tuple(said["approved_by"]),
        needed=said["needed"],
        approved=said["approved"],
    )
