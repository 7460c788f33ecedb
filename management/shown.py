"""In which language, zone and theme a page is shown, and how it writes times and numbers."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import lru_cache
from io import BytesIO

import segno
from babel import dates, numbers
from flask import g, request
from flask_babel import get_timezone, gettext, ngettext
from markupsafe import Markup
from pytz import all_timezones_set

from management.access import who_asks
from management.listing.rules import Count
from management.texts import speech
from runtime.clock import utc_now

LANGUAGES = ("en", "ja")
THEMES = ("light", "dark")
UNITS = tuple(seconds for _unit, seconds in dates.TIMEDELTA_UNITS)
"""Seconds of a year, a month and so on down to one."""


def language() -> str:
    """Return the account's language, else the cookie's, else the best the browser asks for."""
    identity = who_asks()
    chosen = (identity.language if identity else "") or request.cookies.get("language", "")
    if chosen in LANGUAGES:
        return chosen
    return request.accept_languages.best_match(LANGUAGES, "en") or "en"


def theme() -> str:
    """Return ``light``, ``dark``, or nothing: as the browser prefers."""
    chosen = g.get("theme") or request.cookies.get("theme", "")
    return chosen if chosen in THEMES else ""


def zone() -> str:
    """Return the browser's time zone once it said it, else UTC."""
    said = request.cookies.get("zone", "")
    return said if said in all_timezones_set else "UTC"


def moment(at: datetime) -> str:
    """Return an instant in the visitor's zone, to the minute, with the zone's name."""
    local = at.astimezone(get_timezone())
    minute = local.replace(tzinfo=None, second=0, microsecond=0)
    return f"{_minute(minute, speech().locale)} {local.tzname()}"


@lru_cache(maxsize=4096)
def _minute(local: datetime, locale: str) -> str:
    """Return a minute in words; a list writes a hundred, and many are the same."""
    day = dates.format_date(local, "medium", locale=locale)
    return f"{day} {dates.format_time(local, 'short', locale=locale)}"


def ago(at: datetime) -> str:
    """Return how long ago *at* was (or in how long it will be), in words."""
    return time_from(utc_now(), at, speech().locale)


def time_from(now: datetime, at: datetime, locale: str) -> str:
    """Return the time from *now* to *at* in words, as Babel's ``format_timedelta`` says it."""
    seconds = (at - now) // timedelta(seconds=1)
    unit = next((one for one in UNITS if abs(seconds) >= one), 1)
    return _ago(unit, round(abs(seconds) / unit), seconds >= 0, locale)


@lru_cache(maxsize=4096)
def _ago(unit: int, count: int, ahead: bool, locale: str) -> str:
    """Return a time in words; it depends on its unit and how many only.

    A little less than the count is told, because 24 hours would be told as a day.
    """
    seconds = unit * count - (unit * 2 // 5 if count > 1 else 0)
    time = timedelta(seconds=seconds if ahead else -seconds)
    return dates.format_timedelta(time, threshold=1, add_direction=True, locale=locale)


def span(time: timedelta) -> str:
    """Return a length of time in days, or in hours where it is less or no whole day."""
    hours = time.total_seconds() / 3600
    if hours % 24 == 0:
        return ngettext("%(num)s day", "%(num)s days", int(hours // 24))
    return ngettext("%(num)s hour", "%(num)s hours", max(1, round(hours)))


def sentence(text: str, values: Mapping[str, object]) -> str:
    """Return an English sentence with gaps in the visitor's language, its gaps filled."""
    return gettext(text, **values)


def number(value: int) -> str:
    """Return a number with the language's separators."""
    return _number(value, speech().locale)


@lru_cache(maxsize=4096)
def _number(value: int, locale: str) -> str:
    return numbers.format_decimal(value, locale=locale)


def capped(count: Count) -> str:
    """Return a number; with a plus where nobody counted on."""
    return f"{number(count.number)}+" if count.more else number(count.number)


def counted(count: Count) -> str:
    """Return how many devices there are; with a plus where nobody counted on."""
    return ngettext("%(shown)s device", "%(shown)s devices", count.number, shown=capped(count))


def percent(share: float) -> str:
    """Return a share of 1 as a percentage with one digit."""
    return numbers.format_percent(share, "0.0%", locale=speech().locale)


def here() -> str:
    """Return this page's own address, to come back to after a change."""
    return request.full_path.rstrip("?") if request.method == "GET" else "/"


def own_path(path: str) -> str:
    """Return *path* if it is an address of this console, else the dashboard's: no open redirect."""
    inside = path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable()
    return path if inside else "/"


def qr(text: str) -> Markup:
    """Return *text* as a QR code, an SVG with a view box that style sheets size."""
    out = BytesIO()
    segno.make(text, error="m").save(
        out, kind="svg", xmldecl=False, svgns=False, omitsize=True, border=0, nl=False
    )
    return Markup(out.getvalue().decode())  # noqa: S704  (segno wrote it, the text is only bars)
