"""Builds the OpenAPI document by walking the app's routes, so that none can be missing."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from flask import Flask
from pydantic import TypeAdapter
from pydantic.json_schema import JsonSchemaMode

from management import rates
from management.addresses import LARGEST
from management.api import conditional, idempotency
from management.api.operations import (
    OPERATION,
    EventStream,
    FileAnswer,
    FileBody,
    Operation,
    adapter,
    may_miss,
)

PROBLEM = "application/problem+json"
_PARAMETER = re.compile(r"<(?:(\w+):)?(\w+)>")
_PATTERNS = {"sha256": "^[0-9a-f]{64}$", "session_id": "^[0-9a-f]{64}$"}
_MEANS = {
    400: "The request is not understood; `detail` names the places.",
    401: "No API token, or one that does not hold any more.",
    403: "The token or its administrator may not do this; `detail` names the permission.",
    404: "There is no such object, or no such place in the list.",
    409: "A rule forbids this now, or the same request is under way; `detail` says why.",
    412: "Somebody changed this since you read it; nothing was done.",
    413: "The body is too large.",
    422: "This `Idempotency-Key` belongs to another request.",
    429: "Asked too often; `Retry-After` says in how many seconds to ask again.",
    503: "Another part of the server does not answer; asking again later may work.",
}
_STREAMS = {
    EventStream: {"type": "string"},
    FileAnswer: {"type": "string", "format": "binary"},
}
"""Answers that are no JSON -> their schema."""
_TOKEN = {
    "type": "http",
    "scheme": "bearer",
    "description": "An API token, made under My account or by `sekisho admin token`. It carries "
    "some permissions or all of its administrator's, and ends at a set time. What it may is what "
    "both may now: the token and the administrator. `GET /api/v1/token` tells it. Each operation's "
    "`security` names the permission that it needs.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """What went wrong (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    """A sentence that says what is wrong, and where possible what mends it."""
    instance: str
    """Names this request in the server's log."""


@dataclass(frozen=True, slots=True)
class _Route:
    path: str
    method: str
    parameters: tuple[tuple[str, str], ...]
    operation: Operation
    is_versioned: bool
    """Whether its answer has an ``ETag``, or ``If-Match`` guards what it changes."""


def build(app: Flask, version: str) -> dict[str, Any]:
    """Return the document of everything under ``/api/``."""
    routes = list(_routes(app))
    schemas, definitions = _schemas(routes)
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method] = _described(route, schemas, definitions)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Sekisho",
            "version": version,
            "description": "Everything the console shows and does. Lists answer a page of items "
            "and, as `next`, what to send as `after` for the following page. What GET answers of "
            "one thing carries an `ETag`; sent as `If-Match` with a change, nobody else's change "
            "is lost. A POST with an `Idempotency-Key` is carried out once, however often it is "
            "sent.",
        },
        "servers": [{"url": "/"}],
        "security": [{"token": []}],
        "paths": dict(sorted(paths.items())),
        "components": {
            "securitySchemes": {"token": _TOKEN},
            "schemas": dict(sorted(definitions.items())),
        },
    }


def _routes(app: Flask) -> Iterator[_Route]:
    for rule in app.url_map.iter_rules():
        described = getattr(app.view_functions[rule.endpoint], OPERATION, None)
        if described is None:
            continue
        method = next(iter((rule.methods or set()) - {"HEAD", "OPTIONS"})).lower()
        found = tuple((name, kind or "string") for kind, name in _PARAMETER.findall(rule.rule))
        versioned = (
            conditional.has_version(described)
            if method == "get"
            else conditional.versioned_by(app, rule.rule, method.upper()) is not None
        )
        yield _Route(_PARAMETER.sub(r"{\2}", rule.rule), method, found, described, versioned)


Key = tuple[str, str]


def _schemas(routes: list[_Route]) -> tuple[dict[Key, Any], dict[str, Any]]:
    """Return (name and mode -> schema, shared definitions) of every type that appears."""
    wanted: dict[Key, tuple[str, JsonSchemaMode, TypeAdapter[Any]]] = {}
    for kind, mode in _kinds(routes):
        name = getattr(kind, "__name__", str(kind))
        wanted[name, mode] = (name, mode, adapter(kind))
    found, extra = TypeAdapter.json_schemas(
        list(wanted.values()), ref_template="#/components/schemas/{model}"
    )
    schemas: dict[Key, Any] = {
        (str(name), str(mode)): value for (name, mode), value in found.items()
    }
    return schemas, dict(extra.get("$defs", {}))


def _kinds(routes: list[_Route]) -> Iterator[tuple[Any, JsonSchemaMode]]:
    yield Problem, "serialization"
    for route in routes:
        if route.operation.answer not in _STREAMS:
            yield route.operation.answer, "serialization"
        for kind in (route.operation.query, route.operation.body):
            if kind is not None and kind is not FileBody:
                yield kind, "validation"


