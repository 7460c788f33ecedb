"""Starts, watches and ends trials of a changed policy on some devices first."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy.orm import Session

from management.audit import service as audit
from management.canary.models import Canary, CanaryDevice
from management.canary.queries import (
    counts,
    find_open,
    list_given,
    lock_canary,
    next_candidates,
    state_of,
)
from management.canary.rules import OPEN, CanaryState, is_chosen, why_stop
from management.devices.queries import lock_device
from management.devices.service import enqueue_spread, give_policy
from management.groups.queries import get_group, policy_in
from management.groups.rules import Tree, below
from management.groups.service import lock_tree
from management.keys import Keys
from management.policies.queries import get_version, usable_policy
from management.policies.rules import Requirements, read_requirements, write_requirements
from management.policies.service import (
    change_policy,
    create_policy,
    lock_policies,
    not_to_try,
    with_inherited,
)
from management.work.service import enqueue
from runtime.errors import RefusedError

GIVE = "canary.give"
BACK = "canary.back"
WATCH = "canary watch"
"""Who stops a trial by itself."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A trial that somebody asks for."""

    policy_id: UUID
    based_on: int
    """The version that the change was made from."""
    requirements: Requirements
    percent: int
    """1 to 50 of the policy's devices; or 0, with a group."""
    group_id: UUID | None
    limit_percent: int
    by: str
    because: str
    settings: Mapping[str, Any] | None = None
    """What devices are to apply; None: what they apply now."""


def start(session: Session, wanted: Wanted, now: datetime) -> Canary:
    """Ask changed criteria of some devices of a policy first; the others keep what holds.

    RefusedError when a trial of the policy goes on, another version holds by now, or nothing says
    which devices go first.
    """
    lock_policies(session)
    policy = usable_policy(session, wanted.policy_id)
    now_asked = get_version(session, policy.id, policy.current_version)
    if why := _refusal(session, wanted, policy.current_version) or not_to_try(
        policy, now_asked, write_requirements(wanted.requirements) == now_asked.requirements
    ):
        raise RefusedError(why)
    if wanted.group_id is not None:
        get_group(session, wanted.group_id)
    name = f"{policy.name[:70]} (trial {now:%Y-%m-%d %H:%M:%S})"
    trial = create_policy(
        session,
        name,
        wanted.requirements,
        now_asked.settings
        if wanted.settings is None
        else with_inherited(wanted.settings, now_asked),
        wanted.by,
        wanted.because,
        now,
    )
    trial.is_trial = True
    canary = Canary(
        id=uuid4(),
        policy_id=policy.id,
        policy_version=policy.current_version,
        trial_id=trial.id,
        percent=wanted.percent,
        group_id=wanted.group_id,
        limit_percent=wanted.limit_percent,
        state=CanaryState.STARTING.value,
        started_at=now,
        started_by=wanted.by[:255],
        because=wanted.because[:1000],
    )
    session.add(canary)
    session.flush()
    enqueue(session, GIVE, f"{GIVE}:{canary.id}", {"canary_id": str(canary.id)}, now=now)
    return canary


def _refusal(session: Session, wanted: Wanted, version: int) -> str:
    if find_open(session, wanted.policy_id) is not None:
        return "A trial of this policy goes on. Promote it or roll it back first."
    if wanted.based_on != version:
        return f"Version {version} holds by now. Try the change on it first."
    if (wanted.group_id is None) == (wanted.percent == 0):
        return "Choose a group, or a share of 1 to 50 percent."
    if not 0 <= wanted.percent <= 50 or not 0 <= wanted.limit_percent <= 100:
        return "Choose a share of 1 to 50 percent, and a limit of 0 to 100 percent."
    return "" if wanted.because.strip() else "Give a reason; it goes into the audit trail."


def give_some(
    session: Session, canary_id: UUID, after: UUID | None, limit: int, now: datetime
) -> UUID | None:
    """Give the trial policy to the chosen ones of the next devices; return the last id, or None.

    None: all were looked at, or the trial ended meanwhile.
    """
    canary = lock_canary(session, canary_id)
    if canary.state != CanaryState.STARTING:
        return None
    tree = lock_tree(session)
    groups = _groups(canary, tree)
    found = next_candidates(session, canary, after, groups, limit)
    given = [one for one in found if canary.group_id or is_chosen(one, canary.percent)]
    for device_id in given:
        _give(session, canary, device_id, now)
    if given:
        enqueue_spread(session, canary.trial_id, given[0], now)
    if found:
        return found[-1]
    canary.state, canary.given_at = CanaryState.RUNNING.value, now
    return None


