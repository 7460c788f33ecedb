"""A changed policy reaches every device, in turns, whatever happens between."""

from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from contracts import keys
from contracts.agent import Receipt
from management.compliance import work
from management.compliance.queries import get_judgement
from management.context import Context
from management.devices.models import Device
from management.policies.queries import current_version
from management.policies.service import change_policy
from management.relays.models import OutboundMessage
from management.relays.service import send_order
from management.work.models import Job
from runtime.clock import utc_now
from tests.management.test_dry_run import ASKED, fleet


def changed(context: Context, count: int) -> UUID:
    """Return the policy of so many devices, just changed."""
    ids = fleet(context, count)
    with context.database.transaction("change") as session:
        for device_id in ids:
            device = session.get_one(Device, device_id)
            device.encryption_key = keys.public_jwk(keys.new_key())
        policy_id = device.policy_id
        settings = current_version(session, policy_id).settings
        change_policy(session, policy_id, ASKED, settings, "keeper", "why", utc_now())
    return policy_id


def queued(context: Context) -> list[dict[str, Any]]:
    """Take the queued work of spreading."""
    with context.database.transaction("take work") as session:
        wanted = select(Job).where(Job.kind == "policies.spread", Job.state == "queued")
        jobs = list(session.scalars(wanted.order_by(Job.queued_at)))
        for job in jobs:
            job.state = "done"
        return [job.payload for job in jobs]


def orders(session: Session) -> dict[UUID, int]:
    """Return device -> how many orders it has."""
    found: dict[UUID, int] = {}
    for recipient in session.scalars(select(OutboundMessage.recipient)):
        found[recipient] = found.get(recipient, 0) + 1
    return found


def settled(context: Context, policy_id: UUID) -> None:
    """Everybody is judged by the new version and has one order to apply it."""
    with context.database.reading() as session:
        devices = session.scalars(select(Device)).all()
        for device in devices:
            assert device.ordered_policy == f"{policy_id}/2"
            assert get_judgement(session, device.id).policy_version == 2
        assert set(orders(session).values()) == {1}
        assert len(orders(session)) == len(devices)


def test_a_long_spread_goes_on_in_turns(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work, "CHUNK", 2)
    monkeypatch.setattr(work, "TURN_SECONDS", -1.0)
    policy_id = changed(context, 7)
    turns = 0
    while payloads := queued(context):
        for payload in payloads:
            work.spread_policy(context, payload, lambda _: None)
            turns += 1

    assert turns > 7
    settled(context, policy_id)


def test_after_a_death_nobody_gets_a_second_order(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(work, "CHUNK", 3)
    policy_id = changed(context, 7)
    (payload,) = queued(context)

    def die(words: str) -> None:
        if "told" in str(words):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work.spread_policy(context, payload, die)
    work.spread_policy(context, payload, lambda _: None)

    settled(context, policy_id)


def test_an_order_that_came_between_makes_a_new_draft(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The draft has the number that the other order took; it is thrown away."""
    policy_id = changed(context, 3)
    (payload,) = queued(context)
    drafted = work._drafts

    def disturbed(context: Context, device_ids: list[UUID]) -> Any:
        drafts = drafted(context, device_ids)
        with context.database.transaction("between") as session:
            device = session.get_one(Device, device_ids[0])
            send_order(session, context.keys, context.signer, device, Receipt(), utc_now())
        return drafts

    monkeypatch.setattr(work, "_drafts", disturbed)
    work.spread_policy(context, payload, lambda _: None)

    with context.database.reading() as session:
        assert sorted(orders(session).values()) == [1, 1, 2]
        for device in session.scalars(select(Device)):
            assert device.ordered_policy == f"{policy_id}/2"
