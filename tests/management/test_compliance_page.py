"""Why a device stands so, now and then: page and API tell what `sekisho explain` tells."""

from datetime import timedelta
from typing import Any

import pytest
from flask import Flask

from contracts.agent import Apps
from management.access import Role
from management.context import Context
from management.updates.models import PatternActivation
from runtime.clock import utc_now
from tests.management.clients import ConsoleClient, api_client
from tests.management.phones import Office, Phone, office


@pytest.fixture
def desk(context: Context) -> Office:
    return office(context)


@pytest.fixture
def healed(desk: Office) -> tuple[Phone, Any]:
    """A phone that was rooted and is not any more, and a moment of the time between."""
    phone = Phone(desk).enrol()
    desk.take(phone.report(phone.good(rooted=True), Apps(apps=())))
    then = utc_now()
    desk.take(phone.report(phone.good()))
    return phone, then


def test_the_page_tells_present_and_past(console: ConsoleClient, healed: tuple[Phone, Any]) -> None:
    phone, then = healed
    address = f"/devices/{phone.device_id}"

    now = console.get(address).text
    past = console.get(f"{address}/why", query_string={"at": then.isoformat()}).text

    assert "It keeps everything that its policy asks." in now
    assert "root access found" not in now
    for said in (
        "replayed from the log",
        "root access found (agent)",
        "Restore the manufacturer&#39;s system.",
        "Wipe the company data, and let the user restore the system and enrol again.",
        "Mail is blocked",
        "Critical",
    ):
        assert said in past


def test_a_part_of_the_page_comes_alone(console: ConsoleClient, healed: tuple[Phone, Any]) -> None:
    phone, then = healed
    address = f"/devices/{phone.device_id}/why"

    part = console.get(
        address, query_string={"at": then.isoformat()}, headers={"HX-Request": "true"}
    ).text

    assert "<html" not in part
    assert "root access found" in part


def test_a_moment_is_read_in_the_zone_of_the_visitor(
    console: ConsoleClient, healed: tuple[Phone, Any]
) -> None:
    phone, _ = healed
    console.set_cookie("zone", "Asia/Tokyo", domain="localhost")
    local = f"{utc_now() + timedelta(hours=9):%Y-%m-%dT%H:%M:%S}"

    answer = console.get(f"/devices/{phone.device_id}/why", query_string={"at": local})

    assert answer.status_code == 200
    assert "JST" in answer.text


@pytest.mark.parametrize(("at", "status"), [("yesterday", 400), ("2001-01-01T00:00", 404)])
def test_a_moment_that_cannot_be_told_is_refused_with_the_reason(
    console: ConsoleClient, healed: tuple[Phone, Any], at: str, status: int
) -> None:
    answer = console.get(f"/devices/{healed[0].device_id}/why", query_string={"at": at})

    assert answer.status_code == status
    assert "Enter a day and a time" in answer.text or "not enrolled yet" in answer.text


def test_the_api_tells_every_rule_and_the_patterns_of_the_moment(
    app: Flask, context: Context, healed: tuple[Phone, Any]
) -> None:
    phone, then = healed
    with context.database.transaction("activate") as session:
        for days, version in ((9, "2026.1"), (0, "2026.2")):
            at = then - timedelta(days=days) + timedelta(microseconds=days == 0)
            session.add(PatternActivation(version=version, activated_at=at))
    api = api_client(app, context, "program", Role.READ_ONLY)
    address = f"/api/v1/devices/{phone.device_id}/explanation"

    past = api.get(address, query_string={"at": then.isoformat()}).get_json()
    now = api.get(address).get_json()

    assert (past["judgement"]["state"], now["judgement"]["state"]) == ("non_compliant", "healthy")
    assert (past["pattern_version"], now["pattern_version"]) == ("2026.1", "2026.2")
    assert past["judgement"]["risk"] == "critical"
    outcomes = {one["rule"]: one["outcome"] for one in past["rules"]}
    assert outcomes["not_rooted"] == "broken"
    assert set(outcomes.values()) == {"broken", "kept"}
    assert [one["kind"] for one in past["judgement"]["consequences"]] == [
        "tell_user",
        "tell_administrators",
        "block_mail",
    ]
