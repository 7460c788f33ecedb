"""Random deaths for as long as `SEKISHO_SOAK_MINUTES` says; nothing may be lost or done twice."""

import os
import time
from pathlib import Path

import pytest

from tests.end_to_end.afterwards import becomes_whole, holds
from tests.end_to_end.killing import RandomKiller, counted
from tests.end_to_end.walk import killable
from tests.soak.hours import MINUTES, rounds

pytestmark = [pytest.mark.soak, pytest.mark.alone, pytest.mark.timeout(0)]


def test_random_deaths_for_long(tmp_path: Path) -> None:
    seed = int(os.environ.get("SEKISHO_KILL_SEED", time.time_ns() % 1_000_000))
    print(f"SEKISHO_KILL_SEED={seed}", flush=True)
    with killable(tmp_path, {}) as running:
        for number in rounds(MINUTES / 2):
            killer = RandomKiller(running.supervisor, seed + number)
            killer.start()
            try:
                walk = running.walk()
            finally:
                killer.end()
            becomes_whole(running.product)
            holds(walk)
            print(f"walk {number}: {counted(killer.deaths) or 'nobody'} died", flush=True)
        assert "audit trail is whole" in running.product.sekisho("audit", "verify")
