"""The connector's API, hit by whoever can reach the port."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from joserfc.jwk import ECKey
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from contracts import codec, request_signature
from contracts import connector as messages
from contracts import keys as jwk
from management.context import Context
from management.mail_access import connectors, logs, queries
from management.mail_access.models import MailDecision, Partnership
from management.mail_access.rules import By
from runtime.clock import utc_now

BASE = "https://localhost"
BY = By("keeper")


class Program:
    """A paired connector that signs what it sends."""

    def __init__(self, app: Flask, context: Context) -> None:
        self.client, self.context = FlaskClient(app, use_cookies=False), context
        self.key, self.key_id = jwk.new_key(), ""

    def send(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        key: ECKey | None = None,
        tag: str = request_signature.CONNECTOR,
        at: datetime | None = None,
        headers: dict[str, str] | None = None,
    ) -> TestResponse:
        url = f"{BASE}/connector/v1{path}"
        signed = headers or request_signature.signature_headers(
            method, url, body, key or self.key, self.key_id, tag, at or utc_now()
        )
        return self.client.open(
            f"/connector/v1{path}", method=method, data=body, headers=signed, base_url=BASE
        )

    def post(self, path: str, message: object) -> TestResponse:
        return self.send("POST", path, codec.write(message))

    def pair(self, code: str | None = None) -> TestResponse:
        with self.context.database.transaction("test") as session:
            made = connectors.make_pairing_code(session, self.context.keys, BY, utc_now())
        self.key_id = jwk.thumbprint(self.key)
        asked = messages.PairingRequest(
            code=code or made, key=jwk.public_jwk(self.key), name="mail1", version="1"
        )
        answer = self.post("/pairings", asked)
        if answer.status_code == 201:
            self.key_id = answer.get_json()["connector_id"]
        return answer


@pytest.fixture
def program(app: Flask, context: Context) -> Program:
    made = Program(app, context)
    assert made.pair().status_code == 201
    return made


def phone(**said: Any) -> messages.Partnership:
    fields = {"mailbox": "corp.test/Users/ada", "device_id": "ADA1", "access_state": "Allowed"}
    return messages.Partnership(**{**fields, **said})


def batch(*partnerships: messages.Partnership, complete: bool = True) -> messages.PartnershipBatch:
    return messages.PartnershipBatch(
        pass_id=uuid4(), seen_at=utc_now(), complete=complete, partnerships=partnerships
    )


def applied(at: datetime, **said: Any) -> messages.AppliedBatch:
    fields = {"mailbox": "corp.test/Users/ada", "device_id": "ADA1", "access": "block", "at": at}
    return messages.AppliedBatch(applied=(messages.Applied(**{**fields, **said}),))


def test_only_a_signature_of_a_paired_connector_opens_the_door(program: Program) -> None:
    assert program.send("GET", "/access").status_code == 200
    assert program.send("GET", "/access", key=jwk.new_key()).status_code == 401
    assert program.send("GET", "/access", tag=request_signature.AGENT).status_code == 401
    assert program.send("GET", "/access", headers={"X": "y"}).status_code == 401
    program.key_id = str(uuid4())
    assert program.send("GET", "/access").status_code == 401
    program.key_id = "nobody"
    assert program.send("GET", "/access").status_code == 401


def test_a_request_works_once_and_only_as_it_was_signed(program: Program) -> None:
    body = codec.write(batch(phone()))
    signed = request_signature.signature_headers(
        "POST",
        f"{BASE}/connector/v1/partnerships",
        body,
        program.key,
        program.key_id,
        request_signature.CONNECTOR,
        utc_now(),
    )

    assert program.send("POST", "/partnerships", body + b" ", headers=signed).status_code == 401
    assert program.send("POST", "/applied", body, headers=signed).status_code == 401
    assert program.send("POST", "/partnerships", body, headers=signed).status_code == 204
    again = program.send("POST", "/partnerships", body, headers=signed)
    assert again.status_code == 401
    assert "was used before" in again.get_json()["detail"]


def test_a_wrong_clock_is_told_the_right_time(program: Program) -> None:
    answer = program.send("GET", "/access", at=utc_now() - timedelta(minutes=6))

    assert answer.status_code == 401
    assert answer.mimetype == "application/problem+json"
    assert answer.get_json()["type"] == "urn:sekisho:clock-skew"


def test_no_cookie_and_no_session_comes_of_it(program: Program) -> None:
    assert "Set-Cookie" not in program.send("GET", "/access").headers
    assert "Set-Cookie" not in program.client.get("/connector/v1/ca", base_url=BASE).headers


def test_a_pairing_code_ends_after_15_minutes(app: Flask, context: Context) -> None:
    made = Program(app, context)
    with context.database.transaction("test") as session:
        early = utc_now() - timedelta(minutes=15, seconds=1)
        old = connectors.make_pairing_code(session, context.keys, BY, early)

    assert made.pair(old).status_code == 401
    assert made.pair("no such code").status_code == 401
    assert made.pair().status_code == 201


def test_a_code_may_be_typed_with_hyphens_and_small_letters(app: Flask, context: Context) -> None:
    with context.database.transaction("test") as session:
        code = connectors.make_pairing_code(session, context.keys, BY, utc_now())
    typed = "-".join((code[:4], code[4:8], code[8:])).lower()

    assert Program(app, context).pair(typed).status_code == 201


def test_what_was_not_in_a_complete_pass_is_gone(program: Program, session: Session) -> None:
    program.post("/partnerships", batch(phone(), phone(device_id="ADA2")))
    program.post("/partnerships", batch(phone(), complete=False))
    assert {row.gone_at for row in session.query(Partnership)} == {None}

    program.post("/partnerships", batch(phone()))
    session.rollback()
    gone = {row.exchange_device_id for row in session.query(Partnership) if row.gone_at}
    assert gone == {"ADA2"}


def test_unchanged_access_is_not_sent_twice(program: Program) -> None:
    first = program.send("GET", "/access")
    signed = request_signature.signature_headers(
        "GET",
        f"{BASE}/connector/v1/access",
        b"",
        program.key,
        program.key_id,
        request_signature.CONNECTOR,
        utc_now(),
    )
    again = program.send(
        "GET", "/access", headers={**signed, "If-None-Match": first.headers["ETag"]}
    )

    assert (again.status_code, again.data) == (304, b"")


def test_repeating_what_was_applied_changes_nothing(program: Program, session: Session) -> None:
    program.post("/partnerships", batch(phone()))
    now = utc_now()
    later = applied(now, error="no rights")

    for message in (applied(now - timedelta(seconds=9)), later, later):
        assert program.post("/applied", message).status_code == 204
    program.post("/applied", applied(now - timedelta(seconds=9)))
    row = session.query(Partnership).one()
    assert (row.applied, row.applied_error, row.applied_at) == ("block", "no rights", now)
    events = [one.event for one in session.query(MailDecision).order_by(MailDecision.id)]
    assert events == ["applied", "failed"]


def test_a_connector_sees_only_its_own_partnerships(app: Flask, context: Context) -> None:
    first, second = Program(app, context), Program(app, context)
    first.pair()
    second.pair()
    first.post("/partnerships", batch(phone()))
    second.post("/applied", applied(utc_now()))

    with context.database.reading() as session:
        assert session.query(Partnership).one().applied == ""
        assert queries.list_wanted(session, UUID(second.key_id), utc_now()) == ()


json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=8,
)
names = st.sampled_from(
    ["v", "code", "key", "name", "pass_id", "seen_at", "complete", "partnerships", "applied", "at"]
)
bodies = st.binary(max_size=50) | st.dictionaries(names, json_values).map(
    lambda fields: codec.write({"v": 1, **fields})
)


def test_a_connectors_signature_opens_nothing_but_its_own_doors(
    program: Program, app: Flask
) -> None:
    """A connector that was taken over reads and changes nothing but mail access."""
    tried = 0
    for rule in app.url_map.iter_rules():
        if rule.rule.startswith("/connector/v1") or rule.arguments or rule.endpoint == "static":
            continue
        for method in sorted((rule.methods or set()) & {"GET", "POST", "PUT", "DELETE"}):
            guarded = getattr(app.view_functions[rule.endpoint], "sekisho_permission", None)
            if guarded is None:
                continue
            url = f"{BASE}{rule.rule}"
            signed = request_signature.signature_headers(
                method,
                url,
                b"",
                program.key,
                program.key_id,
                request_signature.CONNECTOR,
                utc_now(),
            )
            answer = program.client.open(rule.rule, method=method, headers=signed, base_url=BASE)
            assert answer.status_code in (302, 400, 401, 403), (method, rule.rule)
            tried += 1
    assert tried > 50


def test_what_another_connector_reported_cannot_be_touched(
    program: Program, app: Flask, context: Context
) -> None:
    program.post("/partnerships", batch(phone(guid="G1")))
    other = Program(app, context)
    other.pair()
    now = utc_now()
    said = messages.Applied(
        mailbox="corp.test/Users/ada", device_id="ADA1", access="block", at=now, error="x"
    )
    assert other.post("/applied", messages.AppliedBatch(applied=(said,))).status_code == 204
    synced = messages.Synced(mailbox="corp.test/Users/ada", device_id="ADA1", last_sync_at=now)
    assert other.post("/synced", messages.SyncedBatch(at=now, synced=(synced,))).status_code == 204
    renamed = phone(guid="G1", mailbox="corp.test/Users/eve")
    assert other.post("/partnerships", batch(renamed)).status_code == 204

    with context.database.reading() as session:
        rows = {row.mailbox: row for row in session.query(Partnership)}
    assert set(rows) == {"corp.test/Users/ada", "corp.test/Users/eve"}
    row = rows["corp.test/Users/ada"]
    assert (row.applied, row.last_sync_at) == ("", None)


def test_a_log_that_another_connector_owes_is_not_taken(
    program: Program, app: Flask, context: Context
) -> None:
    other = Program(app, context)
    other.pair()
    name, content = "mail1_1_20261122T101500Z.zip", b"PK\x03\x04"
    with context.database.transaction("test") as session:
        order = logs.order_log(session, context.keys, UUID(program.key_id), BY, utc_now())
    assert other.send("POST", f"/logs/{order.id}/{name}", content).status_code == 409
    assert other.send("GET", "/access").get_json().get("fetch_log") is None
    assert program.send("GET", "/access").get_json()["fetch_log"] == str(order.id)
    assert program.send("POST", f"/logs/{order.id}/{name}", content).status_code == 204


def test_a_door_that_is_named_a_thousand_times_is_one(program: Program, session: Session) -> None:
    program.post("/partnerships", batch(phone(open_doors=("imap", "pop") * 1000)))
    said = messages.Applied(
        mailbox="corp.test/Users/ada",
        device_id="ADA1",
        access="block",
        at=utc_now(),
        closed_doors=("imap",) * 1000,
    )
    assert program.post("/applied", messages.AppliedBatch(applied=(said,))).status_code == 204
    row = session.query(Partnership).one()
    assert (row.open_doors, row.closed_doors) == ("imap pop", "imap")


texts = st.text(min_size=1, max_size=64).filter(lambda text: "\x00" not in text)
odd_phones = st.builds(
    messages.Partnership,
    mailbox=texts,
    user_address=st.text(max_size=64).filter(lambda text: "\x00" not in text),
    device_id=texts,
    access_state=texts,
)
quick = hypothesis_settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@quick
@given(
    st.sampled_from(["/pairings", "/partnerships", "/applied", "/status", "/synced", "/wipes"]),
    bodies,
)
def test_no_body_breaks_the_server(program: Program, path: str, body: bytes) -> None:
    answer = program.send("POST", path, body)

    assert answer.status_code in (204, 400, 401, 429)
    assert answer.status_code == 204 or answer.get_json()["detail"]


@quick
@given(st.lists(odd_phones, max_size=5))
def test_any_partnership_a_server_may_name_is_stored(
    program: Program, found: list[messages.Partnership]
) -> None:
    answer = program.post("/partnerships", batch(*found))

    assert answer.status_code == 204, answer.get_json()
    with program.context.database.reading() as session:
        live = session.query(Partnership).where(Partnership.gone_at.is_(None)).count()
    assert live == len({(one.mailbox, one.device_id) for one in found})
