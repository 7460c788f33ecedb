"""How long judging one device takes, beside the floor of reading its facts from JSON."""

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from management.compliance.rules import (
    AskedPolicy,
    Fact,
    FactKind,
    judge,
    read_facts,
    write_fact,
)
from management.policies.rules import Requirements

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ROUNDS = 20_000
VALUES: dict[FactKind, Any] = {
    FactKind.ENROLMENT: "enrolled",
    FactKind.CONTACT: True,
    FactKind.OS_VERSION: "15",
    FactKind.SECURITY_PATCH: "2025-12-05",
    FactKind.ROOTED: False,
    FactKind.ENCRYPTED: True,
    FactKind.PASSCODE_SET: True,
    FactKind.DEVELOPER_OPTIONS: False,
    FactKind.PACKAGES: [f"org.example.app{number}" for number in range(100)],
    FactKind.BAD_APPS: [],
    FactKind.APPLIED_POLICY: {"policy_id": "p", "version": 3},
}


def run() -> Iterator[dict[str, Any]]:
    """Yield CPU microseconds for reading and judging one device's facts."""
    row = json.dumps({kind: write_fact(Fact(v, "agent", NOW)) for kind, v in VALUES.items()})
    asked = AskedPolicy("p", "Default", 3, NOW, "android", Requirements())
    floor = _microseconds(lambda: json.loads(row))
    judged = _microseconds(lambda: judge(read_facts(json.loads(row)), asked, NOW))
    yield {
        "name": "judge.one_device",
        "value": judged,
        "unit": "us CPU",
        "floor": floor,
        "ratio": judged / floor,
        "reach": "ratio<=10",
    }


def _microseconds(what: Any) -> float:
    started = time.process_time()
    for _ in range(ROUNDS):
        what()
    return (time.process_time() - started) / ROUNDS * 1e6
