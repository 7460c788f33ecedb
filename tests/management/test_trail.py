"""What is done on the server itself is in the audit trail, also when the database is away."""

import json
import re
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import click
import pyotp
import pytest
from click.testing import CliRunner, Result
from flask import Flask
from sqlalchemy import select

from contracts.agent import CommandKind
from management import signer_notes
from management.access import Role
from management.administrators import service as administrators
from management.audit import from_signer, queries, service, work
from management.audit.models import AuditEntry
from management.audit.rules import Looked
from management.context import Context, open_context
from management.keys import prepare
from management.migrations.run import upgrade
from management.settings import Settings
from management.signer import Asker, Signer
from management.signer_messages import NewestNotes, Proposals, ProposedOrder, TakeNotes
from management.signer_rules import Limits
from management.signer_server import running
from management.signer_store import Clock, Store
from management.updates.activation import locked_source
from runtime.clock import utc_now
from runtime.errors import RefusedError
from sekisho.__main__ import cli
from tests.management.phones import Phone, office
from tests.management.reaching import reaches_the_trail
from tests.management.trail import ENTRIES, NONE, UNNOTED

Say = Callable[..., Result]
RELAYS = {"fingerprint": "a" * 64, "new": ["the relay https://relay.example.org"]}


@pytest.fixture
def empty(home: Path) -> Iterator[Context]:
    """A data folder with keys and a signer; there is no database yet."""
    prepare(home / "keys", utc_now())
    with running(home / "signer", Limits()):
        opened = open_context(Settings(home=home))
        yield opened
        opened.database.close()


@pytest.fixture
def served(empty: Context) -> Context:
    """The same with a database of this release."""
    upgrade(empty.database.engine.url)
    return empty


@pytest.fixture
def say(empty: Context, monkeypatch: pytest.MonkeyPatch) -> Say:
    """Run ``sekisho`` on the data folder, typing *typed*."""
    monkeypatch.setenv("SEKISHO_HOME", str(empty.settings.home))

    def run(command: str, *words: str, typed: str = "") -> Result:
        return CliRunner().invoke(
            cli, [*command.split(), *words], input=typed, standalone_mode=False
        )

    return run


def commands(group: click.Group, before: tuple[str, ...] = ()) -> Iterator[str]:
    """Walk every command below *group*; a group that has a reason stands for its commands."""
    context = click.Context(group)
    for name in group.list_commands(context):
        found, path = group.get_command(context, name), (*before, name)
        if isinstance(found, click.Group) and " ".join(path) not in NONE:
            yield from commands(found, path)
        else:
            yield " ".join(path)


def told(context: Context) -> list[AuditEntry]:
    """Return the trail, oldest first, with what the signer noted and what waited."""
    work.take_looks_over(context)
    work.take_notes_over(context)
    with context.database.reading() as session:
        found = queries.list_entries(session, limit=1000, looked=Looked.WITH_LOOKS)
    return found[::-1]


def code_from(shown: str, seconds: int = 0) -> str:
    uri = re.search(r"otpauth://\S+", shown)
    assert uri is not None
    totp = pyotp.parse_uri(uri[0])
    assert isinstance(totp, pyotp.TOTP)
    return totp.at(int(time.time()) + seconds)


def approver(say: Say, name: str) -> str:
    """Make an approver; return what the terminal showed."""
    shown = say("approver add", name, typed="000000\n").output
    whole = say("approver add", name, typed=code_from(shown, -30) + "\n")
    assert f"{name} may approve now." in whole.output, whole.output
    return shown


def proposed(context: Context) -> str:
    wanted = [
        ProposedOrder(command_id=uuid4(), command=CommandKind.WIPE, recipient=uuid4(), arguments={})
    ]
    return str(context.signer.propose(wanted, "aoi", "stolen van")["fingerprint"])


def test_every_command_has_an_entry_or_a_reason() -> None:
    found = set(commands(cli))

    assert found - {*ENTRIES, *NONE} == set(), "add them to tests/management/trail"
    assert {*ENTRIES, *NONE} - found == set()
    assert set(ENTRIES) & set(NONE) == set()
    assert all(len(why.split()) > 3 for why in NONE.values())


