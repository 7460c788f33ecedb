"""What a pass of the Exchange connector costs with 5,000 phones and more, over real sockets.

Management answers over TLS from this process, the stand-in for Exchange is a process of its own.
The floor of an import is pypsrp reading the same two answers and doing nothing with them; the floor
of a block is the one `Set-CASMailbox` it needs. ``SEKISHO_BENCH_PHONES`` sets another number of
phones, 50,000 for example, ``SEKISHO_BENCH_EXCHANGE=online`` reads them from Exchange Online, whose
stand-in costs a tenth of remote PowerShell's. ``mail.import_cpu`` counts the processor time of
management and connector, which no other process on the machine lengthens.
"""

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from exchange_connector.access_rules import Change, Lists
from exchange_connector.backends import psrp
from exchange_connector.backends.cmdlets import Exchange as Session
from exchange_connector.backends.cmdlets import Tally, since_filter
from exchange_connector.backends.online import Tenant
from exchange_connector.backends.opening import Server, backend
from exchange_connector.sync import Look
from management.app import create_app
from management.context import Context, open_context
from management.database import Base
from management.keys import prepare
from management.mail_access import by_hand
from management.mail_access.models import Partnership
from management.settings import Settings
from management.signer_rules import Limits
from management.signer_server import running
from management.tables import load
from runtime.clock import utc_now
from tests.exchange_connector.bed import BY, Bed, Console
from tests.servers.exchange import PASSWORD, USER, Exchange

PHONES = int(os.environ.get("SEKISHO_BENCH_PHONES", "5000"))
MANY = 1_000
MANAGED = 60


def run() -> Iterator[dict[str, Any]]:
    """Yield seconds of an import, of a pass without news, and from a finding to the block."""
    with (
        TemporaryDirectory() as home,
        _exchange(Path(home)) as server,
        _management(Path(home)) as context,
    ):
        console = Console(create_app(context), context, context.settings.home)
        console.start()
        bed = Bed(context, console, Exchange(), "", context.settings.home, server)
        bed.settings(block_limit=1_000_000)
        try:
            yield from _measured(bed, server)
        finally:
            bed.close()
            console.stop()


def _measured(bed: Bed, server: Server) -> Iterator[dict[str, Any]]:
    devices = [
        bed.enrol(f"user{number}@corp.test", f"ApplDNQ{number:05d}0") for number in range(MANAGED)
    ]
    bed.pair()
    (reading, reading_cpu), (importing, cpu) = _both(lambda: _read(server)), _both(bed.run_pass)
    agreed = 30 if PHONES <= 5000 else 300
    yield _row("mail.import", importing, reading, f"seconds, {agreed} agreed")
    yield _row("mail.import_cpu", cpu, reading_cpu, "processor seconds of both")
    yield _row("mail.pass_without_news", _seconds(lambda: bed.run_pass()), reading, "seconds")
    delta = _seconds(lambda: bed.run_pass(look=Look.NEW))
    yield _row("mail.delta_without_news", delta, _seconds(lambda: _read_new(server)), "seconds")
    bed.say(devices[0], rooted=True)
    blocked = _seconds(lambda: bed.run_pass(discover=False))
    assert bed.partnership("ApplDNQ000000").applied == "block"
    one = _seconds(lambda: _change(server))
    yield _row("mail.block_one", blocked, one, "seconds, 30 agreed")
    _block_many(bed)
    many = _seconds(lambda: _until_done(bed))
    yield _row("mail.block_1000", many, _seconds(lambda: _change(server, MANY)), "seconds")
    kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield _row(
        "mail.memory", kib / 1024, kib / 1024, "MiB, management and connector in one process"
    )


def _block_many(bed: Bed) -> None:
    with bed.context.database.transaction("many") as session:
        rows = session.query(Partnership).order_by(Partnership.id.desc()).limit(MANY)
        word = by_hand.Word("block", "a trial", utc_now() + timedelta(days=1))
        ids = [row.id for row in rows]
        by_hand.make_exceptions(session, bed.context.keys, ids, word, BY, utc_now())


def _until_done(bed: Bed) -> None:
    while bed.run_pass(discover=False).unfinished:
        pass


def _read_new(server: Server) -> None:
    with _open(server) as exchange:
        exchange.list_partnerships({}, since_filter(utc_now(), quarantined=True))


def _read(server: Server) -> None:
    with _open(server) as exchange:
        exchange.list_mailboxes()
        exchange.list_partnerships({})


def _change(server: Server, times: int = 1) -> None:
    with _open(server) as exchange:
        change = Change(add=Lists(blocked=frozenset({"FLOOR"})))
        for number in range(times):
            exchange.change(f"corp.test/Users/user{PHONES - 1 - number}", change)


def _open(server: Server) -> AbstractContextManager[Session]:
    return backend(server, 600).session(lambda name: None, Tally())


def _seconds(do: Any) -> float:
    begun = time.perf_counter()
    do()
    return time.perf_counter() - begun


def _both(do: Any) -> tuple[float, float]:
    begun = time.process_time()
    seconds = _seconds(do)
    return seconds, time.process_time() - begun


def _row(name: str, value: float, floor: float, unit: str) -> dict[str, Any]:
    return {
        "name": name,
        "value": round(value, 2),
        "unit": unit,
        "floor": round(floor, 2),
        "ratio": round(value / floor, 2),
        "reach": f"{PHONES} phones, {MANAGED} enrolled",
    }


@contextmanager
def _exchange(home: Path) -> Iterator[Server]:
    online = os.environ.get("SEKISHO_BENCH_EXCHANGE") == "online"
    words = ["-m", "tests.servers.exchange", "--port", "0", "--mailboxes", str(PHONES)]
    if online:
        words[1:4] = ["tests.servers.exchange_online", "--folder", str(home)]
    process = subprocess.Popen([sys.executable, *words], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout
        said = process.stdout.readline()
        if online:
            yield Tenant(**json.loads((home / "tenant.json").read_text("utf-8")))
        else:
            url = said.split()[2].rstrip(",")
            yield psrp.Server(url=url, user=USER, password=PASSWORD)
    finally:
        process.terminate()
        process.wait(10)
        if process.stdout:
            process.stdout.close()


@contextmanager
def _management(home: Path) -> Iterator[Context]:
    prepare(home / "keys", utc_now())
    with running(home / "signer", Limits()):
        context = open_context(Settings(home=home, public_name="localhost"))
        load()
        Base.metadata.create_all(context.database.engine)
        yield context
        context.database.close()
