"""The operator's commands, run as they run them: as processes, with their exit status."""

import json
import os
import sqlite3
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from sqlalchemy import update

from management import settings
from management.audit import queries as audit
from management.audit.models import AuditEntry
from management.context import Context, open_context
from management.keys import Keys, prepare
from management.migrations.run import upgrade
from management.safety.queries import get_enforcement
from management.signer_client import SignerClient
from management.signer_rules import Limits
from management.signer_server import running
from runtime.clock import utc_now

pytestmark = pytest.mark.servers


def _sekisho(home: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("SEKISHO_")}
    return subprocess.run(
        [sys.executable, "-m", "sekisho", *words],
        env={**inherited, "SEKISHO_HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.fixture
def server(home: Path) -> Path:
    """A data folder with keys and an embedded database."""
    prepare(home / "keys", utc_now())
    upgrade(f"sqlite:///{home}/sekisho.db")
    return home


def _open(home: Path) -> Context:
    return open_context(settings.Settings(home=home))


def test_a_database_is_made_and_checked(home: Path) -> None:
    before = _sekisho(home, "database", "check")
    assert (before.returncode, "sekisho database upgrade" in before.stderr) == (78, True)

    made = _sekisho(home, "database", "upgrade")
    assert (made.returncode, made.stderr) == (0, "")
    assert (home / "sekisho.db").stat().st_mode & 0o077 == 0

    assert _sekisho(home, "database", "check").returncode == 0
    with sqlite3.connect(home / "sekisho.db") as connection:
        connection.execute("DROP TABLE setting")
    connection.close()
    broken = _sekisho(home, "database", "check")
    assert (broken.returncode, "setting" in broken.stdout) == (1, True)


def test_enforcement_is_paused_and_resumed_with_reason_and_the_signer_too(server: Path) -> None:
    with running(server / "signer", Limits()):
        paused = _sekisho(server, "pause", "stolen laptop")
        assert paused.returncode == 0, paused.stderr
        context = _open(server)
        with context.database.reading() as session:
            row = get_enforcement(session)
            assert (row.paused_by, row.paused_because) == ("command line", "stolen laptop")
        assert context.signer.status()["paused_because"] == "stolen laptop"

        assert _sekisho(server, "resume", "found again").returncode == 0

        assert context.signer.status()["paused_because"] == ""
        with context.database.reading() as session:
            assert get_enforcement(session).paused_at is None
            told = [(one.actor, one.action, one.reason) for one in audit.list_entries(session)]
        context.database.close()
    assert told == [
        ("command line", "enforcement.resume", "found again"),
        ("command line", "enforcement.pause", "stolen laptop"),
    ]


def test_pausing_without_a_reason_is_refused_and_resumes_nothing(server: Path) -> None:
    with running(server / "signer", Limits()):
        assert _sekisho(server, "pause", "stolen laptop").returncode == 0

        refused = _sekisho(server, "pause", " ")

        assert (refused.returncode, "Say why" in refused.stderr) == (64, True)
        context = _open(server)
        assert context.signer.status()["paused_because"] == "stolen laptop"
        context.database.close()


def test_pausing_works_without_the_signer_and_says_so(server: Path) -> None:
    paused = _sekisho(server, "pause", "stolen laptop")
    assert (paused.returncode, "the signer was not told" in paused.stderr) == (1, True)
    assert "The database holds the pause" in paused.stdout


def test_pausing_tells_the_signer_also_when_the_database_does_not_answer(server: Path) -> None:
    (server / "sekisho.db").write_bytes(b"no database" * 100)
    with running(server / "signer", Limits()) as path:
        paused = _sekisho(server, "pause", "stolen laptop")

        assert SignerClient(path).status()["paused_because"] == "stolen laptop"
    assert (paused.returncode, "The signer signs no wipes." in paused.stdout) == (1, True)
    assert "The database does not hold the pause" in paused.stderr


def test_the_audit_trail_is_verified_with_an_exit_status(server: Path) -> None:
    with running(server / "signer", Limits()):
        _sekisho(server, "pause", "one")
        whole = _sekisho(server, "audit", "verify")
    assert (whole.returncode, "whole" in whole.stdout) == (0, True)
    alone = _sekisho(server, "audit", "verify")
    assert (alone.returncode, "signer does not answer" in alone.stderr) == (69, True)
    context = _open(server)
    with context.database.transaction("tamper") as session:
        session.execute(update(AuditEntry).values(reason="two"))
    context.database.close()

    broken = _sekisho(server, "audit", "verify")

    assert broken.returncode == 1
    assert "Audit entry 1 (enforcement.pause" in broken.stdout


def test_commands_refuse_keys_that_others_may_read(server: Path) -> None:
    (server / "keys" / "secret.key").chmod(0o644)
    refused = _sekisho(server, "audit", "verify")
    assert (refused.returncode, "chmod 600" in refused.stderr) == (78, True)


def test_a_backup_holds_what_makes_this_server_and_can_be_restored(
    server: Path, tmp_path: Path
) -> None:
    with running(server / "signer", Limits()) as path:
        _sekisho(server, "pause", "before the backup")
        file = tmp_path / "backup.tar"
        made = _sekisho(server, "database", "backup", str(file))
        assert made.returncode == 0, made.stderr
        assert path.exists()
    assert file.stat().st_mode & 0o777 == 0o600
    again = _sekisho(server, "database", "backup", str(file))
    assert (again.returncode, "never overwrites" in again.stderr) == (77, True)

    restored = tmp_path / "restored"
    restored.mkdir(mode=0o700)
    with tarfile.open(file) as archive:
        archive.extractall(restored)

    assert _sekisho(restored, "database", "check").returncode == 0
    assert (restored / "keys").stat().st_mode & 0o777 == 0o700
    old, new = Keys(server / "keys"), Keys(restored / "keys")
    assert new.unseal(old.seal("x")) == "x"
    with running(restored / "signer", Limits()) as socket:
        assert socket.exists()
        assert _sekisho(restored, "audit", "verify").returncode == 0


def test_a_process_without_its_ground_says_what_is_missing(home: Path) -> None:
    for words in (("management", "web"), ("management", "jobs")):
        refused = _sekisho(home, *words)
        assert refused.returncode == 78, refused.stderr
        assert "is missing" in refused.stderr.splitlines()[-1]


def test_every_check_is_told_at_the_terminal_with_an_exit_status(server: Path) -> None:
    with running(server / "signer", Limits()):
        told = _sekisho(server, "verify")
        lines = _sekisho(server, "verify", "--json").stdout.splitlines()
    assert told.returncode == 1
    assert "ok      Database: The embedded database answers" in told.stdout
    assert "WRONG   Communication servers: There is none" in told.stdout
    assert "        Pair a communication server." in told.stdout
    assert {json.loads(line)["stands"] for line in lines} >= {"ok", "bad"}
