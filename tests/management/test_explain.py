import json
from datetime import timedelta

import pytest
from click.testing import CliRunner, Result

from contracts.agent import Apps
from management.compliance.cli import explain
from management.context import Context
from runtime.clock import utc_now
from runtime.errors import NotFoundError, RefusedError
from tests.management.phones import Office, Phone, office


@pytest.fixture
def desk(context: Context, monkeypatch: pytest.MonkeyPatch) -> Office:
    monkeypatch.setenv("SEKISHO_HOME", str(context.settings.home))
    monkeypatch.setenv("SEKISHO_DATABASE_URL", context.settings.database_url)
    return office(context)


def run(*words: str) -> Result:
    return CliRunner().invoke(explain, list(words))


def test_a_state_is_explained_with_every_reason_and_who_said_so(desk: Office) -> None:
    phone = Phone(desk).enrol()
    desk.take(phone.report(phone.good(rooted=True), Apps(apps=())))

    fields = json.loads(run(str(phone.device_id), "--json").output)
    text = run("pixel").output

    assert fields["state"] == "non_compliant"
    assert [one["rule"] for one in fields["violations"]] == ["not_rooted"]
    assert fields["facts"]["rooted"]["source"] == "agent"
    assert "root access found (agent)" in text
    assert "Policy: Standard, version 1" in text


def test_a_past_state_is_explained(desk: Office) -> None:
    phone = Phone(desk).enrol()
    desk.take(phone.report(phone.good(rooted=True), Apps(apps=())))
    then = utc_now()
    desk.take(phone.report(phone.good()))

    past = json.loads(run(str(phone.device_id), "--json", "--at", then.isoformat()).output)
    present = json.loads(run(str(phone.device_id), "--json").output)

    assert (past["state"], present["state"]) == ("non_compliant", "healthy")


def test_what_cannot_be_explained_says_why(desk: Office) -> None:
    phone = Phone(desk).enrol()
    Phone(desk).enrol()
    early = (utc_now() - timedelta(days=1)).isoformat()

    assert isinstance(run("nobody").exception, NotFoundError)
    assert isinstance(run("pixel").exception, RefusedError)
    assert "not enrolled yet" in str(run(str(phone.device_id), "--at", early).exception)
    assert "is no instant" in run("pixel", "--at", "yesterday").output
