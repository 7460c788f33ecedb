"""Relays in the console and the API, with a real relay at the other end."""

import base64
import html
import io
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest
from flask import Flask
from sqlalchemy import select

from communication import pairing_code
from contracts import codec, envelope
from contracts.agent import TrustStatement
from management.access import Role
from management.audit.models import AuditEntry
from management.check_in.visit import visit_all
from management.context import Context
from management.enrolment.service import retire
from management.policies.service import ensure_default_policy
from management.relays import changes, deleting
from management.relays.models import OutboundMessage, RelayIncident, RelayListing
from management.relays.models import Relay as RelayRow
from management.relays.queries import list_behind, list_relays
from management.relays.service import ensure_local_relay, pair_relay, record_incident
from management.relays.trust import current_trust
from management.relays.work import watch
from runtime.clock import utc_now
from tests.communication.authority import company
from tests.communication.relay import Management, Relay, free_ports
from tests.management.clients import ConsoleClient, api_client, own_code, signed_in_client
from tests.management.phones import Office, Phone

pytestmark = pytest.mark.servers


@pytest.fixture
def unpaired(tmp_path: Path) -> Iterator[Relay]:
    relay = Relay(tmp_path / "relay")
    for name in ("management.json", "tls.pem", "tls.key"):
        (relay.folder / name).unlink()
    relay.start()
    yield relay
    relay.hang_up()
    relay.stop()


@pytest.fixture
def ready(context: Context) -> Context:
    with context.database.transaction("set up") as session:
        ensure_default_policy(session, utc_now())
    return context


def pair(console: ConsoleClient, relay: Relay, code: str = "", **said: str) -> str:
    """Pair through the console; return the relay's page, or what was answered instead."""
    code = code or pairing_code.make(relay.folder, datetime.now(UTC))
    form = {"name": "dmz", "link_url": relay.link_url, "code": code, "devices": "", **said}
    answer = console.post("/relays/pair", data=form)
    return html.unescape(answer.location or answer.text)


def only(context: Context) -> RelayRow:
    with context.database.reading() as session:
        return list_relays(session)[0]


def test_a_relay_is_paired_by_its_code_certified_and_serves(
    console: ConsoleClient, ready: Context, unpaired: Relay
) -> None:
    page = pair(console, unpaired)
    assert page.startswith("/relays/")
    visit_all(ready)
    visit_all(ready)

    row = only(ready)
    assert (row.problem, row.tls_source, row.disabled_at) == ("", "private", None)
    assert row.devices_url == unpaired.devices_url
    assert row.tls_shown == row.tls_sha256
    unpaired.tls = ready.keys.ca_certificate()
    assert unpaired.devices_client().get("/agent/v1/trust").status_code == 200
    shown = console.get(page).text
    assert "Built-in CA; renewed by itself" in shown
    assert row.tls_shown in shown
    assert "complete as of" in console.get("/relays").text
    with ready.database.reading() as session:
        actions = session.scalars(select(AuditEntry.action)).all()
    assert "relay.pair" in actions


def test_a_wrong_code_pairs_nothing_and_says_what_to_do(
    console: ConsoleClient, ready: Context, unpaired: Relay
) -> None:
    said = pair(console, unpaired, code="AAAA-BBBB-CCCC-DDDD-EEEE")

    assert "sekisho communication code" in said
    with ready.database.reading() as session:
        assert list_relays(session) == []
    assert "No relay answers at" in pair(
        console, unpaired, link_url=f"https://127.0.0.1:{free_ports(1)[0]}"
    )
    elsewhere = pair(console, unpaired, link_url=f"https://127.0.0.1:{free_ports(1)[0]}/x")
    assert "is no address like" in elsewhere
    assert "is no address like" in pair(console, unpaired, link_url="relay.example")


def test_somebody_in_between_cannot_use_the_code(
    console: ConsoleClient, ready: Context, unpaired: Relay, tmp_path: Path
) -> None:
    """A relay of somebody else's answers in the place of ours; it does not know the code."""
    between = Relay(tmp_path / "between")
    (between.folder / "management.json").unlink()
    between.start()
    try:
        code = pairing_code.make(unpaired.folder, datetime.now(UTC))
        pairing_code.make(between.folder, datetime.now(UTC))
        assert "is wrong" in pair(console, between, code=code)
    finally:
        between.stop()
    assert pair(console, unpaired, code=code).startswith("/relays/")


