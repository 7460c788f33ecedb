"""Deletes policies and brings them back.

A deleted policy keeps its versions: past judgements rest on them. Nobody can be given it, and its
name is free.
"""

from collections.abc import Iterator
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, Table, func, select
from sqlalchemy.orm import Session

from management.database import Base, locked
from management.limits import groups_of
from management.policies.models import Group, Policy
from management.policies.queries import find_policy_by_name, get_policy, list_children
from management.policies.service import lock_policies
from runtime.errors import RefusedError

NAMED = 10


def delete_policy(session: Session, policy_id: UUID, by: str, now: datetime) -> Policy:
    """Delete a policy that nothing uses; RefusedError names what does.

    Groups are locked as for a change of the tree, so nobody is given the policy meanwhile.
    """
    session.flush()
    session.scalars(locked(select(Group).order_by(Group.id), Group)).all()
    lock_policies(session)
    policy = get_policy(session, policy_id)
    if policy.is_default or policy.is_trial:
        raise RefusedError("This policy was made at set-up, or for a trial, and stays.")
    if policy.deleted_at is not None:
        return policy
    if found := list(uses(session, policy_id, now)):
        raise RefusedError(f"{policy.name} is in use: {'; '.join(found)}. Give them another first.")
    policy.name += _mark(policy_id)
    policy.deleted_at, policy.deleted_by = now, by
    session.flush()
    return policy


def restore_policy(session: Session, policy_id: UUID) -> Policy:
    """Bring a deleted policy back under its name; RefusedError when another has that meanwhile."""
    lock_policies(session)
    policy = get_policy(session, policy_id)
    if policy.deleted_at is None:
        return policy
    name = policy.name.removesuffix(_mark(policy_id))
    if find_policy_by_name(session, name) is not None:
        raise RefusedError(f"There is a policy called {name} meanwhile; rename that one first.")
    policy.name, policy.deleted_at, policy.deleted_by = name, None, ""
    session.flush()
    return policy


def shown_uses(session: Session, policy_id: UUID, now: datetime) -> list[str] | None:
    """Return what keeps the policy from being deleted; None for who is limited to groups.

    It names and counts things of all groups, and they delete nothing.
    """
    return None if groups_of(session) is not None else list(uses(session, policy_id, now))


def uses(session: Session, policy_id: UUID, now: datetime) -> Iterator[str]:
    """Yield what uses a policy, in words: groups and children by name, the rest in numbers."""
    groups = session.scalars(
        select(Group.name)
        .where((Group.android_policy_id == policy_id) | (Group.ios_policy_id == policy_id))
        .order_by(Group.name)
    ).all()
    if groups:
        yield f"groups {_named(list(groups))}"
    if children := [child.name for child in list_children(session, policy_id)]:
        yield f"policies that inherit from it {_named(children)}"
    devices, invitations, trials = map(_table, ("device", "invitation", "canary"))
    enrolled = devices.c.enrolment_state == "enrolled"
    if count := _count(session, devices, policy_id, enrolled):
        yield f"{count} devices"
    is_open = (
        invitations.c.used_at.is_(None)
        & invitations.c.cancelled_at.is_(None)
        & (invitations.c.expires_at > now)
    )
    if count := _count(session, invitations, policy_id, is_open):
        yield f"{count} open invitations and enrolment keys"
    if _count(session, trials, policy_id, trials.c.ended_at.is_(None)):
        yield "a trial that is under way"


def _table(name: str) -> Table:
    """Return a table of a feature that knows policies, so that they need not know it."""
    return Base.metadata.tables[name]


def _count(session: Session, table: Table, policy_id: UUID, such: ColumnElement[bool]) -> int:
    wanted = select(func.count()).select_from(table).where(table.c.policy_id == policy_id, such)
    return session.scalars(wanted).one()


def _named(names: list[str]) -> str:
    rest = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + rest


def _mark(policy_id: UUID) -> str:
    return f" (deleted {policy_id.hex[:8]})"
