"""The connector as a process: it dies at bad moments, is stopped, and runs beside neighbours."""

import json
import signal
import socket
import urllib.request

import pytest

from exchange_connector import configuration
from exchange_connector.spool import Spool
from management.mail_access import wiping
from management.mail_access.models import MailWipe
from runtime.clock import utc_now
from tests.exchange_connector.bed import BY, Bed, log_lines, wait_until
from tests.servers.exchange_wsman import MAXIMUM_SHELLS

pytestmark = pytest.mark.servers

CRASHES = [
    "before commit keep wanted access",
    "after commit keep wanted access",
    "before commit keep mailboxes",
    "after commit keep mailboxes",
    "before commit intend a change",
    "after commit intend a change",
    "before effect exchange",
    "after effect exchange",
    "before commit settle a change",
    "after commit settle a change",
]


@pytest.fixture
def port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def metrics(port: int) -> bytes:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
        said: bytes = answer.read()
        return said


@pytest.mark.parametrize("point", CRASHES)
def test_a_death_at_any_moment_only_repeats_harmless_steps(bed: Bed, port: int, point: str) -> None:
    bed.exchange.add_phone("ada", "ADA1")
    device = bed.enrol("ada@corp.test", "ADA1")
    bed.pair()
    bed.run_pass()
    bed.close()
    bed.say(device, rooted=True)

    mark = bed.home / "crashed"
    died = bed.start_process(port, SEKISHO_CRASH_AT=point, SEKISHO_CRASH_MARK=str(mark))
    assert died.wait(60) == -signal.SIGKILL
    assert mark.exists()

    bed.run_pass(discover=False)
    bed.run_pass()
    assert bed.exchange.blocked() == {("ada", "ADA1")}
    assert bed.exchange.allowed() == set()
    assert bed.partnership("ADA1").applied == "block"
    assert bed.spool
    assert bed.spool.ours()["corp.test/Users/ada"].blocked == {"ADA1"}

    bed.say(device, rooted=False)
    bed.run_pass(discover=False)
    assert bed.exchange.blocked() == set()
    assert bed.history("ADA1") == [
        ("wanted", "allow"),
        ("applied", "allow"),
        ("wanted", "block"),
        ("applied", "block"),
        ("wanted", "allow"),
        ("applied", "allow"),
    ]


WIPE_CRASHES = [
    "before commit keep a wipe",
    "after commit keep a wipe",
    "before effect wipe",
    "after effect wipe",
]


@pytest.mark.parametrize("point", WIPE_CRASHES)
def test_a_death_during_a_wipe_neither_forgets_nor_repeats_it(
    bed: Bed, port: int, point: str
) -> None:
    bed.exchange.add_phone("ada", "ADA1")
    bed.exchange.add_phone("ada", "ADA2")
    bed.pair()
    bed.run_pass()
    bed.close()
    row = bed.partnership("ADA1")
    with bed.context.database.transaction("test") as session:
        ordered = wiping.order_wipe(
            session, bed.context.keys, row.id, "ADA1", True, BY, "lost", utc_now()
        )
    wiping.sign_queued(bed.context, utc_now())

    mark = bed.home / "crashed"
    died = bed.start_process(port, SEKISHO_CRASH_AT=point, SEKISHO_CRASH_MARK=str(mark))
    assert died.wait(60) == -signal.SIGKILL
    bed.run_pass(discover=False)
    assert len(bed.exchange.called("Clear-MobileDevice")) == 1
    assert {one.wiped for one in bed.exchange.phones.values()} == {"account", ""}
    with bed.context.database.reading() as session:
        assert session.get_one(MailWipe, ordered.id).state == "done"


def test_many_deaths_in_a_session_leave_no_session_open(bed: Bed, port: int) -> None:
    bed.exchange.add_phone("ada", "ADA1")
    bed.enrol("ada@corp.test", "ADA1")
    bed.pair()
    bed.close()
    for number in range(MAXIMUM_SHELLS + 1):
        mark = bed.home / f"crashed{number}"
        crash = {"SEKISHO_CRASH_AT": "before effect exchange", "SEKISHO_CRASH_MARK": str(mark)}
        assert bed.start_process(port, **crash).wait(60) == -signal.SIGKILL

    bed.run_pass()
    assert bed.exchange.allowed() == {("ada", "ADA1")}


def test_a_running_connector_acts_answers_and_stops_cleanly(bed: Bed, port: int) -> None:
    bed.exchange.add_phone("ada", "ADA1")
    bed.enrol("ada@corp.test", "ADA1")
    bed.pair()

    process = bed.start_process(port)
    wait_until(lambda: bed.exchange.allowed() == {("ada", "ADA1")})
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz") as answer:
        assert json.load(answer) == {"status": "ok", "wrong": {}}
    wait_until(lambda: b"sekisho_connector_changes_total 1.0" in metrics(port))
    wait_until(lambda: bed.partnership("ADA1").applied == "allow")

    process.send_signal(signal.SIGTERM)
    assert process.wait(120) == 0
    said = [line["message"] for line in log_lines(process)]
    assert "The connector works." in said
    assert "corp.test/Users/ada: allow ADA1" in said
    assert said[-1] == "The connector stopped."
    assert len(said) == len(set(said))
    paired, _ = configuration.load(bed.folder)
    assert paired.name == "mail1"
    spool = Spool(bed.folder / "spool.db")
    assert spool.results(10) == ([], 0)
    spool.close()
