"""Whoever writes a row that is searched also keeps its tokens: nobody can forget it.

Every session of this program notes which rows it changed in a way that changes their words, and
writes their tokens as the last thing before it commits. Statements that change such columns or
delete rows without objects must call `bring_up` or `drop` themselves.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from sqlalchemy import Select, delete, event, insert, select
from sqlalchemy.orm import Session, SessionTransaction, attributes

from management.database import locked
from management.limits import seeing_all
from management.listing.rules import tokens
from management.search.registry import REGISTRY, Searched

CHANGED = "sekisho_search_changed"
BATCH = 200


def bring_up(session: Session, searched: Searched, keys: Iterable[Any]) -> int:
    """Write the tokens of these rows as the rows are now; return how many rows had others."""
    wanted, changed = sorted(set(keys)), 0
    session.flush()
    with seeing_all(session):
        for start in range(0, len(wanted), BATCH):
            changed += _bring_up(session, searched, wanted[start : start + BATCH])
    return changed


def drop(session: Session, searched: Searched, rows: Select[Any] | Sequence[Any]) -> None:
    """Forget the tokens of rows that are about to be deleted; *rows*: their keys."""
    token = searched.token
    gone = delete(token).where(token.row_id.in_(rows))
    session.execute(gone.execution_options(synchronize_session=False))


def _bring_up(session: Session, searched: Searched, keys: Sequence[Any]) -> int:
    token = searched.token
    rows = select(searched.row).where(searched.key.in_(keys)).order_by(searched.key)
    fresh = {
        (getattr(row, searched.key.key), word)
        for row in session.scalars(locked(rows, searched.row))
        for word in tokens(*searched.words(session, row))
    }
    known = select(token.row_id, token.token).where(token.row_id.in_(keys))
    held = {(key, word) for key, word in session.execute(known)}
    for key in {key for key, _ in held - fresh}:
        gone = [word for other, word in held - fresh if other == key]
        session.execute(
            delete(token)
            .where(token.row_id == key, token.token.in_(gone))
            .execution_options(synchronize_session=False)
        )
    added = sorted(fresh - held, key=str)
    if added:
        session.execute(insert(token), [{"row_id": key, "token": word} for key, word in added])
    return len({key for key, _ in fresh ^ held})


def _note(session: Session, _context: Any) -> None:
    for searched, key in _changed(session):
        session.info.setdefault(CHANGED, {}).setdefault(searched.row, set()).add(key)


def _changed(session: Session) -> Iterator[tuple[Searched, Any]]:
    for row in (*session.new, *session.dirty, *session.deleted):
        searched = REGISTRY.get(type(row))
        if searched is not None and (row in session.deleted or _has_others(row, searched)):
            yield searched, getattr(row, searched.key.key)


def _has_others(row: Any, searched: Searched) -> bool:
    """Tell whether other words may be in *row* than before."""
    for name in searched.columns:
        history = attributes.get_history(row, name)
        if history.has_changes() and any((*history.added, *history.deleted)):
            return True
    return False


def _write(session: Session) -> None:
    if session.in_nested_transaction():
        return  # only a savepoint is released
    session.flush()
    for row, keys in session.info.pop(CHANGED, {}).items():
        bring_up(session, REGISTRY[row], keys)


def _forget(session: Session, ended: SessionTransaction) -> None:
    if ended.parent is None:
        session.info.pop(CHANGED, None)


def begin() -> None:
    """Listen to every session of this process, once."""
    if not event.contains(Session, "after_flush", _note):
        event.listen(Session, "after_flush", _note)
        event.listen(Session, "before_commit", _write)
        event.listen(Session, "after_soft_rollback", _forget)
