"""What follows from a broken rule, through the console's form and the API."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from flask import Flask
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from management.access import Role
from management.context import Context
from management.policies.criteria_api import Criteria, read_criteria
from management.policies.models import ROOT_GROUP
from management.policies.queries import current_version
from management.policies.rules import Requirements, read_requirements
from management.policies.service import ensure_default_policy
from management.policies.treatment import ConsequenceKind, Counts, Rule, Severity
from runtime.clock import utc_now
from tests.management.clients import ConsoleClient, api_client

FORM: dict[str, str] = {
    "name": "Standard",
    "maximum_silence": "3",
    "inactive_after": "30",
    "not_rooted": "yes",
    "policy_applied": "yes",
    "because": "The insurer asks for it.",
}
ROOTED = {
    "not_rooted.severity": "critical",
    "not_rooted.grace": "0,5",
    "not_rooted.tell_user": "yes",
    "not_rooted.tell_user.after": "0",
    "not_rooted.selective_wipe": "yes",
    "not_rooted.selective_wipe.after": "7",
    "not_rooted.unknown": "broken",
    "not_rooted.not_applicable": "broken",
}


@pytest.fixture
def policy_id(context: Context) -> UUID:
    with context.database.transaction("set up") as session:
        return ensure_default_policy(session, utc_now()).id


@pytest.fixture
def read(context: Context) -> Iterator[Session]:
    with Session(context.database.engine) as session:
        yield session


def stored(session: Session, policy_id: UUID) -> Requirements:
    session.rollback()
    return read_requirements(current_version(session, policy_id).requirements)


def said(answer: TestResponse) -> dict[str, Any]:
    assert answer.json is not None
    found: dict[str, Any] = answer.json["requirements"]
    return found


def test_consequences_are_chosen_step_by_step_and_shown_again(
    console: ConsoleClient, policy_id: UUID, read: Session
) -> None:
    address = f"/policies/{policy_id}"
    assert console.post(address, data=FORM | ROOTED).status_code == 302

    treatment = stored(read, policy_id).treatments[Rule.NOT_ROOTED]

    assert (treatment.severity, treatment.grace) == (Severity.CRITICAL, timedelta(hours=12))
    assert [(one.kind, one.after.days) for one in treatment.consequences] == [
        ("tell_user", 0),
        ("selective_wipe", 7),
    ]
    assert treatment.not_applicable is Counts.BROKEN
    shown = console.get(address).text
    assert "grace of 12 hours" in shown
    assert "Company data is wiped after 7 days" in shown
    assert 'value="0.5"' in console.get(f"{address}/edit").text


def test_a_device_can_be_moved_to_a_group_that_exists(
    console: ConsoleClient, policy_id: UUID, read: Session
) -> None:
    address = f"/policies/{policy_id}"
    moving = ROOTED | {"not_rooted.move_group": "yes"}

    nowhere = console.post(address, data=FORM | moving)
    assert nowhere.status_code == 422
    assert "Choose the group." in nowhere.text
    somewhere = FORM | moving | {"not_rooted.group": str(ROOT_GROUP)}
    assert console.post(address, data=somewhere).status_code == 302

    (move,) = (
        one
        for one in stored(read, policy_id).treatments[Rule.NOT_ROOTED].consequences
        if one.kind is ConsequenceKind.MOVE_GROUP
    )
    assert move.group_id == ROOT_GROUP


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("not_rooted.grace", "soon", "Enter days"),
        ("not_rooted.grace", "9999", "Enter days"),
        ("not_rooted.severity", "awful", "Choose one of the list"),
        ("minimum_patch_level", "2026-02-31", "Enter a day"),
    ],
)
def test_what_is_wrong_in_the_form_is_said(
    console: ConsoleClient, policy_id: UUID, field: str, value: str, told: str
) -> None:
    answer = console.post(f"/policies/{policy_id}", data=FORM | ROOTED | {field: value})

    assert answer.status_code == 422
    assert told in answer.text


def test_the_api_takes_what_it_gives(app: Flask, context: Context, policy_id: UUID) -> None:
    api = api_client(app, context, "program", Role.ADMINISTRATOR)
    asked = said(api.get(f"/api/v1/policies/{policy_id}"))
    asked["minimum_patch_level"] = "2026-10-05"
    asked["treatments"]["encrypted"] = {
        "severity": "high",
        "grace_seconds": 86_400,
        "consequences": [{"kind": "block_mail", "after_seconds": 3600}],
    }

    address = f"/api/v1/policies/{policy_id}/requirements"
    told = said(api.put(address, json={"requirements": asked, "because": "audit"}))

    assert told["minimum_patch_level"] == "2026-10-05"
    assert told["treatments"]["encrypted"]["grace_seconds"] == 86_400
    assert told["treatments"]["not_rooted"] == asked["treatments"]["not_rooted"]


@pytest.mark.parametrize(
    ("consequences", "told"),
    [
        ([{"kind": "block_mail"}, {"kind": "block_mail"}], "once"),
        ([{"kind": "move_group"}], "group"),
        ([{"kind": "explode"}], "kind"),
        ([{"kind": "block_mail", "after_seconds": -1}], "after_seconds"),
    ],
    ids=["twice", "nowhere", "unknown", "before"],
)
def test_the_api_refuses_consequences_that_make_no_sense(
    app: Flask, context: Context, policy_id: UUID, consequences: list[Any], told: str
) -> None:
    api = api_client(app, context, "program", Role.ADMINISTRATOR)
    asked = {"treatments": {"not_rooted": {"consequences": consequences}}}

    answer = api.put(
        f"/api/v1/policies/{policy_id}/requirements",
        json={"requirements": asked, "because": "audit"},
    )

    assert answer.status_code in {400, 409, 422}
    assert told in answer.text


def test_what_the_api_leaves_out_is_what_a_policy_leaves_out() -> None:
    assert read_criteria(Criteria()) == Requirements()
    named = set(Criteria.__dataclass_fields__) - set(Requirements.__dataclass_fields__)
    assert named == {
        "maximum_silence_seconds",
        "inactive_after_seconds",
        "minimum_android_version",
        "minimum_ios_version",
        "maximum_android_age_seconds",
        "maximum_ios_age_seconds",
        "maximum_patch_age_seconds",
    }


def test_the_age_of_a_system_version_is_asked_by_platform(
    console: ConsoleClient, policy_id: UUID, read: Session
) -> None:
    address = f"/policies/{policy_id}"
    assert console.post(address, data=FORM | {"maximum_ios_age": "400"}).status_code == 302
    assert stored(read, policy_id).maximum_os_age == {"ios": timedelta(days=400)}
    assert "iOS 400 days" in console.get(address).text
    assert 'value="400"' in console.get(f"{address}/edit").text
    wrong = console.post(address, data=FORM | {"maximum_ios_age": "old"})
    assert wrong.status_code == 422
    assert "Enter a number of days" in wrong.text
