"""What `docs/compliance.md` says of bad input: each entry names its tests, and some stand here."""

import re
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy.orm import Session

from contracts.agent import Apps, InstalledApp
from management.compliance.explaining import explain
from management.compliance.judgement import Rule, State
from management.compliance.queries import get_judgement
from management.context import Context
from management.devices.queries import get_device, get_facts
from management.devices.replay import rebuild_facts
from management.devices.rules import FactKind
from management.policies.rules import Requirements
from management.policies.service import change_policy
from runtime.clock import utc_now
from tests.management.clients import ConsoleClient
from tests.management.phones import Office, Phone, office

ROOT = Path(__file__).parents[2]
STRANGE = "関所\u202e\U0001f4f1 \u05e9\u05dc\u05d5\u05dd\x00<b>"


@pytest.fixture
def desk(context: Context) -> Office:
    return office(context)


def test_every_entry_names_tests_that_exist() -> None:
    document = (ROOT / "docs/compliance.md").read_text(encoding="utf-8")
    listed = document.partition("## Bad input")[2].partition("\n## ")[0]
    named = set(re.findall(r"`(test_\w+)`", listed))
    files = (ROOT / "tests").rglob("test_*.py")
    written = {
        name for file in files for name in re.findall(r"def (test_\w+)\(", file.read_text("utf-8"))
    }

    assert len(named) > 12
    assert named <= written


def test_a_report_from_before_the_enrolment_is_of_the_enrolment(desk: Office) -> None:
    phone = Phone(desk).enrol()
    desk.take(phone.report(phone.good(rooted=True), sent_at=utc_now() - timedelta(days=900)))

    with desk.context.database.reading() as session:
        device = get_device(session, phone.device_id)
        rooted = get_facts(session, device.id)[FactKind.ROOTED]
        assert rooted.said_at == device.enrolled_at
        assert device.contact_at is not None
        assert device.contact_at >= device.enrolled_at


def test_five_thousand_apps_are_taken_judged_and_shown(
    desk: Office, console: ConsoleClient
) -> None:
    asked = Requirements(required_packages=("org.missing",), forbidden_packages=("org.app4711",))
    _ask(desk, asked)
    phone = Phone(desk).enrol()
    apps = tuple(_app(f"org.app{number}", number) for number in range(5_000))
    desk.take(phone.report(phone.good(), Apps(apps=apps)))

    with desk.context.database.reading() as session:
        judged = get_judgement(session, phone.device_id)
        assert len(get_facts(session, phone.device_id)[FactKind.PACKAGES].value) == 5_000
    assert {Rule.NO_FORBIDDEN_APP, Rule.REQUIRED_APP} <= {one.rule for one in judged.violations}
    assert "installed although forbidden: org.app4711" in _page(console, phone)


def test_words_of_any_script_are_stored_judged_and_shown(
    desk: Office, console: ConsoleClient
) -> None:
    _ask(desk, Requirements(required_packages=("org.関所",)))
    phone = Phone(desk).enrol(serial=STRANGE[:20])
    app = _app("org.例", 1, STRANGE)
    desk.take(phone.report(phone.good(os_version="１５"), Apps(apps=(app,))))

    with desk.context.database.reading() as session:
        _agrees(session, phone)
    page = _page(console, phone)
    assert "missing: org.関所" in page
    assert "<b>" not in page.partition("</head>")[2].partition("関所")[2][:40]


def _agrees(session: Session, phone: Phone) -> None:
    device = get_device(session, phone.device_id)
    assert rebuild_facts(session, device) == get_facts(session, device.id)
    told = explain(session, device.id, None, utc_now())
    assert told.judgement.state is State.NON_COMPLIANT


def _app(package: str, number: int, name: str = "") -> InstalledApp:
    """Few files under many names: taking a file that nobody knows costs statements of its own."""
    return InstalledApp(package=package, name=name, version="版１", sha256=f"{number % 20:064x}")


def _ask(desk: Office, asked: Requirements) -> None:
    with desk.context.database.transaction("ask") as session:
        change_policy(session, desk.policy_id, asked, {}, "keeper", "test", utc_now())


def _page(console: ConsoleClient, phone: Phone) -> str:
    answer = console.get(f"/devices/{phone.device_id}")
    assert answer.status_code == 200
    return answer.text
