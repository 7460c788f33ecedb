"""An agent written from the documentation alone works with the real relay and management."""

import ast
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from uuid import UUID

import pytest
from cryptography.exceptions import InvalidSignature, InvalidTag
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts import envelope, keys
from contracts.agent import CommandKind, CommandResult, Digest, Posture, Receipt
from management.devices.rules import EnrolmentState, FactKind
from runtime.errors import SekishoError
from tests.agents import tiny_client
from tests.agents.headquarters import Headquarters
from tests.agents.office import Office, command
from tests.agents.tiny_client import TinyClient

OURS, RECIPIENT = keys.new_key(), keys.new_key()
THEIRS, THEIR_BOX = tiny_client.new_key(), tiny_client.new_key()
PHONE = {"platform": "android", "model": "Homemade 1"}


def test_it_imports_nothing_of_ours() -> None:
    tree = ast.parse(Path(tiny_client.__file__).read_text())
    imported = {
        name.split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in ([node.module or ""] if isinstance(node, ast.ImportFrom) else [])
        + ([alias.name for alias in node.names] if isinstance(node, ast.Import) else [])
    }

    assert imported <= set(sys.stdlib_module_names) | {"cryptography", "httpx"}


@settings(deadline=None, max_examples=50)
@given(payload=st.binary(max_size=2000))
def test_we_open_what_it_seals_and_it_opens_what_we_seal(payload: bytes) -> None:
    by_it = tiny_client.encrypt(
        tiny_client.sign(payload, envelope.REPORT, THEIRS),
        tiny_client.public(keys.public_jwk(RECIPIENT)),
    )
    their_key = keys.read_public(tiny_client.jwk(THEIRS.public_key()))
    assert envelope.open_sealed(by_it, envelope.REPORT, their_key, RECIPIENT) == payload

    their_box = keys.read_public(tiny_client.jwk(THEIR_BOX.public_key()))
    by_us = envelope.seal(payload, envelope.ORDER, OURS, their_box)
    token = tiny_client.decrypt(by_us, THEIR_BOX)
    our_key = tiny_client.public(keys.public_jwk(OURS))
    assert tiny_client.verify(token, envelope.ORDER, our_key) == payload


def test_thumbprints_agree() -> None:
    assert tiny_client.thumbprint(keys.public_jwk(OURS)) == keys.thumbprint(OURS)


def test_each_refuses_what_was_altered() -> None:
    by_us = envelope.sign(b"{}", envelope.ORDER, OURS)
    with pytest.raises(InvalidSignature):
        tiny_client.verify(
            by_us.replace(".e30.", ".e31."),
            envelope.ORDER,
            tiny_client.public(keys.public_jwk(OURS)),
        )
    sealed = tiny_client.encrypt(by_us, THEIR_BOX.public_key()).split(".")
    sealed[2] = tiny_client.b64(b"0" * 12)
    with pytest.raises(InvalidTag):
        tiny_client.decrypt(".".join(sealed), THEIR_BOX)
    token = tiny_client.sign(b"{}", envelope.REPORT, THEIRS)
    with pytest.raises(SekishoError):
        envelope.verify(token, envelope.REPORT, OURS)


@pytest.fixture
def client() -> Iterator[TinyClient]:
    with closing(TinyClient()) as made:
        yield made


def test_it_enrols_reports_collects_and_acknowledges(office: Office, client: TinyClient) -> None:
    client.ask(office.qr("its key"), PHONE)
    assert not client.answered()
    (request,) = office.requests()
    assert (request.enrolment_key, request.device.model) == ("its key", "Homemade 1")
    device = office.admit(request)
    assert client.answered()
    assert client.device_id == str(device.device_id)

    assert client.report({"kind": "posture", "rooted": True, "os_version": "15"}) == 202
    assert not client.waiting()
    lock = command(CommandKind.LOCK)
    office.send(device, lock)
    assert client.waiting()
    (body,) = client.collect()
    assert body["command_id"] == str(lock.command_id)
    done = {"kind": "command_result", "command_id": body["command_id"], "at": tiny_client.now()}
    assert client.report({**done, "state": "acknowledged"}, {**done, "state": "done"}) == 202
    assert client.report({"kind": "digest"}) == 202

    office.collect()
    assert [report.ack for report in device.reports] == [1, 2, 2]
    assert device.said(Posture)[0].rooted is True
    assert [result.state for result in device.said(CommandResult)] == ["acknowledged", "done"]
    assert device.said(Digest) == [Digest()]
    assert sorted(client.kept) == [1, 2, 3]
    office.send(device, Receipt())
    client.collect()
    assert client.kept == {}


def test_a_report_sent_twice_arrives_once(office: Office, client: TinyClient) -> None:
    client.ask(office.qr(), PHONE)
    device = office.admit(office.requests()[0])
    assert client.answered()
    client.report({"kind": "digest"})
    assert client.send(1) == 202
    office.collect()

    assert len(device.reports) == 1
    assert office.strange == []


@pytest.mark.servers
def test_it_works_with_the_real_management(hq: Headquarters, client: TinyClient) -> None:
    client.ask(hq.invite(), PHONE)
    assert not client.answered()
    hq.visit()
    assert client.answered()
    device_id = UUID(client.device_id)
    policy = client.orders[0]["body"]["policy"]
    applied = {
        "applied_policy_id": policy["policy_id"],
        "applied_policy_version": policy["version"],
    }
    app = {"package": "jp.example.memo", "name": "Memo", "version": "1", "sha256": "a" * 64}
    posture = {"kind": "posture", "rooted": True, "encrypted": True, "os_version": "15", **applied}
    client.report(posture, {"kind": "apps", "apps": [app]})
    hq.visit()
    assert hq.fact(device_id, FactKind.ROOTED) is True
    assert hq.fact(device_id, FactKind.PACKAGES) == ["jp.example.memo"]
    assert hq.fact(device_id, FactKind.APPLIED_POLICY) == {
        "policy_id": policy["policy_id"],
        "version": policy["version"],
    }

    command_id = hq.command(device_id, CommandKind.MESSAGE, text="Please call.")
    assert client.waiting()
    orders = client.collect()
    assert [order["kind"] for order in orders] == ["receipt", "run_command"]
    assert client.kept == {}, "the receipt covers the first report"
    assert orders[1]["arguments"] == {"text": "Please call."}
    result = {"kind": "command_result", "command_id": str(command_id), "at": tiny_client.now()}
    client.report({**result, "state": "acknowledged"})
    hq.visit()
    assert hq.state_of(command_id) == "acknowledged"
    client.report({**result, "state": "done", "detail": "shown"})
    hq.visit()
    assert hq.state_of(command_id) == "done"
    client.renew()
    hq.visit()
    old = client.signing
    assert [order["kind"] for order in client.collect()][-1] == "renewed"
    assert client.signing != old
    client.report({"kind": "digest"})
    hq.visit()
    assert hq.device(device_id).signing_key == tiny_client.jwk(client.signing.public_key())
    assert client.collect()[-1]["kind"] == "receipt", "sealed to the new key"
    client.report({"kind": "leaving", "reason": "Goodbye."})
    hq.visit()
    assert hq.device(device_id).enrolment_state == EnrolmentState.RETIRED
    assert hq.incidents(device_id) == []
