"""Why a device stands so, now and then: page and API tell what `sekisho explain` tells."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from flask_babel import force_locale

from contracts.agent import Apps
from contracts.scan import Verdict
from management.access import Role
from management.compliance.judgement import AskedPolicy
from management.compliance.rules import judge
from management.context import Context
from management.devices.rules import Fact, FactKind
from management.policies.compliance_form import SWITCHES
from management.policies.rules import Requirements
from management.policies.treatment import Counts, Rule, Treatment
from management.reasons import reason
from management.updates.models import PatternActivation
from runtime.clock import utc_now
from tests.management.clients import ConsoleClient, api_client
from tests.management.phones import Office, Phone, office
from tests.management.test_compliance_rules import BAD


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
    local = f"{utc_now() + timedelta(hours=9):%Y-%m-%dT%H:%M:%S.%f}"

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


def test_every_sentence_of_a_judgement_is_said_in_japanese(app: Flask) -> None:
    now = datetime(2026, 11, 22, tzinfo=UTC)
    switches: dict[str, Any] = dict.fromkeys(SWITCHES, True)
    everything = Requirements(
        **switches,
        minimum_os_version={"android": "99", "ios": "99"},
        minimum_patch_level=date(2026, 1, 1),
        maximum_patch_age=timedelta(days=1),
        forbidden_verdicts=tuple(Verdict),
        forbidden_packages=("a.b",),
        required_packages=("c.d",),
        treatments={rule: Treatment(not_applicable=Counts.BROKEN) for rule in Rule},
    )
    bad = {**BAD, FactKind.PACKAGES: ["a.b"], FactKind.CONTACT: True}
    told = {kind: Fact(value, "agent", now - timedelta(days=99)) for kind, value in bad.items()}
    devices: tuple[tuple[str, dict[FactKind, Fact]], ...] = (
        ("android", told),
        ("android", {kind: Fact(None, "agent", now, fact) for kind, fact in told.items()}),
        ("android", {}),
        ("ios", {}),
    )
    said = {
        sentence
        for platform, facts in devices
        for one in judge(facts, AskedPolicy("p", "P", 3, now, platform, everything), now).violations
        for sentence in (one.because, one.mend, one.administrator_mend)
    }

    with app.test_request_context(), force_locale("ja"):
        untranslated = {sentence for sentence in said if reason(sentence) == sentence}

    assert len(said) > 60
    assert untranslated == set()
