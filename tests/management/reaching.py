"""Whether a view's code leads to an entry in the audit trail: read from its source, not run."""

import ast
import inspect
import textwrap
from collections.abc import Callable, Iterator
from functools import cache
from importlib import import_module
from types import FunctionType, ModuleType
from typing import Any

from management.audit import looks, notes, service
from management.personal import SHOWS

ENTRIES: set[Any] = {notes.note, service.record, looks.note_from_command_line}


def reaches_the_trail(view: Callable[..., Any]) -> bool:
    """Tell whether *view*, its mark, or something of ours that it names appends to the trail."""
    return hasattr(view, SHOWS) or _reaches(inspect.unwrap(view), frozenset())


def _reaches(function: Any, before: frozenset[Any]) -> bool:
    if function in ENTRIES:
        return True
    if function in before or not _is_ours(function):
        return False
    return any(_reaches(one, before | {function}) for one in _named(function))


def _is_ours(function: Any) -> bool:
    return inspect.isfunction(function) and function.__module__.startswith("management.")


@cache
def _named(function: Any) -> tuple[Any, ...]:
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    known = {**function.__globals__, **dict(_imported(tree))}
    return tuple(filter(inspect.isfunction, (_found(node, known) for node in ast.walk(tree))))


def _imported(tree: ast.AST) -> Iterator[tuple[str, Any]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            module = import_module(node.module)
            for one in node.names:
                found = getattr(module, one.name, None)
                yield one.asname or one.name, found or import_module(f"{node.module}.{one.name}")


def _found(node: ast.AST, known: dict[str, Any]) -> Any:
    found: Any = None
    if isinstance(node, ast.Name):
        found = known.get(node.id)
    elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        module = known.get(node.value.id)
        found = getattr(module, node.attr, None) if type(module) is ModuleType else None
    return inspect.unwrap(found) if type(found) is FunctionType else None
