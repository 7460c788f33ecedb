"""The OpenAPI document as people read it: sections, operations, fields, an example call. Pure."""

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

JSON = "json"
"""In the name of every media type that is JSON."""
DEEPEST = 4
"""So many fields within fields are shown."""
KINDS = {"date-time": "time", "uuid": "UUID", "binary": "file"}
TEXTS = ("Ticket 4711", "someone@example.org", "123456", "2027-01-31", "general", "1.0", "AAAA", "")
"""For an example the first one that a field takes; these then a hash."""
FORMATS = {
    "date-time": "2027-01-31T09:00:00Z",
    "uuid": "6f1c2d7e-3b5a-4c8f-9d20-7e4b1a5c9f38",
}
Schema = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Field:
    """A parameter, or a field of a body or an answer."""

    name: str
    kind: str
    required: bool
    says: str
    place: str = ""
    """Of a parameter: ``path``, ``query`` or ``header``."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a status means, and what comes with it."""

    status: str
    says: str
    fields: tuple[Field, ...]


@dataclass(frozen=True, slots=True)
class Entry:
    """An operation."""

    name: str
    method: str
    path: str
    summary: str
    description: str
    permission: str
    parameters: tuple[Field, ...]
    body: tuple[Field, ...]
    answers: tuple[Answer, ...]
    example: tuple[str, str]
    """Address and body of an example call; an empty body: none."""
    words: str
    """All that a search looks at, case folded."""
    is_file: bool = False
    """Whether it answers a file."""


@dataclass(frozen=True, slots=True)
class Section:
    """What belongs to one kind of thing."""

    tag: str
    entries: tuple[Entry, ...]


def sections(document: Schema) -> tuple[Section, ...]:
    """Return all operations by tag."""
    reader = _Reader(document["components"]["schemas"])
    found: dict[str, list[Entry]] = {}
    for path, methods in document["paths"].items():
        for method, described in methods.items():
            entry = reader.entry(path, method, described)
            found.setdefault(described["tags"][0], []).append(entry)
    return tuple(Section(tag, tuple(entries)) for tag, entries in sorted(found.items()))


def searched(found: tuple[Section, ...], words: str) -> tuple[Section, ...]:
    """Return the operations in which each of *words* stands somewhere."""
    wanted = words.casefold().split()
    kept = (
        Section(one.tag, tuple(e for e in one.entries if all(word in e.words for word in wanted)))
        for one in found
    )
    return tuple(one for one in kept if one.entries)


def curl(entry: Entry, server: str) -> str:
    """Return a call that a shell can make, with the token in ``SEKISHO_TOKEN``."""
    address, body = entry.example
    lines = ['curl -H "Authorization: Bearer $SEKISHO_TOKEN"']
    if entry.method != "GET":
        lines[0] += f" -X {entry.method}"
    if any(one.kind == "file" for one in entry.body):
        lines.append("-H 'Content-Type: application/octet-stream' --data-binary @FILE")
    elif body:
        lines.append(f"-H 'Content-Type: application/json' -d {shlex.quote(body)}")
    if entry.is_file:
        lines.append("-o FILE")
    lines.append(shlex.quote(f"{server.rstrip('/')}{address}"))
    return " \\\n  ".join(lines)


