"""The gate as a process, paired with management, through every fault."""

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import httpx
import pytest
from click.testing import CliRunner

from exchange_connector.cli import exchange_connector
from exchange_connector.gate import pairing
from exchange_connector.gate.store import Store
from management.mail_access import by_hand, connectors, queries
from management.mail_access.models import Connector
from runtime.clock import utc_now
from runtime.errors import ConfigurationError, UnauthenticatedError, UnavailableError
from tests.exchange_connector.bed import BY, Bed, wait_until
from tests.exchange_connector.gate_bed import MailServer, ask, mail_server

pytestmark = pytest.mark.servers


@dataclass
class Gate:
    """A paired gate: starts, dies, and asks like a phone."""

    bed: Bed
    server: MailServer
    server_url: str
    port: int
    health_port: int
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}{pairing.PATH}"

    def pair(self, code: str | None = None, server: str = "") -> None:
        wish = pairing.Wish(
            management=self.bed.console.url,
            code=self.bed.code() if code is None else code,
            name="gate1",
            server=server or self.server_url,
        )
        pairing.pair(self.bed.home / "gate", wish)

    def start(self, **environment: str) -> subprocess.Popen[bytes]:
        """Start the process and wait until it listens."""
        log = (self.bed.home / "gate.log").open("ab")
        process = subprocess.Popen(
            [sys.executable, "-m", "sekisho", "exchange-connector", "gate", "run"],
            env={
                **os.environ,
                "SEKISHO_HOME": str(self.bed.home),
                "SEKISHO_GATE_PORT": str(self.port),
                "SEKISHO_GATE_HEALTH_PORT": str(self.health_port),
                "SEKISHO_GATE_MAIL_DOMAIN": "corp.test",
                "SEKISHO_GATE_ASK_SECONDS": "0.05",
                **environment,
            },
            stderr=log,
        )
        log.close()
        self.processes.append(process)
        wait_until(lambda: process.poll() is not None or self.is_healthy(), 120)
        return process

    def is_healthy(self) -> bool:
        try:
            return b'"ok"' in self.get("healthz")
        except OSError:
            return False

    def get(self, path: str) -> bytes:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.health_port}/{path}") as answer:
            said: bytes = answer.read()
            return said

    def ask(self, command: str, *words: Any, **more: Any) -> httpx.Response:
        return ask(self.url, command, *words, **more)

    def is_blocked(self, device_id: str = "ADA1") -> bool:
        """Tell what a phone of version 12.1 is told."""
        return self.ask("FolderSync", device_id, version="12.1").status_code == 403

    def wait_for_block(self, device_id: str = "ADA1", blocked: bool = True) -> None:
        wait_until(lambda: self.is_blocked(device_id) is blocked, 120)

    def end(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
            process.wait(60)
        print((self.bed.home / "gate.log").read_text())  # for whoever looks at a failure


@pytest.fixture
def gate(bed: Bed) -> Iterator[Gate]:
    with (
        mail_server() as (server, url),
        socket.create_server(("127.0.0.1", 0)) as one,
        socket.create_server(("127.0.0.1", 0)) as two,
    ):
        ports = one.getsockname()[1], two.getsockname()[1]
        one.close()
        two.close()
        (bed.home / "gate.log").touch()
        made = Gate(bed, server, url, *ports)
        try:
            yield made
        finally:
            made.end()


def say(bed: Bed, device_id: str, access: Any) -> None:
    """Let an administrator decide about a phone."""
    row = bed.partnership(device_id)
    with bed.context.database.transaction("test") as session:
        word = by_hand.Word(access, "a trial", utc_now() + timedelta(days=1))
        by_hand.make_exceptions(session, bed.context.keys, [row.id], word, BY, utc_now())


def is_known(bed: Bed, device_id: str) -> Callable[[], bool]:
    def known() -> bool:
        with bed.context.database.reading() as session:
            (one,) = queries.list_connectors(session)
            return bool(queries.list_known(session, one.id, [device_id]))

    return known


def test_a_finding_blocks_at_the_next_request_and_ends_the_one_that_waits(gate: Gate) -> None:
    device = gate.bed.enrol("ada@corp.test", "ADA1")
    gate.pair()
    process = gate.start()
    assert gate.ask("FolderSync", "ADA1").content == b"mail"
    assert gate.ask("FolderSync", "STRANGE", "bob").content == b"mail"
    wait_until(is_known(gate.bed, "ADA1"), 120)
    wait_until(lambda: gate.bed.partnership("ADA1").applied == "allow", 120)
    row = gate.bed.partnership("ADA1")
    assert (row.mailbox, row.user_address, row.match) == ("ada@corp.test",) * 2 + ("sure",)
    assert (row.device_type, row.user_agent, row.access_state) == (
        "iPhone",
        "Apple-iPhone",
        "Allowed",
    )
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(gate.ask, "Ping", "ADA1")
        wait_until(lambda: gate.server.waiting == 1, 120)
        gate.bed.say(device, rooted=True)
        assert b"129" in waiting.result(60).content
    assert gate.is_blocked()
    assert gate.ask("FolderSync", "STRANGE", "bob").content == b"mail"
    wait_until(lambda: gate.bed.partnership("ADA1").applied == "block", 120)
    wait_until(lambda: gate.bed.partnership("ADA1").access_state == "Blocked", 120)

    gate.bed.say(device, rooted=False)
    gate.wait_for_block(blocked=False)
    wait_until(lambda: len(gate.bed.history("ADA1")) == 6, 120)
    assert gate.bed.history("ADA1") == [
        (event, access) for access in ("allow", "block", "allow") for event in ("wanted", "applied")
    ]
    assert b'sekisho_gate_requests_total{outcome="cut"} 1.0' in gate.get("metrics")
    assert _connector(gate.bed).kind == "gate"

    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(gate.ask, "Ping", "ADA1")
        wait_until(lambda: gate.server.waiting == 1, 120)
        process.send_signal(signal.SIGTERM)
        assert waiting.result(60).status_code == 503
    assert process.wait(60) == 0
    lines = [json.loads(line) for line in (gate.bed.home / "gate.log").read_text().splitlines()]
    assert [line["message"] for line in lines][-1] == "The gate stopped."
    assert {line["level"] for line in lines} == {"INFO"}
    assert not any("lovelace" in json.dumps(line) for line in lines)


def _connector(bed: Bed) -> Connector:
    with bed.context.database.reading() as session:
        (one,) = queries.list_connectors(session)
        return one


def test_decisions_hold_without_management_and_after_a_sudden_death(gate: Gate) -> None:
    gate.pair()
    process = gate.start()
    gate.ask("FolderSync", "ADA1")
    wait_until(is_known(gate.bed, "ADA1"), 120)
    say(gate.bed, "ADA1", "block")
    gate.wait_for_block()

    gate.bed.console.stop()
    assert gate.is_blocked()
    process.send_signal(signal.SIGKILL)
    process.wait(60)
    process = gate.start()
    assert gate.is_blocked()
    assert gate.ask("FolderSync", "NEW1").content == b"mail"
    process.send_signal(signal.SIGKILL)
    process.wait(60)

    gate.start()
    gate.bed.console.start()
    gate.ask("FolderSync", "NEW2")
    wait_until(is_known(gate.bed, "NEW2"), 120)
    say(gate.bed, "ADA1", "allow")
    gate.wait_for_block(blocked=False)


POINTS = [
    "before commit keep gate decisions",
    "after commit keep gate decisions",
    "before commit tell gate decisions",
    "after commit tell gate decisions",
]


def test_killed_at_any_commit_it_comes_back_with_the_same_decisions(gate: Gate) -> None:
    gate.pair()
    process = gate.start()
    gate.ask("FolderSync", "ADA1")
    wait_until(is_known(gate.bed, "ADA1"), 120)
    for number, point in enumerate(POINTS):
        process.send_signal(signal.SIGKILL)
        process.wait(60)
        blocked = number % 2 == 0
        say(gate.bed, "ADA1", "block" if blocked else "allow")
        mark = gate.bed.home / f"crashed{number}"
        died = gate.start(SEKISHO_CRASH_AT=point, SEKISHO_CRASH_MARK=str(mark))
        assert died.wait(60) == -signal.SIGKILL
        assert mark.exists()
        process = gate.start()
        gate.wait_for_block(blocked=blocked)
    wait_until(lambda: gate.bed.history("ADA1")[-1] == ("applied", "allow"), 120)


def test_pause_undo_and_silence_follow_the_settings(gate: Gate) -> None:
    gate.pair()
    gate.start()
    gate.ask("FolderSync", "ADA1")
    wait_until(is_known(gate.bed, "ADA1"), 120)
    say(gate.bed, "ADA1", "block")
    gate.wait_for_block()
    environment = {"SEKISHO_HOME": str(gate.bed.home)}
    runner = CliRunner(env=environment)

    assert runner.invoke(exchange_connector, ["gate", "undo"]).exit_code == 0
    gate.wait_for_block(blocked=False)
    assert "undone       yes" in runner.invoke(exchange_connector, ["gate", "status"]).output
    assert runner.invoke(exchange_connector, ["gate", "resume"]).exit_code == 0
    gate.wait_for_block()

    connector = _connector(gate.bed)
    _undo(gate.bed, connector, True)
    gate.wait_for_block(blocked=False)
    _undo(gate.bed, connector, False)
    gate.wait_for_block()


def _undo(bed: Bed, connector: Connector, undone: bool) -> None:
    with bed.context.database.transaction("test") as session:
        by_hand.undo(session, bed.context.keys, connector.id, undone, BY, "a trial", utc_now())


@pytest.mark.parametrize("when_silent", ["hold", "open"])
def test_long_silence_of_management_means_what_was_chosen(gate: Gate, when_silent: str) -> None:
    gate.bed.settings(when_silent=when_silent, silent_hours=1)
    gate.pair()
    process = gate.start()
    gate.ask("FolderSync", "ADA1")
    wait_until(is_known(gate.bed, "ADA1"), 120)
    say(gate.bed, "ADA1", "block")
    gate.wait_for_block()
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0
    gate.bed.console.stop()
    store = Store(gate.bed.home / "gate" / "gate.db")
    store.keep_moment("heard_at", utc_now() - timedelta(hours=2))
    store.close()

    gate.start()
    assert gate.is_blocked() is (when_silent == "hold")
    gate.bed.console.start()
    gate.wait_for_block()


def test_with_default_block_only_what_management_allowed_passes(gate: Gate) -> None:
    gate.bed.enrol("ada@corp.test", "ADA1")
    gate.pair()
    process = gate.start()
    gate.ask("FolderSync", "ADA1")
    wait_until(lambda: is_known(gate.bed, "ADA1")(), 120)
    wait_until(lambda: gate.bed.partnership("ADA1").applied == "allow", 120)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0

    gate.start(SEKISHO_GATE_DEFAULT_ACCESS="block")
    assert not gate.is_blocked("ADA1")
    assert gate.is_blocked("STRANGE")
    wait_until(is_known(gate.bed, "STRANGE"), 120)
    assert gate.bed.partnership("STRANGE").access_state == "Blocked"
    say(gate.bed, "STRANGE", "allow")
    gate.wait_for_block("STRANGE", blocked=False)


def test_pairing_needs_a_server_and_a_right_code(gate: Gate) -> None:
    with pytest.raises(ConfigurationError, match="Without TLS"):
        gate.pair(server="http://mail.example.com")
    with pytest.raises(ConfigurationError, match="no http or https"):
        gate.pair(server="mail.example.com")
    with pytest.raises(UnavailableError, match="does not answer"):
        gate.pair(server="http://127.0.0.1:9")
    code = gate.bed.code()
    wrong = "A" * 16 + code[16:]
    with pytest.raises(UnauthenticatedError):
        gate.pair(wrong)
    gate.pair(code)
    with pytest.raises(ConfigurationError, match="paired already"):
        gate.pair(code)


def test_a_disabled_gate_keeps_what_it_has_and_hears_nothing_new(gate: Gate) -> None:
    gate.pair()
    gate.start()
    gate.ask("FolderSync", "ADA1")
    wait_until(is_known(gate.bed, "ADA1"), 120)
    say(gate.bed, "ADA1", "block")
    gate.wait_for_block()
    connector = _connector(gate.bed)
    with gate.bed.context.database.transaction("test") as session:
        connectors.disable_connector(
            session, gate.bed.context.keys, connector.id, BY, "a trial", utc_now()
        )
    wait_until(lambda: b"sekisho_gate_management_up 0.0" in gate.get("metrics"), 120)
    assert gate.is_blocked()
