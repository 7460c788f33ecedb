"""The page that asks for a proof and then goes on with what was typed, so that nothing is lost.

A form may have been open for longer than a proof counts, or be a button without a field for a code.
"""

from flask import Flask, render_template, request
from flask.typing import ResponseReturnValue

from management import web_errors
from management.access import UnprovedError
from management.audit.rules import SECRET
from management.reasons import reason
from management.texts import lazy as _l

OWN = ("csrf_token", "own_code", "credential")
"""Fields that the page has itself."""
MOST = 2000
"""So many fields are kept; more than any form has that asks for a proof."""

ACTS = {
    "commands.wipe": _l("This orders the wipe of a device."),
    "commands.confirm": _l("This says that a wipe is still wanted."),
    "bulk.confirm": _l("This orders the wipe of many devices."),
    "mail_access.wipe": _l("This orders a wipe through the mail server."),
    "devices.retire": _l("This ends the enrolment of a device."),
    "returns.decide": _l("This lets the wipe of a returned device go out."),
}
"""What destroys, by endpoint: whoever proves it must see what goes on."""
TYPED = {
    "confirm": _l("Typed"),
    "device_id": _l("Typed"),
    "reason": _l("Reason"),
    "name": _l("Name"),
}


def register(app: Flask) -> None:
    """Answer a missing or wrong proof by a page that asks for it."""
    app.register_error_handler(UnprovedError, _ask)


def _ask(error: UnprovedError) -> ResponseReturnValue:
    kept = [(name, said) for name, said in request.form.items(multi=True) if name not in OWN]
    if not _can_go_on(kept):
        return web_errors.answer(403, str(error))
    page = render_template(
        "administrators/ask_again.html",
        kept=kept,
        detail=reason(str(error)),
        act=ACTS.get(request.endpoint or "", ""),
        typed=[(TYPED[name], said) for name, said in kept if name in TYPED and said],
    )
    return page, 403


def _can_go_on(kept: list[tuple[str, str]]) -> bool:
    """Return whether the same form can be sent once more: files and secrets are not handed back."""
    from_page = request.method == "POST" and not web_errors.answers_programs()
    secret = any(part in name.lower() for name, said in kept if said for part in SECRET)
    whole = not request.files and not secret and len(kept) <= MOST
    return from_page and whole and "HX-Request" not in request.headers
