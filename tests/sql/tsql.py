"""What our SQL would be on SQL Server, and what SQL Server would say of it; without having one.

sqlglot parses T-SQL leniently, so `problems` walks its tree for what the real server refuses or
does differently. Sources of the rules: Microsoft's Transact-SQL reference, research/console.md.
"""

import re
from collections.abc import Iterator
from typing import Any

import sqlglot
from sqlalchemy import Table, Unicode, UnicodeText, UniqueConstraint, Uuid
from sqlalchemy.dialects.mssql.pyodbc import MSDialect_pyodbc
from sqlalchemy.schema import CreateIndex, CreateTable
from sqlalchemy.sql.elements import ClauseElement
from sqlalchemy.types import JSON, Boolean, Date, DateTime, Integer, TypeDecorator
from sqlglot import exp
from sqlglot.errors import SqlglotError

CLUSTERED_KEY_BYTES, INDEX_KEY_BYTES = 900, 1700
OLD_TYPES = {"TEXT", "NTEXT", "IMAGE", "DATETIME", "SMALLDATETIME", "TIMESTAMP", "FLOAT(53)"}
COMPARISONS = (exp.EQ, exp.NEQ, exp.LT, exp.LTE, exp.GT, exp.GTE, exp.In)
_BATCH = re.compile(r"^\s*GO\s*;?\s*$", re.IGNORECASE | re.MULTILINE)


def dialect() -> Any:
    """Return SQLAlchemy's dialect as it is after connecting to SQL Server 2022."""
    made: Any = MSDialect_pyodbc(deprecate_large_types=True)  # type: ignore[no-untyped-call]
    made.server_version_info = (16, 0, 1000, 6)
    made._supports_offset_fetch = True
    return made


DIALECT = dialect()


def compiled(statement: Any) -> str:
    """Return *statement* as SQL Server would get it, parameters as ``?``."""
    return str(statement.compile(dialect=DIALECT, compile_kwargs={"render_postcompile": True}))


def problems(sql: str) -> list[str]:
    """Return what is wrong with the T-SQL text *sql*, each kind once; empty when nothing is."""
    found = set()
    if re.search(r"\b(NTEXT|IMAGE)\b", sql):  # sqlglot reads them as newer types
        found.add("an old type (NTEXT or IMAGE)")
    for batch in _BATCH.split(sql):
        try:
            trees = sqlglot.parse(batch, read="tsql")
        except SqlglotError as error:
            found.add(f"does not parse: {str(error).splitlines()[0]}")
            continue
        found.update(problem for tree in trees if tree is not None for problem in _walk(tree))
    return sorted(found)


def lost_locks(statement: ClauseElement) -> list[str]:
    """Return where a row lock would be dropped: the dialect ignores FOR UPDATE without a word."""
    locks = getattr(statement, "_for_update_arg", None) is not None
    hints = {hint[1] for hint in getattr(statement, "_hints", {})}
    if locks and not hints & {"mssql", "*"}:
        return ["with_for_update() needs with_hint(..., 'WITH (UPDLOCK)', 'mssql') beside it"]
    return []


def table_problems(table: Table) -> list[str]:
    """Return what SQL Server would refuse or silently change in *table* and its indexes."""
    ddl = [str(CreateTable(table).compile(dialect=DIALECT))]
    ddl += [str(CreateIndex(index).compile(dialect=DIALECT)) for index in table.indexes]
    found = [problem for text in ddl for problem in problems(text)]
    found += _keys(table)
    return [f"{table.name}: {problem}" for problem in found]


def _walk(tree: Any) -> Iterator[str]:
    for node in tree.walk():
        if isinstance(node, COMPARISONS) and isinstance(node.this, exp.Tuple):
            yield "a comparison of row values"
        elif isinstance(node, exp.OnConflict):
            yield "ON CONFLICT"
        elif isinstance(node, exp.ILike):
            yield "ILIKE"
        elif isinstance(node, exp.Returning) and not isinstance(
            node.parent, exp.Insert | exp.Update | exp.Delete
        ):
            yield "RETURNING"
        elif isinstance(node, exp.Offset) and not _ordered(node.parent):
            yield "OFFSET without ORDER BY"
        elif isinstance(node, exp.DataType) and (old := _old_type(node)):
            yield f"the type {old}"
        elif isinstance(node, exp.Boolean) and isinstance(
            node.parent, exp.Where | exp.And | exp.Or
        ):
            yield "a bare boolean as a condition"


def _old_type(node: exp.DataType) -> str | None:
    if node.this is exp.DataType.Type.TEXT:  # sqlglot would write it as VARCHAR(MAX)
        return "TEXT"
    name = node.sql("tsql").upper()
    return name if name in OLD_TYPES else None


def _ordered(select: Any) -> bool:
    return bool(select is not None and select.args.get("order"))


def _keys(table: Table) -> Iterator[str]:
    keys = [("primary key", CLUSTERED_KEY_BYTES, list(table.primary_key.columns))]
    keys += [(str(index.name), INDEX_KEY_BYTES, list(index.columns)) for index in table.indexes]
    keys += [
        (str(one.name), INDEX_KEY_BYTES, list(one.columns))
        for one in table.constraints
        if isinstance(one, UniqueConstraint)
    ]
    for name, most, columns in keys:
        sizes = [_bytes(column.type) for column in columns]
        if None in sizes:
            yield f"{name} holds a column without a length"
        elif (size := sum(one or 0 for one in sizes)) > most:
            yield f"{name} takes {size} bytes, more than {most}"
        if name != "primary key" and _unique(table, name):
            yield from (
                f"{name} is unique, but SQL Server takes only one NULL in {column.name}"
                for column in columns
                if column.nullable
            )


def _unique(table: Table, name: str) -> bool:
    plain = {str(index.name) for index in table.indexes if not index.unique}
    filtered = {
        str(index.name)
        for index in table.indexes
        if index.dialect_options["mssql"].get("where") is not None
    }
    return name not in plain | filtered


def _bytes(kind: Any) -> int | None:
    """Return how many bytes the type takes in a key, None when it has no bound."""
    if isinstance(kind, TypeDecorator):
        kind = kind.load_dialect_impl(DIALECT)
    if isinstance(kind, UnicodeText | JSON):
        return None
    if isinstance(kind, Unicode):
        return None if kind.length is None else 2 * kind.length
    if isinstance(kind, Uuid):
        return 16
    if isinstance(kind, Integer | DateTime | Date):
        return 8
    return 1 if isinstance(kind, Boolean) else None
