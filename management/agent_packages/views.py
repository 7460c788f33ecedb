"""Agent package: upload, scan result, release; the key of the download page; where the page is."""

from uuid import UUID

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from management.access import Permission, requires, signed_in_name
from management.administrators import sessions, step_up
from management.agent_packages import from_source, queries, service
from management.apps import uploads
from management.apps.rules import LARGEST_UPLOAD_BYTES
from management.apps.service import room_for_upload
from management.audit.notes import note
from management.relays.queries import list_used
from management.web import context, reading, transaction, visitor_address
from runtime.clock import utc_now
from runtime.errors import MalformedMessageError, RefusedError

bp = Blueprint("agent_packages", __name__, url_prefix="/agent-package")


@bp.url_value_preprocessor
def _let_uploads_in(endpoint: str | None, values: dict[str, object] | None) -> None:
    """Allow large bodies before the form is read, but only to those who may upload."""
    if endpoint == "agent_packages.upload" and sessions.may(Permission.MANAGE_APPS):
        request.max_content_length = LARGEST_UPLOAD_BYTES


@bp.get("")
@requires(Permission.VIEW)
def index() -> ResponseReturnValue:
    """Show the packages and the download page's settings."""
    with reading() as session:
        packages = queries.list_packages(session)
        relays, keys = list_used(session), queries.keys_for_many(session)
        key, standing = queries.offered_key(session), queries.standing(session)
    return render_template(
        "enrolment/agent_package.html",
        packages=packages,
        relays=relays,
        keys=keys,
        key=key,
        standing=standing,
    )


@bp.post("")
@requires(Permission.MANAGE_APPS)
def upload() -> ResponseReturnValue:
    """Store a package; its scan begins at once."""
    file = request.files.get("file")
    if file is None or not file.filename:
        raise MalformedMessageError(_("Choose a package first."))
    with reading() as session:
        room = room_for_upload(session, context().settings.uploads_bytes)
    received = uploads.receive(context().settings.home, file.stream, room)
    with transaction("store an agent package") as session:
        service.store(
            session,
            context(),
            received,
            file.filename,
            signed_in_name(),
            visitor_address(),
            utc_now(),
        )
        note(session, "agent_package.upload", received.sha256, file_name=file.filename)
    flash(_("The package is stored and being scanned; hand it out once it is clean."))
    return redirect(url_for("agent_packages.index"), 303)


@bp.post("/<sha256>/release")
@requires(Permission.CHANGE_SETTINGS)
def release(sha256: str) -> ResponseReturnValue:
    """Hand a package out and announce it to devices."""
    step_up.require_fresh()
    meant = "other_signer" in request.form
    with transaction("release an agent package") as session:
        service.release(session, sha256, signed_in_name(), utc_now(), meant)
        note(session, "agent_package.release", sha256, other_signer=meant)
    flash(_("Relays hand it out after their next visit; devices are told."))
    return redirect(url_for("agent_packages.index"), 303)


@bp.post("/withdraw")
@requires(Permission.CHANGE_SETTINGS)
def withdraw() -> ResponseReturnValue:
    """Hand nothing out."""
    with transaction("withdraw the agent package") as session:
        service.withdraw(session, signed_in_name(), utc_now())
        note(session, "agent_package.withdraw", "")
    flash(_("The download page offers no package now."))
    return redirect(url_for("agent_packages.index"), 303)


@bp.post("/follow")
@requires(Permission.CHANGE_SETTINGS)
def follow() -> ResponseReturnValue:
    """Let the newest package of the update source be handed out by itself."""
    step_up.require_fresh()
    with transaction("follow the update source") as session:
        from_source.follow(session, context().keys, signed_in_name(), utc_now())
        note(session, "agent_package.follow", "")
    flash(_("The download page follows the update source from now on."))
    return redirect(url_for("agent_packages.index"), 303)


@bp.post("/key")
@requires(Permission.CHANGE_SETTINGS)
def choose_key() -> ResponseReturnValue:
    """Set which enrolment key stands in the package."""
    step_up.require_fresh()
    chosen = request.form.get("key", "")
    try:
        key_id = UUID(chosen) if chosen else None
    except ValueError:
        raise RefusedError(_("Choose a key of the list.")) from None
    with transaction("choose the key of the download page") as session:
        service.choose_key(session, key_id, utc_now())
        note(session, "agent_package.key", chosen)
    flash(_("Saved. Relays follow after their next visit."))
    return redirect(url_for("agent_packages.index"), 303)
