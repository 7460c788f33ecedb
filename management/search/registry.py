"""What can be searched by words, and by which.

A feature registers its table here together with a table of tokens, one for each word that a row is
found by (`listing.rules.tokens`). `search.upkeep` keeps them in step, `search.queries` asks them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

Words = tuple[tuple[str, ...], tuple[str, ...]]
"""Texts, and numbers that are also found by their last digits."""


@dataclass(frozen=True, slots=True)
class Searched:
    """A table that is searched."""

    row: Any
    key: Any
    """Its primary key."""
    token: Any
    """Its table of tokens, with the columns ``token`` and ``row_id``."""
    columns: frozenset[str]
    """A change of these changes the words; a new row in which all are empty has none."""
    words: Callable[[Session, Any], Words]
    """Returns what a row is found by."""


REGISTRY: dict[type, Searched] = {}


def register(searched: Searched) -> Searched:
    """Let the rows of this table be found by words."""
    REGISTRY[searched.row] = searched
    return searched
