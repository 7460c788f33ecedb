"""Collects every statement that a test run executes, as SQL Server would get it.

`before_execute` sees the clause element, so it can be compiled for another database; the cursor's
text could not. One `Recorder` for a whole run, checked once at its end.
"""

from typing import Any

from sqlalchemy import Engine, event
from sqlalchemy.engine import Connection
from sqlalchemy.exc import CompileError, InvalidRequestError
from sqlalchemy.sql import dml
from sqlalchemy.sql.elements import TextClause
from sqlalchemy.sql.selectable import SelectBase

from tests.sql import tsql

ONE_DATABASE_ONLY = ("pg_advisory", "pg_catalog", "PRAGMA", "sqlite_")
"""In statements that code or Alembic sends to one kind of database only."""


ONLY_FOR = "sekisho_recorder"
"""Execution option of a connection whose statements (bad ones, on purpose) one recorder hears."""


class Recorder:
    """``start`` and ``stop`` around the tests, then ``problems``."""

    def __init__(self) -> None:
        self.texts: set[str] = set()
        self.found: set[str] = set()
        self.seen: set[Any] = set()
        """What SQLAlchemy itself tells statements apart by; values do not count."""

    def start(self) -> None:
        """Listen to every engine, those made later too."""
        event.listen(Engine, "before_execute", self._note)

    def stop(self) -> None:
        """Listen no more."""
        event.remove(Engine, "before_execute", self._note)

    def problems(self) -> list[str]:
        """Return each problem with its statement; empty when SQL Server would take them all."""
        told = set(self.found)
        for text in self.texts:
            told.update(f"{problem}: {_line(text)}" for problem in tsql.problems(text))
        return sorted(told)

    def _note(
        self,
        connection: Connection,
        statement: Any,
        multiparams: Any,
        params: Any,
        execution_options: Any,
    ) -> None:
        if connection.get_execution_options().get(ONLY_FOR, self) is not self:
            return
        if not isinstance(statement, (SelectBase, dml.UpdateBase, TextClause)):
            return  # DDL, which check_tsql compiles from the tables
        if (known := statement._generate_cache_key()) is not None:
            if known.key in self.seen:
                return
            self.seen.add(known.key)
        try:
            text = _compiled(statement, params)
        except CompileError as error:
            told = str(statement)
            if not _for_one_only(told):
                self.found.add(f"cannot be compiled ({error}): {_line(told)}")
            return
        if _for_one_only(text):
            return
        self.texts.add(text)
        self.found.update(f"{lost}: {_line(text)}" for lost in tsql.lost_locks(statement))


def _compiled(statement: Any, params: Any) -> str:
    try:
        return tsql.compiled(statement)
    except InvalidRequestError:  # of `Session.get` with parts that are written out
        return tsql.compiled(statement.params(params))


def _for_one_only(text: str) -> bool:
    return any(word in text for word in ONE_DATABASE_ONLY)


def _line(text: str) -> str:
    return " ".join(text.split())[:300]
