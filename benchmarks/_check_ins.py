"""Devices that check in while something else is measured: a process that takes their reports.

The reports are made before (that is the devices' work, not management's) and taken through the
product's own path, 50 in a transaction, as a visit to a relay takes them. Every tenth of a device
changes what is known of it, so that it is judged otherwise and moves in all lists and counts.
The signer that signs receipts runs in the same process.
"""

import gc
import json
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from contracts.link import Inbound
from management.check_in.visit import CHUNK
from management.context import open_context
from management.settings import Settings
from management.signer_rules import Limits
from management.signer_server import running
from tests.management.phones import Office, Phone, office

PHONES = 200
CHANGES_EVERY = 10
YOUNG_OBJECTS = 20_000
"""As in the product (sekisho/__main__.py)."""


@dataclass
class Taken:
    """What became of them, known when they ended."""

    said: dict[str, float] = field(default_factory=dict)
    """``reports``, ``seconds`` and ``cpu`` (of one core, 0 to 1 and a bit)."""


@contextmanager
def check_ins(home: Path, url: str, wanted: int, reports: int) -> Iterator[Taken]:
    """Let *wanted* reports a second arrive, if they can be taken so quickly, until the block ends
    or all *reports* are taken.
    """
    told = json.dumps([str(home), url, wanted, reports])
    command = [sys.executable, "-m", "benchmarks._check_ins", told]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin and process.stdout
        assert process.stdout.readline() == "ready\n", "the phones could not enrol"
        process.stdin.write("go\n")
        process.stdin.flush()
        taken = Taken()
        yield taken
        process.stdin.write("stop\n")
        process.stdin.flush()
        taken.said = json.loads(process.stdout.readline())


def main(home: str, url: str, wanted: int, reports: int) -> None:
    """Enrol, make the reports, and take them from the word on until the next word."""
    gc.set_threshold(YOUNG_OBJECTS)
    with running(Path(home) / "signer", Limits()):
        context = open_context(Settings(home=Path(home), database_url=url, public_name="localhost"))
        desk = office(context)
        phones = [Phone(desk).enrol() for _ in range(PHONES)]
        made = [
            report
            for number in range(max(1, reports // PHONES))
            for report in _round(phones, number)
        ]
        gc.collect()
        gc.freeze()
        print("ready", flush=True)
        sys.stdin.readline()
        print(json.dumps(_take(desk, made, wanted)), flush=True)
        sys.stdin.readline()  # the word to stop, which may come after the last report
        context.database.close()


def _round(phones: list[Phone], number: int) -> list[Inbound]:
    found = []
    for place, phone in enumerate(phones):
        rooted = (number + place) // CHANGES_EVERY % 2 == 1
        found.append(phone.report(phone.good(rooted=rooted)))
        phone.ack += 1  # the receipt of this report
    return found


def _take(desk: Office, made: list[Inbound], wanted: int) -> dict[str, float]:
    began, cpu, taken = time.perf_counter(), time.process_time(), 0
    while taken < len(made) and not select.select([sys.stdin], [], [], 0)[0]:
        early = began + taken / wanted - time.perf_counter()
        if early > 0:
            time.sleep(early)
        desk.take(*made[taken : taken + CHUNK])
        taken += CHUNK
    seconds = time.perf_counter() - began
    return {
        "reports": taken, "seconds": seconds, "cpu": (time.process_time() - cpu) / seconds,
    }  # fmt: skip


if __name__ == "__main__":
    main(*json.loads(sys.argv[1]))
