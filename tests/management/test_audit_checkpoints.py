"""The trail's end is signed, kept outside, and nobody shortens or rewrites it unnoticed."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Thread

import pytest
from sqlalchemy import delete, update

from contracts import codec, envelope
from contracts import keys as jwk
from contracts.audit import AuditCheckpoint
from management.audit import checkpoints, outside, queries, service, work
from management.audit.models import AuditEntry, Checkpoint
from management.context import Context
from management.signer_client import SignerClient
from management.signer_rules import Limits
from management.signer_server import running
from runtime.errors import ConfigurationError, RefusedError, UnavailableError
from tests.management.clients import ConsoleClient

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def _write(context: Context, number: int, at: datetime = NOW) -> None:
    with context.database.transaction("test") as session:
        for index in range(number):
            service.record(session, context.keys, "aoi", "device.lock", f"phone {index}", now=at)


def _problems(context: Context, marks: list[service.Mark] | None = None) -> list[str]:
    with context.database.reading() as session:
        if marks is None:
            marks = checkpoints.held(session, context.signer)
        return service.verify(session, context.keys, marks)


def _cut(context: Context, after: int) -> None:
    """Remove the newest entries, and what this database says of them."""
    with context.database.transaction("tamper") as session:
        session.execute(delete(AuditEntry).where(AuditEntry.seq > after))
        session.execute(delete(Checkpoint).where(Checkpoint.seq > after))


def _with(context: Context, **changed: object) -> Context:
    return replace(context, settings=replace(context.settings, **changed))  # type: ignore[arg-type]


def _run(context: Context) -> list[str]:
    said: list[str] = []
    work.checkpoint(context, {}, said.append)
    return said


def test_a_checkpoint_says_where_the_trail_ends_and_is_signed(context: Context) -> None:
    assert checkpoints.make(context) is None
    _write(context, 3)

    made = checkpoints.make(context)

    assert made is not None
    with context.database.reading() as session:
        last, row = queries.last_entry(session), queries.last_checkpoint(session)
    assert last is not None
    assert row is not None
    assert (made.seq, made.mac) == (3, last.mac)
    key = jwk.read_public(context.signer.public_key())
    assert codec.read(AuditCheckpoint, envelope.verify(row.token, envelope.AUDIT, key)) == made
    assert checkpoints.make(context) is None
    assert _problems(context) == []


def test_removed_newest_entries_are_noticed_by_the_signers_memory(context: Context) -> None:
    _write(context, 5)
    checkpoints.make(context)
    _cut(context, after=2)

    (problem,) = _problems(context)
    assert problem.startswith("The trail ends at entry 2, but on ")
    assert "it ended at entry 5: entries were removed" in problem
    with pytest.raises(RefusedError, match=r"ends at entry 2, but at .* it ended at entry 5"):
        checkpoints.make(context)


def test_a_trail_written_anew_with_the_servers_own_keys_is_noticed(context: Context) -> None:
    _write(context, 3)
    checkpoints.make(context)
    _cut(context, after=1)
    _write(context, 4, NOW + timedelta(hours=1))

    assert _problems(context, []) == []
    (problem,) = _problems(context)
    assert problem.startswith("Audit entry 3 is not the one that was there on ")


def test_the_same_end_with_another_content_is_refused(context: Context) -> None:
    _write(context, 2)
    checkpoints.make(context)
    _cut(context, after=1)
    _write(context, 1, NOW + timedelta(hours=1))
    with pytest.raises(RefusedError, match="Audit entry 2 is not the one"):
        checkpoints.make(context)


def test_the_memory_outlives_the_signers_process(tmp_path: Path) -> None:
    with running(tmp_path / "signer", Limits()) as at:
        SignerClient(at).checkpoint(7, "a" * 64)
    with running(tmp_path / "signer", Limits()) as at:
        with pytest.raises(RefusedError):
            SignerClient(at).checkpoint(6, "b" * 64)
        SignerClient(at).forget_checkpoint("restored")
        SignerClient(at).checkpoint(6, "b" * 64)


def test_checkpoints_go_to_a_file_that_proves_the_trail(context: Context, tmp_path: Path) -> None:
    file = tmp_path / "far" / "checkpoints"
    there = _with(context, audit_file=str(file))
    _write(context, 2)
    with pytest.raises(UnavailableError, match="cannot be written"):
        _run(there)
    file.parent.mkdir()
    _write(context, 2)

    _run(there)
    _run(there)

    lines = file.read_text("ascii").splitlines()
    assert len(lines) == 2
    read = checkpoints.read_file(file, context.signer)
    assert ([mark.seq for mark in read.marks], read.problems) == ([2, 4], [])
    with context.database.reading() as session:
        rows = queries.list_checkpoints(session)
    assert [(row.told, row.problem, row.waiting) for row in rows] == [
        ([f"file {file}"], "", False)
    ] * 2
    context.signer.forget_checkpoint("the attacker owns this machine")
    _cut(context, after=3)
    assert _problems(context) == []
    assert "it ended at entry 4" in _problems(context, read.marks)[0]


def test_a_line_that_this_server_did_not_sign_is_named_and_believed_nothing(
    context: Context, tmp_path: Path
) -> None:
    _write(context, 1)
    file = tmp_path / "checkpoints"
    _run(_with(context, audit_file=str(file)))
    strange = AuditCheckpoint(seq=900, mac="0" * 64, at=NOW)
    forged = envelope.sign(codec.write(strange), envelope.AUDIT, jwk.new_key())
    good = file.read_text("ascii")
    file.write_text(f"\n<109>1 2026-11-22T12:00:00Z host - - - {good}{forged}\nno token\n", "ascii")

    read = checkpoints.read_file(file, context.signer)

    assert [mark.seq for mark in read.marks] == [1]
    assert [problem.split(" is no")[0] for problem in read.problems] == ["Line 3", "Line 4"]
    assert "not this server's" in read.problems[0]


def test_an_order_is_no_checkpoint_although_the_same_key_signed_it(
    context: Context, tmp_path: Path
) -> None:
    _write(context, 1)
    checkpoints.make(context)
    key = jwk.read_public(context.signer.public_key())
    with context.database.reading() as session:
        row = queries.last_checkpoint(session)
    assert row is not None
    with pytest.raises(Exception, match="Signed as"):
        envelope.verify(row.token, envelope.ORDER, key)


@pytest.mark.parametrize("scheme", ["udp", "tcp"])
def test_checkpoints_go_to_a_syslog_server(context: Context, scheme: str) -> None:
    _write(context, 1)
    with _syslog(scheme) as (port, heard):
        _run(_with(context, audit_syslog=f"{scheme}://127.0.0.1:{port}"))
    with context.database.reading() as session:
        row = queries.last_checkpoint(session)
    assert row is not None
    assert row.told == ["syslog 127.0.0.1"]
    text = heard[0].decode("ascii")
    if scheme == "tcp":
        length, _, text = text.partition(" ")
        assert int(length) == len(text)
    assert text.startswith("<109>1 ")
    assert text.endswith(f" sekisho - audit-checkpoint - {row.token}")


@contextmanager
def _syslog(scheme: str) -> Iterator[tuple[int, list[bytes]]]:
    """A server that takes one message and remembers it."""
    kind = socket.SOCK_DGRAM if scheme == "udp" else socket.SOCK_STREAM
    heard: list[bytes] = []
    with socket.socket(socket.AF_INET, kind) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(60)
        if scheme == "tcp":
            server.listen()
        listener = Thread(target=_hear, args=(server, scheme, heard))
        listener.start()
        yield server.getsockname()[1], heard
        listener.join(60)


def _hear(server: socket.socket, scheme: str, heard: list[bytes]) -> None:
    if scheme == "udp":
        heard.append(server.recv(65_536))
        return
    connection, _ = server.accept()
    with connection, connection.makefile("rb") as stream:
        heard.append(stream.read())


def test_a_syslog_server_that_is_away_is_told_later(context: Context) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    there = _with(context, audit_syslog=f"tcp://127.0.0.1:{port}")
    _write(context, 1)
    with pytest.raises(UnavailableError, match="cannot be reached"):
        _run(there)
    with context.database.reading() as session:
        row = queries.last_checkpoint(session)
    assert row is not None
    assert row.waiting
    assert "cannot be reached" in row.problem
    with _syslog("udp") as (port, heard):
        _run(_with(context, audit_syslog=f"udp://127.0.0.1:{port}"))
    assert len(heard) == 1


@pytest.mark.parametrize("address", ["logs", "http://logs", "udp://", "udp://x:99999", "tcp://x/y"])
def test_a_wrong_syslog_address_is_named(address: str) -> None:
    with pytest.raises(ConfigurationError, match="SEKISHO_AUDIT_SYSLOG"):
        outside.places("", address)


# --- forgetting by age ---


def test_what_is_too_old_is_forgotten_and_the_rest_still_proves_itself(context: Context) -> None:
    _write(context, 5, NOW - timedelta(days=4000))
    checkpoints.make(context)
    _write(context, 3)

    work.purge(context, {}, print)
    work.purge(context, {}, print)

    with context.database.reading() as session:
        entries = queries.list_entries(session)
    assert [entry.seq for entry in entries] == [9, 8, 7, 6]
    assert entries[0].action == "audit.purge"
    assert entries[0].details["entries"] == 5
    assert _problems(context) == []
    with context.database.transaction("tamper") as session:
        session.execute(delete(AuditEntry).where(AuditEntry.seq == 6))
    assert _problems(context) == ["Audit entry 6 is missing: the next one there is 7."]


def test_many_old_entries_go_in_several_steps(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "PURGED_AT_ONCE", 4)
    _write(context, 10, NOW - timedelta(days=4000))
    _write(context, 2)
    said: list[str] = []

    work.purge(context, {}, said.append)

    assert said == [f"{gone} entries are forgotten." for gone in (4, 8, 10)]
    with context.database.reading() as session:
        assert [one.seq for one in queries.list_entries(session)] == [15, 14, 13, 12, 11]
    assert _problems(context) == []


def test_nothing_young_is_forgotten(context: Context) -> None:
    _write(context, 3)
    work.purge(context, {}, print)
    with context.database.reading() as session:
        assert len(queries.list_entries(session)) == 3


def test_a_purge_that_nobody_made_is_no_excuse(context: Context) -> None:
    _write(context, 3)
    with context.database.transaction("tamper") as session:
        third = session.get_one(AuditEntry, 3)
        first_mac = session.get_one(AuditEntry, 1).mac
        details = {"through": 1, "mac": first_mac}
        changed = update(AuditEntry).where(AuditEntry.seq == third.seq)
        session.execute(changed.values(action=service.PURGE, details=details))
        session.execute(delete(AuditEntry).where(AuditEntry.seq == 1))
    assert "was changed" in _problems(context)[0]


# --- the page ---


def test_the_page_says_what_is_kept_outside_and_gives_the_checkpoints(
    console: ConsoleClient, context: Context
) -> None:
    assert "None was made yet" in console.get("/audit").text
    _write(context, 1)
    checkpoints.make(context)
    page = console.get("/audit").text
    assert "Nothing outside this server keeps it yet" in page

    fetched = console.get("/audit/checkpoints.txt")

    assert fetched.headers["Content-Disposition"].startswith("attachment")
    key = jwk.read_public(context.signer.public_key())
    (line,) = fetched.text.splitlines()
    envelope.verify(line, envelope.AUDIT, key)
    with context.database.reading() as session:
        assert queries.list_entries(session, limit=1)[0].action == "audit.checkpoints"


def test_the_page_says_that_entries_are_missing(console: ConsoleClient, context: Context) -> None:
    _write(context, 5)
    checkpoints.make(context)
    _cut(context, after=2)
    console.post("/audit/verify")
    assert "entries were removed" in console.get("/audit").text
