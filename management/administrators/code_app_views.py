"""The authenticator app of one's own account: replaced by another, or taken off."""

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from management.access import Permission, requires, signed_in
from management.administrators import code_apps, queries, service, sessions, step_up
from management.administrators.sentences import secret_of
from management.audit.notes import note
from management.web import context, reading, transaction

bp = Blueprint("code_app", __name__, url_prefix="/account/app")


@bp.post("")
@requires(Permission.VIEW, in_groups=True)
def begin() -> ResponseReturnValue:
    """Show the secret of a new app; the old one counts until the new one has shown a code."""
    step_up.require_fresh()
    with reading() as session:
        me = queries.get_administrator(session, signed_in().administrator_id)
        return _page(code_apps.begin(context().signer, me), {})


@bp.post("/confirm")
@requires(Permission.VIEW, in_groups=True)
def confirm() -> ResponseReturnValue:
    """Let the new app count, once it showed a right code; other browsers are signed out."""
    step_up.require_fresh()
    signer, code = context().signer, request.form.get("code", "").replace(" ", "")
    with reading() as session:
        mine = queries.get_administrator(session, signed_in().administrator_id)
        if not code_apps.is_confirmed(signer, mine, code):
            wrong = _("This code is wrong or too old. Enter the one your app shows now.")
            return _page(code_apps.again(signer, mine), {"code": wrong})
    with transaction("replace an authenticator app") as session:
        me = queries.lock_administrator(session, mine.id)
        old = code_apps.change_over(me)
        service.end_sessions(session, me.id, but=sessions.current_id_hash())
        note(session, "code_app.replace", me.name)
    signer.forget_totp(old)
    flash(_("Codes of the new app count from now on; your other browsers are signed out."))
    return redirect(url_for("account.show") + "#second-proofs")


@bp.post("/remove")
@requires(Permission.VIEW, in_groups=True)
def remove() -> ResponseReturnValue:
    """Let codes of an app count no more, where there is a passkey; others are signed out."""
    step_up.require_fresh()
    with transaction("take an authenticator app off") as session:
        me = queries.lock_administrator(session, signed_in().administrator_id)
        old = code_apps.take_off(session, me)
        service.end_sessions(session, me.id, but=sessions.current_id_hash())
        note(session, "code_app.remove", me.name)
    context().signer.forget_totp(old)
    flash(_("Codes of your app open nothing any more."))
    return redirect(url_for("account.show") + "#second-proofs")


def _page(uri: str, errors: dict[str, str]) -> ResponseReturnValue:
    page = render_template(
        "administrators/code_app.html", uri=uri, secret=secret_of(uri), errors=errors
    )
    return page, 422 if errors else 200
