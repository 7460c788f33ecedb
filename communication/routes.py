"""Which requests lead anywhere: asked before a web framework or a body costs anything."""

import re
from collections.abc import Callable, Iterable
from functools import lru_cache

from flask import Flask

from communication.answer import Answer, from_error, problem
from communication.device_identity import Identity
from communication.limits import TooManyError
from runtime.wsgi import Scope

_PLACE = re.compile(r"<(?:(\w+)(?:\([^)]*\))?:)?\w+>")
_SIGNED = re.compile("/agent/v1/(?:orders|reports|token|files|uploads|enrolments/)")
NOTHING = problem(404, "This server has nothing at this address.")
UNSIGNED = problem(
    401, "The request is not signed as it must be: Signature and Signature-Input are missing."
)


def gate(
    app: Flask, identity: Identity | None = None, posts: Iterable[str] = ()
) -> Callable[[Scope], Answer | None]:
    """Return what refuses requests that neither *app* nor *posts* take.

    With *identity* also those that ought to be signed and are not, or come from an address with
    too many wrong signatures.
    """
    is_known = known(app, posts)

    def refuse(scope: Scope) -> Answer | None:
        if not is_known(scope.method, scope.path):
            return NOTHING
        if identity is None or not _SIGNED.match(scope.path):
            return None
        if scope.headers.get("signature") is None:
            return UNSIGNED
        try:
            identity.check_address(scope.client.rpartition(":")[0].strip("[]"))
        except TooManyError as error:
            return _too_many(str(error), error.retry_after)
        return None

    return refuse


@lru_cache(64)
def _too_many(sentence: str, retry_after: int) -> Answer:
    return from_error(TooManyError(sentence, retry_after))


def known(app: Flask, posts: Iterable[str] = ()) -> Callable[[str, str], bool]:
    """Return a function that tells for method and path whether *app* or *posts* take them."""
    routes = [f"POST {re.escape(path)}" for path in posts]
    routes += [
        f"(?:{'|'.join(sorted(rule.methods or ()))}) {_pattern(rule.rule)}"
        for rule in app.url_map.iter_rules()
    ]
    pattern = re.compile("|".join(routes))
    return lambda method, path: pattern.fullmatch(f"{method} {path}") is not None


def _pattern(rule: str) -> str:
    """Return what may stand in a path for a rule of werkzeug's, which checks the places itself."""
    found, end = "", 0
    for place in _PLACE.finditer(rule):
        found += re.escape(rule[end : place.start()]) + (".+" if place[1] == "path" else "[^/]+")
        end = place.end()
    return found + re.escape(rule[end:])
