"""Writes docs/settings.md from the settings classes themselves.

python tools/settings_document.py [--check]
"""

import ast
import inspect
import sys
from dataclasses import MISSING, fields
from importlib import import_module
from itertools import pairwise
from types import ModuleType
from typing import Any

from tools.generated import ROOT, write_or_check

TARGET = ROOT / "docs/settings.md"
HEAD = """# Settings

Each setting is read once at start, from the environment or from `sekisho.toml` in the data folder
(the environment wins). A value that is wrong, or a name that nobody knows, is named and the process
refuses to start. `SEKISHO_HOME` is the data folder (default: `var` in the current
folder). Written by `tools/settings_document.py` from the code.
"""
PARTS = (
    ("Management and the basic model", "", "management.settings", "Settings"),
    ("Signer", "signer", "management.signer_rules", "Limits"),
    ("Communication server", "communication", "communication.settings", "Settings"),
    ("Exchange connector", "connector", "exchange_connector.settings", "Settings"),
    ("Inline gate", "gate", "exchange_connector.gate.settings", "Settings"),
)


def text() -> str:
    """Return the whole document."""
    return HEAD + "".join(_part(*part) for part in PARTS)


def _part(title: str, section: str, module_name: str, class_name: str) -> str:
    module = import_module(module_name)
    kind = getattr(module, class_name)
    prefix = f"SEKISHO_{section.upper()}_" if section else "SEKISHO_"
    where = f"section `[{section}]`" if section else "the top of the file"
    told = _attribute_words(module, class_name)
    rows = [
        f"| `{prefix}{field.name.upper()}` | `{field.name}` | {_default(field)} "
        f"| {told.get(field.name, '')} |"
        for field in fields(kind)
        if field.name != "home"
    ]
    head = f"\n## {title}\n\nIn `sekisho.toml`: {where}.\n\n"
    return (
        head
        + "| environment | name | default | what |\n|---|---|---|---|\n"
        + "\n".join(rows)
        + "\n"
    )


def _default(field: Any) -> str:
    if field.default is not MISSING:
        return f"`{field.default}`" if field.default != "" else "(empty)"
    return "(made at start)" if field.default_factory is not MISSING else "(none)"


def _attribute_words(module: ModuleType, class_name: str) -> dict[str, str]:
    """Return what the string below each field says."""
    tree = ast.parse(inspect.getsource(module))
    body = next(n.body for n in tree.body if isinstance(n, ast.ClassDef) and n.name == class_name)
    return {
        one.target.id: " ".join(str(two.value.value).split())
        for one, two in pairwise(body)
        if isinstance(one, ast.AnnAssign)
        and isinstance(one.target, ast.Name)
        and isinstance(two, ast.Expr)
        and isinstance(two.value, ast.Constant)
    }


if __name__ == "__main__":
    sys.exit(write_or_check(TARGET, text()))
