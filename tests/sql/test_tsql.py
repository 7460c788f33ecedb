"""The T-SQL lint finds what it should, and our tables, migrations and statements pass it."""

import pytest
from sqlalchemy import (
    JSON,
    Column,
    DateTime,
    Index,
    Integer,
    MetaData,
    Table,
    Unicode,
    UnicodeText,
    select,
    tuple_,
)
from sqlalchemy.orm import Session

from management.database import Database
from management.work.models import Job
from tests.sql import check_tsql, tsql
from tests.sql.recorder import ONLY_FOR, Recorder

Bad = list[tuple[str, str]]


@pytest.mark.parametrize(
    ("sql", "problem"),
    [
        ("SELECT a FROM t WHERE (a, b) < (1, 2)", "a comparison of row values"),
        ("SELECT a FROM t WHERE (a, b) IN (SELECT c, d FROM u)", "a comparison of row values"),
        ("INSERT INTO t VALUES (1) ON CONFLICT DO NOTHING", "ON CONFLICT"),
        ("SELECT a FROM t OFFSET 5 ROWS FETCH NEXT 5 ROWS ONLY", "OFFSET without ORDER BY"),
        ("SELECT a FROM t WHERE a ILIKE 'x'", "ILIKE"),
        ("CREATE TABLE t (a NTEXT)", "an old type (NTEXT or IMAGE)"),
        ("CREATE TABLE t (a DATETIME)", "the type DATETIME"),
        ("CREATE TABLE t (a TEXT)", "the type TEXT"),
    ],
)
def test_what_sql_server_refuses_is_found(sql: str, problem: str) -> None:
    assert problem in tsql.problems(sql)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT TOP 5 a FROM t WITH (UPDLOCK, READPAST, ROWLOCK) WHERE b = ? ORDER BY a",
        "SELECT a FROM t ORDER BY a OFFSET 5 ROWS FETCH NEXT 5 ROWS ONLY",
        "UPDATE t SET a = 1 OUTPUT inserted.a WHERE b = ?",
        "CREATE TABLE t (a NVARCHAR(10), b DATETIME2(6))\nGO\nCREATE INDEX i ON t (a)",
    ],
)
def test_what_sql_server_takes_passes(sql: str) -> None:
    assert tsql.problems(sql) == []


def test_nonsense_does_not_parse() -> None:
    assert "does not parse" in tsql.problems("SELECT FROM WHERE ((")[0]


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        (Table("t", MetaData(), Column("a", Unicode, primary_key=True)), "without a length"),
        (Table("t", MetaData(), Column("a", UnicodeText, primary_key=True)), "without a length"),
        (Table("t", MetaData(), Column("a", JSON, primary_key=True)), "without a length"),
        (Table("t", MetaData(), Column("a", Unicode(451), primary_key=True)), "902 bytes"),
        (
            Table(
                "t",
                MetaData(),
                Column("a", Unicode(500)),
                Column("b", Unicode(400)),
                Index("i", "a", "b"),
            ),
            "1800 bytes",
        ),
        (
            Table("t", MetaData(), Column("a", Integer, unique=True, nullable=True)),
            "only one NULL in a",
        ),
        (Table("t", MetaData(), Column("a", DateTime)), "the type DATETIME"),
    ],
)
def test_tables_that_sql_server_refuses_are_found(table: Table, problem: str) -> None:
    assert any(problem in found for found in tsql.table_problems(table))


def test_our_tables_and_migrations_are_fit_for_sql_server() -> None:
    assert check_tsql.findings() == []


def test_the_recorder_collects_what_is_executed_and_names_what_is_bad(
    database: Database,
) -> None:
    recorder = Recorder()
    recorder.start()
    try:
        heard_by_one = database.engine.execution_options(**{ONLY_FOR: recorder})
        with Session(heard_by_one) as session:
            session.scalars(select(Job).where(Job.kind == "x").limit(3)).all()
            assert recorder.problems() == []
            session.scalars(select(Job).with_for_update()).all()
            session.scalars(select(Job).where(tuple_(Job.kind, Job.key) > tuple_("a", "b"))).all()
    finally:
        recorder.stop()
    assert any("SELECT TOP 3" in text for text in recorder.texts)
    told = recorder.problems()
    assert len(told) == 2
    assert "with_for_update() needs with_hint" in told[1]
    assert "row values" in told[0]


def test_a_stopped_recorder_hears_nothing(database: Database) -> None:
    recorder = Recorder()
    recorder.start()
    recorder.stop()
    with Session(database.engine) as session:
        session.scalars(select(Job)).all()
    assert recorder.texts == set()
