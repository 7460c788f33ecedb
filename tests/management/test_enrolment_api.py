"""The API of enrolment: keys, users, allow-list, terms of use, registrations, agent packages."""

import io
from datetime import timedelta
from pathlib import Path

import pytest
from flask import Flask

from management.access import Role
from management.agent_packages import queries as packages
from management.agent_packages.service import choose_key
from management.apps import queries as apps
from management.apps import work
from management.context import Context
from management.enrolment.queries import list_invitations
from management.updates.service import install_shipped
from runtime.clock import utc_now
from runtime.errors import RefusedError
from tests.management.clients import ConsoleClient, api_client
from tests.management.phones import Office, Phone, office
from tests.scanner.build_apk import App, build_apk


@pytest.fixture
def desk(context: Context) -> Office:
    return office(context)


@pytest.fixture
def owner(app: Flask, context: Context) -> ConsoleClient:
    return api_client(app, context, "machine", Role.OWNER)


def test_a_key_for_many_is_made_and_its_devices_are_listed(
    owner: ConsoleClient, desk: Office
) -> None:
    ends = (utc_now() + timedelta(days=30)).isoformat()
    body = {"purpose": "kiosks", "expires_at": ends, "devices": 2, "key": "shinagawa-2026-kiosk"}
    made = owner.post("/api/v1/enrolment-keys", json=body)
    assert made.status_code == 201, made.text
    key = made.get_json()
    assert key["key"] == "SHINAGAWA-2026-KIOSK"
    assert key["typed"].startswith("localhost:2/SHINAGAWA-2026-KIOSK.")
    Phone(desk).enrol(key["key"])

    listed = owner.get(f"/api/v1/invitations/{key['invitation']['id']}").get_json()
    assert (listed["devices"], listed["most_devices"], listed["state"]) == (1, 2, "active")
    (one,) = owner.get("/api/v1/registrations").get_json()["items"]
    assert (one["state"], one["device"]) == ("operating", "Pixel")
    assert owner.get("/api/v1/registrations?which=awaited").get_json()["items"] == []
    assert owner.post("/api/v1/enrolment-keys", json=body).status_code == 409
    late = body | {"expires_at": "2099-01-01T00:00:00Z", "key": ""}
    assert owner.post("/api/v1/enrolment-keys", json=late).status_code == 409


def test_a_user_is_added_listed_and_disabled(owner: ConsoleClient, desk: Office) -> None:
    made = owner.post(
        "/api/v1/enrolment-users", json={"name": "Yui", "address": "yui@example.jp"}
    ).get_json()
    assert len(made["password"]) == 16
    address = f"/api/v1/enrolment-users/{made['user']['id']}"
    assert owner.post(f"{address}/disable").get_json()["disabled_at"]
    assert owner.post(f"{address}/enable").get_json()["disabled_at"] is None
    assert owner.post(f"{address}/password").get_json()["password"] != made["password"]
    (listed,) = owner.get("/api/v1/enrolment-users?text=YUI").get_json()["items"]
    assert listed["name"] == "yui"
    assert "password" not in listed


def test_the_allow_list_is_kept_by_programs(owner: ConsoleClient, desk: Office) -> None:
    good = owner.post("/api/v1/allow-list", json={"imei_or_meid": "490154203237518"})
    assert good.get_json() == {"count": 1}
    bad = owner.post("/api/v1/allow-list", json={"imei_or_meid": "490154203237519"})
    assert bad.status_code == 409
    assert "check digit" in bad.get_json()["detail"]
    owner.put("/api/v1/allow-list/setting", json={"unlisted": "refused"})
    page = owner.get("/api/v1/allow-list").get_json()
    assert (page["count"], page["unlisted"]) == (1, "refused")
    row = page["items"][0]["id"]
    assert owner.post(f"/api/v1/allow-list/{row}/remove").get_json() == {"count": 0}


def test_terms_are_published_by_programs(owner: ConsoleClient, desk: Office) -> None:
    made = owner.post("/api/v1/terms-of-use", json={"html": "<h1>Be kind</h1><script>x</script>"})
    assert made.status_code == 201
    assert made.get_json()["version"] == 1
    assert owner.get("/api/v1/terms-of-use").get_json()["current"] == 1
    assert (
        owner.post("/api/v1/terms-of-use", json={"html": "<script>x</script>"}).status_code == 409
    )


# --- agent packages, whose page is here too ---


def _upload(console: ConsoleClient, body: bytes) -> None:
    answer = console.post(
        "/agent-package",
        data={"file": (io.BytesIO(body), "agent.apk")},
        content_type="multipart/form-data",
    )
    assert answer.status_code == 303, answer.text


def test_a_package_is_handed_out_only_when_it_is_clean_and_of_the_same_maker(
    console: ConsoleClient, context: Context, desk: Office, tmp_path: Path
) -> None:
    with context.database.transaction("install patterns") as session:
        install_shipped(session, context.settings, utc_now())
    first = build_apk(tmp_path / "1.apk", App(package="org.sekisho.agent", version_name="1.0"))
    other = build_apk(
        tmp_path / "2.apk", App(package="org.sekisho.agent", version_name="2.0", key="CN=Other")
    )
    for path in (first, other):
        _upload(console, path.read_bytes())
    with context.database.reading() as session:
        hashes = [one.row.sha256 for one in reversed(packages.list_packages(session))]
    assert console.post(f"/agent-package/{hashes[0]}/release").status_code == 409
    assert "It is not scanned yet" in console.get("/agent-package").text
    for sha256 in hashes:
        work.scan(context, {"sha256": sha256}, lambda said: None)

    assert console.post(f"/agent-package/{hashes[0]}/release").status_code == 303
    refused = console.post(f"/agent-package/{hashes[1]}/release")
    assert refused.status_code == 409
    assert "Another key signed it" in refused.text
    assert "Handed out" in console.get("/agent-package").text
    with context.database.reading() as session:
        assert packages.agent_files(session).keys() == {hashes[0]}
        assert apps.get_known(session, hashes[0]).version == "1.0"
        assert packages.offered_package(session) is not None
    with context.database.transaction("let it turn bad") as session:
        apps.get_known(session, hashes[0]).verdict = "malicious"
        assert packages.offered_package(session) is None
    console.post("/agent-package/withdraw")
    again = console.post(f"/agent-package/{hashes[1]}/release")
    assert again.status_code == 409, "withdrawing it first is no way round"
    assert "Say that another signer is meant" in again.text
    assert 'name="other_signer"' in console.get("/agent-package").text
    meant = {"other_signer": "yes"}
    assert console.post(f"/agent-package/{hashes[1]}/release", data=meant).status_code == 303


def test_nobodys_own_key_alone_goes_into_the_package(
    console: ConsoleClient, context: Context, desk: Office
) -> None:
    with context.database.reading() as session:
        assert packages.offered_key(session) is None
    desk.invite()
    with context.database.transaction("choose") as session:
        (row,) = list_invitations(session, utc_now())
        with pytest.raises(RefusedError, match="nobody's own"):
            choose_key(session, row.id, utc_now())
    assert console.post("/agent-package/key", data={"key": "x"}).status_code == 409
