"""Trials of a changed policy on some devices, in the console."""

from uuid import UUID

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from management.access import Permission, requires, signed_in_name
from management.audit.notes import note
from management.canary import queries, service
from management.canary.rules import OPEN, Kind
from management.dry_run.queries import get_run
from management.paging import uuid_cursor, write_cursor
from management.personal import list_of, shows, tell_number
from management.policies.queries import get_policy
from management.policies.rules import read_requirements
from management.web import is_fragment, reading, transaction
from runtime.clock import utc_now
from runtime.errors import MalformedMessageError, NotFoundError, RefusedError

bp = Blueprint("canary", __name__, url_prefix="/trials")


@bp.get("")
@requires(Permission.VIEW)
def index() -> ResponseReturnValue:
    """List the newest trials."""
    with reading() as session:
        found = queries.list_canaries(session)
        names = {one.policy_id: get_policy(session, one.policy_id).name for one in found}
    return render_template("canary/index.html", found=found, names=names)


@bp.post("/of/<uuid:run_id>")
@requires(Permission.CHANGE_POLICIES)
def start(run_id: UUID) -> ResponseReturnValue:
    """Start a trial of what a dry run tried."""
    with transaction("start a trial") as session:
        run = get_run(session, run_id)
        if run.policy_id is None:
            raise RefusedError(_("Only criteria of a policy can be tried on some devices."))
        wanted = service.Wanted(
            policy_id=run.policy_id,
            based_on=run.policy_version,
            requirements=read_requirements(run.requirements),
            percent=_number("percent"),
            group_id=_group(),
            limit_percent=_number("limit"),
            by=signed_in_name(),
            because=request.form.get("because", ""),
            settings=run.settings,
        )
        canary = service.start(session, wanted, utc_now())
        note(session, "canary.start", run.policy_id, wanted.because, canary=str(canary.id))
    return redirect(url_for("canary.show", canary_id=canary.id))


@bp.get("/<uuid:canary_id>")
@requires(Permission.VIEW)
@shows(list_of("devices of a trial"))
def show(canary_id: UUID) -> ResponseReturnValue:
    """Show how a trial stands, every step with its time, and its devices: who became worse."""
    kind = _kind()
    with reading() as session:
        canary = queries.get_canary(session, canary_id)
        after = uuid_cursor(request.args.get("after", ""))
        found, last = queries.look(session, canary, kind, after)
        tell_number(len(found))
        return render_template(
            f"canary/{'rows' if is_fragment() else 'show'}.html",
            canary=canary,
            is_open=canary.state in OPEN,
            name=get_policy(session, canary.policy_id).name,
            counts=queries.counts(session, canary),
            kind=kind.value,
            found=found,
            more=write_cursor(last) if last else "",
            now=utc_now(),
        )


@bp.post("/<uuid:canary_id>/promote")
@requires(Permission.CHANGE_POLICIES)
def promote(canary_id: UUID) -> ResponseReturnValue:
    """Ask of everybody what the trial asks."""
    because = request.form.get("because", "")
    with transaction("promote a trial") as session:
        canary = service.promote(session, canary_id, signed_in_name(), because, utc_now())
        note(session, "canary.promote", canary.policy_id, because, canary=str(canary_id))
    flash(_("It is the next version of the policy, and holds for everybody."))
    return redirect(url_for("canary.show", canary_id=canary_id))


@bp.post("/<uuid:canary_id>/roll-back")
@requires(Permission.CHANGE_POLICIES)
def roll_back(canary_id: UUID) -> ResponseReturnValue:
    """End a trial; its devices get back what holds for them."""
    because = request.form.get("because", "")
    with transaction("roll a trial back") as session:
        canary = service.roll_back(session, canary_id, signed_in_name(), because, utc_now())
        note(session, "canary.roll_back", canary.policy_id, because, canary=str(canary_id))
    flash(_("The devices get back what holds for them."))
    return redirect(url_for("canary.show", canary_id=canary_id))


def _kind() -> Kind:
    try:
        return Kind(request.args.get("of") or Kind.WORSE)
    except ValueError:
        raise NotFoundError(_("There is no such place in the list.")) from None


def _number(name: str) -> int:
    word = request.form.get(name, "").strip() or "0"
    if not word.isascii() or not word.isdigit() or len(word) > 3:
        raise MalformedMessageError(_("Enter a whole number of percent."))
    return int(word)


def _group() -> UUID | None:
    word = request.form.get("group", "")
    try:
        return UUID(word) if word else None
    except ValueError:
        raise MalformedMessageError(_("There is no such group.")) from None
