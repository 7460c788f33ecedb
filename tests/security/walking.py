"""Every route of the console and the API, as an address that can be asked for."""

from collections.abc import Iterator
from dataclasses import dataclass

from flask import Flask
from werkzeug.routing import Rule

from management.access import PUBLIC

CHANGES = ("POST", "PUT", "PATCH", "DELETE")
FILLED = {
    "UUIDConverter": "00000000-0000-4000-8000-000000000000",
    "IntegerConverter": "1",
    "UnicodeConverter": "a" * 64,
    "PathConverter": "console.js",
}


@dataclass(frozen=True, slots=True)
class Door:
    """One method of one route."""

    method: str
    path: str
    public: bool


def doors(app: Flask) -> Iterator[Door]:
    """Walk all routes but the static files."""
    for rule in app.url_map.iter_rules():
        if rule.endpoint == "static":
            continue
        public = hasattr(app.view_functions[rule.endpoint], PUBLIC)
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            yield Door(method, _path(rule), public)


def _path(rule: Rule) -> str:
    path = rule.rule
    for name, converter in rule._converters.items():
        kind = type(converter).__name__
        start = path.index("<")
        path = path[:start] + FILLED[kind] + path[path.index(">", start) + 1 :]
        assert name
    return path
