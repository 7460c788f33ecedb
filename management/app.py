"""Builds the Flask app of the console and the API: wiring, no rules."""

from datetime import timedelta
from importlib import import_module
from posixpath import normpath
from typing import Any

from flask import Flask, Response, abort, g, request, send_from_directory, url_for
from flask.typing import ResponseReturnValue
from flask_babel import Babel
from flask_babel import gettext as _
from flask_wtf.csrf import CSRFProtect
from werkzeug.datastructures import MultiDict

from management import (
    addresses,
    as_of,
    assets,
    compression,
    marks,
    menu,
    rates,
    reasons,
    shown,
    texts,
    web_errors,
    words,
)
from management.access import Permission, public, who_asks
from management.administrators import ask_again, passkey_site, sessions, step_up
from management.audit.looks import Looks
from management.certificates import urgency
from management.context import Context
from management.safety import queries as safety
from management.web import reading
from runtime.errors import ForbiddenError, MalformedMessageError

# One line for each part of the console; each module has a blueprint ``bp``.
VIEWS = (
    "management.health",
    "management.mail_access.api",
    "management.mail_access.views",
    "management.administrators.sign_in_views",
    "management.administrators.views",
    "management.administrators.role_views",
    "management.administrators.api",
    "management.administrators.people_api",
    "management.administrators.own_api",
    "management.administrators.session_api",
    "management.administrators.session_views",
    "management.administrators.account_views",
    "management.administrators.passkey_views",
    "management.administrators.code_app_views",
    "management.administrators.recovery_views",
    "management.overview.views",
    "management.overview.device_views",
    "management.overview.why_views",
    "management.returns.views",
    "management.commands.list_views",
    "management.commands.bulk_views",
    "management.commands.approval_views",
    "management.enrolment.views",
    "management.enrolment.key_views",
    "management.enrolment.registration_views",
    "management.enrolment.reminder_views",
    "management.enrolment_users.views",
    "management.allow_list.views",
    "management.directory.views",
    "management.enrolment.unlisted_views",
    "management.terms.views",
    "management.agent_packages.views",
    "management.policies.views",
    "management.policies.apple.views",
    "management.groups.views",
    "management.dry_run.views",
    "management.consequences.views",
    "management.canary.views",
    "management.apps.approval_views",
    "management.apps.views",
    "management.store.views",
    "management.collecting.views",
    "management.updates.views",
    "management.relays.views",
    "management.audit.views",
    "management.deleted.views",
    "management.safety.views",
    "management.work.views",
    "management.configuration.certificate_views",
    "management.configuration.settings_views",
    "management.configuration.outgoing_mail_views",
    "management.verification.views",
    "management.api.views",
    "management.api.reference_views",
    "management.overview.device_api",
    "management.overview.judgement_api",
    "management.overview.views_api",
    "management.overview.reads_api",
    "management.commands.list_api",
    "management.commands.bulk_api",
    "management.enrolment.api",
    "management.enrolment.registration_api",
    "management.enrolment.reminder_api",
    "management.enrolment_users.api",
    "management.allow_list.api",
    "management.enrolment.unlisted_api",
    "management.terms.api",
    "management.agent_packages.api",
    "management.directory.api",
    "management.policies.api",
    "management.policies.settings_api",
    "management.policies.apple.api",
    "management.groups.api",
    "management.dry_run.api",
    "management.consequences.api",
    "management.canary.api",
    "management.apps.api",
    "management.apps.actions_api",
    "management.apps.trials_api",
    "management.store.api",
    "management.collecting.api",
    "management.updates.api",
    "management.updates.settings_api",
    "management.mail_access.console_api",
    "management.mail_access.release_api",
    "management.mail_access.phones_api",
    "management.mail_access.settings_api",
    "management.mail_access.previews_api",
    "management.relays.api",
    "management.relays.deleting_api",
    "management.relays.logs_api",
    "management.returns.api",
    "management.audit.api",
    "management.deleted.api",
    "management.safety.api",
    "management.work.api",
    "management.verification.api",
    "management.configuration.outgoing_mail_api",
    "management.configuration.reads_api",
)

LARGEST_BODY_BYTES = 1024 * 1024
FOREVER = 365 * 24 * 3600
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "font-src 'self'; connect-src 'self'; frame-src 'self'; form-action 'self'; "
    "base-uri 'none'; "
    "frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Strict-Transport-Security": "max-age=31536000",
}
SIGNED_OTHERWISE = ("/api/", "/connector/")
"""Callers prove themselves without a cookie there, so no other site can borrow one."""

csrf = CSRFProtect()


