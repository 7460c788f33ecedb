"""The settings of mail access, and who would lose mail under them."""

from dataclasses import fields, replace
from typing import Any
from uuid import UUID

from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from werkzeug.datastructures import MultiDict

from management.access import Permission, requires
from management.groups.queries import read_tree
from management.mail_access import dry_run, queries, service, trial, words
from management.mail_access.pages import bp, by
from management.mail_access.rules import AllowedStates, AutomaticFor, MailSettings
from management.personal import list_of, shows, tell_number
from management.reasons import reason
from management.web import context, is_fragment, reading, transaction
from runtime.clock import utc_now

HIGHEST = {
    "unmanaged_grace_days": 365,
    "grace_restarts_after_days": 3650,
    "managed_grace_hours": 8760,
    "out_of_sync_grace_hours": 8760,
    "silent_hours": 8760,
    "block_limit": 1_000_000,
    "block_limit_percent": 100,
}
CHOICES = {
    "allowed": AllowedStates,
    "automatic_for": AutomaticFor,
}


@bp.get("/settings")
@requires(Permission.VIEW)
def settings() -> ResponseReturnValue:
    """Show the settings."""
    with reading() as session:
        found = queries.read_mail_settings(session)
    return _page(found, {}, 200)


@bp.post("/settings")
@requires(Permission.MANAGE_MAIL_ACCESS)
@shows(list_of("who would lose mail"))
def save_settings() -> ResponseReturnValue:
    """Store the settings, or only show who would lose mail under them, and from when on.

    Once stored, every partnership is decided anew in the background. Switching on needs that
    exactly these settings were looked at.
    """
    entered, errors = read_settings(request.form)
    with reading() as session:
        switched_on = entered.automatic and not queries.read_mail_settings(session).automatic
    if "preview" in request.form:
        errors.pop("reason", None)
    elif switched_on and (why := _why_unseen(entered)):
        errors["automatic"] = reason(why)
    if errors:
        return _page(entered, errors, 422)
    if "preview" in request.form:
        return _preview(entered)
    because = request.form.get("reason", "")
    with transaction("save mail settings") as session:
        service.change_settings(session, context().keys, entered, by(), because, utc_now())
    flash(_("The settings hold from now on."))
    return redirect(url_for("mail_access.settings"))


def _why_unseen(entered: MailSettings) -> str:
    said = request.form.get("seen", "")
    return dry_run.why_unseen(context().keys, entered, said, utc_now())


def _preview(entered: MailSettings) -> ResponseReturnValue:
    """Show who would lose mail; with many phones on a page of its own, once it is known."""
    now, tried = utc_now(), replace(entered, automatic=True)
    with reading() as session:
        few = trial.count_phones(session) <= trial.AT_ONCE
        found = dry_run.preview(session, tried, now) if few else []
    if few:
        seen = dry_run.seen(context().keys, entered, len(found), now)
        return _page(entered, {}, 200, cut_off=found, lose=len(found), now=now, seen=seen)
    with transaction("look who would lose mail") as session:
        digest = trial.ask(session, entered, by().name, now).digest
    return redirect(url_for("mail_access.trial", digest=digest), 303)


@bp.get("/settings/trials/<digest>", endpoint="trial")
@requires(Permission.MANAGE_MAIL_ACCESS)
@shows(list_of("who would lose mail"))
def show_trial(digest: str) -> ResponseReturnValue:
    """Show how far a look at who would lose mail is, or what it found and the settings it took."""
    with reading() as session:
        asked = trial.get_trial(session, digest)
        job = trial.find_job(session, asked)
        if asked.finished_at is None and is_fragment():
            return render_template("mail_access/looking.html", trial=asked, job=job)
        if is_fragment():
            return "", 200, {"HX-Refresh": "true"}
        found = trial.first_cut_off(session, asked) if asked.finished_at else None
        entered = queries.parse_mail_settings(asked.settings)
    more = {"lose": asked.lose, "now": asked.asked_at, "seen": trial.seen(context().keys, asked)}
    waits = None if asked.finished_at else asked
    return _page(entered, {}, 200, cut_off=found, trial=waits, job=job, **more)


def read_settings(form: MultiDict[str, str]) -> tuple[MailSettings, dict[str, str]]:
    """Return the entered settings and what is wrong with them, by field."""
    doors = form.getlist("close_doors")
    entered: dict[str, Any] = {"close_doors": tuple(one for one in words.CLOSABLE if one in doors)}
    errors: dict[str, str] = {}
    for name in (field.name for field in fields(MailSettings) if field.name not in entered):
        text = form.get(name, "").strip()
        if name in HIGHEST:
            least = 1 if name == "silent_hours" else 0
            if text.isascii() and text.isdigit() and least <= int(text[:9]) <= HIGHEST[name]:
                entered[name] = int(text)
            else:
                errors[name] = _("Enter %(least)s to %(most)s.", least=least, most=HIGHEST[name])
        elif name in CHOICES:
            if text in list(CHOICES[name]):
                entered[name] = CHOICES[name](text)
        elif name == "when_silent":
            entered[name] = text if text in ("hold", "open") else ""
        elif name == "excluded_groups":
            entered[name] = _groups(form.getlist(name), errors)
        else:
            entered[name] = text == "yes"
    if entered["automatic"] and not entered["when_silent"]:
        errors["when_silent"] = _("Choose what a connector does that hears nothing from here.")
    if not form.get("reason", "").strip():
        errors["reason"] = _("Say why; it goes into the audit trail.")
    return MailSettings(**entered), errors


def _groups(said: list[str], errors: dict[str, str]) -> tuple[UUID, ...]:
    try:
        return tuple(sorted({UUID(one) for one in said if one}))[:50]
    except ValueError:
        errors["excluded_groups"] = _("Choose groups from the list.")
        return ()


def _page(
    found: MailSettings,
    errors: dict[str, str],
    status: int,
    cut_off: list[dry_run.CutOff] | None = None,
    **more: Any,
) -> ResponseReturnValue:
    with reading() as session:
        groups = sorted(read_tree(session).values(), key=lambda group: group.name.casefold())
    tell_number(len(cut_off or ()))
    page = render_template(
        "mail_access/settings.html",
        settings=found,
        errors=errors,
        said_reason=request.form.get("reason", ""),
        choices=list(words.ALLOWED_STATES.items()),
        automatic_for=list(words.AUTOMATIC_FOR.items()),
        when_silent=list(words.WHEN_SILENT.items()),
        closable=list(words.CLOSABLE.items()),
        groups=groups,
        cut_off=cut_off,
        shown=dry_run.SHOWN,
        **more,
    )
    return page, status
