"""A disk that is full and a mailbox that is slow: refused with a sentence, nothing lost."""

import resource
import sqlite3
import threading
import time

import psutil
import pytest

from tests.communication.relay import Management, Phone, Relay, detail

pytestmark = pytest.mark.servers


def test_a_full_disk_is_told_and_the_server_goes_on_when_there_is_room(own_relay: Relay) -> None:
    own_relay.start()
    management = Management(own_relay)
    phone = Phone(own_relay, management)
    assert own_relay.process is not None
    process = psutil.Process(own_relay.process.pid)
    largest = max(path.stat().st_size for path in own_relay.folder.iterdir())
    process.rlimit(psutil.RLIMIT_FSIZE, (largest + 20_000, resource.RLIM_INFINITY))

    refused = phone.report(1, "A" * 200_000)

    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "60")
    assert "cannot be written now" in detail(refused)
    process.rlimit(psutil.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert phone.report(1, "A" * 200_000).status_code == 202
    assert [len(item.sealed) for item in management.inbound()] == [200_000]


def test_above_its_strength_it_asks_devices_to_come_later_and_hears_management(
    own_relay: Relay,
) -> None:
    own_relay.start()
    management = Management(own_relay)
    phones = [Phone(own_relay, management) for _ in range(80)]
    codes: list[int] = []
    waits: list[int] = []

    def send(phone: Phone) -> None:
        answer = phone.report(1, str(phone.id))
        codes.append(answer.status_code)
        waits.extend(int(text) for text in [answer.headers.get("Retry-After")] if text)

    slow = sqlite3.connect(own_relay.folder / "mailbox.db", isolation_level=None)
    slow.execute("BEGIN IMMEDIATE")
    threads = [threading.Thread(target=send, args=(phone,)) for phone in phones]
    for thread in threads:
        thread.start()
    try:
        give_up = time.monotonic() + 30
        while len(codes) < 16 and time.monotonic() < give_up:
            time.sleep(0.05)
        heard = management.send("GET", "/link/v1/status").status_code
    finally:
        slow.close()
        for thread in threads:
            thread.join()
    assert heard == 200
    assert sorted(codes) == [202] * 64 + [503] * 16
    assert len(set(waits)) > 3
    assert all(10 <= wait <= 120 for wait in waits)
    assert len(management.inbound()) == 64
