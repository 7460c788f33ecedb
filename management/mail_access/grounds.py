"""Reads what a decision about mail rests on: claims, devices, judgements, graces, the brake."""

from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from management.compliance.models import DeviceJudgement
from management.compliance.queries import read_judgement
from management.devices.models import Device
from management.devices.rules import EnrolmentState
from management.groups.queries import read_tree
from management.groups.rules import below
from management.mail_access.matching import Claim, Lookalike, Match
from management.mail_access.models import MailDecision, Partnership, UnmanagedGrace
from management.mail_access.queries import chunks
from management.mail_access.rules import BRAKE_PERIOD, MailSettings, MatchedDevice
from management.policies.models import Policy


def list_claims(session: Session, exchange_ids: Collection[str]) -> dict[str, list[Claim]]:
    """Return the enrolled devices that report these DeviceIds, oldest enrolment first."""
    found: dict[str, list[Claim]] = {}
    for some in chunks(exchange_ids):
        rows = session.execute(
            select(Device.exchange_device_id, Device.id, Device.name, Device.owner_address)
            .where(
                Device.exchange_device_id.in_(some),
                Device.enrolment_state == EnrolmentState.ENROLLED,
            )
            .order_by(Device.enrolled_at, Device.id)
        )
        for exchange_id, device_id, name, owner in rows:
            found.setdefault(exchange_id, []).append(Claim(device_id, name, owner))
    return found


def list_lookalikes(session: Session, rows: Sequence[Partnership]) -> dict[str, list[Lookalike]]:
    """Return by user address (case-folded) the enrolled devices that *rows* may be."""
    addresses = {row.user_address for row in rows if row.user_address}
    wanted = addresses | {address.casefold() for address in addresses}
    found: dict[str, list[Lookalike]] = {}
    for some in chunks(wanted):
        devices = session.scalars(
            select(Device)
            .where(
                Device.owner_address.in_(some),
                Device.enrolment_state == EnrolmentState.ENROLLED,
            )
            .order_by(Device.enrolled_at, Device.id)
        ).all()
        before = _fetched_as(session, [device.id for device in devices])
        for device in devices:
            found.setdefault(device.owner_address.casefold(), []).append(
                Lookalike(
                    device.id,
                    device.name,
                    device.owner_address,
                    device.model,
                    device.enrolled_at,
                    before.get(device.id, ()),
                )
            )
    return found


def _fetched_as(session: Session, device_ids: Collection[UUID]) -> dict[UUID, tuple[str, ...]]:
    """Return device -> the DeviceIds that are surely its own, the newest first."""
    found: dict[UUID, tuple[str, ...]] = {}
    for some in chunks(device_ids):
        rows = session.execute(
            select(Partnership.device_id, Partnership.exchange_device_id)
            .where(
                Partnership.device_id.in_(some),
                Partnership.match.in_((Match.SURE, Match.BY_HAND)),
            )
            .order_by(Partnership.first_seen_at.desc(), Partnership.id.desc())
        )
        for device_id, exchange_id in rows:
            if device_id is not None:
                found[device_id] = (*found.get(device_id, ()), exchange_id)
    return found


def excluded_groups(session: Session, settings: MailSettings) -> dict[UUID, str]:
    """Return the groups that are excluded from mail control, with those below: id -> name."""
    if not settings.excluded_groups:
        return {}
    tree = read_tree(session)
    return {
        one: tree[one].name
        for group_id in settings.excluded_groups
        if group_id in tree
        for one in below(tree, group_id)
    }


def list_matched_devices(
    session: Session, device_ids: Collection[UUID], settings: MailSettings
) -> dict[UUID, MatchedDevice]:
    """Return these devices with their judgements; one that is not judged yet has None."""
    found: dict[UUID, MatchedDevice] = {}
    excluded = excluded_groups(session, settings)
    for some in chunks(device_ids):
        rows = session.execute(
            select(Device, DeviceJudgement, Policy.name)
            .outerjoin(DeviceJudgement, DeviceJudgement.device_id == Device.id)
            .outerjoin(Policy, Policy.id == DeviceJudgement.policy_id)
            .where(Device.id.in_(some))
        )
        for device, judged, policy in rows:
            judgement = None if judged is None else read_judgement(judged)
            found[device.id] = MatchedDevice(
                device.name,
                device.enrolled_at,
                policy or "",
                judgement,
                excluded.get(device.group_id, ""),
            )
    return found


def list_graces(session: Session, keys: Collection[str]) -> dict[str, UnmanagedGrace]:
    """Return the running graces of these users."""
    return {
        grace.key: grace
        for some in chunks(keys)
        for grace in session.scalars(select(UnmanagedGrace).where(UnmanagedGrace.key.in_(some)))
    }


def count_live(session: Session) -> int:
    """Return how many partnerships the mail servers have."""
    wanted = select(func.count()).select_from(Partnership).where(Partnership.gone_at.is_(None))
    return session.scalar(wanted) or 0


def count_recent_blocks(session: Session, now: datetime) -> int:
    """Return how many blocks began within the brake's period without confirmation."""
    wanted = select(func.count()).where(
        MailDecision.at > now - BRAKE_PERIOD,
        MailDecision.event == "wanted",
        MailDecision.access == "block",
    )
    return session.scalar(wanted) or 0
