"""Any operation of the API, by the document that the server itself gives."""

import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from runtime.errors import ConfigurationError, MalformedMessageError
from sekisho.remote import files
from sekisho.remote.client import ANSWER_SECONDS, FILE_SECONDS, Query, Remote, place_of, read_json
from sekisho.remote.shown import as_json, safe

METHODS = ("GET", "POST", "PUT", "DELETE")
JSON = "application/json"
PROOFS = ("own_code", "code")
"""Fields of a body that want what an authenticator app shows now."""
DOCUMENT = "/openapi.json"


def listed(remote: Remote, words: str) -> Iterator[str]:
    """Yield the operations in which each of *words* stands, and what this token may not."""
    held = set(remote.get("/token")["permissions"])
    wanted = words.casefold().split()
    for path, methods in remote.get(DOCUMENT)["paths"].items():
        for method, said in methods.items():
            ((_, (needed,)),) = said["security"][0].items()
            line = f"{method.upper():6} {path}  {said['summary']}. Needs {needed}"
            if all(word in line.casefold() for word in wanted):
                yield safe(
                    line + (", which this token does not have." if needed not in held else ".")
                )


def body_of(file: str) -> Any:
    """Return the JSON of a file; ``-``: of standard input."""
    try:
        text = sys.stdin.read() if file == files.STDOUT else Path(file).read_text(encoding="utf-8")
        return json.loads(text)
    except OSError as error:
        raise ConfigurationError(f"{file} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise MalformedMessageError(f"{file} is no JSON: {error}") from None


def with_proof(remote: Remote, method: str, path: str, body: Any) -> Any:
    """Ask for the code of one's authenticator app and put it where the operation wants it."""
    fields = _fields(remote.get(DOCUMENT), method, path)
    wanted = next((name for name in PROOFS if name in fields), None)
    if wanted is None:
        raise MalformedMessageError("This operation asks for no code; leave --code out.")
    if not isinstance(body, dict | None):
        raise MalformedMessageError("A code goes into a JSON object; --data gives none.")
    return {**(body or {}), wanted: ask_code()}


def ask_code() -> str:
    """Return the code that somebody reads off their authenticator app; never an argument."""
    said = click.prompt("Code that your authenticator app shows now", hide_input=True, err=True)
    return str(said).strip()


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call, as it was asked for."""

    method: str
    path: str
    query: Query = field(default_factory=dict)
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)


def carry_out(remote: Remote, call: Call, output: str, include: bool) -> None:
    """Show what an operation answers, or store it as a file; *include*: its status and ETag too."""
    sent = None if call.body is None else json.dumps(call.body).encode()
    kind = {} if sent is None else {"Content-Type": JSON}
    patience = FILE_SECONDS if output else ANSWER_SECONDS
    with remote.opened(
        call.method, call.path, call.query, sent, kind | call.headers, patience
    ) as answer:
        if include:
            etag = answer.headers.get("ETag", "none")
            click.echo(safe(f"Status {answer.status_code}, ETag {etag}"), err=True)
        if output:
            files.save(answer, output)
        else:
            click.echo(as_json(read_json(answer), indent=2))


def _fields(document: dict[str, Any], method: str, path: str) -> dict[str, Any]:
    """Return the fields of the body that an operation takes."""
    asked = place_of(path).partition("?")[0]
    for template, methods in document["paths"].items():
        pattern = re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(template))
        if re.fullmatch(pattern, asked) and method.lower() in methods:
            content = methods[method.lower()].get("requestBody", {}).get("content", {})
            schema = content.get(JSON, {}).get("schema", {})
            name = schema.get("$ref", "").rpartition("/")[2]
            whole = document["components"]["schemas"].get(name, schema)
            return dict(whole.get("properties", {}))
    raise MalformedMessageError(f"The API has no {method} {safe(asked)}: see --list")