def test_every_command_makes_the_entry_that_the_table_says(
    served: Context, say: Say, tmp_path: Path
) -> None:
    """Each is run; the upgrade, which wants an older database, has a test of its own."""
    phone = Phone(office(served)).enrol()
    assert say("admin setup-link").exception is None
    assert [one.action for one in told(served)] == [ENTRIES["admin setup-link"]]
    with served.database.transaction("fill") as session:
        administrators.add_administrator(session, "aoi", Role.OWNER, utc_now())
        locked_source(session).address = "file:///nowhere"
    accounts = tmp_path / "accounts.csv"
    accounts.write_text("address,state\nren@example.org,active\n", "ascii")
    with sqlite3.connect(served.settings.home / "signer" / "signer.db") as books:
        wait = "INSERT INTO meta (name, value) VALUES ('trust waiting', ?)"
        books.execute(wait, (json.dumps(RELAYS),))
    books.close()
    fingerprint = proposed(served)
    ends: dict[str, tuple[str, ...]] = {
        "admin recover": ("aoi",),
        "admin token": ("aoi",),
        "approver remove": ("ren",),
        "approver sets": (),
        "audit checkpoint": (),
        "audit forget": ("restored",),
        "database backup": (str(tmp_path / "backup.tar"),),
        "database facts": ("--mend",),
        "database restored": ("disk failure",),
        "directory import": (str(accounts),),
        "explain": (str(phone.device_id),),
        "pause": ("stolen laptop",),
        "resume": ("found again",),
        "trust confirm": ("--yes",),
        "trust succeed": (served.signer.status()["thumbprint"],),
        "update run": (),
    }
    shown = approver(say, "ren")
    say("approver approve", fingerprint[:12], "ren", typed=code_from(shown) + "\n")
    for command, words in ends.items():
        begun = max(one.seq for one in told(served))
        ran = say(command, *words)
        assert not isinstance(ran.exception, RefusedError), (command, ran.exception)
        made = {one.action for one in told(served) if one.seq > begun}
        assert ENTRIES[command] in made, (command, ran.output, ran.exception)
    before = {"admin setup-link", "approver add", "approver approve", "database upgrade"}
    assert {*ends, *before} == set(ENTRIES)
    with served.database.reading() as session:
        assert service.verify(session, served.keys) == []


def test_every_changing_route_leads_to_an_entry_or_has_a_reason(app: Flask) -> None:
    """Of the console, the API and connectors; the code of each is followed, whatever it is sent."""
    without = {
        rule.endpoint
        for rule in app.url_map.iter_rules()
        if (rule.methods or set()) & {"POST", "PUT", "PATCH", "DELETE"}
        and not reaches_the_trail(app.view_functions[rule.endpoint])
    }
    assert without - set(UNNOTED) == set(), "note it, or say in tests/management/trail why not"
    assert set(UNNOTED) - without == set(), "these are noted by now"
    assert all(len(why.split()) > 3 for why in UNNOTED.values())


def test_an_upgrade_is_noted_with_both_revisions(empty: Context, say: Say) -> None:
    upgrade(empty.database.engine.url, "0001")
    assert say("database upgrade").exception is None
    assert say("database upgrade").exception is None
    (entry,) = told(empty)
    assert entry.action == "database.upgrade"
    assert entry.details["before"] == {"revision": "0001"}


def test_a_backup_before_an_upgrade_is_noted_after_it(
    empty: Context, say: Say, tmp_path: Path
) -> None:
    upgrade(empty.database.engine.url, "0001")
    with empty.database.transaction("as if the trail had other columns") as session:
        session.connection().exec_driver_sql("DROP TABLE audit_entry")
    file = tmp_path / "backup.tar"
    assert say("database backup", str(file)).exception is None
    assert file.exists()
    upgrade_anew(empty)
    (entry,) = told(empty)
    assert (entry.action, entry.details["file"]) == ("database.backup", str(file))


