"""Migrations really run, up and down, and end at the tables that the code expects."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, text
from sqlalchemy.engine import URL

from management.database import Base, Database, sqlite_url
from management.migrations import release, run
from runtime.errors import ConfigurationError


@pytest.fixture
def url(tmp_path: Path) -> URL:
    return sqlite_url(tmp_path / "sekisho.db")


def _tables(url: URL) -> set[str]:
    database = Database(url)
    try:
        return set(inspect(database.engine).get_table_names())
    finally:
        database.close()


def test_upgrading_makes_exactly_the_tables_of_the_code(url: URL) -> None:
    run.upgrade(url)
    assert _tables(url) == {*Base.metadata.tables, "alembic_version"}
    assert run.differences(url) == []


def test_upgrading_again_changes_nothing(url: URL) -> None:
    run.upgrade(url)
    run.upgrade(url)
    assert run.differences(url) == []


def test_every_step_goes_down_and_up_again(url: URL) -> None:
    run.upgrade(url)
    run.downgrade(url, "base")
    assert _tables(url) == {"alembic_version"}
    run.upgrade(url)
    assert run.differences(url) == []


def test_invitations_of_an_older_release_were_never_mailed(url: URL) -> None:
    run.upgrade(url)
    run.downgrade(url, "0002")
    database = Database(url)
    with database.engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO invitation (id, address, person, devices, asks_user, group_id, "
                "key_hash, key_sealed, created_at, created_by, expires_at) VALUES ('1', 'a@b', "
                "'', 0, 0, '0', 'hash', 'sealed', '2026-01-01', 'keeper', '2026-01-08')"
            )
        )
    database.close()
    run.upgrade(url)
    database = Database(url)
    with database.engine.begin() as connection:
        wanted = "language, mailed_at, mails, mail_ask, mail_next_at, mail_problem"
        (row,) = connection.execute(text(f"SELECT {wanted} FROM invitation")).all()
    database.close()
    assert tuple(row) == ("", None, 0, None, None, "")


def test_a_broken_upgrade_leaves_nothing_behind(url: URL, monkeypatch: pytest.MonkeyPatch) -> None:
    database = Database(url)
    with database.engine.begin() as connection:
        connection.execute(text("CREATE TABLE policy (somebody_elses INTEGER)"))
    database.close()
    with pytest.raises(Exception, match="policy"):
        run.upgrade(url)
    assert _tables(url) == {"policy"}


def test_two_upgrades_at_once_do_it_once(url: URL) -> None:
    with ThreadPoolExecutor(1) as pool:  # Alembic keeps its context in a module: one per process
        theirs = pool.submit(
            subprocess.run,
            [
                sys.executable,
                "-c",
                "import sys; from management.migrations.run import upgrade; upgrade(sys.argv[1])",
                str(url),
            ],
            check=False,
        )
        run.upgrade(url)
        assert theirs.result().returncode == 0
    assert run.differences(url) == []


def test_a_database_of_a_newer_release_is_refused(url: URL) -> None:
    run.upgrade(url)
    database = Database(url)
    with database.engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(ConfigurationError, match="newer release of Sekisho \\(revision 9999"):
        release.require_current(database)
    database.close()
    with pytest.raises(ConfigurationError, match="restore a backup"):
        run.upgrade(url)


def test_an_empty_database_is_told_how_to_begin(url: URL) -> None:
    database = Database(url)
    with pytest.raises(ConfigurationError, match=r"is empty.*sekisho database upgrade"):
        release.require_current(database)
    database.close()


def test_a_database_of_this_release_is_content(url: URL) -> None:
    run.upgrade(url)
    database = Database(url)
    release.require_current(database)
    database.close()


def test_files_of_migrations_are_named_after_their_revisions() -> None:
    assert release.head() == ScriptDirectory(str(release.VERSIONS.parent)).get_current_head()


def test_on_the_chosen_database_too(database_url: URL) -> None:
    """The fixture's database has all tables already; migrate an empty copy of its kind."""
    if database_url.get_backend_name() == "sqlite":
        pytest.skip("the tests above did")
    database = Database(database_url)
    Base.metadata.drop_all(database.engine)
    database.close()
    run.upgrade(database_url)
    assert run.differences(database_url) == []
    run.downgrade(database_url, "base")
    assert _tables(database_url) == {"alembic_version"}
