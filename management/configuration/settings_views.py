"""The page of the settings that hold, and of the pages that change others."""

from typing import Any

from flask import Blueprint, current_app, render_template
from flask.typing import ResponseReturnValue

from management.access import Permission, requires
from management.configuration import settings_list
from management.texts import Text
from management.texts import lazy as _l
from management.web import context
from management.words import Word

bp = Blueprint("settings", __name__, url_prefix="/settings")

ORIGINS = {
    "default": Word("idle", "dash-circle", _l("Default")),
    "file": Word("info", "file-earmark-text", _l("File")),
    "environment": Word("info", "terminal", _l("Environment")),
}
IN_THE_CONSOLE: tuple[tuple[str, Text, Text], ...] = (
    ("updates.index", _l("Updates"), _l("Source, schedule, and which patterns are active")),
    ("relays.index", _l("Relays"), _l("Addresses, ports and certificates that devices see")),
    (
        "mail_access.settings",
        _l("Mail access"),
        _l("Grace for unknown phones and what is blocked"),
    ),
    ("consequences.index", _l("Consequences"), _l("Who is told, and what follows a violation")),
    ("safety.index", _l("Safety"), _l("Pausing all enforcement, and the signer's limits")),
    ("terms.index", _l("Terms of use"), _l("What people accept when they enrol")),
    ("allow_list.index", _l("Allowed devices"), _l("Which devices may enrol at all")),
    ("agent_packages.index", _l("Agent package"), _l("Which agent the download page hands out")),
    (
        "outgoing_mail.show",
        _l("Outgoing mail"),
        _l("The mail server, and who gets checkpoints of the audit trail"),
    ),
    ("administrators.index", _l("Administrators"), _l("Who may sign in, and what they may do")),
)


@bp.get("")
@requires(Permission.CHANGE_SETTINGS)
def index() -> ResponseReturnValue:
    """Show the settings that hold, and lead to those that the console changes."""
    rows, problem = settings_list.list_settings(context().settings)
    return render_template(
        "configuration/settings.html",
        rows=rows,
        problem=problem,
        said=settings_list.WORDS,
        origins=ORIGINS,
        home=context().settings.home,
        pages=[one for one in IN_THE_CONSOLE if _is_there(one)],
    )


def _is_there(page: tuple[Any, ...]) -> bool:
    return page[0] in current_app.view_functions
