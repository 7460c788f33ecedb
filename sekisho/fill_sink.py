"""Writes rows into SQLite or PostgreSQL as fast as each takes them: no index until the end."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

from sqlalchemy import JSON, Boolean, Integer, Table
from sqlalchemy.schema import CreateIndex

from management.database import Base, Database
from runtime.errors import RefusedError

COLUMNS: dict[str, tuple[str, ...]] = {
    "device": (
        "id", "name", "owner_name", "owner_address", "platform", "ownership", "manufacturer",
        "model", "serial", "imei", "exchange_device_id", "enrolment_state", "enrolled_at",
        "group_id", "policy_id", "ordered_policy", "certificate_serial", "contact_at",
        "signing_key", "encryption_key", "epoch",
    ),
    "device_facts": ("device_id", "facts", "changed_at"),
    "device_judgement": (
        "device_id", "state", "since", "violations", "missing", "stale", "undecided",
        "consequences", "risk", "policy_id", "policy_version", "judged_at",
    ),
    "device_listing": ("id", "device_id", "name", "shape", "system", "words"),
    "device_token": ("token", "listing_id"),
    "device_app": (
        "device_id", "package", "sha256", "name", "version", "signer_sha256", "first_seen_at",
        "said_at",
    ),
    "app": (
        "sha256", "package", "name", "version", "signer_sha256", "first_seen_at", "devices",
    ),
    "device_tally": (
        "id", "shape", "number", "state", "risk", "platform", "enrolment", "ownership", "group_id",
        "policy_id", "mail", "rules",
    ),
    "system_tally": (
        "id", "shape", "number", "platform", "enrolment", "group_id", "os", "patch", "patterns",
    ),
}  # fmt: skip
"""Columns that are given; every other one that must not be null gets an empty value."""
Rows = Iterable[tuple[object, ...]]


class Sink(Protocol):
    """Takes the rows of a table, with the columns of `COLUMNS`."""

    def rows(self, table: str, rows: Rows) -> None: ...


@contextmanager
def open_sink(database: Database) -> Iterator[Sink]:
    """Open a sink; at the end the indexes are made. RefusedError on other databases."""
    kind = database.engine.dialect.name
    if kind not in {"sqlite", "postgresql"}:
        raise RefusedError("Only SQLite and PostgreSQL can be filled.")
    tables = [Base.metadata.tables[name] for name in COLUMNS]
    made = [
        str(CreateIndex(one).compile(database.engine)) for table in tables for one in table.indexes
    ]
    with database.engine.connect() as connection:
        cursor: Any = connection.connection.cursor()
        for text in _BEFORE[kind]:
            cursor.execute(text)
        for table in tables:
            for index in table.indexes:
                cursor.execute(f'DROP INDEX "{index.name}"')
        yield _Sqlite(cursor) if kind == "sqlite" else _Postgres(cursor)
        cursor.execute(
            "INSERT INTO device_token SELECT token, listing_id FROM loose_token"
            " ORDER BY token, listing_id"
        )
        for text in (*made, *_AFTER[kind]):
            cursor.execute(text)
    if kind == "postgresql":
        with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as again:
            again.exec_driver_sql("VACUUM ANALYZE")


_LOOSE = "CREATE TEMPORARY TABLE loose_token (token varchar(40){}, listing_id bigint)"
_BEFORE = {
    "sqlite": (
        "PRAGMA synchronous=OFF", "PRAGMA temp_store=FILE", "PRAGMA cache_size=-200000",
        "PRAGMA foreign_keys=OFF", _LOOSE.format(""), "BEGIN IMMEDIATE",
    ),
    "postgresql": (
        "SET synchronous_commit=off", "SET TIME ZONE 'UTC'", "SET maintenance_work_mem='512MB'",
        _LOOSE.format(' COLLATE "C"'),
    ),
}  # fmt: skip
_AFTER = {
    "sqlite": (
        "DROP TABLE loose_token", "COMMIT", "ANALYZE", "PRAGMA wal_checkpoint(TRUNCATE)",
        "PRAGMA synchronous=FULL", "PRAGMA foreign_keys=ON",
    ),
    "postgresql": (
        *(
            f"SELECT setval(pg_get_serial_sequence('{name}', 'id'), max(id)) FROM {name}"  # noqa: S608
            for name in ("device_listing", "device_tally", "system_tally")
        ),
        "COMMIT",
    ),
}  # fmt: skip


class _Sqlite:
    def __init__(self, cursor: Any) -> None:
        self.cursor = cursor

    def rows(self, table: str, rows: Rows) -> None:
        columns, rest = _whole(table)
        marks = ", ".join("?" * len(columns))
        into = "loose_token" if table == "device_token" else table
        text = f"INSERT INTO {into} ({', '.join(columns)}) VALUES ({marks})"  # noqa: S608
        self.cursor.executemany(text, (row + rest for row in rows))


class _Postgres:
    def __init__(self, cursor: Any) -> None:
        self.cursor = cursor

    def rows(self, table: str, rows: Rows) -> None:
        columns, rest = _whole(table)
        into = "loose_token" if table == "device_token" else table
        end = "".join(f"\t{value}" for value in rest) + "\n"
        text = "".join("\t".join(map(str, row)).replace("\\", "\\\\") + end for row in rows)
        with self.cursor.copy(f"COPY {into} ({', '.join(columns)}) FROM STDIN") as copy:
            copy.write(text)


def _whole(name: str) -> tuple[Sequence[str], tuple[object, ...]]:
    """Return all columns of a row, and the empty values of those that are not given."""
    table, given = Base.metadata.tables[name], COLUMNS[name]
    rest = [one for one in table.columns if one.name not in given and not one.nullable]
    return (*given, *(one.name for one in rest)), tuple(_empty(table, one) for one in rest)


def _empty(table: Table, column: Any) -> object:
    if isinstance(column.type, JSON):
        return "[]" if table.name == "device_judgement" else "{}"
    return 0 if isinstance(column.type, (Integer, Boolean)) else ""
