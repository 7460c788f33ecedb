"""The kit's test relay passes our simulator and names each sentence that an agent breaks."""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from agents.conformance.agent_clauses import CLAUSES
from agents.conformance.agent_run import opened
from agents.conformance.clauses import Clause, Outcome, run
from agents.conformance.stage import Stage
from agents.simulator.device import SimulatedDevice
from agents.simulator.sims import SimCard
from contracts.agent import DeviceDescription
from runtime.errors import SekishoError
from tests.agents import broken_agents
from tests.agents.broken_agents import BREAKS

pytestmark = pytest.mark.servers
PHONE = DeviceDescription(platform="android", model="Under test")
TRAPS = ("2/fingerprint", "2/tls")
FROM_THE_START = ("4/signed", "8/first")
"""Broken while the clauses before look on, which they do not mind."""
IDS = [*TRAPS, *(clause.id for clause in CLAUSES)]


class _Stopped(Exception):  # noqa: N818  (nothing is wrong)
    """The test is over."""


@contextmanager
def _agent(folder: Path, codes: list[str], breaks: str = "") -> Iterator[None]:
    """Let the simulated device try the traps, enrol and run in a thread until the block ends."""
    stop = threading.Event()

    def wait(seconds: float) -> None:
        if stop.wait(0.2 if breaks == "6/retry-after" else seconds):
            raise _Stopped

    def live() -> None:
        with suppress(_Stopped):
            for place, code in enumerate(codes[:-1]):
                with suppress(SekishoError):
                    trapped = SimulatedDevice(folder / f"trapped{place}", wait=wait)
                    trapped.begin_enrolment(code, PHONE)
            device = SimulatedDevice(folder / "phone", wait=wait)
            device.insert_sim(SimCard(iccid="8981100000000000001", operator="KDDI", country="JP"))
            while device.state.membership is None:  # as a patient user would: again and again
                with suppress(SekishoError):
                    device.enrol(codes[-1], PHONE)
                wait(0.5)
            hurried = breaks and breaks not in ("5/retry-after", "5/back-off")
            if breaks != "6/enrolled":
                device.run(stop, 0.2 if hurried else None)

    thread = threading.Thread(target=live)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(120)


def test_our_simulator_keeps_every_clause(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "sekisho", "conformance", "--agent", "--json"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as kit:
        assert kit.stderr is not None
        codes: list[str] = []
        while len(codes) < 3:
            codes += [word for word in kit.stderr.readline().split() if "sekisho://" in word]
        with _agent(tmp_path, codes):
            told, _ = kit.communicate(timeout=600)

    results = {one["clause"]: one["because"] for one in map(json.loads, told.splitlines())}
    assert list(results) == IDS
    assert {name: because for name, because in results.items() if because} == {}
    assert kit.returncode == 0


def test_every_clause_has_an_agent_that_breaks_it() -> None:
    assert sorted(BREAKS) == sorted(IDS)


@pytest.mark.parametrize("name", IDS)
def test_an_agent_that_breaks_a_clause_is_found(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    armed = threading.Event()
    with opened("127.0.0.1", 0, "localhost", patience=20) as kit:
        monkeypatch.setitem(broken_agents.SECRET, "key", kit.stage.enrolment_key)
        BREAKS[name](monkeypatch, armed)
        if name[0] in "26" or name in FROM_THE_START:
            armed.set()
        tried = list(_up_to(name, kit.clauses, armed))
        with _agent(tmp_path, kit.codes if name in TRAPS else kit.codes[-1:], name):
            results = list(run(tried, kit.stage))

    assert [one.clause.id for one in results if one.outcome is not Outcome.KEPT] == [name], results
    assert results[-1].because


def _up_to(
    name: str, clauses: list[Clause[Stage]], armed: threading.Event
) -> Iterator[Clause[Stage]]:
    """Yield the clauses without which nothing goes on, then the one that is broken from now on."""
    for clause in clauses:
        if clause.id == name:
            yield Clause("", "", lambda stage: armed.set())
            yield clause
            return
        if clause.opens:
            yield clause


def test_what_the_kit_waits_for_in_vain_is_named(tmp_path: Path) -> None:
    began = time.monotonic()
    with opened("127.0.0.1", 0, "localhost", patience=0.5) as kit:
        results = list(run(kit.clauses, kit.stage))

    assert results[0].because == "The agent did not try the code of the trap within 0 s."
    assert {one.outcome for one in results[3:]} == {Outcome.NOT_TRIED}
    assert time.monotonic() - began < 60
