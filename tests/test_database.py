"""The ground under every feature: transactions, instants, bounded numbers."""

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from sqlalchemy import select

from management import database as database_module
from management.database import Database, sqlite_url
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