class _Reader:
    """Reads schemas of one document, with their references."""

    def __init__(self, known: Mapping[str, Schema]) -> None:
        self._known = known

    def entry(self, path: str, method: str, described: Schema) -> Entry:
        asked = [
            Field(one["name"], self.kind(one["schema"]), one["required"],
                  _says(one.get("description", ""), one["schema"]), one["in"])
            for one in described["parameters"]
        ]  # fmt: skip
        schema = _content(described.get("requestBody", {}))
        body = self._body(schema)
        answers = tuple(
            Answer(status, f"{one['description']}{_comes_as(one)}", self._answer(status, one))
            for status, one in described["responses"].items()
        )
        ((_scheme, (permission,)),) = described["security"][0].items()
        told = (path, method, described["summary"], described["description"], permission)
        named = (one.name for one in (*asked, *body, *(f for a in answers for f in a.fields)))
        return Entry(
            described["operationId"], method.upper(), path, described["summary"],
            described["description"], permission, tuple(asked), body, answers,
            (self._address(path, described["parameters"]), self._sent(schema)),
            "\n".join((*told, *named)).casefold(),
            _content(described["responses"].get("200", {})).get("format") == "binary",
        )  # fmt: skip

    def _body(self, schema: Schema) -> tuple[Field, ...]:
        if schema.get("format") == "binary":
            return (Field("", "file", True, ""),)
        return tuple(self.fields(schema))

    def _answer(self, status: str, answer: Schema) -> tuple[Field, ...]:
        return tuple(self.fields(_content(answer))) if status.startswith("2") else ()

    def resolved(self, schema: Schema) -> Schema:
        """Follow a reference."""
        if "$ref" not in schema:
            return schema
        named = self._known[schema["$ref"].rsplit("/", 1)[1]]
        beside = {name: value for name, value in schema.items() if name != "$ref"}
        return self.resolved({**named, **beside})

    def fields(self, schema: Schema, before: str = "", depth: int = 0) -> Iterator[Field]:
        """Yield the fields of an object, and after each those inside it."""
        whole = self.resolved(schema)
        for name, inner in whole.get("properties", {}).items():
            here, said = f"{before}{name}", self.resolved(inner)
            needed = name in whole.get("required", ())
            yield Field(here, self.kind(inner), needed, _says(said.get("description", ""), said))
            if depth + 1 < DEEPEST:
                within, many = self._within(said)
                yield from self.fields(within, f"{here}{'[]' if many else ''}.", depth + 1)

    def _within(self, schema: Schema) -> tuple[Schema, bool]:
        """Return the object inside, and whether there are many of it."""
        kinds = [one for one in schema.get("anyOf", ()) if one.get("type") != "null"]
        if len(kinds) == 1:
            return self._within(self.resolved(kinds[0]))
        if schema.get("type") == "array":
            return self.resolved(schema.get("items", {})), True
        return schema, False

    def kind(self, schema: Schema) -> str:
        """Return what a value is, in a few words."""
        whole = self.resolved(schema)
        if "enum" in whole:
            return "one of " + ", ".join(json.dumps(one) for one in whole["enum"])
        if "const" in whole:
            return json.dumps(whole["const"])
        if "anyOf" in whole:
            return " or ".join(dict.fromkeys(self.kind(one) for one in whole["anyOf"]))
        if whole.get("type") == "array":
            return f"list of {self.kind(whole.get('items', {}))}"
        return KINDS.get(whole.get("format", "")) or str(whole.get("type", "anything"))

    def _address(self, path: str, parameters: list[Schema]) -> str:
        for one in parameters:
            if one["in"] == "path":
                value = self.example(one["schema"])
                path = path.replace(f"{{{one['name']}}}", quote(str(value), safe=""))
        needed = [one for one in parameters if one["in"] == "query" and one["required"]]
        query = "&".join(
            f"{one['name']}={quote(str(self.example(one['schema'])), safe='')}" for one in needed
        )
        return f"{path}?{query}" if query else path

    def _sent(self, schema: Schema) -> str:
        if not schema or schema.get("format") == "binary":
            return ""
        return json.dumps(self.example(schema), ensure_ascii=False)

    def example(self, schema: Schema) -> Any:
        """Return a value that the schema takes: of an object what it must hold."""
        whole = self.resolved(schema)
        if "const" in whole:
            return whole["const"]
        if "enum" in whole:
            return whole["enum"][0]
        if "anyOf" in whole:
            return self.example(whole["anyOf"][0])
        makers = {"object": self._object, "array": self._array, "string": _text, "integer": _whole}
        make = makers.get(whole.get("type", ""))
        return make(whole) if make else whole.get("type") == "boolean"

    def _object(self, schema: Schema) -> dict[str, Any]:
        inner = schema.get("properties", {})
        named = schema.get("required") or tuple(inner)[:1]
        return {name: self.example(inner[name]) for name in named}

    def _array(self, schema: Schema) -> list[Any]:
        return [self.example(schema["items"])] if schema.get("items") else []


def _content(part: Schema) -> Schema:
    """Return the schema of a body or an answer."""
    found: list[Schema] = [one["schema"] for one in part.get("content", {}).values()]
    return found[0] if found else {}


def _comes_as(answer: Schema) -> str:
    """Return of which kind an answer is that is no JSON."""
    return "".join(f" Comes as `{kind}`." for kind in answer.get("content", {}) if JSON not in kind)


def _says(text: str, schema: Schema) -> str:
    """Return what a field is for and what it takes."""
    low, high = (schema.get(name) for name in ("minLength", "maxLength"))
    least, most = (schema.get(name) for name in ("minimum", "maximum"))
    told = [
        text,
        f"{low or 0} to {high} characters." if high else "",
        f"{least} to {most}." if least is not None and most is not None else "",
        f"At most {schema['maxItems']}." if "maxItems" in schema else "",
        f"Default: `{json.dumps(schema['default'])}`." if schema.get("default") else "",
    ]
    return " ".join(one for one in told if one)


def _text(schema: Schema) -> str:
    if schema.get("format") in FORMATS:
        return FORMATS[schema["format"]]
    low, high = schema.get("minLength", 0), schema.get("maxLength", 1000)
    pattern = schema.get("pattern", "")
    for one in (*TEXTS, "a" * 64, "a" * low):
        if low <= len(one) <= high and re.search(pattern, one):
            return one
    return ""


def _whole(schema: Schema) -> int:
    return int(min(max(1, schema.get("minimum", 1)), schema.get("maximum", 1)))