def create_app(context: Context) -> Flask:
    """Return the console and API on *context*.

    ConfigurationError when the packages' style files are missing.
    """
    app = Flask(__name__, static_folder=None)
    app.config.update(
        SECRET_KEY=context.keys.mac(b"signs the visitors' cookies of the console"),
        SESSION_COOKIE_NAME="__Host-sekisho-visitor",
        SESSION_COOKIE_SECURE=True,
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Strict",
        PERMANENT_SESSION_LIFETIME=timedelta(hours=1),
        MAX_CONTENT_LENGTH=LARGEST_BODY_BYTES,
        MAX_FORM_MEMORY_SIZE=LARGEST_BODY_BYTES,
        WTF_CSRF_CHECK_DEFAULT=False,
        WTF_CSRF_SSL_STRICT=False,
        WTF_CSRF_TIME_LIMIT=None,
        BABEL_DEFAULT_LOCALE="en",
        BABEL_DEFAULT_TIMEZONE="UTC",
    )
    app.extensions["sekisho"] = context
    app.extensions["sekisho-proofs"] = step_up
    app.extensions["sekisho-looks"] = Looks(context)
    app.session_interface = sessions.ConsoleSessions()
    app.url_map.strict_slashes = False
    app.url_map.converters["int"] = addresses.IntegerConverter
    web_errors.register(app)
    ask_again.register(app)
    Babel(app, locale_selector=shown.language, timezone_selector=shown.zone)
    csrf.init_app(app)
    as_of.register(app)
    app.before_request(_prove_who_asks)
    rates.register(app)
    app.after_request(_with_headers)
    _words_for_templates(app, assets.version())
    app.add_url_rule("/static/<version>/<path:name>", "static", _static)
    for part in load():
        app.register_blueprint(part.bp)
    return app


def load() -> list[Any]:
    """Import every part of the console and return the modules."""
    return [import_module(module) for module in VIEWS]


def _prove_who_asks() -> None:
    if request.endpoint == "static":
        g.identity = None
        return
    sessions.identify()
    if request.path.startswith(SIGNED_OTHERWISE):
        return
    _refuse_nul(request.args)
    if request.method in {"GET", "HEAD", "OPTIONS"}:
        return
    _refuse_other_sites()
    csrf.protect()
    _refuse_nul(request.form)


def _refuse_nul(fields: MultiDict[str, str]) -> None:
    """Refuse U+0000: no page of ours sends it, and PostgreSQL stores none."""
    if any("\0" in text for texts in fields.listvalues() for text in texts):
        raise MalformedMessageError(_("Text cannot contain the character U+0000."))


def _refuse_other_sites() -> None:
    """Refuse a change that a page of another site sends (Fetch Metadata; else Origin)."""
    site = request.headers.get("Sec-Fetch-Site", "")
    origin = request.headers.get("Origin", "")
    foreign = site not in {"", "same-origin", "none"}
    if foreign or (not site and origin and origin != request.host_url.rstrip("/")):
        raise ForbiddenError("This change was sent by another site.")


def _with_headers(response: Response) -> Response:
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    if "Cache-Control" not in response.headers:
        response.headers["Cache-Control"] = "no-store"
        response.vary.update(["Cookie", "HX-Request", "Accept-Language"])
    return compression.pack(response)


@public("style and script, the same for everybody")
def _static(version: str, name: str) -> ResponseReturnValue:
    if version != assets.version() or name != normpath(name):
        abort(404)  # `x/../app.js` is no other file: each has one name
    answer = send_from_directory(assets.STATIC, name, max_age=FOREVER)
    answer.headers["Cache-Control"] = f"public, max-age={FOREVER}, immutable"
    return compression.pack_file(answer, name)


def _words_for_templates(app: Flask, version: str) -> None:
    app.jinja_options = {"trim_blocks": True, "lstrip_blocks": True}
    app.jinja_env.globals.update(
        _=texts.say,
        gettext=texts.say,
        ngettext=texts.say_number,
        asset=lambda name: url_for("static", version=version, name=name),
        menu=menu.entries,
        words=words,
        mark=marks,
        urgency=urgency,
        say=words.word,
        Permission=Permission,
        moment=shown.moment,
        ago=shown.ago,
        span=shown.span,
        number=shown.number,
        counted=shown.counted,
        capped=shown.capped,
        percent=shown.percent,
        here=shown.here,
        qr=shown.qr,
        reason=reasons.reason,
        passkey_site=passkey_site.site,
        sentence=shown.sentence,
        has=menu.is_open,
    )
    app.context_processor(_about_the_visitor)


def _about_the_visitor() -> dict[str, object]:
    """Give every page who looks at it, and whether enforcement is paused."""
    identity = who_asks()
    return {
        "identity": identity,
        "language": shown.language(),
        "theme": shown.theme(),
        "proved": identity is not None and step_up.is_fresh(),
        "enforcement": None if identity is None else _enforcement(),
        "may": lambda permission: identity is not None and identity.may(Permission(permission)),
    }


def _enforcement() -> object:
    if "enforcement" not in g:
        with reading() as session:
            g.enforcement = safety.get_enforcement(session)
            session.expunge_all()
    return g.enforcement
