"""Writes what was said of devices, and how their enrolment goes on."""

from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Session

from management.devices.fact_log import record_contact, record_facts
from management.devices.models import Device
from management.devices.queries import get_device, get_facts
from management.devices.rules import AGENT, EnrolmentState, Fact, FactKind
from management.policies.carrying import OTHERS, carry, read_carried, wished_since, write_carried
from management.policies.queries import current_version, usable_policy, wishes
from management.work.service import enqueue

__all__ = ["AGENT", "record_contact", "record_facts"]


def end_enrolment(
    session: Session, device: Device, state: EnrolmentState, source: str, now: datetime
) -> None:
    """Note that the device is no longer ours; its history stays."""
    device.enrolment_state, device.left_at = state, now
    record_facts(session, device.id, {FactKind.ENROLMENT: Fact(state.value, source, now)}, now)


def assign_policy(
    session: Session,
    device_id: UUID,
    policy_id: UUID,
    by: str,
    now: datetime,
    is_own: bool = True,
) -> Device:
    """Let another policy hold for the device; it gets the order in the background."""
    device = get_device(session, device_id)
    if give_policy(session, device, policy_id, by, now, is_own):
        enqueue_spread(session, policy_id, device.id, now)
    return device


def give_policy(
    session: Session, device: Device, policy_id: UUID, by: str, now: datetime, is_own: bool
) -> bool:
    """Let a policy hold for the device: its own, or that of its group; return if it is another.

    The caller queues that the device gets it, see `enqueue_spread`.
    """
    policy = usable_policy(session, policy_id)
    device.policy_is_own = is_own
    if device.policy_id == policy.id:
        return False
    earlier = _carried(session, device, policy.id, now)
    device.policy_id = policy.id
    said = {
        FactKind.ASKED_POLICY: Fact(str(policy.id), by, now),
        FactKind.ASKED_SINCE: Fact(write_carried(earlier, now), by, now),
    }
    record_facts(session, device.id, said, now)
    return True


def _carried(
    session: Session, device: Device, policy_id: UUID, now: datetime
) -> dict[str, datetime]:
    """Return what the device is asked by its policy since when, as far as the next asks it too."""
    facts = get_facts(session, device.id)
    given, known = facts.get(FactKind.ASKED_POLICY), facts.get(FactKind.ASKED_SINCE)
    given_at = given.said_at if given else device.enrolled_at
    carried = read_carried(known.value, given_at) if known else {}
    before, asked_since = wishes(session, current_version(session, device.policy_id))
    after, _ = wishes(session, current_version(session, policy_id))
    begin = carried.get(OTHERS, given_at)
    return carry(
        before, lambda wish: wished_since(wish, asked_since, given_at, carried), after, begin, now
    )


def enqueue_spread(session: Session, policy_id: UUID, device_id: UUID, now: datetime) -> None:
    """Queue that the devices which newly have a policy get it; *device_id* is one of them."""
    key = f"policies.spread:{policy_id}:{device_id}:{now.isoformat()}"
    enqueue(session, "policies.spread", key, {"policy_id": str(policy_id)}, now=now)
