"""ASVS 5 V4, API and web service: what programs may send.

| attack | also shown by |
|---|---|
| undocumented input and answers | `console/test_api` (schemathesis) |
| another method than meant, method overriding | here |
| another kind of content | here |
| headers of a proxy that is not there | here |
| fields that nobody offers (mass assignment) | `test_v15_secure_coding` |
| requests that never end | `test_web_server` |
"""

import pytest

from tests.security.conftest import Target


@pytest.mark.parametrize("header", ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"])
def test_no_header_makes_a_reading_request_change_something(target: Target, header: str) -> None:
    path = f"/api/v1/devices/{target.fleet.devices[0]}"
    answer = target.program.get(path, headers={header: "DELETE"})
    assert answer.status_code == 200
    assert target.program.open(path, method="TRACE").status_code == 405


def test_a_form_is_no_json(target: Target) -> None:
    path = "/api/v1/enforcement/pause"
    for kind in ("application/x-www-form-urlencoded", "text/plain", "multipart/form-data"):
        answer = target.program.post(path, data="reason=x", content_type=kind)
        assert answer.status_code in {400, 404, 415}
        assert answer.mimetype == "application/problem+json"


@pytest.mark.parametrize("body", [b"{", b"[" * 50_000, b'{"a":' * 50_000, b"\xff\xfe", b"1e999999"])
def test_no_body_breaks_the_reader(target: Target, body: bytes) -> None:
    for path in ("/api/v1/invitations", "/api/v1/policies", "/api/v1/groups"):
        answer = target.program.post(path, data=body, content_type="application/json")
        assert answer.status_code in {400, 404, 405, 413}, (path, body[:10])


def test_a_visitor_does_not_choose_its_own_address(target: Target) -> None:
    stranger = target.stranger()
    claimed = {
        "X-Forwarded-For": "127.0.0.1",
        "X-Real-IP": "127.0.0.1",
        "Forwarded": "for=127.0.0.1",
    }
    stranger.environ_base["REMOTE_ADDR"] = "203.0.113.9"
    assert stranger.get("/metrics", headers=claimed).status_code == 401


@pytest.mark.parametrize("path", ["/api/v1/mail-access/partnerships", "/mail-access/partnerships"])
def test_a_number_that_no_database_knows_names_nothing(target: Target, path: str) -> None:
    for number in (2**63, 10**40):
        client = target.program if path.startswith("/api/") else target.owner
        assert client.get(f"{path}/{number}").status_code == 404


def test_a_path_of_several_methods_says_404_for_such_a_number_to_each(target: Target) -> None:
    path = f"/api/v1/mail-access/partnerships/{2**63}/wipes"
    assert target.program.get(path).status_code == 404
    assert target.program.post(path, json={}).status_code == 404
