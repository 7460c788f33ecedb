"""Which requests lead anywhere: asked before a web framework spends its time on garbage. Pure."""

import re
from collections.abc import Callable, Iterable

from flask import Flask

_PLACE = re.compile(r"<(?:(\w+)(?:\([^)]*\))?:)?\w+>")


def known(app: Flask, posts: Iterable[str] = ()) -> Callable[[str, str], bool]:
    """Return a function that tells for method and path whether *app* or *posts* take them."""
    routes = [
        f"(?:{'|'.join(sorted(rule.methods or ()))}) {_pattern(rule.rule)}"
        for rule in app.url_map.iter_rules()
    ]
    routes += [f"POST {re.escape(path)}" for path in posts]
    pattern = re.compile("|".join(routes))
    return lambda method, path: pattern.fullmatch(f"{method} {path}") is not None


def _pattern(rule: str) -> str:
    """Return what may stand in a path for a rule of werkzeug's, which checks the places itself."""
    found, end = "", 0
    for place in _PLACE.finditer(rule):
        found += re.escape(rule[end : place.start()]) + (".+" if place[1] == "path" else "[^/]+")
        end = place.end()
    return found + re.escape(rule[end:])
