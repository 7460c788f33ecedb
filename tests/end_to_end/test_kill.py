"""`kill -9` of any process: it is started again, the walk completes, nothing acknowledged is lost.

The processes die just before and just after every commit and every effect outside that the walk
comes by, and at random moments besides.
"""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from sekisho.supervisor import LIVED_LONG
from tests.end_to_end.afterwards import audit_problems, becomes_whole, holds
from tests.end_to_end.killing import (
    Orders,
    Points,
    RandomKiller,
    Reaper,
    counted,
    family,
    is_gone,
)
from tests.end_to_end.product import Product, until
from tests.end_to_end.walk import Site, killable

pytestmark = [pytest.mark.alone, pytest.mark.servers, pytest.mark.timeout(1500)]
RANDOM_WALKS = 2
CLOCK_SECONDS = 40.0
"""What the clock brings without a walk, it brings within this time."""


@pytest.fixture(scope="module")
def orders(tmp_path_factory: pytest.TempPathFactory) -> Orders:
    return Orders(tmp_path_factory.mktemp("orders"))


@pytest.fixture(scope="module")
def running(orders: Orders, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A product whose processes take orders to die; the commands of this test do not."""
    with killable(tmp_path_factory.mktemp("kill"), orders.environment) as prepared:
        becomes_whole(prepared.product)
        yield prepared


def test_a_death_at_every_named_point_loses_and_repeats_nothing(
    running: Site, orders: Orders
) -> None:
    points = learn(running, orders)
    points.keep(learn(running, orders))
    assert len(points.all()) > 80, sorted(points.all())
    reaper = Reaper(orders, running.supervisor, points)
    reaper.start()
    began = time.monotonic()
    try:
        walk_until_all_died(running, reaper)
    finally:
        reaper.end()
        print(
            f"{len(reaper.deaths)} deaths ({counted(reaper.deaths)}) at {len(points.all())} points"
        )
        print(f"in {time.monotonic() - began:.0f} s", flush=True)
    assert not reaper.remaining, f"never came again to {sorted(reaper.remaining)}"
    assert "audit trail is whole" in running.product.sekisho("audit", "verify")


def walk_until_all_died(running: Site, reaper: Reaper) -> None:
    """Take walks until each point had its death, or none was come by on three walks.

    What then is left may come by the clock, too seldom for the short steps of a walk, or once for
    each mailbox: so a new one comes each time. What does not come by then either is of a walk on
    which another point was armed at its moment: it gets a walk of its own.
    """
    fruitless = 0
    while reaper.remaining and fruitless < 3:
        before, walked = len(reaper.remaining), time.monotonic()
        walk = running.walk(reaper.begin)
        reaper.begin("nothing more")
        becomes_whole(running.product)
        holds(walk)
        left = len(reaper.remaining)
        fruitless = fruitless + 1 if left == before else 0
        seconds = time.monotonic() - walked
        print(f"walk {walk.number}: {before - left} deaths, {left} points left, {seconds:.0f} s")
    for place, point in enumerate(sorted(reaper.remaining)):
        reaper.wait_for(point)
        running.exchange.add_phone(f"late{place}", f"LATE{place}")
        give_up = time.monotonic() + CLOCK_SECONDS
        while point in reaper.remaining and time.monotonic() < give_up:
            time.sleep(0.2)
        walks = [running.walk()] if point in reaper.remaining else []
        reaper.begin("nothing more")
        becomes_whole(running.product)
        for walk in walks:
            holds(walk)


def learn(running: Site, orders: Orders) -> Points:
    """Take one walk on which nobody dies, and note which process comes by which point when."""
    points, seen = Points(), family(running.supervisor)
    place, step = orders.passed(0)[1], ""

    def at(next_step: str) -> None:
        nonlocal place, step
        seen.update(family(running.supervisor))
        passed, place = orders.passed(place)
        for pid, point in passed if step else []:
            points.kinds[point] = seen[pid]
            here = points.steps.setdefault(step, [])
            if point not in here:
                here.append(point)
        step = next_step

    walk = running.walk(at)
    at("")
    holds(walk)
    return points


STARTS = {
    "jobs": [
        "before commit free jobs of the dead",
        "after commit free jobs of the dead",
        "before commit judge devices",
        "after commit judge devices",
        "before commit note clock",
        "after commit note clock",
        "before commit forget old jobs",
        "after commit forget old jobs",
    ],
    "communication": ["before commit old", "after commit old"],
}
"""What a process passes only when it starts."""


@pytest.mark.parametrize(
    ("kind", "point"), [(kind, point) for kind, points in STARTS.items() for point in points]
)
def test_a_death_while_starting_is_survived_too(
    running: Site, orders: Orders, kind: str, point: str
) -> None:
    until(f"{kind} has lived long enough for a short pause", lambda: has_lived(running, kind))
    orders.arm(point)
    kill(running, kind)
    until(f"{kind} dies at {point}", orders.victim, 60)
    becomes_whole(running.product)


def has_lived(running: Site, kind: str) -> bool:
    """Tell whether it surely lived long: psutil's times of birth are good to a second or two."""
    pids = [pid for pid, found in family(running.supervisor).items() if found == kind]
    return all(time.time() - psutil.Process(pid).create_time() > LIVED_LONG + 2 for pid in pids)


def kill(running: Site, kind: str) -> None:
    for pid, found in family(running.supervisor).items():
        if found == kind:
            psutil.Process(pid).kill()


def test_deaths_at_random_moments(running: Site, orders: Orders) -> None:
    orders.disarm()
    seed = int(os.environ.get("SEKISHO_KILL_SEED", time.time_ns() % 1_000_000))
    print(f"SEKISHO_KILL_SEED={seed}")
    killer = RandomKiller(running.supervisor, seed)
    killer.start()
    try:
        walks = [running.walk() for _ in range(RANDOM_WALKS)]
    finally:
        killer.end()
    print(f"{len(killer.deaths)} random deaths: {counted(killer.deaths)}")
    becomes_whole(running.product)
    for walk in walks:
        holds(walk)
    assert "audit trail is whole" in running.product.sekisho("audit", "verify")


def test_the_supervisors_death_leaves_no_orphan_and_a_second_start_keeps_everything(
    running: Site,
) -> None:
    before = running.walk()
    product = running.product
    assert product.process is not None
    everybody = family(product.process.pid)
    product.process.send_signal(signal.SIGKILL)
    product.process.wait(120)
    until("nobody is left over", lambda: all(map(is_gone, everybody)), 15)
    product.start()
    becomes_whole(product)
    holds(before)
    holds(running.walk())


def test_a_set_up_that_dies_anywhere_is_finished_by_the_next(tmp_path: Path) -> None:
    first = [
        "before effect install patterns",
        "after effect install patterns",
        "before commit first start",
        "after commit first start",
    ]
    for number, point in enumerate(first):
        orders = Orders(tmp_path / f"orders{number}")
        product = Product(tmp_path / f"home{number}", environment=orders.environment)
        orders.arm(point)
        product.sekisho("set-up", check=False)
        assert orders.victim(), f"never came to {point}"
        assert "console" in product.sekisho("set-up", "--json")
        assert audit_problems(product.home) == []
