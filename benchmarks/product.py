"""The whole product at rest: time to start, and memory of all processes together (PSS)."""

import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psutil

from tests.end_to_end.product import Product

SETTLE_SECONDS = 20


def run() -> Iterator[dict[str, Any]]:
    """Yield seconds of the first and second start, and idle memory in MB."""
    with TemporaryDirectory() as folder:
        product = Product(
            Path(folder) / "home", {"SEKISHO_RELAY_SECONDS": "2", "SEKISHO_POLL_SECONDS": "900"}
        )
        yield _row("product.first_start", _start(product), "s", "value<=60")
        product.stop()
        yield _row("product.second_start", _start(product), "s", "value<=5")
        time.sleep(SETTLE_SECONDS)
        assert product.process is not None
        yield _row("product.idle_memory", _pss(product.process.pid), "MB PSS", "value<=600")
        product.stop()


def _start(product: Product) -> float:
    started = time.monotonic()
    product.start()
    return time.monotonic() - started


def _pss(pid: int) -> float:
    """Return the proportional set size of *pid* and all below it."""
    top = psutil.Process(pid)
    family = [top, *top.children(recursive=True)]
    return float(sum(process.memory_full_info().pss for process in family)) / 1e6


def _row(name: str, value: float, unit: str, reach: str) -> dict[str, Any]:
    return {"name": name, "value": value, "unit": unit, "reach": reach}
