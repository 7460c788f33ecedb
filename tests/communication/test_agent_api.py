"""What agents can do at the devices port, over real sockets."""

import threading
import time
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from communication import poll_token
from contracts import codec, keys, request_signature
from contracts.agent import ReportPost, SealedOrders
from contracts.link import Trust
from tests.communication.relay import (
    Management,
    Phone,
    Relay,
    Signer,
    detail,
    enrolment_post,
)

pytestmark = pytest.mark.servers


def test_a_report_reaches_management_exactly_as_it_was_sealed(
    phone: Phone, management: Management
) -> None:
    assert phone.report(1, "first").status_code == 202
    assert phone.report(2, "second").status_code == 202

    found = management.inbound()

    assert [(i.kind, i.sender, i.sealed) for i in found] == [
        ("report", phone.id, "first"),
        ("report", phone.id, "second"),
    ]


def test_the_same_report_again_is_answered_alike_and_stored_once(
    phone: Phone, management: Management
) -> None:
    answers = [phone.report(1, "again").status_code for _ in range(3)]

    assert answers == [202, 202, 202]
    assert len(management.inbound()) == 1


def test_a_device_collects_only_its_own_orders(
    relay: Relay, phone: Phone, management: Management
) -> None:
    other = Phone(relay, management)
    management.order(phone.id, 1, 1, "mine")
    management.order(other.id, 1, 1, "theirs")

    assert phone.orders() == ("mine",)
    assert other.orders() == ("theirs",)


def test_a_device_cannot_sign_in_the_name_of_another(
    relay: Relay, phone: Phone, management: Management
) -> None:
    other = Phone(relay, management)
    management.order(other.id, 1, 1, "theirs")
    thief = Signer(phone.client, phone.key, str(other.id), request_signature.AGENT)

    answer = thief.send("GET", "/agent/v1/orders")

    assert answer.status_code == 401
    assert "does not hold" in detail(answer)


def test_a_stranger_gets_no_token(relay: Relay) -> None:
    stranger = Signer(relay.devices_client(), keys.new_key(), str(uuid4()), request_signature.AGENT)

    answer = stranger.send("POST", "/agent/v1/token")

    assert answer.status_code == 401
    assert "not known here" in detail(answer)


def test_a_poll_announces_only_what_is_above_the_devices_own_position(
    phone: Phone, management: Management
) -> None:
    token = phone.token()
    assert phone.waiting(token) == 0
    for seq in (1, 2, 3):
        management.order(phone.id, 2, seq, f"order{seq}")

    assert phone.waiting(token) == 3
    assert phone.waiting(token, "?epoch=2&after=1") == 2
    assert phone.waiting(token, "?epoch=2&after=3") == 0
    assert phone.waiting(token, "?epoch=1&after=99") == 3
    assert phone.orders("?epoch=2&after=2") == ("order3",)


def test_discarded_orders_are_gone_and_later_ones_stay(
    phone: Phone, management: Management
) -> None:
    for epoch, seq in ((1, 1), (1, 2), (2, 1), (2, 2)):
        management.order(phone.id, epoch, seq, f"order{epoch}{seq}")

    management.discard(phone.id, 2, 1)

    assert phone.orders() == ("order22",)
    assert phone.waiting(phone.token()) == 1


def test_an_order_may_be_left_twice(phone: Phone, management: Management) -> None:
    for _ in range(2):
        management.order(phone.id, 1, 1, "order")

    assert phone.orders() == ("order",)


def test_orders_come_in_bounded_answers_and_none_is_missed(
    phone: Phone, management: Management
) -> None:
    for seq in range(1, 61):
        management.order(phone.id, 1, seq, f"order{seq}")

    first = phone.orders("?epoch=1&after=0")
    second = phone.orders(f"?epoch=1&after={len(first)}")

    assert len(first) == 50
    assert first + second == tuple(f"order{seq}" for seq in range(1, 61))


def test_a_poll_that_waits_is_answered_when_an_order_comes(
    phone: Phone, management: Management
) -> None:
    token = phone.token()
    came = threading.Timer(0.5, management.order, (phone.id, 1, 1, "order"))
    began = time.monotonic()
    came.start()

    assert phone.waiting(token, "?wait=30") == 1
    assert 0.4 < time.monotonic() - began < 20
    came.join()


