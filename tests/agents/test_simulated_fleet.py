"""`sekisho simulate fleet`: many devices of all profiles against the real relay and management."""

import json
import os
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from agents.simulator.device import SimulatedDevice
from agents.simulator.shares import DEFAULT, Behaviour, deal, read_shares
from agents.simulator.tally import percentile
from contracts.agent import CommandKind
from management.devices.models import Device
from management.devices.queries import get_facts
from management.devices.rules import FactKind
from management.enrolment.service import invite, qr_content
from runtime.clock import utc_now
from runtime.errors import MalformedMessageError
from sekisho.simulate import simulate
from tests.agents.headquarters import Headquarters

PROFILES = "healthy=12,rooted=2,outdated=2,lost=2,lying-clock=1,hostile=1"
ATTACKS = {
    ("relay", "forged poll token"),
    ("relay", "request signed with another key"),
    ("relay", "request signed for another device"),
    ("relay", "signed request sent twice"),
    ("relay", "signed body exchanged on the way"),
    ("relay", "signed garbage"),
    ("relay", "garbage without signature"),
    ("relay", "oversized report"),
    ("relay", "garbage as enrolment"),
    ("management", "report forged with another key"),
    ("management", "report in another device's name"),
    ("management", "report out of its turn"),
    ("management", "report of an enrolment never made"),
    ("management", "garbage for management"),
    ("management", "honest report once more"),
    ("management", "made-up enrolment key"),
}


# --- shares ---


def test_shares_are_read_and_every_profile_with_a_share_gets_a_device() -> None:
    assert read_shares("healthy=90, hostile") == {Behaviour.HEALTHY: 90, Behaviour.HOSTILE: 1}
    assert Counter(deal(read_shares("healthy=90,rooted=5,hostile=5"), 20)) == {
        "healthy": 18, "rooted": 1, "hostile": 1,
    }  # fmt: skip
    assert set(deal(read_shares(DEFAULT), 6)) == set(Behaviour)


@given(st.dictionaries(st.sampled_from(Behaviour), st.integers(1, 100), min_size=1),
       st.integers(0, 300))  # fmt: skip
def test_each_profile_gets_its_share(shares: dict[Behaviour, int], count: int) -> None:
    dealt = Counter(deal(shares, count))

    assert dealt.total() == count
    if count >= len(shares):
        assert set(dealt) == set(shares)
    for profile, share in shares.items():
        wanted = share / sum(shares.values()) * count
        assert abs(dealt[profile] - wanted) <= len(shares)


@pytest.mark.parametrize("text", ["", "well=3", "healthy=x", "healthy=1,healthy=2", "rooted=-1"])
def test_what_is_no_share_is_named(text: str) -> None:
    with pytest.raises(MalformedMessageError, match="is no share of profiles"):
        read_shares(text)


def test_percentiles_are_values_that_were_measured() -> None:
    hundred = [float(number) for number in range(1, 101)]
    assert (percentile(hundred, 0.5), percentile(hundred, 0.95)) == (50.0, 95.0)
    assert (percentile([7.0], 0.95), percentile([], 0.5)) == (7.0, 0.0)


def test_a_fleet_needs_codes(tmp_path: Path) -> None:
    few = tmp_path / "codes"
    few.write_text("one\n\ntwo\n", encoding="utf-8")

    assert "Say either" in CliRunner().invoke(simulate, ["--devices", "3"]).output
    with pytest.raises(MalformedMessageError, match="has 2 enrolment codes, 3 devices"):
        CliRunner().invoke(
            simulate, ["--devices", "3", "--codes", str(few)], catch_exceptions=False
        )


# --- against the real thing ---


@contextmanager
def _visiting(hq: Headquarters) -> Iterator[None]:
    stop = threading.Event()

    def visit() -> None:
        while not stop.wait(0.2):
            hq.visit()

    thread = threading.Thread(target=visit)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _key_for_all(hq: Headquarters) -> str:
    with hq.context.database.transaction("invite") as session:
        _, key = invite(
            *(session, hq.context.keys, "fleet@example.jp", "Fleet", hq.policy_id),
            *(timedelta(days=1), "a test", utc_now()),
            most_devices=None,
        )
    return qr_content(key, hq.devices_url, str(hq.context.signer.status()["thumbprint"]))


