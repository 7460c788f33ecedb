"""How a function becomes a documented operation of the API.

The types of its parameters ``query`` and ``body`` and of what it returns are dataclasses; requests
are read, answers written and the OpenAPI document made from them, so the three cannot disagree.
"""

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from functools import wraps
from operator import attrgetter
from typing import Annotated, Any, ClassVar, TypeVar, get_type_hints

from flask import Blueprint, Response, current_app, request
from flask.typing import ResponseReturnValue
from pydantic import BeforeValidator, ConfigDict, Field, ValidationError

from management import personal
from management.access import Permission, requires
from management.api import conditional, idempotency
from management.api.conditional import OPERATION, adapter
from management.paging import page_of
from management.personal import Shown
from runtime.errors import MalformedMessageError, TooLargeError

__all__ = ["OPERATION", "adapter"]
JSON = "application/json"
EVENTS = "text/event-stream"
LARGEST_BYTES = 256 * 1024
F = TypeVar("F", bound=Callable[..., Any])

Words = Annotated[str, Field(max_length=200, pattern=r"^[^\x00]*$")]
"""Text to look for."""
Reason = Annotated[str, Field(min_length=1, max_length=1000, pattern=r"^[^\x00]*$")]
Code = Annotated[str, Field(pattern=r"^[0-9]{6,10}$")]
"""What one's own authenticator app shows now: who asks for it does not trust the token alone."""
Place = Annotated[str, Field(max_length=1000, pattern=r"^[A-Za-z0-9_-]*$")]
"""``next`` of the page before; empty: the first page."""


def _whole(said: Any) -> Any:
    return int(said) if isinstance(said, float) and said.is_integer() else said


Whole = BeforeValidator(_whole)
"""In front of an integer in a body: JSON does not tell 7 from 7.0."""
Limit = Annotated[int, Field(ge=1, le=200)]


@dataclass(frozen=True, slots=True, kw_only=True)
class PageQuery:
    """Which page of a list."""

    after: Place = ""
    limit: Limit = 50


class FileBody:
    """A body that is a file as it is, of any kind; it is read piece by piece."""

    def read(self, size: int, /) -> bytes:
        """Return at most *size* bytes; nothing at the end."""
        body: bytes = request.stream.read(size)
        return body


@dataclass(frozen=True, slots=True)
class EventStream:
    """An answer that is a stream of server-sent events; the server in front may go on with it."""

    IS_STREAM: ClassVar = True

    begins: str


@dataclass(frozen=True, slots=True)
class FileAnswer:
    """An answer that is a file; the operation's ``media_type`` says of which kind."""

    IS_STREAM: ClassVar = True

    name: str
    content: bytes | Iterator[str]
    """What is yielded is sent without holding the whole in memory."""

    def response(self, media_type: str) -> Response:
        """Return it as browsers and programs store it."""
        answer = Response(self.content, content_type=media_type)
        answer.headers["Content-Disposition"] = f'attachment; filename="{self.name}"'
        return answer


@dataclass(frozen=True, slots=True)
class Operation:
    """What the document says of one operation."""

    function: Callable[..., Any]
    rule: str
    method: str
    name: str
    summary: str
    description: str
    permission: Permission
    query: type | None
    body: type | None
    answer: Any
    status: int
    refusals: tuple[int, ...]
    answers_secret: bool = False
    """Its answer is shown once: no `Idempotency-Key` keeps it."""
    paged_by: str = ""
    """Field of the items by which a page is cut out of the whole answer."""
    media_type: str = JSON