def _described(
    route: _Route, schemas: dict[Key, Any], definitions: dict[str, Any]
) -> dict[str, Any]:
    described = route.operation
    content: dict[str, Any] = {
        "operationId": described.name,
        "summary": described.summary,
        "description": f"{described.description} Needs the permission "
        f"`{described.permission.value}`.".strip(),
        "tags": [route.path.split("/")[3]],
        "parameters": [
            *(_path_parameter(name, kind) for name, kind in route.parameters),
            *_query_parameters(described.query, schemas, definitions),
            *_headers(route),
        ],
        "responses": _responses(route, schemas),
        "security": [{"token": [described.permission.value]}],
    }
    if described.body is FileBody:
        binary = {"schema": {"type": "string", "format": "binary", "minLength": 1}}
        content["requestBody"] = {
            "required": True,
            "content": {"application/octet-stream": binary},
        }
    elif described.body is not None:
        schema = schemas[described.body.__name__, "validation"]
        content["requestBody"] = {
            "required": not may_miss(described.body),
            "content": {"application/json": {"schema": schema}},
        }
    return content


def _headers(route: _Route) -> Iterator[dict[str, Any]]:
    """Yield the headers with which a caller guards against doing twice or undoing."""
    if route.method == "post":
        yield _header(
            idempotency.HEADER,
            idempotency.PATTERN,
            "The same key with the same request again is refused (409) for a day: the answer holds "
            "a secret and is not kept."
            if route.operation.answers_secret
            else "The same key with the same request again gets the first answer, for a day.",
        )
    if route.is_versioned and route.method == "get":
        yield _header("If-None-Match", "", "Answer 304 when this ETag holds.")
    elif route.is_versioned:
        yield _header("If-Match", conditional.MATCH, "Refuse (412) when another ETag holds.")


def _header(name: str, pattern: str, description: str) -> dict[str, Any]:
    schema = {"type": "string"} | ({"pattern": pattern} if pattern else {})
    return {
        "name": name,
        "in": "header",
        "required": False,
        "description": description,
        "schema": schema,
    }


def _path_parameter(name: str, kind: str) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    if kind == "int":
        schema = {"type": "integer", "minimum": 0, "maximum": LARGEST}
    if kind == "uuid":
        schema["format"] = "uuid"
    if name in _PATTERNS:
        schema["pattern"] = _PATTERNS[name]
    return {"name": name, "in": "path", "required": True, "schema": schema}


def _query_parameters(
    kind: type | None, schemas: dict[Key, Any], definitions: dict[str, Any]
) -> Iterator[dict[str, Any]]:
    if kind is None:
        return
    schema = schemas[kind.__name__, "validation"]
    if "$ref" in schema:
        schema = definitions[schema["$ref"].rsplit("/", 1)[1]]
    for name, content in schema["properties"].items():
        required = name in schema.get("required", ())
        yield {"name": name, "in": "query", "required": required, "schema": _never_null(content)}


def _never_null(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of what an address can say: a parameter is left out, never null."""
    kinds = [kind for kind in schema.get("anyOf", ()) if kind != {"type": "null"}]
    if len(kinds) != 1:
        return schema
    rest = {name: value for name, value in schema.items() if name not in {"anyOf", "default"}}
    return {**rest, **kinds[0]}


def _responses(route: _Route, schemas: dict[Key, Any]) -> dict[str, Any]:
    described = route.operation
    statuses = {401, 403, *described.refusals}
    if described.name in rates.OPERATIONS:
        statuses.add(429)
    if route.method == "post":
        statuses |= {400, 409, 422}
    if route.is_versioned and route.method != "get":
        statuses |= {400, 412}
    if described.query is not None or described.body is not None:
        statuses.add(400)
    if described.body is not None:
        statuses.add(413)
    if route.parameters or "after" in getattr(described.query, "__dataclass_fields__", {}):
        statuses.add(404)
    name = getattr(described.answer, "__name__", str(described.answer))
    schema = _STREAMS.get(described.answer) or schemas[name, "serialization"]
    answer = {described.media_type: {"schema": schema}}
    problem = {PROBLEM: {"schema": schemas["Problem", "serialization"]}}
    done: dict[str, Any] = {"description": described.summary + ".", "content": answer}
    same = {}
    if route.is_versioned and route.method == "get":
        done["headers"] = {"ETag": {"schema": {"type": "string"}}}
        same = {"304": {"description": "It is still what you have (`If-None-Match`)."}}
    return {
        str(described.status): done,
        **same,
        **{
            str(status): {"description": _MEANS[status], "content": problem}
            for status in sorted(statuses)
        },
    }
