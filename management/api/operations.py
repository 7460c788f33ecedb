"""How a function becomes a documented operation of the API.

The types of its parameters ``query`` and ``body`` and of what it returns are dataclasses; requests
are read, answers written and the OpenAPI document made from them, so the three cannot disagree.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import cache, wraps
from typing import Annotated, Any, TypeVar, get_type_hints

from flask import Blueprint, request
from flask.typing import ResponseReturnValue
from pydantic import BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError

from management.access import Permission, requires
from runtime.errors import MalformedMessageError, TooLargeError

OPERATION = "sekisho_operation"
LARGEST_BYTES = 256 * 1024
F = TypeVar("F", bound=Callable[..., Any])

Words = Annotated[str, Field(max_length=200, pattern=r"^[^\x00]*$")]
"""Text to look for."""
Reason = Annotated[str, Field(min_length=1, max_length=1000, pattern=r"^[^\x00]*$")]
Place = Annotated[str, Field(max_length=1000, pattern=r"^[A-Za-z0-9_-]*$")]
"""``next`` of the page before; empty: the first page."""


def _whole(said: Any) -> Any:
    return int(said) if isinstance(said, float) and said.is_integer() else said


Whole = BeforeValidator(_whole)
"""In front of an integer in a body: JSON does not tell 7 from 7.0."""
Limit = Annotated[int, Field(ge=1, le=200)]


class FileBody:
    """A body that is a file as it is, of any kind; it is read piece by piece."""

    def read(self, size: int, /) -> bytes:
        """Return at most *size* bytes; nothing at the end."""
        body: bytes = request.stream.read(size)
        return body


@dataclass(frozen=True, slots=True)
class Operation:
    """What the document says of one operation."""

    name: str
    summary: str
    description: str
    permission: Permission
    query: type | None
    body: type | None
    answer: Any
    status: int
    refusals: tuple[int, ...]


def operation(
    bp: Blueprint,
    rule: str,
    permission: Permission,
    method: str = "GET",
    status: int = 200,
    refusals: tuple[int, ...] = (),
) -> Callable[[F], F]:
    """Serve a function at *rule*; *refusals* are the error statuses beyond the usual ones."""

    def serve(function: F) -> F:
        hints = get_type_hints(function, include_extras=True)
        summary, _, description = (inspect.getdoc(function) or "").partition("\n\n")
        described = Operation(
            name=function.__name__,
            summary=" ".join(summary.split()).rstrip("."),
            description=" ".join(description.split()),
            permission=permission,
            query=hints.get("query"),
            body=hints.get("body"),
            answer=hints["return"],
            status=status,
            refusals=refusals,
        )
        view = requires(permission)(_view(function, described))
        setattr(view, OPERATION, described)
        bp.add_url_rule(rule, function.__name__, view, methods=[method])
        return function

    return serve


def _view(function: Callable[..., Any], described: Operation) -> Callable[..., ResponseReturnValue]:
    @wraps(function)
    def view(**given: Any) -> ResponseReturnValue:
        if described.query is not None:
            given["query"] = _read_query(described.query)
        if described.body is not None:
            is_file = described.body is FileBody
            given["body"] = FileBody() if is_file else _read_body(described.body)
        answer = adapter(described.answer).dump_json(function(**given))
        return answer, described.status, {"Content-Type": "application/json"}

    return view


def _read_query(kind: type) -> Any:
    twice = sorted(name for name, values in request.args.lists() if len(values) > 1)
    if twice:
        raise MalformedMessageError(f"Given more than once: {', '.join(twice)}.")
    # A misspelt filter must not select everything.
    if strange := sorted(set(request.args) - {field.name for field in fields(kind)}):
        raise MalformedMessageError(f"Not known here: {', '.join(strange)}.")
    return _checked(lambda: adapter(kind).validate_strings(request.args.to_dict()))


def _read_body(kind: type) -> Any:
    if request.mimetype != "application/json":
        raise MalformedMessageError("The body must be JSON (Content-Type: application/json).")
    if (request.content_length or 0) > LARGEST_BYTES:
        raise TooLargeError(f"The body is larger than {LARGEST_BYTES} bytes.")
    return _checked(lambda: adapter(kind).validate_json(request.get_data(), strict=True))


def _checked(read: Callable[[], Any]) -> Any:
    try:
        return read()
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False, include_context=False)[:5]
        places = (
            f"{'.'.join(map(str, one['loc'])) or 'the request'}: {one['msg']}" for one in found
        )
        raise MalformedMessageError("; ".join(places) + ".") from None


STRICT = ConfigDict(extra="forbid")
"""Of a body: a field that is not known is refused, because it may be a misspelt one."""


@cache
def adapter(kind: Any) -> TypeAdapter[Any]:
    """Return the adapter of *kind*, made once: making one is slow."""
    return TypeAdapter(kind)
