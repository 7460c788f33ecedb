"""A SQLite database with many devices of one policy, all enrolled, written by `sekisho.fill`."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from contracts.keys import public_jwk
from management.database import Base, Database
from management.devices.rules import FactKind
from management.policies.models import ROOT_GROUP
from management.policies.rules import Requirements
from management.policies.service import ensure_default_policy
from management.tables import load
from sekisho.fill import write
from sekisho.fill_fleet import YEAR, Fleet, Variant, installed, made_of, packages, wish

NOW = datetime(2026, 6, 1, tzinfo=UTC)
VARIANTS = 300
"""So many different devices there are; each has its own id, name, owner and numbers."""
MODEL = ("Google", "Pixel 9", "android")


def said(number: int, policy: UUID, apps: tuple[int, ...]) -> dict[FactKind, Any]:
    """Return what device *number* said; one in 50 is rooted, one in 20 has an old patch level."""
    return {
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
        FactKind.PACKAGES: packages(apps),
        FactKind.BAD_APPS: [],
    }


@dataclass(slots=True)
class Filled:
    """A filled database."""

    database: Database
    policy: UUID


def fill(database: Database, devices: int, apps: int = 5, key: Any = None) -> Filled:
    """Fill a fresh database; every device has its judgement, which is never due.

    *key* becomes the key of every device, so that orders can be sealed to it.
    """
    load()
    Base.metadata.create_all(database.engine)
    with database.transaction("policy") as session:
        policy = ensure_default_policy(session, NOW - YEAR).id
    kinds = [_variant(number, policy, apps) for number in range(VARIANTS)]
    fleet = Fleet(NOW, [ROOT_GROUP], [policy], policy, {policy: kinds})
    fleet.key = json.dumps(public_jwk(key)) if key is not None else "{}"
    write(database, fleet, devices, lambda _: None)
    return Filled(database, policy)


def _variant(number: int, policy: UUID, apps: int) -> Variant:
    places = installed(number * 17, apps)
    asked = wish(policy, Requirements(), "android", NOW)
    at = NOW - timedelta(minutes=number * 4)
    return made_of(MODEL, places, said(number, policy, places), at, asked, NOW)
