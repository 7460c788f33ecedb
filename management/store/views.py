"""Pages of the app store: what is offered to whom, publish, aim, withdraw."""

from uuid import UUID

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from management.access import Permission, requires, signed_in_name
from management.store import queries, service
from management.store.rules import address_of
from management.web import context, reading, transaction, visitor_address
from runtime.clock import utc_now
from runtime.errors import MalformedMessageError

bp = Blueprint("store", __name__, url_prefix="/store")


@bp.get("/")
@requires(Permission.VIEW)
def index() -> ResponseReturnValue:
    """List what is on offer, by category."""
    with reading() as session:
        entries = [queries.read_entry(session, one.id) for one in queries.list_entries(session)]
        groups = queries.list_groups(session)
    return render_template(
        "store/index.html", entries=entries, groups=groups, address_of=address_of
    )


@bp.get("/<uuid:entry_id>")
@requires(Permission.VIEW)
def show(entry_id: UUID) -> ResponseReturnValue:
    """Show one entry: versions, groups, and how to withdraw it."""
    with reading() as session:
        found = queries.read_entry(session, entry_id)
        groups = queries.list_groups(session)
    return render_template("store/show.html", found=found, groups=groups, address_of=address_of)


@bp.get("/publish/<sha256>")
@requires(Permission.MANAGE_APPS)
def choose(sha256: str) -> ResponseReturnValue:
    """Ask to whom an uploaded app is offered."""
    with reading() as session:
        app, why = queries.publishable(session, sha256)
        groups = queries.list_groups(session)
    return render_template("store/publish.html", app=app, why=why, groups=groups)


@bp.post("/publish/<sha256>")
@requires(Permission.MANAGE_APPS)
def publish(sha256: str) -> ResponseReturnValue:
    """Offer an uploaded app to groups."""
    category, targets = request.form.get("category", ""), _targets()
    with transaction("publish an app") as session:
        entry = service.publish(
            session,
            context().keys,
            sha256,
            category,
            targets,
            signed_in_name(),
            visitor_address(),
            utc_now(),
        )
    flash(_("The app is published. Devices are told at their next check-in."))
    return redirect(url_for("store.show", entry_id=entry.id), 303)


@bp.post("/links")
@requires(Permission.MANAGE_APPS)
def add_link() -> ResponseReturnValue:
    """Point devices to an app in another store."""
    with transaction("add a store link") as session:
        entry = service.add_link(
            session,
            context().keys,
            request.form.get("link", "")[:1000],
            request.form.get("name", ""),
            request.form.get("category", ""),
            _targets(),
            signed_in_name(),
            visitor_address(),
            utc_now(),
        )
    flash(_("The link is published."))
    return redirect(url_for("store.show", entry_id=entry.id), 303)


@bp.post("/<uuid:entry_id>/groups")
@requires(Permission.MANAGE_APPS)
def aim(entry_id: UUID) -> ResponseReturnValue:
    """Offer an entry to other groups."""
    with transaction("aim a store entry") as session:
        service.aim(
            session,
            context().keys,
            entry_id,
            _targets(),
            signed_in_name(),
            visitor_address(),
            utc_now(),
        )
    flash(_("The groups are saved."))
    return redirect(url_for("store.show", entry_id=entry_id), 303)


@bp.post("/<uuid:entry_id>/withdraw")
@requires(Permission.MANAGE_APPS)
def withdraw(entry_id: UUID) -> ResponseReturnValue:
    """No longer offer an entry."""
    with transaction("withdraw a store entry") as session:
        service.withdraw(
            session,
            context().keys,
            entry_id,
            request.form.get("because", ""),
            signed_in_name(),
            visitor_address(),
            utc_now(),
        )
    flash(_("It is withdrawn. Devices that installed it keep it until it is removed from them."))
    return redirect(url_for("store.index"), 303)


def _targets() -> dict[UUID, bool]:
    """Return group -> required from fields ``group-ID`` with ``optional`` or ``required``."""
    targets = {}
    for name, value in request.form.items():
        if name.startswith("group-") and value in ("optional", "required"):
            targets[_group(name.removeprefix("group-"))] = value == "required"
    return targets


def _group(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise MalformedMessageError("A group of the form does not exist.") from None
