"""Marks the routes that show data of people and their devices: a look is noted before it is had.

`shows` stands on the view. It runs the view, has the look noted (`management.audit.looks`) and only
then lets the answer go; what cannot be noted is not shown (ADR 0050).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import wraps
from hashlib import sha256
from typing import ParamSpec, Protocol, cast

from flask import Response, current_app, g, make_response, request
from flask.typing import ResponseReturnValue

from runtime.errors import MalformedMessageError

Arguments = ParamSpec("Arguments")
View = Callable[Arguments, ResponseReturnValue]
SHOWS = "sekisho_shows"
HAD = (200, 206, 304, 422)
"""Statuses with which somebody sees something; 304: what they saw before is still so; 422: a page
with its list, again with what is wrong in the form.
"""
CSRF = "csrf_token"
NO_FILTER = ("after", "limit")
"""Say which page of a list is wanted, not whom it shows."""
MOST_CHARACTERS = 8_000
"""Of a filter in an entry."""
MOST_TOLD = 1_000
"""Of a value that a form asked."""
TOO_MUCH_ASKED = (
    "This address asks for more than the audit trail can say. Ask with fewer or shorter words."
)


@dataclass(frozen=True, slots=True)
class Shown:
    """What a route shows."""

    action: str
    """What the audit trail calls the look: ``look.device``, ``device.export``."""
    subject: str = ""
    """The list; empty: the one that the address names."""
    by: str = ""
    """The argument of the address that names the one."""
    each_time: bool = False
    """A file that leaves: noted each time, however often it is fetched."""


DEVICE = Shown("look.device", by="device_id")
EXPLANATION = Shown("look.explanation", by="device_id")
PARTNERSHIP = Shown("look.partnership", by="partnership_id")
INVITATION = Shown("look.invitation", by="invitation_id")
RETURNED = Shown("look.returned", by="claim_id")
COMMAND = Shown("look.command", by="command_id")
SESSIONS = Shown("look.sessions", by="administrator_id")


def list_of(subject: str) -> Shown:
    """Return that a route shows a list with names."""
    return Shown("look.list", subject)


def file_of(action: str, subject: str) -> Shown:
    """Return that a route hands out a file of people or devices."""
    return Shown(action, subject, each_time=True)


@dataclass(slots=True)
class Look:
    """One look: what of, whom it shows, and how much of a list."""

    shown: Shown
    subject: str
    filter: dict[str, str] = field(default_factory=dict)
    asked: bytes = b""
    """What a form or body asked beside: tells looks apart, and is not told."""
    page: str = ""
    """Where in the list it begins; empty: the first page."""
    number: int | None = None
    """How many it shows; None: one."""


class Looks(Protocol):
    """Notes looks: `management.audit.looks`."""

    def note(self, look: Look) -> None: ...


def shows(shown: Shown) -> Callable[[View[Arguments]], View[Arguments]]:
    """Note that somebody looks at *shown* before they get the view's answer."""

    def mark(view: View[Arguments]) -> View[Arguments]:
        @wraps(view)
        def noted(*args: Arguments.args, **kwargs: Arguments.kwargs) -> ResponseReturnValue:
            look = g.sekisho_look = _look(shown, {name: str(one) for name, one in kwargs.items()})
            answer: Response = make_response(view(*args, **kwargs))
            if answer.status_code in HAD:
                cast(Looks, current_app.extensions["sekisho-looks"]).note(look)
            return answer

        setattr(noted, SHOWS, shown)
        return noted

    return mark


def tell_number(number: int) -> None:
    """Say how many people or devices a list or file shows; of one thing there is no number."""
    look: Look | None = g.get("sekisho_look")
    if look is not None and not look.shown.by:
        look.number = number


def tell_filter(asked: Mapping[str, str]) -> None:
    """Say what a form or body asked for: what is long by its beginning, words and SHA-256."""
    look: Look | None = g.get("sekisho_look")
    if look is not None and not look.shown.by:
        look.filter |= {name: _told(value) for name, value in asked.items()}


def _told(value: str) -> str:
    if len(value) <= MOST_TOLD:
        return value
    digest = sha256(value.encode()).hexdigest()
    return f"{value[:MOST_TOLD]}… ({len(value.split())} in all, SHA-256 {digest})"


def tell_subject(subject: object) -> None:
    """Say what the audit trail calls the one that is shown: as it does when somebody acts on it."""
    look: Look | None = g.get("sekisho_look")
    if look is not None and look.shown.by:
        look.subject = str(subject)


def _look(shown: Shown, named: dict[str, str]) -> Look:
    if shown.by:
        return Look(shown, named[shown.by])
    return Look(shown, shown.subject, named | _filter(), _sent(), request.args.get("after", ""))


def _filter() -> dict[str, str]:
    """Return all that the address asks, uncut: a view may use any of it, known here or not."""
    asked: dict[str, list[str]] = {}
    for name, value in request.args.items(multi=True):
        if name not in NO_FILTER and value.strip():
            asked.setdefault(name, []).append(" ".join(value.split()))
    found = {name: ", ".join(asked[name]) for name in sorted(asked)}
    if sum(len(name) + len(value) for name, value in found.items()) > MOST_CHARACTERS:
        raise MalformedMessageError(TOO_MUCH_ASKED)
    return found


def _sent() -> bytes:
    if request.method == "GET":
        return b""
    form = sorted(one for one in request.form.items(multi=True) if one[0] != CSRF)
    return repr(form).encode() if form else request.get_data()
