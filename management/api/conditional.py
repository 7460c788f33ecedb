"""Stale writes are noticed: ``ETag``, ``If-Match`` and ``If-None-Match`` (RFC 9110, section 13).

What is changed at an address is compared with what GET answers there, or at the nearest address
above with the same object: ``PUT /policies/1/requirements`` with ``GET /policies/1``.
"""

import json
import re
from functools import cache
from hashlib import sha256
from typing import Any

from flask import Flask, g, request
from pydantic import TypeAdapter
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session
from werkzeug.exceptions import PreconditionFailed

from management.api.models import ApiEdit
from management.database import locked
from runtime.errors import MalformedMessageError

OPERATION = "sekisho_operation"
HOOKS = "sekisho_on_transaction"
"""Of the request: called with the session of its transaction before anything else."""
MATCH = r'^(\*|"[A-Za-z0-9_-]{1,64}"(, ?"[A-Za-z0-9_-]{1,64}"){0,9})$'
_PARAMETER = re.compile(r"<(?:\w+:)?(\w+)>")


@cache
def adapter(kind: Any) -> TypeAdapter[Any]:
    """Return the adapter of *kind*, made once: making one is slow."""
    return TypeAdapter(kind)


def tag(kind: Any, answer: Any) -> str:
    """Return the ``ETag`` of an answer; what its class names in ``VOLATILE`` changes by itself."""
    said = adapter(kind).dump_python(answer, mode="json")
    for name in volatile(kind):
        said.pop(name)
    text = json.dumps(said, sort_keys=True, separators=(",", ":"))
    return f'"{sha256(text.encode()).hexdigest()[:32]}"'


def volatile(kind: Any) -> frozenset[str]:
    """Return the fields of an answer that count nothing for its version."""
    found: frozenset[str] = getattr(kind, "VOLATILE", frozenset())
    return found


def has_version(described: Any) -> bool:
    """Tell whether a GET answers one thing rather than a page of many, a stream or a file."""
    if getattr(described.answer, "IS_STREAM", False):
        return False
    return "after" not in getattr(described.query, "__dataclass_fields__", {})


def versioned_by(app: Flask, rule: str, method: str) -> Any:
    """Return the operation whose answer shows the version of what is changed at *rule*, or None.

    A POST without an object in its address makes something new, which has no version yet.
    """
    wanted = set(_PARAMETER.findall(rule))
    if method == "GET" or (method == "POST" and not wanted):
        return None
    known = _readable(app)
    while rule.count("/") >= 3:
        found = known.get(rule)
        if found is not None and set(_PARAMETER.findall(rule)) == wanted:
            return found
        rule = rule.rsplit("/", 1)[0]
    return None


def expect(described: Any, arguments: dict[str, Any]) -> None:
    """Check ``If-Match`` now, and once more when the change has begun; 412 when it differs."""
    wanted = request.headers.get("If-Match")
    if wanted is None:
        return
    if not re.fullmatch(MATCH, wanted):
        raise MalformedMessageError("If-Match holds the ETag that you read, with its quotes.")
    if described is None:
        raise MalformedMessageError("Nothing here has a version; leave If-Match out.")

    def unchanged(session: Session | None = None) -> None:
        if session is not None:
            _alone(session)
        now = tag(described.answer, read(described, arguments))
        if wanted != "*" and now not in re.split(r", ?", wanted):
            raise PreconditionFailed(
                "Somebody changed this since you read it. Read it again, and make your change on "
                f"what holds now (ETag {now})."
            )

    unchanged()
    hooks().append(unchanged)


def read(described: Any, arguments: dict[str, Any]) -> Any:
    """Return what GET answers."""
    query = {} if described.query is None else {"query": described.query()}
    return described.function(**arguments, **query)


def is_known(etag: str) -> bool:
    """Tell whether the caller has this version already (``If-None-Match``)."""
    known = re.split(r", ?", request.headers.get("If-None-Match", ""))
    return etag in (one.removeprefix("W/") for one in known)


def hooks() -> list[Any]:
    """Return what waits for the request's transaction."""
    found: list[Any] = g.setdefault(HOOKS, [])
    return found


def _readable(app: Flask) -> dict[str, Any]:
    """Return rule -> operation of every GET that answers one thing."""
    found: dict[str, Any] | None = app.extensions.get("sekisho-versioned")
    if found is None:
        described = (
            (rule.rule, getattr(app.view_functions[rule.endpoint], OPERATION, None))
            for rule in app.url_map.iter_rules()
            if "GET" in (rule.methods or ())
        )
        found = {rule: one for rule, one in described if one is not None and has_version(one)}
        app.extensions["sekisho-versioned"] = found
    return found


def _alone(session: Session) -> None:
    """Wait for others who change on a condition: theirs may be the change that matters."""
    wanted = select(ApiEdit).where(ApiEdit.id == 1)
    if session.scalars(locked(wanted, ApiEdit)).first() is not None:
        return
    try:
        with session.begin_nested():
            session.add(ApiEdit(id=1))
    except IntegrityError:
        session.scalars(locked(wanted, ApiEdit)).one()
