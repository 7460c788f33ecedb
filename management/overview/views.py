"""The dashboard."""

from collections.abc import Callable, Mapping
from typing import Any

from flask import Blueprint, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from management import words
from management.access import Permission, public, requires
from management.consequences import queries as consequences
from management.overview.queries import Dashboard, read_dashboard
from management.overview.rules import Bar, Slice, arcs, bars
from management.web import is_fragment, reading
from runtime.clock import utc_now

bp = Blueprint("overview", __name__)


@bp.get("/")
@requires(Permission.VIEW, in_groups=True)
def dashboard() -> ResponseReturnValue:
    """Show how the fleet stands; htmx asks again for the cards every half minute."""
    with reading() as session:
        shown = read_dashboard(session, utc_now())
        alerts = consequences.read_alerts(session, utc_now())
    page = "overview/cards.html" if is_fragment() else "overview/dashboard.html"
    return render_template(
        page, d=shown, slices=_slices(shown), charts=_charts(shown), alerts=alerts
    )


@bp.get("/mdm/web")
@public("only leads to the dashboard")
def former_address() -> ResponseReturnValue:
    """Lead from the address that administrators of the old product know."""
    return redirect(url_for("overview.dashboard"))


def _slices(shown: Dashboard) -> list[Slice]:
    counts = [shown.numbers.states.get(state, 0) for state in words.DEVICE_STATES]
    return [
        Slice(word.tone, word.icon, word.label, count, share, path, _list(state=state))
        for (state, word), count, (share, path) in zip(
            words.DEVICE_STATES.items(), counts, arcs(counts), strict=True
        )
    ]


def _charts(shown: Dashboard) -> dict[str, list[Bar]]:
    """Return the bars of each chart; every bar leads to the list of just its devices."""
    numbers, active = shown.numbers, shown.pattern_set.version if shown.pattern_set else ""
    return {
        "platforms": _bars("platform", numbers.platforms, words.PLATFORMS, _by_count),
        "risks": _bars("risk", numbers.risks, words.RISKS, list(words.RISKS)[::-1].index),
        "rules": _bars("rule", numbers.rules, words.RULES, _by_count, "bad"),
        "mail": _bars("mail", numbers.mail, words.MAIL_STATES, _by_count),
        "patches": _bars("patch", numbers.patches, {"unknown": _("Not said")}, _newest),
        "patterns": _bars(
            "patterns",
            numbers.patterns,
            {active: _("%(version)s (active)", version=active)},
            _newest,
        ),
        "systems": bars(
            [
                (f"{words.PLATFORMS.get(platform, platform)} {os}", "info", count, href)
                for (platform, os), count in sorted(numbers.systems.items(), key=_by_count)
                if (href := _list(platform=platform, os=os, enrolment="enrolled")) and os
            ][:MOST_BARS]
        ),
    }


MOST_BARS = 201
"""Of one chart; the first dozen are open, the others unfold."""
Order = Callable[[Any], Any]


def _bars(
    name: str,
    counts: Mapping[str, int],
    labels: Mapping[str, Any],
    order: Order,
    tone: str = "info",
) -> list[Bar]:
    by_value = order in (_by_count, _newest)
    said = [(value, count) for value, count in counts.items() if value]
    said.sort(key=order if by_value else lambda one: order(one[0]))
    rows = []
    for value, count in said[:MOST_BARS]:
        label = labels.get(value, value)
        href = _list(**{name: value, "enrolment": "enrolled"})
        if name == "patch":
            href = _list(patch=value, platform="android", enrolment="enrolled")
        rows.append((getattr(label, "label", label), getattr(label, "tone", tone), count, href))
    return bars(rows)


def _by_count(one: tuple[Any, int]) -> Any:
    return -one[1], str(one[0])


def _newest(one: tuple[str, int]) -> Any:
    return one[0] == "unknown", [-ord(sign) for sign in one[0]]


def _list(**said: str) -> str:
    return url_for("devices.index", **said)  # type: ignore[arg-type]
