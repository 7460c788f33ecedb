"""Knows every feature's tables: foreign keys between features need all of them in memory."""

from importlib import import_module
from pathlib import Path
from typing import Any


def load() -> None:
    """Import every feature's ``models``, so that `Base.metadata` is whole, and keep the list."""
    for path in sorted(Path(__file__).parent.glob("*/models.py")):
        import_module(f"management.{path.parent.name}.models")
    upkeep: Any = import_module("management.listing.upkeep")
    upkeep.begin()
    search: Any = import_module("management.search.upkeep")
    search.begin()
    scope: Any = import_module("management.scope")
    scope.begin()
