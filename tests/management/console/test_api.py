"""The API: true to its document, closed without a token, saying what the console says."""

from typing import Any
from uuid import uuid4

import pytest
import schemathesis
from flask import Flask
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.core.result import Ok

from management.access import Role
from management.api.operations import OPERATION
from management.context import Context
from runtime.clock import utc_now
from tests.management.clients import BASE, ConsoleClient, api_client, own_code, signed_in_client
from tests.management.fleet import Fleet, fill


@pytest.fixture
def fleet(context: Context) -> Fleet:
    return fill(context, utc_now(), 24)


@pytest.fixture
def owner(app: Flask, context: Context) -> ConsoleClient:
    return api_client(app, context, "program", Role.OWNER)


def _ids(page: dict[str, Any]) -> list[str]:
    return [item["id"] for item in page["items"]]


def test_the_document_names_every_route_under_api(app: Flask, visitor: ConsoleClient) -> None:
    documented = visitor.get("/api/v1/openapi.json").get_json()["paths"]
    routes = [rule for rule in app.url_map.iter_rules() if rule.rule.startswith("/api/")]
    undescribed = {
        rule.rule for rule in routes if not hasattr(app.view_functions[rule.endpoint], OPERATION)
    }
    assert undescribed == {"/api/v1/openapi.json"}
    assert sum(len(methods) for methods in documented.values()) == len(routes) - 1


def test_a_list_pages_through_all_devices_once(owner: ConsoleClient, fleet: Fleet) -> None:
    seen, after = [], ""
    while after is not None:
        page = owner.get(f"/api/v1/devices?limit=7&after={after}").get_json()
        seen += _ids(page)
        after = page["next"]
    assert sorted(seen) == sorted(map(str, fleet.devices))


def test_a_judgement_says_rule_reason_and_remedy(owner: ConsoleClient, fleet: Fleet) -> None:
    found = owner.get(f"/api/v1/devices/{fleet.devices[0]}/judgement").get_json()
    assert found["state"] == "non_compliant"
    assert found["violations"][0]["rule"] == "no_malicious_app"
    assert "Bright Torch" in found["violations"][0]["because"]
    assert found["violations"][0]["mend"] == "Remove the app: Bright Torch."
    explained = owner.get(f"/api/v1/devices/{fleet.devices[0]}/explanation").get_json()
    assert explained["judgement"]["state"] == found["state"]
    assert explained["facts"]["rooted"]["value"] is False


def test_a_command_is_queued_followed_and_taken_back(owner: ConsoleClient, fleet: Fleet) -> None:
    body = {"kind": "message", "reason": "drill", "arguments": {"text": "Come back."}}
    made = owner.post(f"/api/v1/devices/{fleet.devices[1]}/commands", json=body)
    assert made.status_code == 201
    address = f"/api/v1/commands/{made.get_json()['id']}"
    assert owner.get(address).get_json()["state"] == "queued"
    assert owner.post(f"{address}/cancel").get_json()["state"] == "cancelled"
    again = owner.post(f"{address}/cancel")
    assert again.status_code == 409
    assert again.mimetype == "application/problem+json"
    assert again.get_json()["detail"].endswith("cannot be taken back.")


def test_only_who_may_order_a_wipe_takes_it_back(
    app: Flask, context: Context, owner: ConsoleClient, fleet: Fleet
) -> None:
    body = {"kind": "wipe", "reason": "stolen", "code": own_code(context, "program")}
    made = owner.post(f"/api/v1/devices/{fleet.devices[1]}/commands", json=body).get_json()["id"]
    operator = api_client(app, context, "helper", Role.OPERATOR)
    browser = signed_in_client(app, context, "clerk", Role.OPERATOR)

    assert operator.post(f"/api/v1/commands/{made}/cancel").status_code == 403
    assert browser.post(f"/commands/{made}/cancel").status_code == 403
    assert owner.get(f"/api/v1/commands/{made}").get_json()["state"] == "queued"
    assert owner.post(f"/api/v1/commands/{made}/cancel").status_code == 200


def test_an_invitation_brings_key_and_link_once(owner: ConsoleClient, fleet: Fleet) -> None:
    made = owner.post("/api/v1/invitations", json={"address": "aoi@example.org", "days": 3})
    assert made.status_code == 201
    assert made.get_json()["link"].startswith("sekisho://enrol?relay=")
    shown = owner.get(f"/api/v1/invitations/{made.get_json()['invitation']['id']}").get_json()
    assert shown["state"] == "active"
    assert "key" not in shown


