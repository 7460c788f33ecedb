"""The pages of mail access: the list of partnerships and one partnership.

Connectors, settings and what is done to phones have modules of their own, on the same blueprint.
"""

from uuid import UUID

from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from werkzeug.datastructures import MultiDict

from management.access import Permission, requires
from management.mail_access import (
    by_hand,
    connector_views,
    held_views,
    listing,
    phone_views,
    queries,
    settings_views,
    telling,
    wipe_views,
    wiping,
    words,
)
from management.mail_access.pages import bp, by
from management.paging import PAGE, number_cursor, write_cursor
from management.personal import PARTNERSHIP, list_of, shows, tell_number, tell_subject
from management.web import context, is_fragment, reading, transaction
from runtime.clock import utc_now
from runtime.errors import MalformedMessageError

__all__ = ["bp", "connector_views", "held_views", "phone_views", "settings_views", "wipe_views"]


@bp.get("")
@requires(Permission.VIEW, in_groups=True)
@shows(list_of("partnerships"))
def index() -> ResponseReturnValue:
    """List partnerships; every filter is in the address."""
    wanted, after = read_filter(request.args), request.args.get("after", "")
    with reading() as session:
        shown, last = listing.look(session, wanted, number_cursor(after) if after else 0, PAGE)
        counts = {} if is_fragment() else listing.count_each(session)
        count = None if after and is_fragment() else listing.count(session, wanted)
        connectors = queries.list_connectors(session)
        settings = queries.read_mail_settings(session)
    tell_number(len(shown))
    more = "" if last is None else _page_after(last)
    return render_template(
        f"mail_access/{_template(bool(after))}.html",
        rows=shown,
        wanted=wanted,
        counts=counts,
        count=count,
        connectors=connectors,
        more=more,
        settings=settings,
        now=utc_now(),
        mail=words,
    )


def _template(is_later: bool) -> str:
    if not is_fragment():
        return "index"
    return "rows" if is_later else "list"


def read_filter(said: MultiDict[str, str]) -> listing.Filter:
    """Return the filter that an address asks for."""
    return listing.Filter(
        text=said.get("q", "")[:200],
        wanted=said.get("wanted", ""),
        match=said.get("match", ""),
        only=said.get("only", "")[:20],
        connector=said.get("connector", "")[:40],
        with_gone=said.get("gone") == "yes",
    )


def _page_after(last: int) -> str:
    kept = {name: value for name, value in request.args.items() if name != "after" and value}
    return url_for("mail_access.index", **kept, after=write_cursor(last))  # type: ignore[arg-type]


@bp.get("/partnerships/<int:partnership_id>")
@requires(Permission.VIEW, in_groups=True)
@shows(PARTNERSHIP)
def show(partnership_id: int) -> ResponseReturnValue:
    """Show one partnership: what is wanted and why, its device, its history."""
    with reading() as session:
        row = queries.get_partnership(session, partnership_id)
        history = queries.list_history(session, partnership_id)
        candidates = listing.list_candidates(session, row)
        connector = queries.get_connector(session, row.connector_id)
        name = queries.find_device_name(session, row.device_id)
        wipes = wiping.list_wipes(session, row.id)
        mends = telling.mending(session, row) if row.wanted == "block" else ()
    tell_subject(queries.audited_name(row))
    return render_template(
        "mail_access/show.html",
        row=row,
        history=history,
        candidates=candidates,
        connector=connector,
        audited=queries.audited_name(row),
        device_name=name,
        wipes=wipes,
        help_desk=telling.help_desk_text(row, mends) if row.wanted == "block" else "",
        now=utc_now(),
        mail=words,
    )


@bp.post("/partnerships/<int:partnership_id>/match")
@requires(Permission.MANAGE_MAIL_ACCESS, in_groups=True)
def match(partnership_id: int) -> ResponseReturnValue:
    """Match the partnership by hand to a device or to none, or let matching be automatic again."""
    chosen, reason = request.form.get("device", ""), request.form.get("reason", "")
    with transaction("match a partnership") as session:
        if chosen == "automatic":
            by_hand.match_again(session, context().keys, partnership_id, by(), reason, utc_now())
        else:
            device_id = None if chosen == "none" else _device_id(chosen)
            by_hand.match_by_hand(
                session, context().keys, partnership_id, device_id, by(), reason, utc_now()
            )
    flash(_("The match is changed and the access is decided anew."))
    return redirect(url_for("mail_access.show", partnership_id=partnership_id))


def _device_id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise MalformedMessageError(_("Choose a device.")) from None
