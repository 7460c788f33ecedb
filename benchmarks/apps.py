"""Judging 100,000 stored apps again with a new pattern set, when no file must be read.

The floor is reading the kept features and results from the same database and taking them apart.
"""

import gc
import json
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import FromClause, text

from management import tables
from management.apps import hunting
from management.apps.models import App, AppFeatures, AppVerdict
from management.apps.rejudging import Judge
from management.apps.verdicts import keep_result
from management.database import Base, Database, sqlite_url
from patterns import pattern_set
from scanner.isolation import scan_file
from tests.scanner.corpus import real_apk

APPS = 100_000
YOUNG_OBJECTS = 20_000
"""As in the product (sekisho/__main__.py)."""
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def run() -> Iterator[dict[str, Any]]:
    """Yield seconds of one processor for the whole, beside the floor."""
    gc.set_threshold(YOUNG_OBJECTS)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        first, second = _set(folder, "2099.1.1"), _set(folder, "2099.1.2")
        database = _filled(folder, first)
        floor = _measured(lambda: _read_only(database))
        processor = _measured(lambda: _hunt(database, second))
        database.close()
    yield {
        "name": "apps.judge_again",
        "value": processor,
        "unit": f"s CPU for {APPS} apps",
        "floor": floor,
        "ratio": processor / floor,
        "reach": "value<=60",
    }


def _set(folder: Path, version: str) -> Path:
    archive, out = folder / "set.zip", folder / version
    pattern_set.build(pattern_set.SHIPPED, archive, version)
    pattern_set.unpack(archive, out)
    return out


def _filled(folder: Path, patterns: Path) -> Database:
    """Return a database with the same real app under many hashes, judged by the first set."""
    tables.load()
    database = Database(sqlite_url(folder / "apps.db"))
    Base.metadata.create_all(database.engine)
    result = scan_file(real_apk(), patterns)
    name = f"{0:064}"
    with database.transaction("first") as session:
        session.add(App(sha256=name, first_seen_at=NOW, stored=True))
        keep_result(session, name, result, NOW)
    with database.transaction("fill") as session:
        for table in (App, AppFeatures, AppVerdict):
            session.execute(text(_copies(table.__table__)))
    return database


def _copies(table: FromClause) -> str:
    """Return the statement that copies the one row of *table* under all other hashes."""
    own = {"sha256": "printf('%064d', n)", "id": "n + 1", "verdict_id": "n + 1"}
    names = [column.name for column in table.columns]
    values = ", ".join(own.get(column, column) for column in names)
    return (
        f"WITH RECURSIVE seq(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM seq LIMIT {APPS - 1})"
        f" INSERT INTO {table} ({', '.join(names)}) SELECT {values} FROM {table} CROSS JOIN seq"
    )


def _read_only(database: Database) -> None:
    with database.reading() as session:
        rows = session.execute(
            text(
                "SELECT app_features.features, app_verdict.result FROM app_features"
                " JOIN app_verdict ON app_verdict.sha256 = app_features.sha256"
            )
        )
        for features, result in rows:
            json.loads(features)
            json.loads(result)


def _hunt(database: Database, patterns: Path) -> None:
    """Do what `management.apps.work` does, without a server around it."""
    judge, last, judged = Judge(patterns), "", 0
    while True:
        with database.reading() as session:
            known = hunting.known_after(session, last)
        if not known:
            break
        last = known[-1].sha256
        said = [hunting.judge(judge, row) for row in known]
        with database.transaction("judge apps again") as session:
            hunting.keep(session, said, judge.version, NOW)
        judged += sum(not one.unread for one in said)
    if judged != APPS:
        raise AssertionError(f"{APPS - judged} apps needed their file.")


def _measured(what: Any) -> float:
    began = time.process_time()
    what()
    return time.process_time() - began
