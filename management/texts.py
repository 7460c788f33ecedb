"""Texts in the visitor's language, quick enough for pages that say hundreds of them.

flask-babel finds language and catalogue anew for each text, and Jinja copies its whole context for
each text inside a loop. Here the language is found once for each request, and each text once for
each language. `say` and `say_number` are what templates call ``_`` and ``ngettext``.
"""

from functools import lru_cache
from gettext import NullTranslations

from flask import g
from flask_babel import get_locale, get_translations
from flask_babel.speaklater import LazyString
from markupsafe import Markup, escape

MOST = 8192
"""Texts kept for each language; more than there are."""


class Speech:
    """One language: its texts as they are, and as HTML."""

    def __init__(self, locale: str, catalogue: NullTranslations) -> None:
        """Speak by *catalogue*."""
        self.locale = locale
        self.number = catalogue.ngettext
        self.text = lru_cache(MOST)(catalogue.gettext)
        self.html = lru_cache(MOST)(self._html)
        self.whole = lru_cache(MOST)(self._whole)

    def _html(self, english: str) -> Markup:
        return escape(self.text(english))

    def _whole(self, english: str) -> Markup:
        """Return a template's text without gaps; it is a format all the same (``%%``)."""
        return Markup(self.text(english)) % {}  # noqa: S704  (a text of ours, no visitor's)


ENGLISH = Speech("en", NullTranslations())


def speech() -> Speech:
    """Return the language of this request, found once; outside of requests: English."""
    if not g:
        return ENGLISH
    found: Speech | None = g.get("sekisho_speech")
    if found is None:
        found = g.sekisho_speech = _speech(str(get_locale()), get_translations())
    return found


@lru_cache(maxsize=64)
def _speech(locale: str, catalogue: NullTranslations) -> Speech:
    return Speech(locale, catalogue)


def say(english: str, /, **values: object) -> Markup:
    """Return a text of a template in the visitor's language; *values* are escaped."""
    if not values:
        return speech().whole(english)
    return Markup(speech().text(english)) % values  # noqa: S704  (a text of ours)


def say_number(one: str, many: str, number: int, /, **values: object) -> Markup:
    """Return the form of a template's text that belongs to *number*, which fills ``%(num)s``."""
    return Markup(speech().number(one, many, number)) % {"num": number, **values}  # noqa: S704


class Text(LazyString):
    """An English text of ours that whoever reads it reads in their language."""

    def __init__(self, english: str) -> None:
        """Hold *english*, which is also how the catalogue calls it."""
        super().__init__(_told, english)  # type: ignore[no-untyped-call]
        self.english = english

    def __html__(self) -> Markup:
        """Return it escaped; templates need not ask first whether it can."""
        return speech().html(self.english)


def lazy(english: str) -> Text:
    """Mark a text of ours for the catalogue; it is told when somebody reads it."""
    return Text(english)


def _told(english: str) -> str:
    return speech().text(english)