def _groups(canary: Canary, tree: Tree) -> list[UUID] | None:
    """Return the groups whose devices go first, none when theirs was deleted; None: any."""
    if canary.group_id is None:
        return None
    return sorted(below(tree, canary.group_id)) if canary.group_id in tree else []


def _give(session: Session, canary: Canary, device_id: UUID, now: datetime) -> None:
    device = lock_device(session, device_id)
    if device.policy_id != canary.policy_id:
        return
    if session.get(CanaryDevice, (canary.id, device_id)) is not None:
        return  # somebody gave it back by hand
    session.add(
        CanaryDevice(
            canary_id=canary.id,
            device_id=device.id,
            state_before=state_of(session, device.id),
            own_policy=device.policy_is_own,
            given_at=now,
        )
    )
    give_policy(session, device, canary.trial_id, canary.started_by, now, is_own=True)


def watch(session: Session, keys: Keys, canary_id: UUID, now: datetime) -> str:
    """Stop the trial when too many of its devices became worse; return why, or nothing."""
    canary = lock_canary(session, canary_id)
    if canary.state not in OPEN:
        return ""
    starting = canary.state == CanaryState.STARTING
    because = why_stop(counts(session, canary), canary.limit_percent, starting)
    if because:
        _end(session, canary, CanaryState.STOPPED, WATCH, because, now)
        subject = str(canary.policy_id)
        audit.record(session, keys, WATCH, "canary.stop", subject, because, now=now)
    return because


def roll_back(session: Session, canary_id: UUID, by: str, because: str, now: datetime) -> Canary:
    """End a trial; its devices get back what holds for them. RefusedError when it is over."""
    canary = _open(session, canary_id, because)
    _end(session, canary, CanaryState.ROLLED_BACK, by, because, now)
    return canary


def promote(session: Session, canary_id: UUID, by: str, because: str, now: datetime) -> Canary:
    """Ask of everybody what the trial asks. RefusedError when another version holds by now."""
    canary = _open(session, canary_id, because)
    tried = get_version(session, canary.trial_id, 1)
    change_policy(
        session,
        canary.policy_id,
        read_requirements(tried.requirements),
        tried.settings,
        by,
        because,
        now,
        based_on=canary.policy_version,
    )
    _end(session, canary, CanaryState.PROMOTED, by, because, now)
    return canary


def give_back_some(session: Session, canary_id: UUID, limit: int, now: datetime) -> int:
    """Give some devices of an ended trial what holds for them; return how many, 0 at the end.

    Whom an administrator gave something else meanwhile is left alone.
    """
    canary = lock_canary(session, canary_id)
    tree = lock_tree(session)
    rows, back = list_given(session, canary, limit), {}
    for row in rows:
        device = lock_device(session, row.device_id)
        holds = canary.policy_id
        if not row.own_policy:
            holds = policy_in(session, tree, device.group_id, device.platform)
        give_policy(session, device, holds, canary.ended_by, now, is_own=row.own_policy)
        back[holds] = device.id
    for holds, device_id in back.items():
        enqueue_spread(session, holds, device_id, now)
    if not rows and canary.back_at is None:
        canary.back_at = now
    return len(rows)


def _open(session: Session, canary_id: UUID, because: str) -> Canary:
    canary = lock_canary(session, canary_id)
    if canary.state not in OPEN:
        raise RefusedError(f"The trial is {canary.state.replace('_', ' ')} already.")
    if not because.strip():
        raise RefusedError("Give a reason; it goes into the audit trail.")
    return canary


def _end(
    session: Session, canary: Canary, state: CanaryState, by: str, because: str, now: datetime
) -> None:
    canary.state, canary.ended_at, canary.ended_by = state.value, now, by[:255]
    canary.ended_because = because[:1000]
    session.flush()
    enqueue(session, BACK, f"{BACK}:{canary.id}", {"canary_id": str(canary.id)}, now=now)
