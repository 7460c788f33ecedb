"""What costs the server much is answered a few times at once, then rarely, to each account."""

from datetime import timedelta
from uuid import uuid4

import pytest
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st

from management import rates
from management.access import Role
from management.administrators import service
from management.administrators.queries import find_administrator
from management.context import Context
from management.personal import SHOWS, Shown
from management.policies.service import ensure_default_policy
from management.rates import Buckets, Rate, TooOftenError
from runtime.clock import utc_now
from tests.management.clients import ConsoleClient, api_client

RATE = Rate("tests", 3, timedelta(seconds=10))


@given(st.lists(st.floats(0, 30), max_size=40))
def test_never_more_than_a_few_and_then_one_at_a_time(pauses: list[float]) -> None:
    buckets, account, now, answered = Buckets(), uuid4(), 0.0, 0
    for pause in pauses:
        now += pause
        try:
            buckets.take(account, RATE, now)
            answered += 1
        except TooOftenError as error:
            again = now + error.seconds
            assert 1 <= error.seconds <= 10
            copy = Buckets()
            copy._found.update(buckets._found)
            copy.take(account, RATE, again)
    assert answered <= 3 + now / 10 + 1e-6


def test_accounts_and_questions_do_not_share_and_memory_is_bounded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rates, "MOST_BUCKETS", 50)
    buckets, one = Buckets(), uuid4()
    for _ in range(RATE.most):
        buckets.take(one, RATE, 0)
    with pytest.raises(TooOftenError, match="in 10 seconds"):
        buckets.take(one, RATE, 0)
    buckets.take(one, rates.FILE, 0)
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
