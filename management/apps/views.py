"""Pages of apps: list, upload, one app with its evidence, scan again, delete."""

from datetime import datetime
from uuid import UUID

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l

from management.access import Permission, requires, signed_in_name
from management.administrators import sessions
from management.apps import queries, rules, service, uploads
from management.apps.queries import ListedApp
from management.apps.rules import LARGEST_APP_BYTES, LARGEST_UPLOAD_BYTES
from management.devices.queries import get_device
from management.paging import PAGE, read_cursor, write_cursor
from management.web import context, is_fragment, reading, transaction, visitor_address
from management.words import Word
from management.work.rules import JobState
from runtime.clock import utc_now
from runtime.errors import MalformedMessageError

bp = Blueprint("apps", __name__, url_prefix="/apps")

SEVERITIES = {
    "high": Word("bad", "x-octagon", _l("High")),
    "medium": Word("warn", "exclamation-triangle", _l("Medium")),
    "low": Word("info", "exclamation-circle", _l("Low")),
    "note": Word("idle", "info-circle", _l("Note")),
}


@bp.url_value_preprocessor
def _let_uploads_in(endpoint: str | None, values: dict[str, object] | None) -> None:
    """Allow large bodies before the form is read, but only to those who may upload."""
    if endpoint == "apps.upload" and sessions.may(Permission.MANAGE_APPS):
        request.max_content_length = LARGEST_UPLOAD_BYTES


@bp.get("/")
@requires(Permission.VIEW)
def index() -> ResponseReturnValue:
    """List the stored apps, the last uploaded first."""
    text, verdict = request.args.get("text", "").strip(), request.args.get("verdict", "")
    after = _read_place(request.args.get("after", ""))
    with reading() as session:
        rows = queries.list_apps(session, text, verdict, after, PAGE)
        counts = {} if after else queries.count_verdicts(session)
    template = "apps/rows.html" if after and is_fragment() else "apps/index.html"
    return render_template(
        template,
        rows=rows,
        counts=counts,
        text=text,
        verdict=verdict,
        next_page=_next_page(rows, text, verdict),
        largest_mebibytes=LARGEST_APP_BYTES // 1024**2,
    )


@bp.post("/upload")
@requires(Permission.MANAGE_APPS)
def upload() -> ResponseReturnValue:
    """Store the chosen file and show its page, where the scan's progress is seen."""
    file = request.files.get("file")
    if file is None or not file.filename:
        raise MalformedMessageError("Choose an app's file first.")
    received = uploads.receive(context().settings.home, file.stream)
    with transaction("store an upload") as session:
        service.store_upload(
            session,
            context().keys,
            received,
            file.filename,
            signed_in_name(),
            visitor_address(),
            utc_now(),
        )
    return redirect(url_for("apps.show", sha256=received.sha256), 303)


@bp.get("/<sha256>")
@requires(Permission.VIEW)
def show(sha256: str) -> ResponseReturnValue:
    """Show one app: who signed it, what it may do, what was found, who holds it."""
    with reading() as session:
        app = queries.get_app(session, sha256)
        return render_template(
            "apps/show.html",
            app=app,
            verdict=queries.find_verdict(session, sha256),
            history=queries.list_verdicts(session, sha256),
            holders=queries.list_holders(session, sha256),
            scan=queries.find_scan(session, sha256),
            severities=SEVERITIES,
            going_on=(JobState.QUEUED, JobState.RUNNING),
        )


@bp.get("/of-device/<uuid:device_id>")
@requires(Permission.VIEW)
def of_device(device_id: UUID) -> ResponseReturnValue:
    """List the apps that a device says it holds, those with a bad verdict first."""
    with reading() as session:
        device = get_device(session, device_id)
        held = queries.list_device_apps(session, device_id)
        stored = queries.stored_hashes(session, [app.sha256 for app, _known in held])
    held.sort(key=lambda pair: rules.urgency(pair[1]))
    page = "apps/of_device_table.html" if is_fragment() else "apps/of_device.html"
    return render_template(page, device=device, held=held, stored=stored)


@bp.get("/<sha256>/progress")
@requires(Permission.VIEW)
def progress(sha256: str) -> ResponseReturnValue:
    """Return the words of the scan, for the page that polls while it runs."""
    with reading() as session:
        scan = queries.find_scan(session, sha256)
        if scan is None or scan.state not in (JobState.QUEUED, JobState.RUNNING):
            return "", 200, {"HX-Refresh": "true"}
        return render_template("apps/progress.html", scan=scan, sha256=sha256)


@bp.post("/<sha256>/scan")
@requires(Permission.MANAGE_APPS)
def scan_again(sha256: str) -> ResponseReturnValue:
    """Queue another scan."""
    with transaction("request a scan") as session:
        service.request_scan(session, sha256, utc_now())
    return redirect(url_for("apps.show", sha256=sha256), 303)


@bp.post("/<sha256>/delete")
@requires(Permission.MANAGE_APPS)
def delete(sha256: str) -> ResponseReturnValue:
    """Forget the app and its file."""
    with transaction("delete an app") as session:
        service.delete_app(
            session, context().keys, sha256, signed_in_name(), visitor_address(), utc_now()
        )
    uploads.forget(context().settings.home, sha256)
    flash(_("The app is deleted. What was found in it stays known for devices that hold it."))
    return redirect(url_for("apps.index"), 303)


def _read_place(word: str) -> tuple[datetime, str] | None:
    if not word:
        return None
    at, sha256 = read_cursor(word, 2)
    try:
        return datetime.fromisoformat(at), sha256
    except ValueError:
        raise MalformedMessageError(
            "The place in the list is not valid. Start at the first page."
        ) from None


def _next_page(rows: list[ListedApp], text: str, verdict: str) -> str:
    if len(rows) < PAGE:
        return ""
    last = rows[-1].app
    place = write_cursor(last.uploaded_at, last.sha256)
    return url_for("apps.index", text=text, verdict=verdict, after=place)