def test_a_device_that_is_revoked_while_its_poll_waits_hears_so(
    phone: Phone, management: Management
) -> None:
    token = phone.token()

    def revoke() -> None:
        management.know(phone.id, phone.key, active=False)
        management.order(phone.id, 1, 1, "order")

    revoking = threading.Timer(0.5, revoke)
    revoking.start()

    answer = phone.poll(token, "?wait=30")

    assert (answer.status_code, "no longer" in detail(answer)) == (403, True)
    revoking.join()


def test_a_revoked_device_is_refused_at_once_with_every_proof_it_has(
    phone: Phone, management: Management
) -> None:
    token = phone.token()
    management.order(phone.id, 1, 1, "order")
    management.know(phone.id, phone.key, active=False)

    refused = [
        phone.poll(token),
        phone.send("GET", "/agent/v1/orders"),
        phone.send("POST", "/agent/v1/token"),
        phone.report(1),
    ]

    assert [answer.status_code for answer in refused] == [403] * 4
    assert all("no longer" in detail(answer) for answer in refused)


def test_a_device_that_is_active_again_may_go_on(phone: Phone, management: Management) -> None:
    token = phone.token()
    management.know(phone.id, phone.key, active=False)
    management.know(phone.id, phone.key, active=True)

    assert phone.poll(token).status_code == 204


def test_a_new_key_ends_the_tokens_and_signatures_of_the_old_one(
    phone: Phone, management: Management
) -> None:
    token = phone.token()
    management.know(phone.id, keys.new_key())

    assert phone.poll(token).status_code == 401
    assert phone.send("GET", "/agent/v1/orders").status_code == 401


def test_a_request_is_carried_out_once(phone: Phone) -> None:
    body = codec.write(ReportPost(epoch=1, seq=1, sealed="sealed"))
    for method, path, sent in (
        ("POST", "/agent/v1/reports", body),
        ("GET", "/agent/v1/orders", b""),
        ("POST", "/agent/v1/token", b""),
    ):
        headers = phone.headers(method, path, sent)

        assert phone.send(method, path, sent, headers).status_code in (200, 202)
        again = phone.send(method, path, sent, headers)

        assert again.status_code == 401
        assert "made before" in detail(again)


def test_a_signature_holds_only_for_its_method_path_query_and_body(phone: Phone) -> None:
    body = codec.write(ReportPost(epoch=1, seq=1, sealed="sealed"))
    other = codec.write(ReportPost(epoch=1, seq=1, sealed="forged"))
    for signed, sent in (
        (("POST", "/agent/v1/reports", body), ("POST", "/agent/v1/reports", other)),
        (("POST", "/agent/v1/token", b""), ("GET", "/agent/v1/orders", b"")),
        (("GET", "/agent/v1/orders?after=1", b""), ("GET", "/agent/v1/orders?after=2", b"")),
        (("GET", "/agent/v1/orders", b""), ("GET", "/agent/v1/orders?after=2", b"")),
    ):
        assert phone.send(*sent, headers=phone.headers(*signed)).status_code == 401, sent


def test_a_signature_of_another_surface_is_refused(phone: Phone) -> None:
    for tag in (request_signature.LINK, request_signature.CONNECTOR):
        elsewhere = Signer(phone.client, phone.key, str(phone.id), tag)

        assert elsewhere.send("GET", "/agent/v1/orders").status_code == 401


@pytest.mark.parametrize("minutes", [-6, 6])
def test_a_wrong_clock_gets_its_own_problem_and_the_right_time(phone: Phone, minutes: int) -> None:
    then = datetime.now(UTC) + timedelta(minutes=minutes)
    headers = phone.headers("GET", "/agent/v1/orders", now=then)

    answer = phone.send("GET", "/agent/v1/orders", headers=headers)

    assert answer.status_code == 401
    assert answer.json()["type"] == "urn:sekisho:clock-skew"
    assert "Date" in answer.headers


def test_an_unsigned_request_is_told_what_is_missing(phone: Phone) -> None:
    answer = phone.client.get("/agent/v1/orders")

    assert answer.status_code == 401
    assert "Signature-Input" in detail(answer)