def test_a_misspelt_criterion_of_a_policy_is_refused(owner: ConsoleClient, fleet: Fleet) -> None:
    address = f"/api/v1/policies/{fleet.policy_id}/requirements"
    wrong = owner.put(address, json={"requirements": {"no_root": True}, "because": "test"})
    assert wrong.status_code == 400
    assert "no_root" in wrong.get_json()["detail"]
    right = owner.put(address, json={"requirements": {"not_rooted": False}, "because": "test"})
    assert right.get_json()["version"] == 3


def test_enforcement_is_paused_and_resumed(owner: ConsoleClient, context: Context) -> None:
    change = {"paused": True, "because": "drill"}
    assert owner.put("/api/v1/enforcement", json=change).get_json()["paused"] is True
    assert context.signer.status()["paused_because"] == "drill"
    owner.put("/api/v1/enforcement", json={"paused": False, "because": "over"})
    assert owner.get("/api/v1/enforcement").get_json()["paused"] is False
    assert context.signer.status()["paused_because"] == ""


def test_a_signer_that_does_not_follow_is_named_in_the_answer(
    owner: ConsoleClient, context: Context
) -> None:
    context.signer.socket_path = context.settings.home / "signer" / "nobody.sock"

    answer = owner.put("/api/v1/enforcement", json={"paused": True, "because": "drill"})

    assert (answer.status_code, answer.get_json()["paused"]) == (200, True)
    assert "does not answer" in answer.get_json()["signer"]


def test_without_a_token_nothing_is_answered(app: Flask, visitor: ConsoleClient) -> None:
    for path in visitor.get("/api/v1/openapi.json").get_json()["paths"]:
        address = path.replace("{", "").replace("}", "")
        assert visitor.get(address).status_code in {401, 404, 405}, path
    refused = visitor.get("/api/v1/devices", headers={"Authorization": "Bearer nonsense"})
    assert refused.status_code == 401
    assert refused.headers["WWW-Authenticate"] == "Bearer"


def test_a_browser_session_opens_no_api(console: ConsoleClient) -> None:
    assert console.get("/api/v1/devices").status_code == 401


def test_a_token_has_its_owners_permissions_and_no_more(
    app: Flask, context: Context, fleet: Fleet
) -> None:
    reader = api_client(app, context, "reader", Role.READ_ONLY)
    assert reader.get("/api/v1/audit").status_code == 200
    body = {"kind": "lock", "reason": "x"}
    address = f"/api/v1/devices/{fleet.devices[0]}/commands"
    assert reader.post(address, json=body).status_code == 403
    operator = api_client(app, context, "operator", Role.OPERATOR)
    assert operator.post(address, json={"kind": "wipe", "reason": "x"}).status_code == 403
    assert operator.post(address, json=body).status_code == 201


def test_health_and_metrics(visitor: ConsoleClient, owner: ConsoleClient) -> None:
    assert visitor.get("/healthz").get_json() == {"status": "ok", "wrong": {}}
    far = {"REMOTE_ADDR": "192.0.2.1"}
    assert visitor.get("/metrics").status_code == 200
    assert visitor.get("/metrics", environ_base=far).status_code == 401
    assert "python_info" in owner.get("/metrics").text


@pytest.mark.timeout(600)
def test_no_request_finds_an_undocumented_answer(
    app: Flask, context: Context, fleet: Fleet, owner: ConsoleClient
) -> None:
    """Let schemathesis send a bounded number of right and wrong requests to every operation."""
    schema = schemathesis.openapi.from_wsgi("/api/v1/openapi.json", app)
    headers = {"Authorization": owner.environ_base["HTTP_AUTHORIZATION"]}
    for found in schema.get_all_operations():
        assert isinstance(found, Ok), found
        for mode in GenerationMode.POSITIVE, GenerationMode.NEGATIVE:
            _probe(found.ok(), mode, headers)


def _probe(operation: Any, mode: GenerationMode, headers: dict[str, str]) -> None:
    @settings(
        max_examples=8,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(operation.as_strategy(generation_mode=mode))
    def probe(case: Any) -> None:
        if mode is GenerationMode.POSITIVE:  # else one key for two requests, or an invented ETag
            guards = {"Idempotency-Key": uuid4().hex, "If-Match": "*"}
            case.headers.update({name: guards[name] for name in guards if name in case.headers})
        case.call_and_validate(headers=headers, base_url=BASE)

    probe()


def test_a_misspelt_filter_is_refused_and_named(owner: ConsoleClient) -> None:
    answer = owner.get("/api/v1/devices?stat=healthy")
    assert (answer.status_code, "Not known here: stat." in answer.text) == (400, True)