def test_a_pfx_is_imported_or_refused_in_the_readers_language(
    console: ConsoleClient, ready: Context, unpaired: Relay
) -> None:
    page = pair(console, unpaired)
    visit_all(ready)
    good, _ = company("127.0.0.1")
    other, _ = company("other.example.com")

    refused = console.post(f"{page}/certificate", data=_upload(other))
    assert refused.status_code == 422
    assert "The certificate is for other.example.com" in refused.text
    assert console.post(f"{page}/certificate", data=_upload(good, "no")).status_code == 422
    console.post("/account/language", data={"language": "ja"})

    assert console.post(f"{page}/certificate", data=_upload(good)).status_code == 303
    for _ in range(2):
        visit_all(ready)
    row = only(ready)
    assert (row.tls_source, row.tls_shown) == ("imported", row.tls_sha256)
    assert "PRIVATE" not in row.tls_key


def _upload(data: bytes, password: str = "secret") -> dict[str, object]:
    return {"file": (io.BytesIO(data), "relay.pfx"), "password": password}


def test_ports_are_set_in_the_console_and_the_last_relay_cannot_be_switched_off(
    console: ConsoleClient, ready: Context, unpaired: Relay
) -> None:
    page = pair(console, unpaired)
    visit_all(ready)
    (port,) = free_ports(1)
    form = {
        "link_url": unpaired.link_url,
        "devices_url": f"https://127.0.0.1:{port}",
        "devices_port": str(port),
        "http_port": str(unpaired.http_port),
        "link_port": str(unpaired.link_port),
    }

    assert console.post(f"{page}/settings", data=form).status_code == 303
    visit_all(ready)
    visit_all(ready)

    row = only(ready)
    assert row.told_settings is not None
    assert row.told_settings["devices_ports"] == [port, unpaired.devices_port]
    assert f"https://127.0.0.1:{port}" in console.get(page).text
    same = console.post(f"{page}/settings", data=form | {"http_port": str(port)})
    assert "The three ports must differ." in same.text
    refused = console.post(f"{page}/disable", data={"reason": "test"})
    assert (refused.status_code, "only relay" in refused.text) == (422, True)
    with ready.database.transaction("second") as session:
        ensure_local_relay(session, "https://l:1", "PEM", "https://l:2", "PEM", utc_now())
    assert console.post(f"{page}/disable", data={"reason": "test"}).status_code == 303
    assert "Not used" in console.get("/relays").text


def test_only_who_manages_relays_changes_them(
    app: Flask, ready: Context, unpaired: Relay, console: ConsoleClient
) -> None:
    page = pair(console, unpaired)
    reader = signed_in_client(app, ready, "reader", Role.OPERATOR)

    assert reader.get(page).status_code == 200
    for path in ("certificate", "certificate/private", "settings", "disable", "enable"):
        assert reader.post(f"{page}/{path}").status_code == 403
    assert reader.post("/relays/pair").status_code == 403


def test_a_certificate_is_renewed_or_warned_of_in_time(
    console: ConsoleClient, ready: Context, unpaired: Relay
) -> None:
    page = pair(console, unpaired)
    visit_all(ready)
    visit_all(ready)
    before = only(ready).tls_sha256

    for days, warned in ((90, None), (59, 60), (58, 60), (30, 30), (6, 7)):
        with ready.database.transaction("time passes") as session:
            row = list_relays(session)[0]
            row.tls_source, row.tls_until = "imported", utc_now() + timedelta(days=days, hours=1)
        watch(ready, {}, print)
        assert only(ready).tls_warned_days == warned
    with ready.database.reading() as session:
        ends = [e for e in session.scalars(select(AuditEntry)) if "certificate_ends" in e.action]
    assert [entry.details["days"] for entry in ends] == [59, 30, 6]
    assert "Ends in 6 days" in console.get("/relays").text
    assert "The certificate of relay dmz ends" in console.get("/").text

    with ready.database.transaction("it is our own") as session:
        list_relays(session)[0].tls_source = changes.PRIVATE
    watch(ready, {}, print)
    assert only(ready).tls_sha256 != before
    visit_all(ready)
    visit_all(ready)
    row = only(ready)
    assert (row.tls_shown, row.tls_warned_days) == (row.tls_sha256, None)
    assert "Ends in" not in console.get(page).text


