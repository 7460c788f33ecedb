"""The ground under every feature: transactions, instants, bounded numbers."""

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from threading import Barrier, Thread

import pytest
from sqlalchemy import Select, select

from management import database as database_module
from management.database import Database, locked, sqlite_url
from management.safety.models import Enforcement
from runtime.errors import UnavailableError

NOON = datetime(2026, 1, 2, 12, 0, 0, 123_456, tzinfo=UTC)


def test_instants_come_back_aware_in_utc_to_the_microsecond(database: Database) -> None:
    tokyo = timezone(timedelta(hours=9))
    with database.transaction("write") as session:
        session.add(Enforcement(id=1, clock_seen_at=NOON.astimezone(tokyo)))

    with database.reading() as session:
        found = session.scalars(select(Enforcement.clock_seen_at)).one()

    assert found == NOON
    assert found is not None
    assert found.tzinfo is UTC


def test_an_error_rolls_the_transaction_back(database: Database) -> None:
    with pytest.raises(ZeroDivisionError), database.transaction("write") as session:
        session.add(Enforcement(id=1))
        session.flush()
        raise ZeroDivisionError

    with database.reading() as session:
        assert session.scalars(select(Enforcement)).all() == []


def test_reading_leaves_nothing_behind(database: Database) -> None:
    with database.reading() as session:
        session.add(Enforcement(id=1))
        session.flush()

    with database.reading() as session:
        assert session.scalars(select(Enforcement)).all() == []


def test_a_busy_database_is_told_as_such(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database_module, "BUSY_SECONDS", 0.1)
    database = Database(sqlite_url(tmp_path / "busy.db"))
    with (
        database.transaction("hold the lock"),
        pytest.raises(UnavailableError, match="busy"),
        database.transaction("wait for it"),
    ):
        pass
    database.close()


def test_one_of_two_that_wait_for_each_other_is_told_to_try_again(database: Database) -> None:
    if database.engine.dialect.name == "sqlite":
        pytest.skip("On SQLite one transaction writes at a time; none waits for another's rows.")
    with database.transaction("prepare") as session:
        session.add_all([Enforcement(id=1), Enforcement(id=2)])
    both, told = Barrier(2), []

    def lock(first: int, second: int) -> None:
        try:
            with database.transaction("lock two rows") as session:
                session.scalars(_row(first)).one()
                both.wait(60)
                session.scalars(_row(second)).one().clock_seen_at = NOON
        except UnavailableError as error:
            told.append(str(error))

    threads = [Thread(target=lock, args=rows) for rows in ((1, 2), (2, 1))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    with database.reading() as session:
        changed = session.scalars(select(Enforcement.clock_seen_at)).all()
    assert len(told) == 1, told
    assert "Try again" in told[0]
    assert sorted(changed, key=str) == [NOON, None]


def _row(number: int) -> Select[Enforcement]:
    return locked(select(Enforcement).where(Enforcement.id == number), Enforcement)
