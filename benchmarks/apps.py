"""Judging 100,000 stored apps again with a new pattern set, when no file must be read.

The floor is reading the kept features and results from the same database and taking them apart.
"""

import json
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from sqlalchemy import insert, text

from management import tables
from management.apps import hunting
from management.apps.models import App, AppFeatures, AppVerdict
from management.apps.rejudging import Judge
from management.database import Base, Database, sqlite_url
from patterns import pattern_set
from scanner.isolation import scan_file
from tests.scanner.corpus import real_apk

APPS = 100_000
CHUNK = 1000
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def run() -> Iterator[dict[str, Any]]:
    """Yield seconds of wall clock and processor for the whole, beside the floor."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        first, second = _set(folder, "2099.1.1"), _set(folder, "2099.1.2")
        database = _filled(folder, first)
        floor = _measured(lambda: _read_only(database))
        wall, processor = _measured(lambda: _hunt(database, second))
        database.close()
    yield {
        "name": "apps.judge_again",
        "value": wall,
        "unit": f"s for {APPS} apps ({processor:.1f} s CPU)",
        "floor": floor[0],
        "ratio": processor / floor[1],
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
    fields = json.loads(json.dumps(_fields(result)))
    features = fields.pop("features")
    for start in range(0, APPS, CHUNK):
        _fill(database, range(start, start + CHUNK), fields, features)
    return database


def _fields(result: object) -> dict[str, Any]:
    from contracts import codec

    found: dict[str, Any] = json.loads(codec.write(result))
    return found


def _fill(
    database: Database, numbers: range, fields: dict[str, Any], features: dict[str, Any]
) -> None:
    said = {"pattern_version": fields["pattern_version"], "package": fields["package"]}
    hashes = [sha256(str(number).encode()).hexdigest() for number in numbers]
    with database.transaction("fill") as session:
        session.execute(
            insert(AppVerdict),
            [
                {
                    "id": number + 1,
                    "sha256": name,
                    "last_version": said["pattern_version"],
                    "verdict": fields["verdict"],
                    "result": fields,
                    "judged_at": NOW,
                    **said,
                }
                for number, name in zip(numbers, hashes, strict=True)
            ],
        )
        session.execute(
            insert(AppFeatures),
            [
                {
                    "sha256": name,
                    "pattern_version": said["pattern_version"],
                    "features": features,
                    "kept_at": NOW,
                }
                for name in hashes
            ],
        )
        session.execute(
            insert(App),
            [
                {
                    "sha256": name,
                    "first_seen_at": NOW,
                    "stored": True,
                    "verdict": fields["verdict"],
                    "basis": "file",
                    "rule": fields["findings"][0]["rule"] if fields["findings"] else "",
                    "judged_at": NOW,
                    "verdict_id": number + 1,
                    **said,
                }
                for number, name in zip(numbers, hashes, strict=True)
            ],
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


def _measured(what: Any) -> tuple[float, float]:
    wall, processor = time.perf_counter(), time.process_time()
    what()
    return time.perf_counter() - wall, time.process_time() - processor