def test_a_poll_without_a_good_token_is_refused(phone: Phone) -> None:
    token = phone.token()
    forged = [
        "x",
        token[:-1] + ("a" if token[-1] != "a" else "b"),
        token.upper(),
        "a" * 96,
        "=" * 96,
        poll_token.issue(b"another key of the same length...", 1, 2**40),
        token + "A",
    ]

    answers = [phone.poll(text) for text in forged]

    assert [answer.status_code for answer in answers] == [401] * len(forged)
    assert phone.client.get("/agent/v1/poll").status_code == 401
    assert phone.client.get("/agent/v1/poll", headers={"Authorization": token}).status_code == 401


@pytest.mark.parametrize("query", ["?after=x", "?after=-1", f"?after={2**60}", "?wait=1.5"])
def test_a_poll_with_a_strange_position_is_refused(phone: Phone, query: str) -> None:
    assert phone.poll(phone.token(), query).status_code == 400


def test_an_enrolment_waits_for_managements_answer(relay: Relay, management: Management) -> None:
    key, enrolment = keys.new_key(), uuid4()
    signer = Signer(relay.devices_client(), key, str(enrolment), request_signature.AGENT)
    begun = signer.client.post(
        "/agent/v1/enrolments", content=enrolment_post(key, enrolment, "request")
    )
    assert (begun.status_code, begun.headers["Retry-After"]) == (202, "5")
    path = f"/agent/v1/enrolments/{enrolment}"
    assert signer.send("GET", path).status_code == 202
    assert [(i.kind, i.sender, i.sealed) for i in management.inbound()] == [
        ("enrolment", enrolment, "request")
    ]

    management.order(enrolment, 1, 1, "welcome", "enrolment_answer")

    answer = signer.send("GET", path)
    assert codec.read(SealedOrders, answer.content).orders == ("welcome",)


def test_only_the_key_that_began_an_enrolment_gets_its_answer(
    relay: Relay, management: Management, phone: Phone
) -> None:
    key, enrolment = keys.new_key(), uuid4()
    phone.client.post("/agent/v1/enrolments", content=enrolment_post(key, enrolment))
    management.order(enrolment, 1, 1, "welcome", "enrolment_answer")
    path = f"/agent/v1/enrolments/{enrolment}"

    for thief in (phone.key, keys.new_key()):
        for name in (str(enrolment), str(phone.id)):
            signer = Signer(phone.client, thief, name, request_signature.AGENT)
            assert signer.send("GET", path).status_code == 401
    stolen = phone.client.post("/agent/v1/enrolments", content=enrolment_post(phone.key, enrolment))
    assert stolen.status_code == 401


def test_an_enrolment_cannot_take_the_id_of_a_device(phone: Phone, management: Management) -> None:
    management.order(phone.id, 1, 1, "secret")
    thief = Signer(phone.client, keys.new_key(), str(phone.id), request_signature.AGENT)

    begun = thief.client.post("/agent/v1/enrolments", content=enrolment_post(thief.key, phone.id))

    assert begun.status_code == 401
    assert thief.send("GET", f"/agent/v1/enrolments/{phone.id}").status_code == 401


def test_an_enrolment_begun_before_the_id_became_a_device_does_not_open_its_orders(
    relay: Relay, management: Management
) -> None:
    thief = Signer(relay.devices_client(), keys.new_key(), "", request_signature.AGENT)
    device = uuid4()
    thief.key_id = str(device)
    thief.client.post("/agent/v1/enrolments", content=enrolment_post(thief.key, device))
    management.know(device, keys.new_key())
    management.order(device, 1, 1, "secret")

    assert thief.send("GET", f"/agent/v1/enrolments/{device}").status_code == 202


def test_the_trust_statement_is_handed_to_anybody(
    relay: Relay, management: Management, phone: Phone
) -> None:
    body = codec.write(Trust(statement="header.payload.signature"))
    assert management.send("PUT", "/link/v1/trust", body).status_code == 204

    answer = phone.client.get("/agent/v1/trust")

    assert answer.text == "header.payload.signature"
    assert answer.headers["content-type"].startswith("text/plain")
