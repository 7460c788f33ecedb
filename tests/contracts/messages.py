"""Makes any message of `contracts` from its annotations, within the bounds they name."""

import types
from dataclasses import fields, is_dataclass
from datetime import datetime, timedelta, timezone
from enum import EnumMeta
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints
from uuid import UUID

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from pydantic import AwareDatetime

from contracts import (
    agent,
    connector,
    enrolment,
    link,
    orders,
    relay_pairing,
    renewal,
    reports,
    scan,
    trust,
)

MODULES = (
    agent, connector, enrolment, link, orders, relay_pairing, renewal, reports, scan, trust,
)  # fmt: skip
TOP_LEVEL = tuple(
    kind
    for module in MODULES
    for kind in vars(module).values()
    if is_dataclass(kind)
    and isinstance(kind, type)
    and kind.__module__ == module.__name__
    and "v" in kind.__dataclass_fields__
)
"""Every message that travels alone: it has a version."""

T = TypeVar("T")
_TEXT = st.characters(exclude_categories=["Cs"])
_ZONES = st.builds(
    timezone, st.integers(-23 * 60, 23 * 60).map(lambda minutes: timedelta(minutes=minutes))
)
_JSON: SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text(_TEXT, max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(_TEXT, max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)
_PLAIN: dict[Any, SearchStrategy[Any]] = {
    bool: st.booleans(),
    int: st.integers(-(2**63), 2**63),
    str: st.text(_TEXT, max_size=40),
    UUID: st.uuids(),
    type(None): st.none(),
    Any: _JSON,
    datetime: st.datetimes(timezones=_ZONES),
    AwareDatetime: st.datetimes(timezones=_ZONES),
}


def message(kind: type[T]) -> SearchStrategy[T]:
    """Return a strategy for *kind* of its own version."""
    hints = get_type_hints(kind, include_extras=True)
    parts = {
        field.name: _of(hints[field.name])
        for field in fields(kind)  # type: ignore[arg-type]
        if field.name != "v"
    }
    return st.builds(kind, **parts)


def _of(hint: Any) -> SearchStrategy[Any]:
    if hint in _PLAIN:
        return _PLAIN[hint]
    origin, inside = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _bounded(inside[0], _bounds(inside[1:]))
    if origin is Literal:
        return st.sampled_from(inside)
    if origin in (Union, types.UnionType):
        return st.one_of(*(_of(each) for each in inside))
    if origin is tuple:
        return st.lists(_of(inside[0]), max_size=3).map(tuple)
    if origin is dict:
        return st.dictionaries(_of(inside[0]), _of(inside[1]), max_size=4)
    if isinstance(hint, EnumMeta):
        return st.sampled_from(list(hint))
    return message(hint)


def _bounds(notes: tuple[Any, ...]) -> dict[str, Any]:
    """Return what pydantic's ``Field`` says: ge, le, min_length, max_length, pattern."""
    found: dict[str, Any] = {}
    for note in notes:
        for rule in getattr(note, "metadata", ()):
            found |= {
                name: getattr(rule, name)
                for name in ("ge", "le", "min_length", "max_length", "pattern")
                if getattr(rule, name, None) is not None
            }
    return found


def _bounded(hint: Any, bounds: dict[str, Any]) -> SearchStrategy[Any]:
    if hint is int:
        return st.integers(bounds.get("ge"), bounds.get("le"))
    if hint is str and "pattern" in bounds:
        longest = bounds.get("max_length", 10**9)
        found = st.from_regex(bounds["pattern"], fullmatch=True)
        return found.filter(lambda text: text.isascii() and len(text) <= longest)
    if hint is str:
        longest = min(bounds.get("max_length", 40), 300)
        return st.text(_TEXT, min_size=bounds.get("min_length", 0), max_size=longest)
    if get_origin(hint) is tuple:
        least = bounds.get("min_length", 0)
        return st.lists(_of(get_args(hint)[0]), min_size=least, max_size=3).map(tuple)
    return _of(hint)
