"""What a changed report costs management: opened, verified, stored, judged, receipted.

Reports that change what was known of a device (every other one is rooted now, or no longer), made
before, taken as a visit to a relay takes them: 100 in a transaction, one each of 100 devices. CPU
of this process, in which the signer runs as a thread too; on SQLite, and on PostgreSQL where it is
installed (without the CPU of its server process). The floor is opening one sealed report and
sealing one receipt.
"""

import gc
import os
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from contracts import envelope, keys
from contracts.link import Inbound
from management import tables
from management.check_in.service import take
from management.check_in.visit import CHUNK
from management.context import Context, open_context
from management.database import Base
from management.keys import prepare
from management.settings import Settings
from management.signer_rules import Limits
from management.signer_server import running
from runtime.clock import utc_now
from tests.management.phones import Office, Phone, office
from tests.servers import postgres

DEVICES, ROUNDS = 100, 7


YOUNG_OBJECTS = 20_000
"""As in the product (sekisho/__main__.py)."""


def run() -> Iterator[dict[str, Any]]:
    """Yield CPU milliseconds for each report on each database there is."""
    gc.set_threshold(YOUNG_OBJECTS)
    yield _row("SQLite", *_measured(""))
    if not postgres.BINARIES:
        return
    with postgres.running(Path()) as server:
        server.create_database("bench")
        url = server.url("bench").render_as_string(hide_password=False)
        yield _row("PostgreSQL", *_measured(url))


def _measured(url: str) -> tuple[float, float]:
    with _management(url) as context:
        desk = office(context)
        phones = [Phone(desk).enrol() for _ in range(DEVICES)]
        _take(desk, [phone.report(phone.good()) for phone in phones])
        costs = [_cost(desk, phones, bool(number % 2)) for number in range(ROUNDS)]
        return statistics.median(costs), _floor(phones[0])


def _cost(desk: Office, phones: Sequence[Phone], rooted: bool) -> float:
    for phone in phones:
        phone.ack += 1  # the receipt of the report before
    made = [phone.report(phone.good(rooted=not rooted)) for phone in phones]
    began = time.process_time()
    _take(desk, made)
    return (time.process_time() - began) / len(made) * 1000


def _take(desk: Office, items: Sequence[Inbound]) -> None:
    for start in range(0, len(items), CHUNK):
        with desk.context.database.transaction("take reports") as session:
            take(session, desk.context, desk.relay_id, items[start : start + CHUNK], utc_now())


def _floor(phone: Phone) -> float:
    key, count = phone.office.context.keys.encryption_key(), 100
    sealed = [phone.seal(b"x" * 700) for _ in range(count)]
    signer = keys.new_key()
    began = time.process_time()
    for one in sealed:
        envelope.open_sealed(one, envelope.REPORT, phone.signing_key, key)
        envelope.seal(b"x" * 300, envelope.ORDER, signer, phone.encryption_key)
    return (time.process_time() - began) / count * 1000


def _row(database: str, value: float, floor: float) -> dict[str, Any]:
    name = f"changed report taken and judged, {database}"
    found = {"name": name, "value": value, "unit": "ms CPU", "floor": floor}
    return found | {"ratio": value / floor, "reach": "value<=1.5"}


@contextmanager
def _management(url: str) -> Iterator[Context]:
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as folder:
        home = Path(folder)
        prepare(home / "keys", utc_now())
        tables.load()
        with running(home / "signer", Limits()):
            settings = Settings(home=home, public_name="localhost", database_url=url)
            context = open_context(settings)
            Base.metadata.create_all(context.database.engine)
            yield context
            context.database.close()
