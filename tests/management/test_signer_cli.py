"""What the signer's own user does at the terminal."""

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pyotp
import pytest
from click.testing import CliRunner, Result
from sqlalchemy import delete, select

from contracts.agent import CommandKind
from management.audit.models import AuditEntry
from management.context import Context, open_context
from management.keys import prepare
from management.migrations.run import upgrade
from management.settings import Settings
from management.signer_messages import ProposedOrder
from management.signer_rules import Limits
from management.signer_server import running
from management.work.models import Job
from runtime.clock import utc_now
from runtime.errors import RefusedError
from sekisho.__main__ import cli

Say = Callable[..., Result]


@pytest.fixture
def served(home: Path) -> Iterator[Context]:
    """A data folder with keys, an embedded database and its signer."""
    prepare(home / "keys", utc_now())
    upgrade(f"sqlite:///{home}/sekisho.db")
    with running(home / "signer", Limits()):
        opened = open_context(Settings(home=home))
        yield opened
        opened.database.close()


@pytest.fixture
def say(served: Context, monkeypatch: pytest.MonkeyPatch) -> Say:
    """Run ``sekisho`` on the data folder, typing *typed*."""
    monkeypatch.setenv("SEKISHO_HOME", str(served.settings.home))

    def run(*words: str, typed: str = "") -> Result:
        return CliRunner().invoke(cli, words, input=typed, standalone_mode=False)

    return run


def code_from(shown: str, seconds: int = 0) -> str:
    uri = re.search(r"otpauth://\S+", shown)
    assert uri is not None
    totp = pyotp.parse_uri(uri[0])
    assert isinstance(totp, pyotp.TOTP)
    return totp.at(int(time.time()) + seconds)


def approver(say: Say, name: str) -> str:
    """Make an approver and return what the terminal showed."""
    half = say("approver", "add", name, typed="000000\n")
    assert isinstance(half.exception, RefusedError)
    whole = say("approver", "add", name, typed=code_from(half.output, -30) + "\n")
    assert f"{name} may approve now." in whole.output, whole.output
    return half.output


def test_an_approver_is_made_with_a_code_shown_at_the_terminal_only(
    served: Context, say: Say
) -> None:
    approver(say, "Ren")
    assert say("approver", "list").output.split() == ["ren"]
    assert isinstance(say("approver", "add", "ren").exception, RefusedError)
    assert say("approver", "remove", "ren").exception is None
    assert say("approver", "list").output == ""


def test_a_set_is_looked_at_and_approved_at_the_terminal(served: Context, say: Say) -> None:
    wanted = [
        ProposedOrder(command_id=uuid4(), command=CommandKind.WIPE, recipient=uuid4(), arguments={})
    ]
    assert "Nothing waits" in say("approver", "sets").output
    fingerprint = served.signer.propose(wanted, "aoi", "stolen van")["fingerprint"]
    assert f"{fingerprint[:16]}  1 x wipe  asked for by aoi" in say("approver", "sets").output
    for place, name in enumerate(("ren", "sora")):
        shown = approver(say, name)
        said = say("approver", "approve", fingerprint[:12], name, typed=code_from(shown) + "\n")
        assert str(wanted[0].recipient) in said.output
        assert ("is approved" in said.output) == (place == 1), said.output
    assert isinstance(say("approver", "approve", "ffff", "ren").exception, RefusedError)


def test_the_order_signing_key_is_followed_by_its_successor_once(served: Context, say: Say) -> None:
    before = served.signer.status()
    assert before["thumbprint"] in say("trust", "show").output
    assert "Nothing waits" in say("trust", "confirm").output
    for _ in range(2):
        said = say("trust", "succeed", before["thumbprint"])
        assert said.exception is None
        assert before["successor_thumbprint"] in said.output
    assert say("trust", "succeed", "-9" + "A" * 41).exception is None, "a thumbprint may begin so"
    with served.database.reading() as session:
        kinds = list(session.scalars(select(Job.kind)))
    assert kinds.count("enrolment.epochs") == 1


def test_a_restore_is_told_to_database_and_signer(served: Context, say: Say) -> None:
    said = say("database", "restored", "disk failure")
    assert said.exception is None, said.output
    assert "0 commands wait for a person" in said.output
    assert "disk failure" in served.signer.status()["paused_because"]


def test_a_checkpoint_is_made_proved_and_forgotten(
    served: Context, say: Say, tmp_path: Path
) -> None:
    say("pause", "one")
    made = say("audit", "checkpoint")
    (token,) = made.output.split()
    kept = tmp_path / "kept"
    kept.write_text(f"{token}\nsomething else\n", "ascii")

    assert say("audit", "checkpoint").output == made.output, "its own entry is no new end"
    whole = say("audit", "verify")
    assert "The audit trail is whole: 2 entries, 2 checkpoints are in it." in whole.output
    doubtful = say("audit", "verify", "--checkpoints", str(kept))
    assert "Line 2 is no checkpoint of this server." in doubtful.output
    assert isinstance(doubtful.exception, SystemExit)

    with served.database.transaction("tamper") as session:
        session.execute(delete(AuditEntry))
    assert "it ended at entry 2" in say("audit", "verify").output
    assert "at the next checkpoint" in say("audit", "forget", "restored").output
    assert "it ended at entry 2" in say("audit", "verify", "--checkpoints", str(kept)).output


def test_a_restore_lets_the_trail_end_earlier(served: Context, say: Say) -> None:
    served.signer.checkpoint(900, "a" * 64)
    assert say("database", "restored", "disk failure").exception is None
    assert say("audit", "checkpoint").exception is None
