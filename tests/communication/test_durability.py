"""What was answered is on disk: the server is killed at every point that matters."""

from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from contracts import keys, request_signature
from tests.communication.relay import Management, Phone, Relay, Signer, enrolment_post

pytestmark = pytest.mark.servers


def test_everything_answered_before_a_power_failure_is_there_after_it(own_relay: Relay) -> None:
    own_relay.start()
    management = Management(own_relay)
    phone = Phone(own_relay, management)
    key, enrolment = keys.new_key(), uuid4()
    for seq in range(1, 21):
        assert phone.report(seq, f"report{seq}").status_code == 202
        management.order(phone.id, 1, seq, f"order{seq}")
    phone.client.post("/agent/v1/enrolments", content=enrolment_post(key, enrolment, "request"))
    management.discard(phone.id, 1, 5)
    management.take(*(item.id for item in management.inbound("?limit=4")))
    token = phone.token()

    own_relay.kill()
    own_relay.start()
    management, phone.client = Management(own_relay), own_relay.devices_client()

    wanted = [f"report{seq}" for seq in range(5, 21)] + ["request"]
    assert [item.sealed for item in management.inbound()] == wanted
    assert phone.orders("?epoch=1&after=0") == tuple(f"order{seq}" for seq in range(6, 21))
    assert phone.waiting(token) == 15
    signer = Signer(phone.client, key, str(enrolment), request_signature.AGENT)
    assert signer.send("GET", f"/agent/v1/enrolments/{enrolment}").status_code == 202


@pytest.mark.parametrize("place", ["before", "after"])
def test_a_report_is_neither_lost_nor_doubled_by_a_crash_at_its_commit(
    own_relay: Relay, tmp_path: Path, place: str
) -> None:
    crash = {
        "SEKISHO_CRASH_AT": f"{place} commit report",
        "SEKISHO_CRASH_MARK": str(tmp_path / "crashed"),
    }
    own_relay.start(**crash)
    phone = Phone(own_relay, Management(own_relay))

    with pytest.raises(httpx.TransportError):
        phone.report(1, "report")
    assert own_relay.process is not None
    assert own_relay.process.wait(120) == -9
    own_relay.start(**crash)
    phone.client = own_relay.devices_client()
    found = [item.sealed for item in Management(own_relay).inbound()]
    assert found == (["report"] if place == "after" else [])

    assert phone.report(1, "report").status_code == 202
    assert [item.sealed for item in Management(own_relay).inbound()] == ["report"]


@pytest.mark.parametrize("place", ["before commit", "after commit"])
@pytest.mark.parametrize("name", ["enrolment", "taken", "discards", "orders", "devices"])
def test_repeating_what_a_crash_interrupted_ends_as_if_it_had_not_happened(
    own_relay: Relay, tmp_path: Path, place: str, name: str
) -> None:
    own_relay.start()
    management = Management(own_relay)
    phone = Phone(own_relay, management)
    phone.report(1, "taken")
    phone.report(2, "kept")
    own_relay.stop()
    crash = {
        "SEKISHO_CRASH_AT": f"{place} {name}",
        "SEKISHO_CRASH_MARK": str(tmp_path / "crashed"),
    }
    key, enrolment, late = keys.new_key(), uuid4(), keys.new_key()

    def everything() -> None:
        management, phone.client = Management(own_relay), own_relay.devices_client()
        begun = enrolment_post(key, enrolment, "request")
        phone.client.post("/agent/v1/enrolments", content=begun).raise_for_status()
        management.take(1).raise_for_status()
        management.order(phone.id, 1, 1, "old")
        management.order(phone.id, 1, 2, "new")
        management.discard(phone.id, 1, 1)
        management.know(uuid4(), late)

    own_relay.start(**crash)
    with pytest.raises(httpx.TransportError):
        everything()
    assert own_relay.process is not None
    assert own_relay.process.wait(120) == -9
    own_relay.start(**crash)
    everything()

    assert [item.sealed for item in Management(own_relay).inbound()] == ["kept", "request"]
    assert phone.orders("?epoch=1&after=0") == ("new",)
