"""Devices in the database without phones: for lists, counts and judgements."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from hypothesis import strategies as st
from sqlalchemy.orm import Session

from management.devices.models import Device
from management.devices.rules import EnrolmentState, Fact, FactKind
from management.devices.service import record_contact, record_facts
from tests.management.test_compliance_rules import VALUES

START = datetime(2026, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
Life = list[tuple[int, dict[FactKind, Any]]]
"""Hours until the next report, and what it says."""
_SAID = sorted(set(VALUES) - {FactKind.ASKED_POLICY, FactKind.CONTACT, FactKind.ENROLMENT})
reports: st.SearchStrategy[dict[FactKind, Any]] = st.fixed_dictionaries(
    {}, optional={kind: VALUES[kind] for kind in _SAID}
)
lives: st.SearchStrategy[Life] = st.lists(st.tuples(st.integers(1, 400), reports), max_size=5)


def add_device(session: Session, policy_id: UUID, name: str = "Phone", **fields: Any) -> Device:
    """Store a device that enrolled at START, with the facts that enrolment writes."""
    given: dict[str, Any] = {
        "id": uuid4(),
        "name": name,
        "owner_address": "ada@example.com",
        "platform": "android",
        "ownership": "company",
        "enrolment_state": EnrolmentState.ENROLLED.value,
        "enrolled_at": START,
        "policy_id": policy_id,
        "certificate_serial": "1",
        "signing_key": {},
        "encryption_key": {},
    }
    device = Device(**(given | fields))
    session.add(device)
    session.flush()
    said = {
        FactKind.ENROLMENT: Fact(device.enrolment_state, "enrolment", START),
        FactKind.ASKED_POLICY: Fact(str(policy_id), "keeper", START),
    }
    record_facts(session, device.id, said, START)
    return device


def live(session: Session, device: Device, life: Life, silence: timedelta) -> list[datetime]:
    """Let the device report; return when it did."""
    now, reported = START, []
    for hours, said in life:
        now += hours * HOUR
        record_contact(session, device, now, silence, now)
        facts = {kind: Fact(value, "agent", now) for kind, value in said.items()}
        record_facts(session, device.id, facts, now)
        reported.append(now)
    return reported
