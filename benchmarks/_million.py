"""A SQLite database with many devices, filled with straight inserts: services would take hours."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import JSON, Boolean, Integer, Table
from sqlalchemy.schema import CreateIndex

from contracts.keys import public_jwk
from management.compliance.judgement import AskedPolicy, write_consequence, write_violation
from management.compliance.rules import judge
from management.database import Base, Database
from management.devices.models import Device, DeviceFacts, DeviceJudgement
from management.devices.rules import Fact, FactKind, write_fact
from management.policies.models import ROOT_GROUP
from management.policies.rules import Requirements
from management.policies.service import ensure_default_policy
from management.tables import load

NOW = datetime(2026, 6, 1, tzinfo=UTC)
STEP = 20_000
VARIANTS = 300
"""So many different devices there are; each has its own id, name and times."""
_HOLE = "2000-01-01T00:00:00+00:00"


def device_id(number: int) -> UUID:
    """Return the id of device *number*; ids rise with numbers, which makes filling fast."""
    return UUID(int=number << 90 | 0x4000_8000_0000_0000_0000)


def said_at(number: int) -> datetime:
    """Return when device *number* reported: within the last 20 hours."""
    return NOW - timedelta(seconds=number % 72_000)


def facts_of(number: int, policy: UUID, apps: int) -> dict[FactKind, Fact]:
    """Return what device *number* said; one in 50 is rooted, one in 20 has an old patch level."""
    values: dict[FactKind, Any] = {
        FactKind.ENROLMENT: "enrolled",
        FactKind.ASKED_POLICY: str(policy),
        FactKind.CONTACT: True,
        FactKind.OS_VERSION: "15" if number % 3 else "14",
        FactKind.SECURITY_PATCH: "2025-11-05" if number % 20 == 7 else "2026-05-05",
        FactKind.ROOTED: number % 50 == 13,
        FactKind.ENCRYPTED: True,
        FactKind.PASSCODE_SET: True,
        FactKind.DEVELOPER_OPTIONS: number % 10 == 3,
        FactKind.USB_DEBUGGING: False,
        FactKind.UNKNOWN_SOURCES: False,
        FactKind.AGENT_VERSION: "1.4.0",
        FactKind.PATTERN_VERSION: "2026.05.30",
        FactKind.APPLIED_POLICY: {"policy_id": str(policy), "version": 1},
        FactKind.PACKAGES: sorted(f"org.example.app{number % 97 + place}" for place in range(apps)),
        FactKind.BAD_APPS: [],
    }
    at = said_at(number)
    return {kind: Fact(value, "agent", at) for kind, value in values.items()}


@dataclass(slots=True)
class Filled:
    """A filled database."""

    database: Database
    policy: UUID


def fill(
    database: Database, devices: int, apps: int = 5, judged: bool = False, key: Any = None
) -> Filled:
    """Fill a fresh database; with *judged* every device has its judgement, which is never due.

    *key* becomes the key of every device, so that orders can be sealed to it.
    """
    _KEY[0] = json.dumps(public_jwk(key)) if key is not None else "{}"
    load()
    Base.metadata.create_all(database.engine)
    with database.transaction("policy") as session:
        policy = ensure_default_policy(session, NOW - timedelta(days=300)).id
    with database.engine.connect() as connection:
        cursor = connection.connection.cursor()
        cursor.execute("PRAGMA synchronous=OFF")
        indexes = [index for table in TABLES for index in _tables()[table].indexes]
        for index in indexes:
            cursor.execute(f'DROP INDEX "{index.name}"')
        cursor.execute("BEGIN IMMEDIATE")
        for table, rows in _rows(devices, policy, apps, judged):
            columns = list(rows[0])
            marks = ", ".join("?" * len(columns))
            cursor.executemany(
                f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})",
                [tuple(row.values()) for row in rows],
            )
        for index in indexes:
            cursor.execute(str(CreateIndex(index).compile(database.engine)))
        cursor.execute("COMMIT")
        cursor.execute("PRAGMA synchronous=FULL")
        cursor.execute("ANALYZE")
    return Filled(database, policy)


_KEY = ["{}"]
TABLES = ("device", "device_facts", "device_judgement")


def _tables() -> dict[str, Table]:
    kinds = (Device, DeviceFacts, DeviceJudgement)
    return {kind.__tablename__: Base.metadata.tables[kind.__tablename__] for kind in kinds}


def _rows(
    devices: int, policy: UUID, apps: int, judged: bool
) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    many = [facts_of(number, policy, apps) for number in range(VARIANTS)]
    texts = [_text(facts) for facts in many]
    judgements = [_judged(facts, policy) for facts in many] if judged else []
    for start in range(0, devices, STEP):
        numbers = range(start, min(start + STEP, devices))
        yield "device", [_device(number, policy) for number in numbers]
        yield "device_facts", [_facts(number, texts) for number in numbers]
        if judged:
            yield "device_judgement", [_judgement(number, judgements) for number in numbers]


def _text(facts: dict[FactKind, Fact]) -> str:
    hole = datetime.fromisoformat(_HOLE)
    return json.dumps(
        {k.value: write_fact(Fact(f.value, f.source, hole)) for k, f in facts.items()}
    )


def _device(number: int, policy: UUID) -> dict[str, Any]:
    return _whole(
        "device",
        {
            "id": device_id(number).hex,
            "name": f"Phone {number:07d}",
            "owner_address": f"user{number}@example.org",
            "platform": "android",
            "ownership": "company",
            "serial": f"SK{number:08d}",
            "exchange_device_id": f"SEC{number:08X}",
            "enrolment_state": "enrolled",
            "enrolled_at": _sql(NOW - timedelta(days=100)),
            "policy_id": policy.hex,
            "ordered_policy": f"{policy}/1",
            "certificate_serial": f"{number:x}",
            "signing_key": _KEY[0],
            "encryption_key": _KEY[0],
            "group_id": ROOT_GROUP.hex,
            "recent_reports": "{}",
            "epoch": 1,
            "contact_at": _sql(said_at(number)),
        },
    )


def _facts(number: int, texts: list[str]) -> dict[str, Any]:
    text = texts[number % VARIANTS].replace(_HOLE, said_at(number).isoformat())
    own = {"device_id": device_id(number).hex, "facts": text, "changed_at": _sql(NOW)}
    return _whole("device_facts", own)


def _judged(facts: dict[FactKind, Fact], policy: UUID) -> dict[str, str]:
    """Return what is stored of the judgement by the standard policy; `_HOLE` for its times."""
    hole = datetime.fromisoformat(_HOLE)
    asked = AskedPolicy(str(policy), "Default", 1, hole, "android", Requirements())
    said = {kind: Fact(fact.value, fact.source, hole) for kind, fact in facts.items()}
    found = judge(said, asked, hole)
    return {
        "policy_id": policy.hex,
        "state": found.state.value,
        "risk": found.risk.value,
        "violations": json.dumps([write_violation(one) for one in found.violations]),
        "consequences": json.dumps([write_consequence(one) for one in found.consequences]),
    }


def _judgement(number: int, judgements: list[dict[str, str]]) -> dict[str, Any]:
    at = said_at(number)
    found = judgements[number % VARIANTS]
    own = {name: text.replace(_HOLE, at.isoformat()) for name, text in found.items()}
    return _whole(
        "device_judgement",
        own
        | {
            "device_id": device_id(number).hex,
            "since": _sql(at),
            "missing": "[]",
            "policy_version": 1,
            "judged_at": _sql(NOW),
        },
    )


def _whole(table: str, given: dict[str, Any]) -> dict[str, Any]:
    """Return *given* with an empty value for each column that must not be null."""
    for column in _tables()[table].columns:
        if column.name not in given and not column.nullable:
            given[column.name] = _empty(table, column.type)
    return given


def _empty(table: str, kind: Any) -> Any:
    if isinstance(kind, JSON):
        return "[]" if table == "device_judgement" else "{}"
    return 0 if isinstance(kind, (Integer, Boolean)) else ""


def _sql(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S.%f}"
