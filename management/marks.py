"""The smallest parts of pages as HTML: a state, an instant. Long lists show them hundreds of times,
and written here they cost a third of what macros cost.
"""

from datetime import datetime

from flask_babel import gettext as _
from markupsafe import Markup, escape

from management.listing.rules import Count
from management.shown import ago, capped, moment, number
from management.words import DEVICE_STATES, Word, word


def marked(state: Word, pill: bool = False) -> Markup:
    """Return a state as icon, word and colour."""
    classes = f"sk-word sk-{state.tone}{' sk-pill' if pill else ''}"
    icon = f'<i class="bi bi-{state.icon}" aria-hidden="true"></i>'
    return Markup(  # noqa: S704  (what comes from outside is escaped)
        f'<span class="{classes}">{icon}{escape(state.label)}</span>'
    )


def device_state(state: str, pill: bool = False) -> Markup:
    """Return how a device stands, marked."""
    return marked(word(DEVICE_STATES, state), pill)


def when(at: datetime | None, missing: str = "") -> Markup:
    """Return an instant with its zone; how long ago on hover."""
    return _time(at, moment(at), ago(at)) if at else _missing(missing)


def since(at: datetime | None, missing: str = "") -> Markup:
    """Return how long ago *at* was; the exact instant on hover."""
    return _time(at, ago(at), moment(at)) if at else _missing(missing)


def leads(href: str, count: int | Count, text: str = "") -> Markup:
    """Return a number as the link to the list of just what it counts; *text* says more than it.

    Tests follow every such link and compare (``data-sk-count``).
    """
    exact = count.number if isinstance(count, Count) else count
    said = capped(count) if isinstance(count, Count) else number(count)
    return Markup('<a class="text-decoration-underline" href="%s" data-sk-count="%s">%s</a>') % (
        href,
        exact,
        text or said,
    )


def _time(at: datetime, shown: str, on_hover: str) -> Markup:
    said, hover = escape(shown), escape(on_hover)
    return Markup(  # noqa: S704  (what stands in it is escaped)
        f'<time datetime="{at.isoformat()}" title="{hover}">{said}</time>'
    )


def _missing(text: str) -> Markup:
    return Markup('<span class="text-secondary">%s</span>') % (text or _("never"))