def test_a_copy_of_this_server_is_told_of_as_an_incident(
    console: ConsoleClient, ready: Context, unpaired: Relay
) -> None:
    pair(console, unpaired)
    visit_all(ready)
    unpaired.management_key = ready.keys.link_key()
    copy = Management(unpaired)
    copy.client.headers["Sekisho-Instance"] = "a copy"

    assert copy.send("GET", "/link/v1/inbound").status_code == 409
    visit_all(ready)
    visit_all(ready)

    with ready.database.reading() as session:
        (incident,) = session.scalars(select(RelayIncident))
    assert (incident.problem, incident.repeats) == ("second_management", 1)
    assert "copy of this data folder" in incident.detail
    assert "Second management server" in console.get("/relays").text


def test_the_api_does_it_all(app: Flask, ready: Context, unpaired: Relay) -> None:
    code = pairing_code.make(unpaired.folder, datetime.now(UTC))
    api = api_client(app, ready, "program", Role.OWNER)
    said = {"name": "cloud", "link_url": unpaired.link_url, "code": code}
    wrong = api.post("/api/v1/relays", json={**said, "own_code": "000000"})
    assert (wrong.status_code, "Prove again" in wrong.text or "code" in wrong.text) == (403, True)
    made = api.post("/api/v1/relays", json={**said, "own_code": own_code(ready, "program")})
    assert made.status_code == 201, made.text
    path = f"/api/v1/relays/{made.get_json()['id']}"
    pfx = base64.b64encode(company("127.0.0.1")[0]).decode()
    for body, source in (({"pfx": pfx, "password": "secret"}, "imported"), ({}, "private")):
        proved = {**body, "own_code": own_code(ready, "program")}
        answer = api.put(f"{path}/certificate", json=proved)
        assert (answer.status_code, answer.get_json()["certificate_source"]) == (200, source)
    bad = {"pfx": "AAAA", "own_code": own_code(ready, "program")}
    assert api.put(f"{path}/certificate", json=bad).status_code == 409
    places = {
        name: made.get_json()[name]
        for name in ("link_url", "devices_url", "devices_port", "http_port", "link_port")
    }
    assert api.put(f"{path}/places", json=places).status_code == 200
    assert api.put(f"{path}/switch", json={"enabled": False, "because": "x"}).status_code == 409
    assert api.get(path).get_json()["silent_devices"] == 0


def test_how_old_a_relays_list_of_devices_is_stands_beside_it(
    console: ConsoleClient, ready: Context, unpaired: Relay
) -> None:
    page = pair(console, unpaired)
    visit_all(ready)
    assert "complete as of" in console.get("/relays").text
    with ready.database.transaction("policy") as session:
        policy_id = ensure_default_policy(session, utc_now()).id
    phone = Phone(Office(ready, only(ready).id, policy_id)).enrol()
    visit_all(ready)
    unpaired.kill()
    with ready.database.transaction("lost") as session:
        retire(session, phone.device_id, "keeper", "stolen", utc_now())

    visit_all(ready)

    old = "Old: revoked devices may still enter there"
    for path in ("/relays", page):
        assert "1 changes wait, the oldest since" in console.get(path).text
        assert old not in console.get(path).text
    with ready.database.transaction("time passes") as session:
        list_relays(session)[0].contact_at = utc_now() - timedelta(minutes=16)
    for path in ("/relays", page):
        assert old in console.get(path).text
    unpaired.start()
    visit_all(ready)
    assert "changes wait" not in console.get(page).text


def spare(context: Context) -> None:
    """Let there be a second relay."""
    with context.database.transaction("second") as session:
        ensure_local_relay(session, "https://l:1", "PEM", "https://l:2", "PEM", utc_now())


def hang(context: Context, relay_id: UUID) -> Phone:
    """Let a device and an incident hang on the relay."""
    with context.database.transaction("policy") as session:
        policy_id = ensure_default_policy(session, utc_now()).id
        record_incident(session, "gap", "Number 7 is missing.", utc_now(), relay_id=relay_id)
    desk = Office(context, relay_id, policy_id)
    phone = Phone(desk).enrol()
    desk.take(phone.report(phone.good()))
    return phone


def told(context: Context) -> str:
    with context.database.transaction("trust") as session:
        return current_trust(session, context.keys, context.signer, utc_now()).statement