def _simulate(hq: Headquarters, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    with _visiting(hq):
        return subprocess.run(
            [sys.executable, "-m", "sekisho", "simulate", *words, "--key", _key_for_all(hq),
             "--folder", str(folder), "--patience", "300"],
            env=dict(os.environ),
            capture_output=True,
            text=True,
            check=False,
            timeout=550,
        )  # fmt: skip


@pytest.mark.servers
def test_twenty_devices_of_all_profiles_do_what_they_should(
    hq: Headquarters, tmp_path: Path
) -> None:
    done = _simulate(
        *(hq, tmp_path / "fleet", "--devices", "20", "--profile", PROFILES),
        *("--seconds", "5", "--every", "1", "--json"),
    )

    assert done.returncode == 0, done.stdout + done.stderr
    said = json.loads(done.stdout)
    assert (said["as_expected"], said["unexpected"]) == (True, [])
    profiles = said["profiles"]
    assert {name: (one["devices"], one["enrolled"]) for name, one in profiles.items()} == {
        "healthy": (12, 12), "rooted": (2, 2), "outdated": (2, 2), "lost": (2, 2),
        "lying-clock": (1, 1), "hostile": (1, 1),
    }  # fmt: skip
    assert all(one["reports"] >= one["devices"] for one in profiles.values())
    assert profiles["lost"]["check_ins"] == 2, "one each, then silence"
    assert profiles["lying-clock"]["clock_set"] == 1
    hostile = profiles["hostile"]
    assert hostile["tried"] == hostile["refused"] >= len(ATTACKS)
    refused = {(one["by"], one["what"]): one for one in said["refusals"]}
    assert set(refused) >= ATTACKS
    assert all(one["why"] for one in said["refusals"])
    assert said["latency_ms"]["poll"]["p95"] >= said["latency_ms"]["poll"]["p50"] > 0
    assert "enrolled 20/20" in done.stderr.splitlines()[-1]
    _judged_as_they_are(hq, tmp_path / "fleet")


def _judged_as_they_are(hq: Headquarters, folder: Path) -> None:
    dealt = deal(read_shares(PROFILES), 20)
    hq.visit()
    with hq.context.database.reading() as session:
        for place, profile in enumerate(dealt):
            device_id = SimulatedDevice(folder / f"{place:05d}").device_id
            facts = get_facts(session, device_id)
            assert facts[FactKind.ROOTED].value is (profile is Behaviour.ROOTED), profile
            old = str(facts[FactKind.OS_VERSION].value) in ("11", "16.7")
            assert old is (profile is Behaviour.OUTDATED), profile
            if profile is Behaviour.HOSTILE:
                noted = {problem for problem, _ in hq.incidents(device_id)}
                assert noted >= {"forged", "foreign", "gap"}


@pytest.mark.servers
def test_a_fleet_goes_on_with_its_folder_and_may_leave(hq: Headquarters, tmp_path: Path) -> None:
    words = ("--devices", "2", "--profile", "healthy", "--seconds", "1", "--every", "0.5")
    first = _simulate(hq, tmp_path, *words)
    devices = [SimulatedDevice(tmp_path / f"{place:05d}") for place in range(2)]
    ids = [device.device_id for device in devices]
    command = hq.command(ids[0], CommandKind.MESSAGE, text="Hello")
    second = _simulate(hq, tmp_path, *words, "--leave")
    hq.visit()

    assert hq.state_of(command) == "done"
    assert [message.text for message in devices[0].state.phone.messages] == ["Hello"]
    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    assert "Everything was as expected." in first.stdout
    with hq.context.database.reading() as session:
        states = session.scalars(select(Device.enrolment_state).where(Device.id.in_(ids))).all()
    assert states == ["retired", "retired"]
