"""How long judging one device takes, beside the floor of reading its facts from JSON."""

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

from contracts.scan import Verdict
from management.compliance.judgement import AskedPolicy
from management.compliance.rules import answers, judge
from management.devices.rules import Fact, FactKind, read_facts, write_fact
from management.policies.rules import Requirements

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ROUNDS = 5_000
APPS = [f"org.example.app{number}" for number in range(80)]
HEALTHY: dict[FactKind, Any] = {
    FactKind.ENROLMENT: "enrolled",
    FactKind.ASKED_POLICY: "p",
    FactKind.CONTACT: True,
    FactKind.OS_VERSION: "15",
    FactKind.SECURITY_PATCH: "2025-12-05",
    FactKind.ROOTED: False,
    FactKind.ENCRYPTED: True,
    FactKind.PASSCODE_SET: True,
    FactKind.DEVELOPER_OPTIONS: False,
    FactKind.USB_DEBUGGING: False,
    FactKind.UNKNOWN_SOURCES: False,
    FactKind.PACKAGES: APPS,
    FactKind.BAD_APPS: [],
    FactKind.APPLIED_POLICY: {"policy_id": "p", "version": 3},
}
SICK: dict[FactKind, Any] = HEALTHY | {
    FactKind.SECURITY_PATCH: "2025-01-05",
    FactKind.ROOTED: True,
    FactKind.USB_DEBUGGING: True,
    FactKind.BAD_APPS: [{"package": "a.b", "name": "A", "verdict": "malicious", "rule": "r"}],
}
ASKED = Requirements(
    no_developer_options=True,
    no_usb_debugging=True,
    no_unknown_sources=True,
    minimum_os_version={"android": "14"},
    minimum_patch_level=date(2025, 6, 1),
    maximum_patch_age=timedelta(days=90),
    forbidden_verdicts=(Verdict.MALICIOUS, Verdict.SUSPICIOUS),
    forbidden_packages=("org.example.game", "org.example.vpn"),
    required_packages=("org.example.app1",),
)


def run() -> Iterator[dict[str, Any]]:
    """Yield CPU microseconds for judging a device with 80 apps by 15 criteria and more."""
    asked = AskedPolicy("p", "Default", 3, NOW, "android", ASKED, not_before=NOW)
    for name, values in (("healthy", HEALTHY), ("five_violations", SICK)):
        facts = _facts(values)
        assert len(list(answers(facts, asked, NOW))) >= 15
        row = json.dumps({kind: write_fact(fact) for kind, fact in facts.items()})
        floor = _microseconds(lambda row=row: json.loads(row))
        judged = _microseconds(lambda facts=facts: judge(facts, asked, NOW))
        yield _measurement(f"judge.{name}", judged, floor, "value<100")
        both = _microseconds(lambda row=row: judge(read_facts(json.loads(row)), asked, NOW))
        yield _measurement(f"judge.{name}_with_reading", both, floor, "ratio<=15")
    yield from _many_apps(asked)


def _many_apps(asked: AskedPolicy) -> Iterator[dict[str, Any]]:
    names = [f"org.example.app{number}" for number in range(5000)]
    facts = _facts(HEALTHY | {FactKind.PACKAGES: names})
    floor = _microseconds(lambda: set(names), 200)
    many = _microseconds(lambda: judge(facts, replace(asked), NOW), 200)
    yield _measurement("judge.5000_apps", many, floor, "ratio<=10")


def _facts(values: Mapping[FactKind, Any]) -> dict[FactKind, Fact]:
    return {kind: Fact(value, "agent", NOW) for kind, value in values.items()}


def _measurement(name: str, value: float, floor: float, reach: str) -> dict[str, Any]:
    return {
        "name": name,
        "value": value,
        "unit": "us CPU",
        "floor": floor,
        "ratio": value / floor,
        "reach": reach,
    }


def _microseconds(what: Any, rounds: int = ROUNDS) -> float:
    started = time.process_time()
    for _ in range(rounds):
        what()
    return (time.process_time() - started) / rounds * 1e6
