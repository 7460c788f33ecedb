"""What costs the server much is answered a few times at once, then rarely, to each account."""

from copy import deepcopy
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from flask import Flask
from hypothesis import example, given
from hypothesis import strategies as st
from werkzeug.routing import Rule

from management import access, rates
from management.access import Role
from management.administrators import service
from management.administrators.queries import find_administrator
from management.context import Context
from management.groups.models import ROOT_GROUP
from management.groups.service import create_group
from management.personal import SHOWS, Shown
from management.policies.service import ensure_default_policy
from management.rates import Buckets, Rate
from runtime.clock import utc_now
from tests.management.clients import ConsoleClient, api_client, signed_in_client
from tests.management.scoped import limited_program

RATE = Rate("tests", 3, timedelta(seconds=10))


@given(st.lists(st.floats(0, 30), max_size=40))
@example([6.463750341817361, 0.0, 0.0, 0.0])
def test_never_more_than_a_few_and_then_one_at_a_time(pauses: list[float]) -> None:
    buckets, account, now, answered = Buckets(), uuid4(), 0.0, 0
    for pause in pauses:
        now += pause
        seconds, _ = buckets.take(account, RATE, now)
        answered += not seconds
        if seconds:
            assert 1 <= seconds <= 10
            copy = Buckets()
            copy._found.update(deepcopy(buckets._found))
            assert copy.take(account, RATE, now + seconds)[0] == 0
    assert answered <= 3 + now / 10 + 1e-3


def test_accounts_and_questions_do_not_share_and_memory_is_bounded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rates, "MOST_BUCKETS", 50)
    buckets, one = Buckets(), uuid4()
    for _ in range(RATE.most):
        assert buckets.take(one, RATE, 0)[0] == 0
    assert buckets.take(one, RATE, 0)[0] == 10
    assert buckets.take(one, rates.FILE, 0)[0] == 0
    for _ in range(200):
        buckets.take(uuid4(), RATE, 0)
    assert len(buckets._found) == 50


def test_whoever_asks_too_often_is_told_why_and_when(
    app: Flask, context: Context, console: ConsoleClient
) -> None:
    with context.database.transaction("a policy") as session:
        ensure_default_policy(session, utc_now())
    program = api_client(app, context, "robot", Role.OWNER)
    path = "/api/v1/devices/list.csv"
    for _ in range(rates.FILE.most):
        assert program.get(path).status_code == 200
    refused = program.get(path)
    assert (refused.status_code, refused.mimetype) == (429, "application/problem+json")
    assert 1 <= int(refused.headers["Retry-After"]) <= rates.FILE.every.total_seconds()
    service_token = another_token(context, "robot")
    again = ConsoleClient(app, use_cookies=False)
    again.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {service_token}"
    assert again.get(path).status_code == 200, "a stolen token locks out no other of its maker"
    assert "keeps the server busy" in refused.get_json()["detail"]
    assert program.get("/api/v1/devices").status_code == 200, "other questions go on"
    assert console.get("/devices/devices.csv").status_code == 200, "so do other accounts"
    said = program.get("/api/v1/openapi.json").get_json()["paths"]["/api/v1/devices/list.csv"]
    assert "429" in said["get"]["responses"]


def another_token(context: Context, name: str) -> str:
    with context.database.transaction("another token") as session:
        person = find_administrator(session, name)
        assert person is not None
        return service.make_token(session, person, "another", utc_now())


def test_the_table_names_what_there_is_and_every_file_of_devices(app: Flask) -> None:
    assert rates.RATES.keys() <= app.view_functions.keys()
    files = set()
    for endpoint, view in app.view_functions.items():
        shown = getattr(view, SHOWS, None)
        if isinstance(shown, Shown) and shown.action.endswith(".export"):
            files.add(endpoint)
    assert {"devices.export"} <= files <= rates.RATES.keys()


def _left(app: Flask) -> dict[str, float]:
    """Return what is left of each kind of question that anybody asked."""
    buckets = app.extensions["sekisho-rates"]
    return {kind: bucket.left for (_, _, kind), bucket in buckets._found.items()}


def _path(app: Flask, rule: Rule) -> str:
    some = {"name": "nothing"}
    given = {name: some.get(name, str(uuid4())) for name in rule.arguments}
    return app.url_map.bind("localhost").build(rule.endpoint, given)


def test_whoever_may_not_ask_is_told_so_and_uses_nothing_up(
    app: Flask, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Authentication, then the permission, then the rate: on every route that has one."""
    monkeypatch.setitem(access.PERMISSIONS_OF, Role.HELP_DESK, frozenset())
    browser = signed_in_client(app, context, "nobody", Role.HELP_DESK)
    program = api_client(app, context, "nothing", Role.HELP_DESK)
    visitor = ConsoleClient(app, use_cookies=True)
    walked = set()
    for rule in app.url_map.iter_rules():
        rate = rates.RATES.get(rule.endpoint)
        if rate is None:
            continue
        walked.add(rule.endpoint)
        method = "POST" if "POST" in (rule.methods or ()) else "GET"
        is_api = rule.rule.startswith("/api/")
        client, path = (program if is_api else browser), _path(app, rule)
        sent: dict[str, Any] = {"json": {}} if is_api and method == "POST" else {}
        for _ in range(3):
            assert client.open(path, method=method, **sent).status_code == 403, rule.endpoint
        assert visitor.open(path, method=method, **sent).status_code in (302, 303, 400, 401)
        assert rate.name not in _left(app), rule.endpoint
    assert walked == rates.RATES.keys()


def test_whoever_may_ask_and_is_limited_to_groups_uses_nothing_up_of_what_is_for_all(
    app: Flask, context: Context
) -> None:
    with context.database.transaction("a group") as session:
        ensure_default_policy(session, utc_now())
        group = create_group(session, "north", ROOT_GROUP)
    program = limited_program(app, context, [group.id])
    assert program.get("/api/v1/verification").status_code == 403
    assert _left(app) == {}
