"""Invitations and keys: list, invite, show with QR code, cancel; and the attempts to enrol."""

from datetime import timedelta
from uuid import UUID

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from contracts.enrolment_key import typed
from management.access import Permission, requires, signed_in, signed_in_name
from management.audit.notes import note
from management.enrolment import mailing, queries, service
from management.enrolment.models import Invitation
from management.enrolment.queries import Cursor
from management.enrolment.rules import LONGEST, InvitationState
from management.groups.models import ROOT_GROUP
from management.groups.queries import read_tree, shown_tree
from management.groups.rules import full_name, ordered
from management.paging import PAGE, cut, time_cursor
from management.personal import INVITATION, list_of, shows, tell_number
from management.policies.queries import get_policy, list_policies
from management.rates import TooOftenError, take_mails
from management.reasons import reason
from management.relays.queries import list_used
from management.web import context, is_fragment, reading, transaction
from runtime.clock import utc_now
from runtime.errors import RefusedError

bp = Blueprint("enrolment", __name__, url_prefix="/invitations")

DAYS = (1, 7, 14, 30, 90)
MOST_AT_ONCE = 1_000
"""As many as are mailed at once: a roll-out of thousands is a handful of pastes."""


@bp.get("")
@requires(Permission.VIEW, in_groups=True)
@shows(list_of("invitations"))
def index() -> ResponseReturnValue:
    """List invitations, newest first; filters are in the address."""
    now, text = utc_now(), request.args.get("q", "")[:200]
    state = request.args.get("state", "")
    wanted = InvitationState(state) if state in set(InvitationState) else None
    after = request.args.get("after")
    with reading() as session:
        place = Cursor(*time_cursor(after)) if after else None
        found = queries.list_invitations(session, now, wanted, text, place, PAGE + 1)
        refused = [] if is_fragment() else queries.list_attempts(session, refused=True, limit=10)
    shown, following = cut(found, PAGE, lambda row: (row.created_at, row.id))
    tell_number(len(shown) + len(refused))
    more = url_for("enrolment.index", q=text, state=state, after=following) if following else ""
    page = "enrolment/rows.html" if is_fragment() else "enrolment/index.html"
    states = {row.id: queries.state_of(row, now).value for row in shown}
    return render_template(
        page,
        invitations=shown,
        states=states,
        state=state,
        text=text,
        more=more,
        refused=refused,
    )


@bp.get("/new")
@requires(Permission.INVITE, in_groups=True)
def new() -> ResponseReturnValue:
    """Show the form."""
    return _form({})


def _form(errors: dict[str, str]) -> ResponseReturnValue:
    with reading() as session:
        policies, tree = list_policies(session), read_tree(session)
        shown, no_mail = shown_tree(session), mailing.why_not_set_up(session)
    page = render_template(
        "enrolment/new.html",
        no_mail=no_mail,
        policies=policies,
        groups=[(node, full_name(tree, node.id)) for _, node in ordered(shown)],
        days=DAYS,
        form=request.form,
        errors=errors,
        most=MOST_AT_ONCE,
    )
    return page, 422 if errors else 200


@bp.post("")
@requires(Permission.INVITE, in_groups=True)
def invite() -> ResponseReturnValue:
    """Invite one person, or one for each line."""
    people = [_person(line) for line in request.form.get("people", "").splitlines() if line.strip()]
    if errors := _errors(people):
        return _form(errors)
    valid_for = timedelta(days=request.form.get("days", 14, type=int))
    policy = request.form.get("policy", "")
    policy_id = UUID(policy) if policy else None
    group_id = UUID(request.form.get("group") or str(ROOT_GROUP))
    made: list[Invitation] = []
    most, asks_user = request.form.get("devices", 1, type=int), "asks_user" in request.form
    try:
        with transaction("invite") as session:
            for address, person, read in people:
                made.append(
                    service.invite(
                        session,
                        context().keys,
                        address,
                        person,
                        policy_id,
                        valid_for,
                        signed_in_name(),
                        utc_now(),
                        group_id,
                        most,
                        asks_user,
                        read,
                        request.form.get("language", ""),
                    )[0]
                )
                note(session, "invitation.make", address, invitation=str(made[-1].id))
            by_mail, by = "mail" in request.form, signed_in_name()
            mailed = mailing.ask_first(session, made, by, utc_now()) if by_mail else 0
            take_mails(mailed)
    except (RefusedError, TooOftenError) as error:
        return _form({"people": reason(str(error))})
    if mailed:
        flash(_("%(count)s invitations go out by mail.", count=mailed))
    if len(made) == 1:
        return redirect(url_for("enrolment.show", invitation_id=made[0].id))
    flash(_("%(count)s people are invited.", count=len(made)))
    return redirect(url_for("enrolment.index"))


