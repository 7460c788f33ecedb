"""Finds in the code the English sentences that processes store or answer, for pages to translate.

A gap of an f-string becomes ``%(name)s``. What is found: the sentence with which an error of ours
is raised, what an incident tells, what a function returns that ends in a full stop (or says
what "it" does), and what is handed on as ``because``, ``detail``, ``problem`` or ``mend``.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

HANDED_ON = {"because", "detail", "problem", "mend", "administrator_mend", "why", "words"}
INNER = {"error", "because", "problem", "why", "inner", "words", "detail", "text"}
"""Gaps that hold a sentence of ours themselves."""


def found_in(path: Path) -> Iterator[str]:
    """Return each sentence of a module once, in the order of the code."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    texts = (_text(node) for made in ast.walk(tree) for node in _said(made))
    yield from dict.fromkeys(text for text in texts if text and _is_sentence(text))


def literals_in(path: Path) -> Iterator[str]:
    """Return each text of more than one word in a module once; what documents it is left out."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    left_out = {id(inner) for node in ast.walk(tree) for inner in _not_literal(node)}
    texts = (_text(node) for node in ast.walk(tree) if id(node) not in left_out)
    yield from dict.fromkeys(text for text in texts if text and _is_sentence(text))


def _not_literal(node: ast.AST) -> Iterator[ast.AST]:
    """Return what documents the code, and the parts of a text that is looked at as a whole."""
    match node:
        case ast.Expr(value=ast.Constant() as value):
            yield value
        case ast.JoinedStr():
            yield from (inner for inner in ast.walk(node) if inner is not node)


def _is_sentence(text: str) -> bool:
    """Return whether words of ours are in it, not only gaps and signs."""
    return len(re.findall(r"[A-Za-z_]{2,}", re.sub(r"%\(\w+\)s", "", text))) > 1


def _said(made: ast.AST) -> Iterator[ast.expr]:
    match made:
        case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name), args=args) if (
            name.endswith(("Error", "_incident"))
        ):
            for one in args[:3]:  # an incident's sentence comes third
                yield from _branches(one)
        case ast.Return(value=ast.expr() as value):
            yield from (one for one in _branches(value) if _may_be_said(_text(one) or ""))
        case ast.keyword(arg=str(name), value=value) if name in HANDED_ON:
            yield from _branches(value)
        case ast.Assign(targets=[ast.Name(id=name) | ast.Attribute(attr=name)], value=value) if (
            name in HANDED_ON
        ):
            yield from _branches(value)


def _may_be_said(returned: str) -> bool:
    return returned.endswith(".") or returned.startswith(("it ", "a "))


def _branches(value: ast.expr) -> Iterator[ast.expr]:
    match value:
        case ast.IfExp(body=one, orelse=other):
            yield from (*_branches(one), *_branches(other))
        case ast.BoolOp(values=values):
            for one in values:
                yield from _branches(one)
        case _:
            yield value


def _text(node: ast.AST) -> str | None:
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=parts):
            names: dict[str, int] = {}
            return "".join(_part(one, names) for one in parts)
        case _:
            return None


def _part(node: ast.expr, names: dict[str, int]) -> str:
    if isinstance(node, ast.Constant):
        return str(node.value)
    words = re.findall(r"[a-z]\w*", ast.unparse(node).partition(":")[0]) or ["value"]
    name = next((one for one in words if one in INNER), words[-1])
    name = "inner" if name in INNER else name.strip("_")
    names[name] = names.get(name, 0) + 1
    return f"%({name}{names[name] if names[name] > 1 else ''})s"
