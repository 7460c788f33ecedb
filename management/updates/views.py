"""The page of updates: components, source, schedule, progress, history, going back."""

from importlib.metadata import PackageNotFoundError, version
from uuid import UUID

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from management.access import Permission, requires, signed_in_name
from management.administrators import step_up
from management.audit.notes import note
from management.updates import queries, service
from management.updates.rules import RunState, Schedule, Timing
from management.web import context, reading, transaction, visitor_address
from runtime.clock import utc_now
from runtime.errors import MalformedMessageError

bp = Blueprint("updates", __name__, url_prefix="/updates")


@bp.get("/")
@requires(Permission.VIEW)
def index() -> ResponseReturnValue:
    """Show what is installed, where updates come from and what became of them."""
    return _page({}, "", "")


@bp.get("/runs/<uuid:run_id>")
@requires(Permission.VIEW)
def progress(run_id: UUID) -> ResponseReturnValue:
    """Return the words of an attempt, for the page that polls while it runs."""
    with reading() as session:
        run = queries.get_run(session, run_id)
        if run.state != RunState.RUNNING:
            return "", 200, {"HX-Refresh": "true"}
        job = service.find_job(session, run)
        return render_template("updates/progress.html", run=run, job=job)


@bp.post("/run")
@requires(Permission.RUN_UPDATES)
def run_now() -> ResponseReturnValue:
    """Queue an update."""
    with transaction("request update") as session:
        run = service.request_run(session, signed_in_name(), utc_now())
        note(session, "update.run", run.source, run=str(run.id))
    return redirect(url_for("updates.index"))


@bp.post("/source")
@requires(Permission.CHANGE_SETTINGS)
def save_source() -> ResponseReturnValue:
    """Take updates from another source, trusting the root.json that was entered."""
    step_up.require_fresh()
    address, root = request.form.get("address", "").strip(), _entered_root()
    problems = service.source_problems(address, root)
    if problems:
        return _page(problems, address, root.decode("utf-8", "replace"))
    with transaction("save update source") as session:
        service.save_source(session, context().keys, address, root, _actor(), utc_now())
    flash(_("The update source is saved. Try it with Update now."))
    return redirect(url_for("updates.index"))


@bp.post("/schedule")
@requires(Permission.CHANGE_SETTINGS)
def save_schedule() -> ResponseReturnValue:
    """Look for updates at other times."""
    timing = _entered_timing()
    with transaction("save update schedule") as session:
        service.save_timing(session, context().keys, timing, _actor(), utc_now())
    flash(_("The schedule is saved."))
    return redirect(url_for("updates.index"))


@bp.post("/roll-back")
@requires(Permission.RUN_UPDATES)
def roll_back() -> ResponseReturnValue:
    """Activate the version before the active one."""
    because = request.form.get("because", "")
    with transaction("roll patterns back") as session:
        chosen = service.roll_back(session, context().keys, _actor(), because, utc_now())
    flash(_("Pattern set %(version)s is active again.", version=chosen))
    return redirect(url_for("updates.index"))


@bp.post("/sets/<chosen>/activate")
@requires(Permission.RUN_UPDATES)
def activate(chosen: str) -> ResponseReturnValue:
    """Activate an installed version."""
    because = request.form.get("because", "")
    with transaction("activate chosen patterns") as session:
        service.activate_version(session, context().keys, chosen, _actor(), because, utc_now())
    flash(_("Pattern set %(version)s is active.", version=chosen))
    return redirect(url_for("updates.index"))


@bp.post("/sets/<chosen>/discard")
@requires(Permission.RUN_UPDATES)
def discard(chosen: str) -> ResponseReturnValue:
    """Forget an installed version."""
    because = request.form.get("because", "")
    with transaction("discard patterns") as session:
        service.discard_set(session, context().keys, chosen, _actor(), because, utc_now())
    flash(
        _(
            "Pattern set %(version)s is discarded. If the source still offers it, the next update "
            "takes it again.",
            version=chosen,
        )
    )
    return redirect(url_for("updates.index"))


def _page(problems: dict[str, str], address: str, root: str) -> ResponseReturnValue:
    with reading() as session:
        found = queries.get_overview(session)
        job = service.find_job(session, found.running) if found.running else None
        page = render_template(
            "updates/index.html",
            found=found,
            job=job,
            components=queries.list_components(session),
            problems=problems,
            address=address or found.source.address,
            root=root,
            schedules=_schedules(),
            server_version=_server_version(),
        )
    return page, 422 if problems else 200


def _entered_root() -> bytes:
    """Return the uploaded root.json, else the pasted one."""
    file = request.files.get("file")
    uploaded = file.read() if file is not None else b""
    return uploaded or request.form.get("root", "").strip().encode()


def _entered_timing() -> Timing:
    form = request.form
    try:
        return Timing(
            schedule=Schedule(form.get("schedule", "off")),
            day=int(form.get("day") or 1),
            hour=int(form.get("hour") or 0),
            window_minutes=int(form.get("window_minutes") or 0),
        )
    except ValueError:
        raise MalformedMessageError(
            _("Choose a schedule, and enter day, hour and window as numbers.")
        ) from None


def _actor() -> service.Actor:
    return service.Actor(signed_in_name(), visitor_address())


def _schedules() -> list[tuple[str, str]]:
    return [
        ("off", _("Only by hand")),
        ("hourly", _("Every hour")),
        ("daily", _("Every day")),
        ("weekly", _("Every week")),
        ("monthly", _("Every month")),
    ]


def _server_version() -> str:
    try:
        return version("sekisho")
    except PackageNotFoundError:
        return ""