def _person(line: str) -> tuple[str, str, str]:
    """Read ``address; name; reading`` (also with comma or tab)."""
    separator = next((one for one in ";\t," if one in line), ";")
    address, person, read, *_rest = (part.strip() for part in (*line.split(separator, 2), "", ""))
    return address, person, read


def _errors(people: list[tuple[str, str, str]]) -> dict[str, str]:
    if not people:
        return {"people": _("Enter the mail address of at least one person.")}
    if len(people) > MOST_AT_ONCE:
        return {"people": _("At most %(count)s people at once.", count=MOST_AT_ONCE)}
    wrong = [address for address, *_names in people if "@" not in address or " " in address]
    if wrong:
        return {"people": _("This is not a mail address: %(address)s", address=wrong[0])}
    days = request.form.get("days", type=int)
    if days is None or not 1 <= days <= LONGEST.days:
        return {"days": _("Choose how long the invitation holds.")}
    for name, problem in (("policy", _("Choose a policy.")), ("group", _("Choose a group."))):
        try:
            UUID(request.form.get(name) or str(ROOT_GROUP))
        except ValueError:
            return {name: problem}
    return {}


@bp.get("/<uuid:invitation_id>")
@requires(Permission.VIEW, in_groups=True)
@shows(INVITATION)
def show(invitation_id: UUID) -> ResponseReturnValue:
    """Show one invitation; whoever may invite also sees the key, QR code and link."""
    now = utc_now()
    with reading() as session:
        invitation = queries.get_invitation(session, invitation_id)
        state = queries.state_of(invitation, now)
        open_now = state is InvitationState.ACTIVE and signed_in().may(Permission.INVITE)
        key = service.shown_key(context().keys, invitation, now) if open_now else ""
        relays = list_used(session)
        attempts = queries.list_attempts(session, invitation_id)
        policy = invitation.policy_id and get_policy(session, invitation.policy_id)
        tree, no_mail = read_tree(session), mailing.why_not_set_up(session)
    fingerprint = str(context().signer.status()["thumbprint"]) if key else ""
    link = service.qr_content(key, relays[0].devices_url, fingerprint) if key and relays else ""
    page = "enrolment/state.html" if is_fragment() else "enrolment/show.html"
    return render_template(
        page,
        invitation=invitation,
        state=state.value,
        key=key,
        link=link,
        typed=typed(key, fingerprint) if key else "",
        alone=typed(key, fingerprint, relays[0].devices_url) if key and relays else "",
        attempts=attempts,
        policy=policy,
        group=full_name(tree, invitation.group_id) if invitation.group_id in tree else "",
        relays=relays,
        no_mail=no_mail,
    )


@bp.post("/<uuid:invitation_id>/cancel")
@requires(Permission.INVITE, in_groups=True)
def cancel(invitation_id: UUID) -> ResponseReturnValue:
    """Let the key open nothing any more."""
    with transaction("cancel an invitation") as session:
        invitation = service.cancel_invitation(session, invitation_id, utc_now())
        who = invitation.address or invitation.person
        note(session, "invitation.cancel", who, invitation=str(invitation_id))
    flash(_("The key is cancelled; it opens nothing any more."))
    return redirect(url_for("enrolment.show", invitation_id=invitation_id))
