"""People who enrol their devices with a name and a password."""

from uuid import UUID

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from management.access import Permission, requires, signed_in_name
from management.audit.notes import note
from management.audit.rules import differences
from management.enrolment_users import queries, service
from management.groups.queries import read_tree, shown_tree
from management.groups.rules import full_name, ordered
from management.paging import PAGE, cut, name_cursor
from management.personal import list_of, shows, tell_number
from management.texts import speech
from management.web import is_fragment, reading, transaction
from runtime.clock import utc_now
from runtime.errors import RefusedError

bp = Blueprint("enrolment_users", __name__, url_prefix="/enrolment-users")


@bp.get("")
@requires(Permission.VIEW, in_groups=True)
@shows(list_of("enrolment users"))
def index() -> ResponseReturnValue:
    """List users by name."""
    return _page({})


@bp.post("")
@requires(Permission.INVITE, in_groups=True)
@shows(list_of("enrolment users"))
def add() -> ResponseReturnValue:
    """Add a user and show the password once."""
    form = request.form
    try:
        group = UUID(form["group"]) if form.get("group") else None
        with transaction("add a user") as session:
            user, password = service.add_user(
                session,
                form.get("name", ""),
                form.get("person", ""),
                form.get("address", ""),
                group,
                form.get("password", ""),
                signed_in_name(),
                utc_now(),
                form.get("reading", ""),
            )
            note(session, "enrolment_user.add", user.name)
    except (RefusedError, ValueError) as error:
        return _page({"name": str(error)})
    _show_once(user.name, password, bool(form.get("password")))
    return redirect(url_for("enrolment_users.index"), 303)


@bp.post("/<uuid:user_id>/password")
@requires(Permission.INVITE, in_groups=True)
def password(user_id: UUID) -> ResponseReturnValue:
    """Give a fresh password and end the wait after wrong ones."""
    with transaction("give a user a password") as session:
        user, fresh = service.new_password(session, user_id)
        note(session, "enrolment_user.password", user.name)
    _show_once(user.name, fresh, False)
    return redirect(url_for("enrolment_users.index"), 303)


@bp.post("/<uuid:user_id>/reading")
@requires(Permission.INVITE, in_groups=True)
def set_reading(user_id: UUID) -> ResponseReturnValue:
    """Say how the user's name is read."""
    with transaction("say how a name is read") as session:
        user, before = service.set_reading(session, user_id, request.form.get("reading", ""))
        said = differences({"reading": before}, {"reading": user.reading})
        note(session, "enrolment_user.reading", user.name, **said)
    return redirect(url_for("enrolment_users.index"), 303)


@bp.post("/<uuid:user_id>/disable")
@requires(Permission.INVITE, in_groups=True)
def disable(user_id: UUID) -> ResponseReturnValue:
    """Let the user enrol no more devices, or again."""
    disabled = request.form.get("disabled") == "yes"
    with transaction("disable a user") as session:
        user = service.set_disabled(session, user_id, disabled, utc_now())
        note(session, "enrolment_user.disable" if disabled else "enrolment_user.enable", user.name)
    return redirect(url_for("enrolment_users.index"), 303)


def _show_once(name: str, fresh: str, was_typed: bool) -> None:
    if was_typed:
        flash(_("%(name)s can enrol devices now.", name=name))
    else:
        words = _("The password of %(name)s is %(password)s – shown only now.",
                  name=name, password=fresh)  # fmt: skip
        flash(words)


def _page(errors: dict[str, str]) -> ResponseReturnValue:
    text, after = request.args.get("q", "")[:200], request.args.get("after")
    by_reading = speech().locale == "ja"
    with reading() as session:
        place = name_cursor(after) if after else None
        found = queries.list_users(session, text, place, PAGE + 1, by_reading)
        tree, choices = read_tree(session), shown_tree(session)
    users, following = cut(
        found, PAGE, lambda row: (row.sort_key if by_reading else row.name, row.id)
    )
    tell_number(len(users))
    more = url_for("enrolment_users.index", q=text, after=following) if following else ""
    names = {node.id: full_name(tree, node.id) for _depth, node in ordered(choices)}
    page = "enrolment/user_rows.html" if is_fragment() else "enrolment/users.html"
    answer = render_template(
        page, users=users, more=more, text=text, groups=names, form=request.form, errors=errors
    )
    return answer, 422 if errors else 200
