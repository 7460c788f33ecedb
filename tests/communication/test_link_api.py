"""What management can do at the link port, and that nobody else can."""

import threading
import time
from datetime import UTC, datetime, timedelta

import pytest

from contracts import codec, keys, request_signature
from contracts.link import KnownDevices, OutboundBatch, RelayStatus, SeenBatch, Trust
from tests.communication.relay import Management, Phone, Relay, Signer, detail

pytestmark = pytest.mark.servers
CALLS = [
    ("GET", "/link/v1/status", b""),
    ("GET", "/link/v1/inbound", b""),
    ("GET", "/link/v1/seen", b""),
    ("POST", "/link/v1/inbound/taken", b'{"v":1,"ids":[]}'),
    ("POST", "/link/v1/outbound", codec.write(OutboundBatch())),
    ("PUT", "/link/v1/trust", codec.write(Trust(statement="forged"))),
    (
        "POST",
        "/link/v1/devices",
        codec.write(KnownDevices(devices=(), as_of=datetime(2026, 1, 1, tzinfo=UTC))),
    ),
]


def test_before_pairing_every_call_is_refused_with_the_reason(own_relay: Relay) -> None:
    (own_relay.folder / "management.json").unlink()
    own_relay.start()
    management = Management(own_relay)

    answers = [management.send(*call) for call in CALLS]

    assert [answer.status_code for answer in answers] == [403] * len(CALLS)
    assert all("not paired" in detail(answer) for answer in answers)
    assert own_relay.devices_client().get("/agent/v1/trust").status_code == 503


def test_only_the_pinned_key_may_call(relay: Relay, management: Management, phone: Phone) -> None:
    stranger = keys.new_key()
    for key, name, tag in (
        (stranger, keys.thumbprint(stranger), request_signature.LINK),
        (stranger, management.key_id, request_signature.LINK),
        (management.key, management.key_id, request_signature.AGENT),
        (management.key, "another", request_signature.LINK),
        (phone.key, str(phone.id), request_signature.AGENT),
    ):
        thief = Signer(management.client, key, name, tag)
        assert {thief.send(*call).status_code for call in CALLS} == {401}
    assert {management.client.request(*call[:2]).status_code for call in CALLS} == {401}


def test_a_call_is_carried_out_once_even_after_a_restart(own_relay: Relay) -> None:
    own_relay.start()
    management = Management(own_relay)
    writing = [call for call in CALLS if call[0] != "GET"]
    signed = [(call, management.headers(*call)) for call in writing]
    for call, headers in signed:
        assert management.send(*call, headers=headers).status_code == 204
        assert management.send(*call, headers=headers).status_code == 401
    own_relay.kill()
    own_relay.start()
    management = Management(own_relay)

    for call, headers in signed:
        again = management.send(*call, headers=headers)
        assert (again.status_code, "made before" in detail(again)) == (401, True)


def test_the_status_counts_what_waits(relay: Relay, management: Management, phone: Phone) -> None:
    phone.report(1)
    management.order(phone.id, 1, 1, "order")

    status = codec.read(RelayStatus, management.send("GET", "/link/v1/status").content)

    assert status.inbound_waiting == 1
    assert status.outbound_waiting >= 1
    assert status.devices_known >= 1
    assert status.devices_as_of is not None
    assert abs(status.now - datetime.now(UTC)) < timedelta(minutes=1)


def test_messages_come_again_until_they_are_taken(management: Management, phone: Phone) -> None:
    for seq in (1, 2, 3):
        phone.report(seq, f"report{seq}")
    first = management.inbound("?limit=2")
    assert [item.sealed for item in first] == ["report1", "report2"]
    assert management.inbound("?limit=2") == first

    assert management.take(*(item.id for item in first), 10**30, -1).status_code == 204

    assert [item.sealed for item in management.inbound()] == ["report3"]


def test_a_batch_stays_below_what_a_message_may_be(management: Management, phone: Phone) -> None:
    large = "A" * 1_500_000
    for seq in (1, 2, 3):
        assert phone.report(seq, large).status_code == 202

    assert len(management.inbound()) == 2


def test_management_can_wait_for_what_comes(management: Management, phone: Phone) -> None:
    began = time.monotonic()
    assert management.inbound("?wait=1") == ()
    assert time.monotonic() - began >= 0.9
    comes = threading.Timer(0.5, phone.report, (1, "at.once"))
    comes.start()

    assert [item.sealed for item in management.inbound("?wait=30")] == ["at.once"]
    assert time.monotonic() - began < 29
    comes.join()


def test_more_calls_that_wait_than_are_held_are_answered_at_once(relay: Relay) -> None:
    waiting = [Management(relay) for _ in range(12)]
    took: list[float] = []

    def wait(management: Management) -> None:
        began = time.monotonic()
        management.inbound("?wait=12")
        took.append(time.monotonic() - began)

    threads = [threading.Thread(target=wait, args=(each,)) for each in waiting]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sum(seconds < 11 for seconds in took) == 4


def test_management_learns_who_polled(management: Management, phone: Phone) -> None:
    before = datetime.now(UTC) - timedelta(seconds=1)
    phone.poll(phone.token())
    give_up = time.monotonic() + 120
    seen: tuple[object, ...] = ()
    path = "/link/v1/seen?since=" + before.isoformat().replace("+00:00", "Z")
    while time.monotonic() < give_up and not seen:
        answer = management.send("GET", path)
        seen = tuple(
            entry
            for entry in codec.read(SeenBatch, answer.content).devices
            if entry.device_id == phone.id
        )
        time.sleep(0.3)

    assert len(seen) == 1


@pytest.mark.parametrize("query", ["?limit=201", "?limit=x", "?wait=56", "?wait=-1"])
def test_a_strange_question_is_refused(management: Management, query: str) -> None:
    assert management.send("GET", f"/link/v1/inbound{query}").status_code == 400


@pytest.mark.parametrize("since", ["yesterday", "2026-01-01", "2026-01-01T00:00:00"])
def test_seen_needs_an_instant_with_its_zone(management: Management, since: str) -> None:
    assert management.send("GET", f"/link/v1/seen?since={since}").status_code == 400
