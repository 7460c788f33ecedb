"""Pages of apps: list, upload, one app with its evidence, scan again, delete, sets on trial."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from flask import Blueprint, flash, jsonify, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from management.access import Permission, requires, signed_in_name
from management.administrators import sessions
from management.apps import (
    analysis,
    approvals,
    candidates,
    holding,
    pages,
    queries,
    rules,
    service,
    uploads,
)
from management.apps.models import App
from management.apps.queries import Wanted
from management.apps.rules import LARGEST_APP_BYTES, LARGEST_UPLOAD_BYTES
from management.audit.notes import note
from management.devices.queries import get_device
from management.paging import PAGE, read_cursor, write_cursor
from management.personal import DEVICE, list_of, shows, tell_number
from management.sayings import sayings
from management.texts import lazy as _l
from management.updates.queries import active_folder
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
GOING_ON = (JobState.QUEUED, JobState.RUNNING)


@bp.url_value_preprocessor
def _let_uploads_in(endpoint: str | None, values: dict[str, object] | None) -> None:
    """Allow large bodies before the form is read, but only to those who may upload."""
    if endpoint == "apps.upload" and sessions.may(Permission.MANAGE_APPS):
        request.max_content_length = LARGEST_UPLOAD_BYTES


@bp.get("/")
@requires(Permission.VIEW, in_groups=True)
def index() -> ResponseReturnValue:
    """List the known apps, the last seen first."""
    wanted = Wanted(
        text=request.args.get("text", "").strip(),
        verdict=request.args.get("verdict", ""),
        held=request.args.get("held", "") == "1",
        stored=request.args.get("stored", "") == "1",
    )
    after = _read_place(request.args.get("after", ""))
    with reading() as session:
        rows = queries.list_apps(session, wanted, after, PAGE)
        counts = {} if after else holding.count_verdicts(session)
        devices = holding.count_devices(session, rows)
        signers = {row.sha256: row.proven_signer for row in rows}
        approved = approvals.approved_hashes(session, signers)
    template = "apps/rows.html" if after and is_fragment() else "apps/index.html"
    return render_template(
        template,
        rows=rows,
        counts=counts,
        devices=devices,
        approved=approved,
        wanted=wanted,
        next_page=_next_page(rows),
        largest_mebibytes=LARGEST_APP_BYTES // 1024**2,
    )


@bp.post("/upload")
@requires(Permission.MANAGE_APPS)
def upload() -> ResponseReturnValue:
    """Store the chosen file and show its page, where the scan's progress is seen."""
    file = request.files.get("file")
    if file is None or not file.filename:
        raise MalformedMessageError("Choose an app's file first.")
    with reading() as session:
        room = service.room_for_upload(session, context().settings.uploads_bytes)
    received = uploads.receive(context().settings.home, file.stream, room)
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
@requires(Permission.VIEW, in_groups=True)
@shows(list_of("devices with an app"))
def show(sha256: str) -> ResponseReturnValue:
    """Show one app: who signed it, what it may do, what was found, who holds it."""
    with reading() as session:
        folder = active_folder(session, context().settings)
        page = pages.read_page(session, sha256, folder)
    tell_number(len(page.holders))
    return render_template(
        "apps/show.html",
        page=page,
        app=page.app,
        severities=SEVERITIES,
        going_on=GOING_ON,
        said=sayings(folder),
    )


@bp.get("/<sha256>.json")
@requires(Permission.VIEW, in_groups=True)
def download(sha256: str) -> ResponseReturnValue:
    """Return everything that is known of one app as a file."""
    with reading() as session:
        folder = active_folder(session, context().settings)
        answer = jsonify(pages.as_json(pages.read_page(session, sha256, folder)))
    answer.headers["Content-Disposition"] = f'attachment; filename="{sha256}.json"'
    return answer


@bp.get("/of-device/<uuid:device_id>")
@requires(Permission.VIEW, in_groups=True)
@shows(DEVICE)
def of_device(device_id: UUID) -> ResponseReturnValue:
    """List the apps that a device says it holds, those with a bad verdict first."""
    with reading() as session:
        device = get_device(session, device_id)
        held = queries.list_device_apps(session, device_id)
        rows = queries.known_rows(session, [app.sha256 for app, _known in held])
        signers = {row.sha256: row.proven_signer for row in rows}
        approved = approvals.approved_hashes(session, signers)
    held.sort(key=lambda pair: rules.urgency(pair[1]))
    page = "apps/of_device_table.html" if is_fragment() else "apps/of_device.html"
    return render_template(page, device=device, held=held, approved=approved)


@bp.get("/<sha256>/progress")
@requires(Permission.VIEW, in_groups=True)
def progress(sha256: str) -> ResponseReturnValue:
    """Return the words of the scan, for the page that polls while it runs."""
    with reading() as session:
        queries.get_known(session, sha256)
        scan = queries.find_scan(session, sha256)
        if scan is None or scan.state not in GOING_ON:
            return "", 200, {"HX-Refresh": "true"}
        return render_template("apps/progress.html", scan=scan, sha256=sha256)


@bp.post("/<sha256>/scan")
@requires(Permission.MANAGE_APPS)
def scan_again(sha256: str) -> ResponseReturnValue:
    """Queue another scan."""
    with transaction("request a scan") as session:
        service.request_scan(session, sha256, utc_now())
        note(session, "app.scan", sha256)
    return redirect(url_for("apps.show", sha256=sha256), 303)


@bp.post("/<sha256>/analyse")
@requires(Permission.MANAGE_APPS)
def analyse(sha256: str) -> ResponseReturnValue:
    """Queue a deep analysis."""
    with transaction("request a deep analysis") as session:
        analysis.request_analysis(
            session, context().keys, sha256, signed_in_name(), visitor_address(), utc_now()
        )
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


@bp.get("/trials/<version>")
@requires(Permission.VIEW)
@shows(list_of("devices of a pattern trial"))
def trial(version: str) -> ResponseReturnValue:
    """Show what a pattern set would have changed, or would change, when it goes live."""
    with reading() as session:
        found = candidates.find_trial(session, version)
        names = pages.device_names(session, found.device_ids if found else [])
    tell_number(len(names))
    return render_template("apps/trial.html", trial=found, version=version, names=names)


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


def _next_page(rows: Sequence[App]) -> str:
    if len(rows) < PAGE:
        return ""
    place = write_cursor(rows[-1].first_seen_at, rows[-1].sha256)
    asked = request.args
    return url_for(
        "apps.index",
        text=asked.get("text"),
        verdict=asked.get("verdict"),
        held=asked.get("held"),
        stored=asked.get("stored"),
        after=place,
    )