def operation(
    bp: Blueprint,
    rule: str,
    permission: Permission,
    method: str = "GET",
    status: int = 200,
    refusals: tuple[int, ...] = (),
    in_groups: bool = False,
    paged_by: str = "",
    answers_secret: bool = False,
    media_type: str = JSON,
    shows: Shown | None = None,
) -> Callable[[F], F]:
    """Serve a function at *rule*; *refusals* are the error statuses beyond the usual ones.

    *in_groups*: see `access.requires`. *paged_by*: the function answers all ``items``, each with
    this unique field, and the caller gets the page it asks for. *answers_secret*: the answer is
    kept for nobody who asks again with the same `Idempotency-Key`; that is refused. *media_type*:
    of a GET that answers a file. *shows*: whose data it shows, so that each look is noted.
    """

    def serve(function: F) -> F:
        hints = get_type_hints(function, include_extras=True)
        summary, _, description = (inspect.getdoc(function) or "").partition("\n\n")
        described = Operation(
            function=function,
            rule=f"{bp.url_prefix or ''}{rule}",
            method=method,
            name=function.__name__,
            summary=" ".join(summary.split()).rstrip("."),
            description=" ".join(description.split()),
            permission=permission,
            query=PageQuery if paged_by else hints.get("query"),
            body=hints.get("body"),
            answer=hints["return"],
            status=status,
            refusals=refusals,
            paged_by=paged_by,
            answers_secret=answers_secret,
            media_type=EVENTS if hints["return"] is EventStream else media_type,
        )
        answering = _view(described)
        noted = personal.shows(shows)(answering) if shows else answering
        view = requires(permission, in_groups)(noted)
        setattr(view, OPERATION, described)
        bp.add_url_rule(rule, function.__name__, view, methods=[method])
        return function

    return serve


def _view(described: Operation) -> Callable[..., ResponseReturnValue]:
    @wraps(described.function)
    def view(**arguments: Any) -> ResponseReturnValue:
        given = {**arguments, **_read(described)}
        is_file = described.body is FileBody
        once = idempotency.begin(is_file) if described.method == "POST" else None
        known = once.stored() if once else None
        if known is not None:
            return known[1], known[0], {"Content-Type": JSON, "Idempotency-Replayed": "true"}
        shown = conditional.versioned_by(current_app, described.rule, described.method)
        conditional.expect(shown, arguments)
        answer = _carried_out(described, given)
        if isinstance(answer, EventStream):
            return answer.begins, 200, {"Content-Type": EVENTS}
        if isinstance(answer, FileAnswer):
            return answer.response(described.media_type)
        body = adapter(described.answer).dump_json(answer)
        if once:
            once.keep(described.status, "" if described.answers_secret else body.decode())
        return _answered(described, shown, answer, body)

    return view


def _carried_out(described: Operation, given: dict[str, Any]) -> Any:
    if not described.paged_by:
        answer = described.function(**given)
        if isinstance(items := getattr(answer, "items", None), tuple):
            personal.tell_number(len(items))
        return answer
    query: PageQuery = given.pop("query")
    answer = described.function(**given)
    place = attrgetter(described.paged_by)
    items, following = page_of(answer.items, query.after, query.limit, place)
    personal.tell_number(len(items))
    return replace(answer, items=tuple(items), next=following)


def _read(described: Operation) -> dict[str, Any]:
    given: dict[str, Any] = {}
    if described.query is not None:
        given["query"] = _read_query(described.query)
    if described.body is not None:
        is_file = described.body is FileBody
        given["body"] = FileBody() if is_file else _read_body(described.body)
    return given


def _answered(
    described: Operation, shown: Operation | None, answer: Any, body: bytes
) -> ResponseReturnValue:
    """Return the answer with its version, when it is one thing that has one."""
    headers = {"Content-Type": JSON}
    reads = described.method == "GET" and conditional.has_version(described)
    if reads or (shown is not None and shown.answer is described.answer):
        headers["ETag"] = conditional.tag(described.answer, answer)
    same = reads and conditional.is_known(headers["ETag"])
    if same and not conditional.volatile(described.answer):
        return "", 304, {"ETag": headers["ETag"]}
    return body, described.status, headers


def _read_query(kind: type) -> Any:
    twice = sorted(name for name, values in request.args.lists() if len(values) > 1)
    if twice:
        raise MalformedMessageError(f"Given more than once: {', '.join(twice)}.")
    # A misspelt filter must not select everything.
    if strange := sorted(set(request.args) - {field.name for field in fields(kind)}):
        raise MalformedMessageError(f"Not known here: {', '.join(strange)}.")
    return _checked(lambda: adapter(kind).validate_strings(request.args.to_dict()))


def may_miss(kind: type) -> bool:
    """Return whether a request without any body says the same as one with an empty object."""
    return getattr(kind, "MAY_MISS", False)


def _read_body(kind: type) -> Any:
    if may_miss(kind) and not request.get_data():
        return kind()
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