def test_a_relay_is_deleted_after_a_look_at_what_hangs_on_it_and_paired_anew(
    console: ConsoleClient, ready: Context, unpaired: Relay
) -> None:
    page = pair(console, unpaired)
    visit_all(ready)
    row = only(ready)
    phone = hang(ready, row.id)
    spare(ready)
    said = {"typed": "dmz", "reason": "its machine was taken over"}
    refused = console.post(f"{page}/delete", data=said)
    assert (refused.status_code, "Disable the relay first" in refused.text) == (422, True)
    assert console.post(f"{page}/disable", data={"reason": "taken over"}).status_code == 303

    look = console.get(f"{page}/delete").text
    assert str(phone.device_id) in look
    assert 'Of them: no other relay known</dt><dd class="sk-bad fw-bold">1</dd>' in look
    assert console.post(f"{page}/delete", data={**said, "typed": "dm"}).status_code == 422
    assert console.post(f"{page}/delete", data=said).status_code == 303

    assert console.get(page).status_code == 404
    assert is_told_of(told(ready), unpaired) is False
    with ready.database.reading() as session:
        (left,) = list_relays(session)
        listings = session.scalars(select(RelayListing)).all()
        assert {one.relay_id for one in listings} == {left.id}
        assert {one.relay_id for one in session.scalars(select(OutboundMessage))} == {left.id}
        (incident,) = session.scalars(select(RelayIncident))
        deleted = session.scalars(select(AuditEntry).where(AuditEntry.action == "relay.delete"))
        (entry,) = deleted.all()
        assert phone.row(session).relay_id is None
    assert (incident.relay_id, incident.detail) == (None, "dmz: Number 7 is missing.")
    assert (entry.subject, entry.details["lonely"]) == ("dmz", 1)

    assert pair(console, unpaired).startswith("/relays/")
    visit_all(ready)
    visit_all(ready)
    with ready.database.reading() as session:
        again = next(one for one in list_relays(session) if one.name == "dmz")
        assert (again.problem, again.id != row.id) == ("", True)
        assert list_behind(session).get(again.id) is None
    assert is_told_of(told(ready), unpaired)


def is_told_of(statement: str, relay: Relay) -> bool:
    said = codec.read(TrustStatement, envelope.unverified_payload(statement))
    return relay.devices_url in [one.url for one in said.relays]


def test_a_relay_that_is_gone_is_deleted_by_api_but_never_the_last_one(
    app: Flask, ready: Context
) -> None:
    spare(ready)
    relay_id = only(ready).id
    phone = hang(ready, relay_id)
    api = api_client(app, ready, "program", Role.OWNER)
    path = f"/api/v1/relays/{relay_id}"
    said = {"name": "local", "because": "burnt down"}
    with ready.database.transaction("gone") as session:
        list_relays(session)[0].problem_at = utc_now() - timedelta(days=2)

    assert "only relay" in api.get(f"{path}/deletion").get_json()["refusal"]
    with ready.database.transaction("another") as session:
        pair_relay(session, "new", "https://n:1", "PEM", "https://n:2", "PEM", utc_now())
    look = api.get(f"{path}/deletion").get_json()
    assert (look["refusal"], look["devices"], look["lonely"]) == ("", 1, 1)
    assert look["named"][0]["id"] == str(phone.device_id)
    wrong = {**said, "name": "new", "own_code": own_code(ready, "program")}
    assert api.post(f"{path}/delete", json=wrong).status_code == 409
    proved = {**said, "own_code": own_code(ready, "program")}
    assert api.post(f"{path}/delete", json=proved).get_json()["lonely"] == 1
    assert api.get(path).status_code == 404
    assert only(ready).name == "new"


def test_a_device_heard_since_another_relay_is_listed_is_not_lonely(ready: Context) -> None:
    spare(ready)
    relay_id = only(ready).id
    phone = hang(ready, relay_id)
    with ready.database.transaction("another") as session:
        ago = utc_now() - timedelta(days=1)
        pair_relay(session, "new", "https://n:1", "PEM", "https://n:2", "PEM", ago)
        assert phone.row(session).relay_id == relay_id

    with ready.database.reading() as session:
        found = deleting.look(session, relay_id, utc_now())
    assert (found.devices, found.lonely) == (1, 0)
