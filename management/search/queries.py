"""The short way to the rows that have the words of a question, by the index of tokens.

The rarest word is the way, the others are compared. ADR 0028 tells why not LIKE and no full text.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Select, func, select
from sqlalchemy.orm import Session

from management.listing.plan import CHUNK, FEW
from management.listing.rules import asked_words, behind
from management.search.registry import Searched

Conditions = list[ColumnElement[bool]]


@dataclass(frozen=True, slots=True)
class Way:
    """Where the rows of a question are."""

    searched: Searched
    ids: Sequence[Any] | None
    """Of all that may be meant; None: nearly every row has every word, go in the list's order."""
    rest: Conditions
    """What a row must fulfil beside."""

    def conditions(self) -> Iterator[Conditions]:
        """Yield conditions that together find every row, each once; those of `ids` in pieces."""
        if self.ids is None:
            yield self.rest
            return
        for start in range(0, len(self.ids), CHUNK):
            yield [self.searched.key.in_(self.ids[start : start + CHUNK]), *self.rest]


def find_way(session: Session, searched: Searched, text: str) -> Way | None:
    """Return the way to the rows which have a word that each word of *text* begins.

    None when nothing is asked for. Where every word leads to many rows, the way has no ids: which
    of them are meant is for the other filters to say, and for the list's order.
    """
    if not text.strip():
        return None
    words = asked_words(text)
    if not words:
        return Way(searched, [], [])  # only signs: nothing begins with them
    sizes = [(_capped(session, _begins_with(searched, word)), word) for word in words]
    number, rarest = min(sizes)
    rest = [_has(searched, word) for word in words if word != rarest]
    way = _begins_with(searched, rarest)
    if number <= FEW:
        return Way(searched, sorted(session.scalars(way.distinct())), rest)
    return Way(searched, None, [*rest, _has(searched, rarest)])


def _begins_with(searched: Searched, word: str) -> Select[Any]:
    return select(searched.token.row_id).where(*_range(searched.token, word))


def _has(searched: Searched, word: str) -> ColumnElement[bool]:
    own = searched.token.row_id == searched.key
    return select(searched.token.row_id).where(own, *_range(searched.token, word)).exists()


def _range(token: Any, word: str) -> Conditions:
    return [token.token >= word, token.token < behind(word)]


def _capped(session: Session, way: Select[Any]) -> int:
    return session.scalar(select(func.count()).select_from(way.limit(FEW + 1).subquery())) or 0
