"""One's own passkeys on the account page."""

from flask import Blueprint, Response, flash, redirect, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from management.access import Permission, requires, signed_in
from management.administrators import (
    challenges,
    passkey_proofs,
    passkeys,
    service,
    sessions,
    step_up,
)
from management.administrators.account_views import account_page
from management.administrators.passkey_site import site
from management.audit.notes import note
from management.audit.rules import differences
from management.web import reading, transaction
from runtime.clock import utc_now

bp = Blueprint("passkeys", __name__, url_prefix="/account/passkeys")


@bp.post("/question")
@requires(Permission.VIEW, in_groups=True)
def ask_for_new() -> ResponseReturnValue:
    """Answer what a browser needs to make a passkey."""
    me = signed_in()
    with reading() as session:
        known = passkeys.known_ids(session, me.administrator_id)
    challenge = challenges.ask("register", utc_now())
    options = passkey_proofs.creation_options(
        site(), me.administrator_id, me.name, known, challenge
    )
    return Response(options, mimetype="application/json")


@bp.post("/again")
@requires(Permission.VIEW, in_groups=True)
def ask_again() -> ResponseReturnValue:
    """Answer what one's own passkeys are asked, to prove again that it is oneself."""
    with reading() as session:
        mine = passkeys.known_ids(session, signed_in().administrator_id)
    options = passkey_proofs.request_options(site(), challenges.ask("step up", utc_now()), mine)
    return Response(options, mimetype="application/json")


@bp.post("/proof")
@requires(Permission.VIEW, in_groups=True)
def prove() -> ResponseReturnValue:
    """Let somebody prove again who they are, before passkeys are registered or removed."""
    step_up.require_fresh()
    return _back()


@bp.post("")
@requires(Permission.VIEW, in_groups=True)
def add() -> ResponseReturnValue:
    """Keep the passkey that the browser made, once the password was given."""
    step_up.require_fresh(by_passkey=False)
    now = utc_now()
    challenge = challenges.take("register", now)
    name = request.form.get("passkey_name", "").strip() or _("Passkey")
    me = step_up.prove_password(request.form.get("passkey_password", ""))
    if me is None:
        return _not_the_password()
    with transaction("register a passkey") as session:
        if not step_up.is_still_proved(session, me):
            return _not_the_password()
        said = request.form.get("credential", "")
        added = passkeys.add(session, site(), me.id, name, challenge, said, now)
        note(session, "passkey.add", added.name, synced=added.synced)
    flash(_("The passkey %(name)s is registered.", name=added.name))
    return _back()


@bp.post("/<id_hash>/name")
@requires(Permission.VIEW, in_groups=True)
def rename(id_hash: str) -> ResponseReturnValue:
    """Give one of one's own passkeys another name."""
    with transaction("rename a passkey") as session:
        name = request.form.get("name", "").strip()
        renamed, before = passkeys.rename(session, signed_in().administrator_id, id_hash, name)
        said = differences({"name": before}, {"name": renamed.name})
        note(session, "passkey.rename", renamed.name, **said)
    flash(_("Saved."))
    return _back()


@bp.post("/<id_hash>/remove")
@requires(Permission.VIEW, in_groups=True)
def remove(id_hash: str) -> ResponseReturnValue:
    """Forget one of one's own passkeys; other browsers are signed out."""
    step_up.require_fresh()
    with transaction("remove a passkey") as session:
        me = signed_in()
        removed = passkeys.remove(session, me.administrator_id, id_hash)
        service.end_sessions(session, me.administrator_id, but=sessions.current_id_hash())
        note(session, "passkey.remove", removed.name)
    flash(_("The passkey %(name)s opens nothing any more.", name=removed.name))
    return _back()


def _not_the_password() -> ResponseReturnValue:
    return account_page({"passkey_password": _("This is not your password.")})


def _back() -> ResponseReturnValue:
    return redirect(url_for("account.show") + "#passkeys")
