"""A dry run over 1,000,000 devices with 5 apps each, and over 100,000 with 80 apps.

The policy on trial asks for more than the one that holds, so that devices change. The floor is
reading the same rows and decoding their JSON in this one process. Filling is told, not judged.
"""

import json
import os
import resource
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event, Thread
from typing import Any
from uuid import UUID

import psutil
from sqlalchemy import text

from benchmarks._million import NOW, fill
from management.context import Context, open_context
from management.dry_run import service
from management.dry_run.queries import get_run
from management.dry_run.work import run as work
from management.keys import prepare
from management.policies.rules import Requirements
from management.settings import Settings

ASKED = Requirements(no_developer_options=True)
"""Broken by one device in ten."""


def run() -> Iterator[dict[str, Any]]:
    """Yield seconds and memory of both fleets; ``SEKISHO_BENCH_DEVICES`` makes them smaller."""
    most = int(os.environ.get("SEKISHO_BENCH_DEVICES", "1000000"))
    yield from _measured("1m_5_apps", most, 5, "value<=60")
    yield from _measured("100k_80_apps", most // 10, 80, "stated")


def _measured(name: str, devices: int, apps: int, reach: str) -> Iterator[dict[str, Any]]:
    with TemporaryDirectory() as folder:
        home = Path(folder)
        prepare(home / "keys", NOW)
        began = time.perf_counter()
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as another:
            policy = another.submit(_filled, home, devices, apps).result()
        context = _opened(home)
        yield _row(f"dry_run.fill_{name}", time.perf_counter() - began, "s", "told")
        floor = _floor(context)
        before = _cpu()
        seconds, memory = _tried(context, policy, devices)
        cpu = (_cpu() - before) / devices * 1e6
        yield {
            **_row(f"dry_run.{name}", seconds, "s", reach),
            "floor": floor,
            "ratio": seconds / floor,
        }
        yield _row(f"dry_run.cpu_{name}", cpu, "us/device", "all processes")
        yield _row(f"dry_run.memory_{name}", memory, "MB PSS", "value<=500")
        context.database.close()


def _filled(home: Path, devices: int, apps: int) -> UUID:
    """Fill in a process of its own, so that its memory does not count; return the policy."""
    context = _opened(home)
    policy = fill(context.database, devices, apps).policy
    context.database.close()
    return policy


def _opened(home: Path) -> Context:
    return open_context(Settings(home=home, public_name="localhost"))


def _cpu() -> float:
    """Return the CPU seconds of this process and of those that it started and that ended."""
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in used)


def _floor(context: Context) -> float:
    began = time.perf_counter()
    with context.database.reading() as session:
        found = session.execute(
            text("SELECT facts FROM device_facts"), execution_options={"yield_per": 1000}
        )
        for (facts,) in found:
            json.loads(facts)
    return time.perf_counter() - began


def _tried(context: Context, policy: UUID, devices: int) -> tuple[float, float]:
    with context.database.transaction("ask") as session:
        found = service.try_policy(session, policy, ASKED, "bench", NOW)
    with _Memory() as memory:
        began = time.perf_counter()
        work(context, {"run_id": str(found.id)}, lambda _: None)
        seconds = time.perf_counter() - began
    with context.database.reading() as session:
        done = get_run(session, found.id)
        assert done.state == "done", done.words
        assert done.tally["judged"] == devices
        assert done.tally["changed"] >= devices // 20
    return seconds, memory.most


class _Memory(Thread):
    """Notes the most memory that this process and all below it had together."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.over, self.most = Event(), 0.0

    def run(self) -> None:
        while not self.over.wait(0.5):
            me = psutil.Process()
            family = [me, *me.children(recursive=True)]
            try:
                used = sum(process.memory_full_info().pss for process in family) / 1e6
            except psutil.NoSuchProcess:
                continue
            self.most = max(self.most, used)

    def __enter__(self) -> "_Memory":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self.join()


def _row(name: str, value: float, unit: str, reach: str) -> dict[str, Any]:
    return {"name": name, "value": round(value, 2), "unit": unit, "reach": reach}