def upgrade_anew(context: Context) -> None:
    """Put a whole database of this release in the place of the broken one."""
    context.database.close()
    for path in context.settings.home.glob("sekisho.db*"):
        path.unlink()
    upgrade(context.database.engine.url)


def test_approvers_work_and_are_noted_while_the_database_is_away(empty: Context, say: Say) -> None:
    """An emergency waits for no database: the signer keeps the lines, with its own time."""
    fingerprint = proposed(empty)
    shown = approver(say, "ren")
    said = say("approver approve", fingerprint[:12], "ren", typed=code_from(shown) + "\n")
    assert "Approved by 1 of 2." in said.output, said.output
    assert not list(empty.settings.home.glob("sekisho.db*")), "nobody opened a database"
    noted = say("approver noted").output
    assert "signer.approve" in noted and "approver.add  ren" in noted

    upgrade(empty.database.engine.url)
    entries = [(one.actor, one.action, one.subject, one.reason) for one in told(empty)]
    assert entries == [
        ("command line", "approver.add", "ren", ""),
        ("command line", "look.list", "command sets", ""),
        ("ren", "signer.approve", fingerprint, "stolen van"),
    ]
    assert told(empty)[0].details["by"] == "signer"
    assert len(told(empty)) == 3, "nothing is taken twice"
    assert say("approver noted").output == noted, "and the signer still says so itself"


def test_what_was_refused_is_no_entry(empty: Context, say: Say) -> None:
    say("approver add", "ren", typed="000000\n")
    say("approver remove", "nobody")
    say("trust succeed", "x" * 43)
    say("trust confirm", "--yes")
    assert empty.signer.newest_notes() == []


def test_pausing_without_end_fills_nothing_and_is_never_refused(
    empty: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("management.signer_notes.MOST_WAITING", 3)
    for number in range(6):
        empty.signer.pause(f"reason {number}")
    assert empty.signer.status()["paused_because"] == "reason 5"
    assert [one["reason"] for one in empty.signer.take_notes()] == [
        "reason 0",
        "reason 1",
        "reason 2",
    ]


def test_nobody_pushes_out_of_the_signer_what_took_the_machine_or_a_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A taken-over web process asks for cheap lines without end, and says that all are taken."""
    monkeypatch.setattr(signer_notes, "KEPT", 3)
    monkeypatch.setattr(signer_notes, "AT_ONCE", 2)
    store = Store(tmp_path / "signer.db", Clock())
    with store.transaction("one that counts") as books:
        signer_notes.keep(books, "command line", "approver.add", "ren")
        for number in range(10):
            signer_notes.keep_bounded(books, "signer", "signer.pause", "wipes", reason=str(number))
            signer_notes.asked_for(books, TakeNotes(through=2**50))
        newest = signer_notes.asked_for(books, NewestNotes())
        rows = books.rows.execute("SELECT action FROM note").fetchall()
    kept = [(one["action"], one["reason"]) for one in newest]
    assert [row["action"] for row in rows] == ["approver.add", *["signer.pause"] * 3]
    cheap = [("signer.pause", str(number)) for number in (8, 9)]
    assert kept == [("approver.add", ""), *cheap]


def test_only_who_runs_the_machine_is_noted_as_the_command_line(tmp_path: Path) -> None:
    signer = Signer(tmp_path / "signer", Limits())
    for runs_machine in (False, True):
        signer.answer(Proposals(noted=True), Asker(runs_machine))
    noted = signer.answer(NewestNotes(), Asker(runs_machine=False))["notes"]
    assert [one["actor"] for one in noted] == ["signer", "command line"]


def test_whoever_takes_notes_over_cannot_empty_the_signer(served: Context) -> None:
    served.signer.pause("stolen laptop")
    assert served.signer.take_notes(2**50) == []
    assert [one["reason"] for one in served.signer.newest_notes()] == ["stolen laptop"]
    served.signer.resume()
    from_signer.take_over(served)
    with served.database.reading() as session:
        assert session.scalars(select(AuditEntry.action)).all() == ["signer.resume"]
