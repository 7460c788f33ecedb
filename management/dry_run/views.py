"""Dry runs in the console: ask, follow, read, take back, export."""

from uuid import UUID

from flask import Blueprint, Response, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from management.access import Permission, requires, signed_in_name
from management.audit.notes import note
from management.dry_run import queries, service
from management.dry_run.applying import applying
from management.dry_run.export import as_csv
from management.dry_run.models import DryRun
from management.dry_run.queries import Wanted
from management.dry_run.rules import RunState, read_tally, share_done
from management.paging import PAGE, uuid_cursor, write_cursor
from management.personal import file_of, list_of, shows, tell_number
from management.policies.compliance_form import read_form
from management.policies.queries import current_version, list_groups, list_policies
from management.policies.settings_form import read_settings_form
from management.policies.values import Reader
from management.web import context, is_fragment, reading, transaction
from runtime.clock import utc_now

bp = Blueprint("dry_run", __name__, url_prefix="/dry-runs")
NAMES = {
    "before": "before",
    "becomes": "after",
    "loses": "loses",
    "when": "when",
    "rule": "rule",
}
"""Name in the address -> field of `Wanted`."""
OPEN = {RunState.WAITING.value, RunState.RUNNING.value}


@bp.get("")
@requires(Permission.VIEW)
def index() -> ResponseReturnValue:
    """List the newest dry runs."""
    with reading() as session:
        runs = queries.list_runs(session)
        names = {policy.id: policy.name for policy in list_policies(session)}
    tallies = {run.id: read_tally(run.tally) for run in runs}
    return render_template("dry_run/index.html", runs=runs, names=names, tallies=tallies)


@bp.post("/policies/<uuid:policy_id>")
@requires(Permission.CHANGE_POLICIES)
def try_policy(policy_id: UUID) -> ResponseReturnValue:
    """Try what the form of a policy asks; nothing is saved."""
    with reading() as session:
        holds = current_version(session, policy_id)
    asked, errors = read_form(request.form)
    reader = Reader(context().keys, holds.settings)
    settings = None
    if any(name.startswith("s.") for name in request.form):
        settings = reader.read(read_settings_form(request.form, holds.settings))
    if errors := {**errors, **reader.errors}:
        flash(_("It cannot be tried: %(why)s", why=" ".join(errors.values())), "bad")
        return redirect(url_for("policies.edit", policy_id=policy_id))
    with transaction("try a policy") as session:
        by, now = signed_in_name(), utc_now()
        run = service.try_policy(session, policy_id, asked, by, now, settings)
        note(session, "dry_run.policy", policy_id, run=str(run.id))
    return redirect(url_for("dry_run.show", run_id=run.id))


@bp.post("/patterns/<version>")
@requires(Permission.RUN_UPDATES)
def try_patterns(version: str) -> ResponseReturnValue:
    """Try an installed pattern set on the fleet."""
    with transaction("try patterns") as session:
        run = service.try_patterns(session, version, signed_in_name(), utc_now())
        note(session, "dry_run.patterns", version, run=str(run.id))
    return redirect(url_for("dry_run.show", run_id=run.id))


@bp.get("/<uuid:run_id>")
@requires(Permission.VIEW)
@shows(list_of("devices of a dry run"))
def show(run_id: UUID) -> ResponseReturnValue:
    """Show how a dry run stands, what it found, and the devices by name."""
    wanted = _wanted()
    with reading() as session:
        run = queries.get_run(session, run_id)
        names = {policy.id: policy.name for policy in list_policies(session)}
        groups = [("", ""), *((group.id, group.name) for group in list_groups(session))]
        after = uuid_cursor(request.args.get("after", ""))
        found, last = queries.look(session, run_id, wanted, after, PAGE)
        job = queries.find_job(session, run_id)
        applies = applying(session, run)
    tell_number(len(found))
    page = "dry_run/rows.html" if is_fragment() else "dry_run/show.html"
    return render_template(
        page,
        run=run,
        names=names,
        groups=groups,
        is_open=run.state in OPEN,
        tally=read_tally(run.tally),
        share=share_done(run.looked_at, run.total),
        job=job,
        applies=applies,
        kept=service.KEPT,
        said={name: value for name, value in request.args.items() if name in NAMES and value},
        found=found,
        number_found=queries.count_wanted(run, wanted),
        more=write_cursor(last) if last else "",
    )


@bp.get("/<uuid:run_id>/progress")
@requires(Permission.VIEW)
def progress(run_id: UUID) -> ResponseReturnValue:
    """Return how far a dry run is, for the page that polls while it goes on."""
    with reading() as session:
        run = queries.get_run(session, run_id)
        job = queries.find_job(session, run_id)
    if run.state not in OPEN:
        return "", 200, {"HX-Refresh": "true"}
    return render_template("dry_run/progress.html", job=job, **_progress(run))


@bp.post("/<uuid:run_id>/cancel")
@requires(Permission.CHANGE_POLICIES)
def cancel(run_id: UUID) -> ResponseReturnValue:
    """Stop a dry run; what it found so far stays."""
    with transaction("cancel a dry run") as session:
        service.cancel(session, run_id, signed_in_name(), utc_now())
        note(session, "dry_run.cancel", run_id)
    flash(_("The dry run is stopped. What it found so far is shown."))
    return redirect(url_for("dry_run.show", run_id=run_id))


@bp.post("/<uuid:run_id>/apply")
@requires(Permission.CHANGE_POLICIES)
def apply(run_id: UUID) -> ResponseReturnValue:
    """Make what was tried the next version, unless another one holds by now."""
    because = request.form.get("because", "").strip()
    with transaction("apply a dry run") as session:
        version = service.apply(session, run_id, signed_in_name(), because, utc_now())
        note(session, "policy.change", version.policy_id, because, version=version.version)
    flash(_("Version %(version)s holds from now on.", version=version.version))
    return redirect(url_for("policies.show", policy_id=version.policy_id))


@bp.get("/<uuid:run_id>/devices.csv")
@requires(Permission.VIEW)
@shows(file_of("dry_run.export", "devices of a dry run"))
def export(run_id: UUID) -> ResponseReturnValue:
    """Send the devices that the page's filter finds, all pages, as CSV."""
    with reading() as session:
        queries.get_run(session, run_id)
        tell_number(queries.count_named(session, run_id, _wanted()))
    name = f"dry-run-{run_id}.csv"
    return Response(
        as_csv(context().database, run_id, _wanted()),
        mimetype="text/csv",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


def _progress(run: DryRun) -> dict[str, object]:
    return {"run": run, "share": share_done(run.looked_at, run.total)}


def _wanted() -> Wanted:
    return Wanted(**{field: request.args.get(name, "")[:50] for name, field in NAMES.items()})
