"""The audit trail: filtered, paged, and proved."""

from datetime import UTC, date, datetime, time, timedelta

from flask import Blueprint, Response, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from management.access import Permission, requires
from management.audit import checkpoints, queries, rules, service
from management.audit.models import AuditEntry
from management.audit.notes import note
from management.paging import PAGE, cut, number_cursor
from management.personal import list_of, shows, tell_number
from management.web import context, is_fragment, reading, transaction
from runtime.errors import MalformedMessageError

bp = Blueprint("audit", __name__, url_prefix="/audit")
BESIDE = 10
"""Entries on the page of what they are about."""


@bp.get("")
@requires(Permission.READ_AUDIT, in_groups=True)
@shows(list_of("audit trail"))
def index() -> ResponseReturnValue:
    """List entries, newest first; every filter is in the address."""
    wanted = {name: request.args.get(name, "").strip() for name in ("actor", "action", "subject")}
    since, until, looked = _day("since"), _day("until"), _looked(wanted["action"])
    after = request.args.get("after")
    with reading() as session:
        found = queries.list_entries(
            session,
            number_cursor(after) if after else None,
            PAGE + 1,
            **wanted,
            since=since,
            until=until + timedelta(days=1) if until else None,
            looked=looked,
        )
    shown, following = cut(found, PAGE, lambda row: (row.seq,))
    kept = {name: value for name, value in request.args.items() if name != "after" and value}
    more = url_for("audit.index", **kept, after=following) if following else ""  # type: ignore[arg-type]
    tell_number(len(shown))
    if is_fragment():
        return render_template("audit/rows.html", entries=shown, more=more)
    with reading() as session:
        last, made = queries.last_checkpoint(session), queries.count_checkpoints(session)
    return render_template(
        "audit/index.html",
        entries=shown,
        wanted=wanted,
        looked=looked.value,
        more=more,
        last=last,
        made=made,
    )


@bp.post("/verify")
@requires(Permission.READ_AUDIT)
def verify() -> ResponseReturnValue:
    """Check every entry's seal, and that no checkpoint names what is gone; say what was found."""
    with reading() as session:
        marks = checkpoints.held(session, context().signer)
        problems = service.verify(session, context().keys, marks)
    with transaction("note that the audit trail was verified") as session:
        note(session, "audit.verify", "audit trail", whole=not problems)
    for problem in problems:
        flash(problem, "bad")
    if not problems:
        flash(_("The audit trail is whole: every entry's seal holds, and none is missing."))
    return redirect(url_for("audit.index"))


@bp.get("/checkpoints.txt")
@requires(Permission.READ_AUDIT)
def download_checkpoints() -> ResponseReturnValue:
    """Give every checkpoint, one signed token a line, to keep on another machine."""
    with reading() as session:
        lines = [one.token for one in reversed(queries.list_checkpoints(session))]
    with transaction("note that checkpoints were fetched") as session:
        note(session, "audit.checkpoints", "audit trail", checkpoints=len(lines))
    answer = Response("".join(f"{line}\n" for line in lines), mimetype="text/plain")
    answer.headers["Content-Disposition"] = "attachment; filename=sekisho-audit-checkpoints.txt"
    return answer


def _looked(action: str) -> rules.Looked:
    """Return whether looks are wanted; who asks for an action that is one need not say so."""
    said = request.args.get("looks", "")
    if rules.is_look(action) and not said:
        return rules.Looked.ONLY_LOOKS
    try:
        return rules.Looked(said)
    except ValueError:
        raise MalformedMessageError(
            "Looks are left out, shown too (with) or shown alone (only)."
        ) from None


def _day(name: str) -> datetime | None:
    text = request.args.get(name, "")
    if not text:
        return None
    try:
        return datetime.combine(date.fromisoformat(text), time(), UTC)
    except ValueError:
        raise MalformedMessageError("A date is written as year-month-day.") from None


@bp.app_context_processor
def _beside_things() -> dict[str, object]:
    """Give the page of each thing what was done with it."""
    return {"trail": _trail, "lookers": _lookers}


def _lookers(subject: object) -> list[AuditEntry]:
    with reading() as session:
        return queries.list_looks(session, str(subject), BESIDE)


def _trail(subject: str, kinds: tuple[str, ...]) -> list[tuple[AuditEntry, list[rules.Change]]]:
    with reading() as session:
        found = queries.list_about(session, str(subject), kinds, BESIDE)
        session.expunge_all()
    return [(entry, rules.read_changes(entry.details)) for entry in found]
