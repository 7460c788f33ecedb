"""How every message between parts is read and written: strict, bounded, versioned JSON.

A message is a frozen dataclass whose field ``v`` is its version. A reader takes the version it
speaks and, through *lifts*, the one before it; anything else gets a clear answer. Unknown fields
are ignored, so that a newer neighbour may say more.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError, from_json

from runtime.errors import MalformedMessageError, TooLargeError

T = TypeVar("T")
Lift = Callable[[dict[str, Any]], dict[str, Any]]
"""Turns the fields of version n into those of version n + 1."""

MAXIMUM_BYTES = 4 * 1024 * 1024


def write(message: object) -> bytes:
    """Return *message* as UTF-8 JSON."""
    try:
        return _adapter(type(message)).dump_json(message)
    except PydanticSerializationError as error:
        raise MalformedMessageError(f"A message cannot be written as JSON: {error}.") from None


def read(
    kind: type[T],
    body: bytes | str,
    maximum_bytes: int = MAXIMUM_BYTES,
    lifts: Mapping[int, Lift] | None = None,
) -> T:
    """Return *body* as *kind*.

    Raises TooLargeError above *maximum_bytes*, and MalformedMessageError, which names the places,
    for anything that is not a *kind* of this version or the one before it. *lifts* maps the older
    version to the function that lifts it; only the version just below *kind*'s own is looked up.
    """
    if len(body) > maximum_bytes:
        raise TooLargeError(f"{kind.__name__} is larger than {maximum_bytes} bytes.")
    current = _current_version(kind)
    spoken = _version(kind, body)
    if spoken == current:
        return _validated(kind, body)
    lift = (lifts or {}).get(spoken)
    if spoken != current - 1 or lift is None:
        spoken_here = f"{current} and {current - 1}" if lifts else str(current)
        raise MalformedMessageError(
            f"Version {spoken} of {kind.__name__} is not spoken here, only {spoken_here}."
        )
    fields = from_json(body)
    try:
        lifted = lift(fields)
    except (KeyError, TypeError, ValueError) as error:
        raise MalformedMessageError(
            f"{kind.__name__} of version {spoken} is broken: {error!r}."
        ) from None
    return _validated(kind, json.dumps({**lifted, "v": current}))


def _validated(kind: type[T], body: bytes | str) -> T:
    try:
        message: T = _adapter(kind).validate_json(body, strict=True)
        return message
    except ValidationError as error:
        raise MalformedMessageError(f"Not a {kind.__name__}: {_places(error)}.") from None


def _version(kind: type[object], body: bytes | str) -> int:
    try:
        fields = from_json(body)
    except ValueError as error:
        raise MalformedMessageError(f"Not a {kind.__name__}: not JSON ({error}).") from None
    if not isinstance(fields, dict) or type(fields.get("v")) is not int:
        raise MalformedMessageError(f"Not a {kind.__name__}: no version number in 'v'.")
    return int(fields["v"])


def _current_version(kind: type[object]) -> int:
    return int(kind.__dataclass_fields__["v"].default)  # type: ignore[attr-defined]


def _places(error: ValidationError) -> str:
    """Name at most five places and what is wrong there, without repeating the values."""
    found = error.errors(include_url=False, include_input=False, include_context=False)[:5]
    return "; ".join(
        f"{'.'.join(str(part) for part in problem['loc']) or 'it'}: {problem['msg']}"
        for problem in found
    )


_ADAPTERS: dict[type, TypeAdapter[Any]] = {}


def _adapter(kind: type[Any]) -> TypeAdapter[Any]:
    """Return the adapter of *kind*, made once: making one is slow."""
    if kind not in _ADAPTERS:
        _ADAPTERS[kind] = TypeAdapter(kind)
    return _ADAPTERS[kind]
