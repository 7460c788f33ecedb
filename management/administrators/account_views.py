"""One's own account: language, theme, password, browsers, API tokens."""

from datetime import timedelta

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from management.access import Permission, public, requires, signed_in, who_asks
from management.administrators import (
    browsers,
    passkeys,
    queries,
    recovery_codes,
    service,
    sessions,
    step_up,
    token_form,
    token_rules,
)
from management.administrators.sentences import password_sentence
from management.audit.notes import note
from management.shown import LANGUAGES, THEMES, own_path
from management.web import reading, transaction
from runtime.clock import utc_now
from runtime.errors import MalformedMessageError

bp = Blueprint("account", __name__)

YEAR = 365 * 24 * 3600


@bp.post("/language")
@public("a visitor may choose it too; it is only a cookie then")
def choose_language() -> ResponseReturnValue:
    """Remember the language: in the account, and in a cookie for the sign-in page."""
    return _remember("language", request.form.get("language", ""), LANGUAGES)


@bp.post("/theme")
@public("a visitor may choose it too; it is only a cookie then")
def choose_theme() -> ResponseReturnValue:
    """Remember light or dark; nothing: as the browser asks."""
    return _remember("theme", request.form.get("theme", ""), ("", *THEMES))


def _remember(what: str, value: str, choices: tuple[str, ...]) -> ResponseReturnValue:
    if value not in choices:
        raise MalformedMessageError(f"There is no such {what}.")
    identity = who_asks()
    if identity is not None:
        with transaction(f"remember the {what}") as session:
            setattr(queries.get_administrator(session, identity.administrator_id), what, value)
    answer = redirect(own_path(request.form.get("next", "/")))
    answer.set_cookie(what, value, max_age=YEAR, secure=True, httponly=True, samesite="Strict")
    return answer


@bp.get("/account")
@requires(Permission.VIEW, in_groups=True)
def show() -> ResponseReturnValue:
    """Show one's own account: password, language, theme, sessions, API tokens."""
    return account_page({})


def account_page(
    errors: dict[str, str], token: str = "", asked: token_form.Asked = token_form.NOTHING
) -> ResponseReturnValue:
    """Answer the page; *errors*: what is wrong with which field; *token*: shown this once."""
    mine, now = signed_in().administrator_id, utc_now()
    with reading() as session:
        page = render_template(
            "administrators/account.html",
            me=queries.get_administrator(session, mine),
            sessions=queries.list_sessions(session, mine, now),
            this_session=sessions.current_id_hash(),
            browser_of=browsers.shown,
            tokens=queries.list_tokens(session, mine),
            asked=asked,
            permissions=list(Permission),
            chosen_of=token_rules.chosen,
            days=token_form.choices(),
            now=now,
            errors=errors,
            new_token=token,
            passkeys=passkeys.list_passkeys(session, mine),
            kept=recovery_codes.kept(session, mine),
            few=recovery_codes.FEW,
        )
    return page, 422 if errors else 200


@bp.post("/account/password")
@requires(Permission.VIEW, in_groups=True)
def change_password() -> ResponseReturnValue:
    """Set a new password after the old one was given; other browsers are signed out."""
    proved = step_up.prove_password(request.form.get("old_password", ""))
    if proved is None:
        return _not_the_password()
    sentence = password_sentence(request.form.get("password", ""), proved.name)
    if sentence:
        return account_page({"password": sentence})
    with transaction("change a password") as session:
        if not step_up.is_still_proved(session, proved):
            return _not_the_password()
        me = queries.get_administrator(session, proved.id)
        service.change_password(me, request.form["password"])
        service.end_sessions(session, me.id, but=sessions.current_id_hash())
        note(session, "administrator.change_password", me.name)
    flash(_("Your password is changed; your other browsers are signed out."))
    return redirect(url_for("account.show"))


def _not_the_password() -> ResponseReturnValue:
    return account_page({"old_password": _("This is not your password.")})


@bp.post("/account/tokens")
@requires(Permission.VIEW, in_groups=True)
def make_token() -> ResponseReturnValue:
    """Make an API token and show it this once."""
    step_up.require_fresh()
    asked, by = token_form.read(), signed_in()
    if errors := token_form.problems(asked):
        return account_page(errors, asked=asked)
    scope = token_form.scope(asked, by)
    with transaction("make an API token") as session:
        me = queries.get_administrator(session, by.administrator_id)
        lives = timedelta(days=asked.days)
        token = service.make_token(session, me, asked.name, utc_now(), lives, scope)
        note(session, "token.make", asked.name, may=scope, days=asked.days)
    return account_page({}, token)


@bp.post("/account/tokens/<token_hash>/revoke")
@requires(Permission.VIEW, in_groups=True)
def revoke_token(token_hash: str) -> ResponseReturnValue:
    """End one of one's own tokens."""
    with transaction("revoke an API token") as session:
        service.revoke_token(session, signed_in().administrator_id, token_hash, utc_now())
        note(session, "token.revoke", token_hash[:12])
    flash(_("The token does not work any more."))
    return redirect(url_for("account.show"))


@bp.post("/account/sign-out-others")
@requires(Permission.VIEW, in_groups=True)
def sign_out_others() -> ResponseReturnValue:
    """Sign out every other browser of one's own."""
    with transaction("sign out other browsers") as session:
        mine = signed_in()
        service.end_sessions(session, mine.administrator_id, but=sessions.current_id_hash())
        note(session, "session.end_others", mine.name)
    flash(_("Your other browsers are signed out."))
    return redirect(url_for("account.show"))
