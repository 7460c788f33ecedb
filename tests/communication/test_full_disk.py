"""The relay's data folder on a real file system that fills up: nothing acknowledged is lost."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.communication.relay import Management, Phone, Relay, detail
from tests.servers.needs import unavailable

pytestmark = pytest.mark.servers
SEALED = "A" * 100_000
FREE_BYTES = 4 * 1024**2


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 24 MB of its own, mounted where a relay keeps its data."""
    folder = tmp_path / "communication"
    folder.mkdir(mode=0o700)
    mount = shutil.which("mount")
    if os.geteuid() or mount is None:
        unavailable("mounting a small file system needs root and mount")
    made = subprocess.run(
        [str(mount), "-t", "tmpfs", "-o", "size=24m,mode=700", "tmpfs", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode:
        unavailable(f"a small file system cannot be mounted here: {made.stderr.strip()}")
    yield tmp_path
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.fixture
def relay(small_disk: Path) -> Iterator[Relay]:
    started = Relay(
        small_disk,
        {
            "free_bytes": str(FREE_BYTES),
            "device_messages": "1000",
            "requests_per_minute": "1000",
            "device_bytes": "99000000",
        },
    ).start()
    yield started
    started.hang_up()
    if started.process is not None and started.process.poll() is None:
        started.kill()


def _fill(phone: Phone, seqs: Iterator[int], stored: list[int]) -> httpx.Response:
    """Leave reports until one is refused; return that answer."""
    for seq in seqs:
        answer = phone.report(seq, f"{seq:06}{SEALED}")
        if answer.status_code != 202:
            return answer
        stored.append(seq)
    raise AssertionError("the disk is never full")


def _collect(management: Management, take: bool = True) -> list[int]:
    found: list[int] = []
    while items := management.inbound():
        found += [int(item.sealed[:6]) for item in items]
        if not take:
            break
        management.take(*(item.id for item in items)).raise_for_status()
    return found


def _health(relay: Relay) -> tuple[int, str]:
    answer = httpx.get(f"http://127.0.0.1:{relay.health_port}/healthz", timeout=60)
    return answer.status_code, answer.json()["wrong"].get("room", "")


def test_a_disk_that_devices_fill_is_emptied_by_management(relay: Relay) -> None:
    management = Management(relay)
    phone = Phone(relay, management)
    token, stored, seqs = phone.token(), list[int](), iter(range(1, 1000))

    refused = _fill(phone, seqs, stored)

    assert (refused.status_code, int(refused.headers["Retry-After"]) > 0) == (507, True)
    assert "no room on this server's disk" in detail(refused)
    status, why = _health(relay)
    assert (status, "free on the disk" in why) == (503, True)
    assert "devices' messages are refused" in (relay.home / "log").read_text()
    assert phone.poll(token).status_code == 204, "a poll needs no room"
    assert len(stored) > 50

    assert _collect(management) == stored, "management empties it although it is full"
    assert _health(relay) == (200, ""), "what was emptied is room again"
    assert phone.report(999, "000999").status_code == 202
    assert _collect(management) == [999]
    assert "There is room on the disk again" in (relay.home / "log").read_text()


def test_a_disk_without_a_single_free_byte_loses_nothing_that_was_acknowledged(
    relay: Relay,
) -> None:
    management = Management(relay)
    phone = Phone(relay, management)
    token, stored, seqs = phone.token(), list[int](), iter(range(1, 1000))
    for _ in range(20):
        seq = next(seqs)
        assert phone.report(seq, f"{seq:06}{SEALED}").status_code == 202
        stored.append(seq)
    others = _fill_up(relay.folder / "of somebody else")

    refused = _fill(phone, seqs, stored)
    assert refused.status_code in (503, 507)
    assert int(refused.headers["Retry-After"]) > 0
    assert phone.poll(token).status_code == 204
    assert _health(relay)[0] == 503
    assert _collect(management, take=False)[:20] == stored[:20]
    taken = management.take(management.inbound()[0].id)
    assert taken.status_code in (204, 503), "forgetting writes first"
    if taken.status_code == 204:
        del stored[0]

    relay.kill()
    others.unlink()
    relay.start()
    management, phone.client = Management(relay), relay.devices_client()
    assert _collect(management) == stored
    assert phone.report(999, "000999").status_code == 202, "it goes on by itself"
    assert _collect(management) == [999]


def _fill_up(path: Path) -> Path:
    """Take all that is left of the disk, to the last byte."""
    with path.open("wb", buffering=0) as file:
        size = 1024 * 1024
        while size:
            try:
                file.write(b"x" * size)
            except OSError:
                size //= 2
    return path
