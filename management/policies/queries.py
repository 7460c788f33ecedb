"""Reads policies and their versions."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from management.database import Base
from management.limits import groups_of, is_one_of, seeing_all
from management.policies.catalogue.all import NAMES
from management.policies.models import Group, Policy, PolicyVersion
from management.policies.rules import Requirements, asked_since, read_requirements
from runtime.errors import NotFoundError, RefusedError


def get_policy(session: Session, policy_id: UUID) -> Policy:
    """Return the policy; NotFoundError when there is none with this id."""
    found = session.get(Policy, policy_id)
    if found is None:
        raise NotFoundError("There is no such policy.")
    return found


def usable_policy(session: Session, policy_id: UUID) -> Policy:
    """Return a policy that somebody can be given; RefusedError when it was deleted."""
    found = get_policy(session, policy_id)
    if found.deleted_at is not None:
        raise RefusedError("This policy was deleted. Restore it first, or choose another.")
    return found


def find_policy_by_name(session: Session, name: str) -> Policy | None:
    """Return the policy with exactly this name."""
    return session.scalars(select(Policy).where(Policy.name == name)).first()


def list_policies(session: Session) -> Sequence[Policy]:
    """Return the policies that whoever asks sees, by name, without deleted and trials' ones."""
    wanted = select(Policy).where(Policy.is_trial.is_(False), Policy.deleted_at.is_(None))
    seen = seen_policies(session)
    found = session.scalars(wanted.order_by(Policy.name)).all()
    return [one for one in found if seen is None or one.id in seen]


def list_deleted(session: Session, limit: int = 50) -> Sequence[Policy]:
    """Return deleted policies, the latest first; nothing for who is limited to groups."""
    if seen_policies(session) is not None:
        return ()
    wanted = select(Policy).where(Policy.deleted_at.is_not(None))
    return session.scalars(wanted.order_by(Policy.deleted_at.desc()).limit(limit)).all()


def seen_policies(session: Session) -> frozenset[UUID] | None:
    """Return the policies that whoever asks sees: what their devices have and what their groups,
    and those above, say; None: all.
    """
    seen = groups_of(session)
    if seen is None:
        return None
    tally = Base.metadata.tables["device_tally"]  # of `listing`, which knows us
    held = select(tally.c.policy_id).where(is_one_of(tally.c.group_id, seen)).distinct()
    groups = {one.id: one for one in session.scalars(select(Group))}
    line = set(seen)
    for one in seen:
        at = groups.get(one)
        while at is not None and at.parent_id is not None:
            line.add(at.parent_id)
            at = groups.get(at.parent_id)
    said = {
        policy_id
        for one in line & groups.keys()
        for policy_id in (groups[one].android_policy_id, groups[one].ios_policy_id)
        if policy_id is not None
    }
    with seeing_all(session):  # it says itself which groups it reads
        return frozenset(said | set(session.scalars(held)))


def require_seen(session: Session, policy_id: UUID | None) -> None:
    """Raise NotFoundError when whoever asks does not see the policy; None is none."""
    seen = seen_policies(session)
    if policy_id is not None and seen is not None and policy_id not in seen:
        raise NotFoundError("There is no such policy.")


def list_groups(session: Session) -> Sequence[Group]:
    """Return all groups by name."""
    return session.scalars(select(Group).order_by(Group.name)).all()


def default_policy(session: Session) -> Policy:
    """Return the policy that new invitations get; NotFoundError before set-up."""
    found = session.scalars(select(Policy).where(Policy.is_default)).first()
    if found is None:
        raise NotFoundError("There is no default policy yet; run the set-up.")
    return found


def get_version(session: Session, policy_id: UUID, version: int) -> PolicyVersion:
    """Return one version; NotFoundError when there is none."""
    found = session.get(PolicyVersion, (policy_id, version))
    if found is None:
        raise NotFoundError("There is no such version of the policy.")
    return found


def current_version(session: Session, policy_id: UUID) -> PolicyVersion:
    """Return the version that holds now."""
    return get_version(session, policy_id, get_policy(session, policy_id).current_version)


def version_at(session: Session, policy_id: UUID, at: datetime) -> PolicyVersion | None:
    """Return the version that held at an instant; None before the policy existed."""
    return session.scalars(
        select(PolicyVersion)
        .where(PolicyVersion.policy_id == policy_id, PolicyVersion.created_at <= at)
        .order_by(PolicyVersion.version.desc())
        .limit(1)
    ).first()


def list_versions(session: Session, policy_id: UUID) -> Sequence[PolicyVersion]:
    """Return all versions, newest first."""
    return session.scalars(
        select(PolicyVersion)
        .where(PolicyVersion.policy_id == policy_id)
        .order_by(PolicyVersion.version.desc())
    ).all()


def list_children(session: Session, policy_id: UUID) -> Sequence[Policy]:
    """Return the policies that inherit from this one, by name."""
    return session.scalars(
        select(Policy).where(Policy.parent_id == policy_id).order_by(Policy.name)
    ).all()


def origins(session: Session, version: PolicyVersion) -> dict[str, PolicyVersion]:
    """Return for each category the version that says it itself: this one or one it follows."""
    found = {}
    for name in NAMES:
        at = version
        while name in at.inherited and at.parent_id is not None and at.parent_version:
            at = get_version(session, at.parent_id, at.parent_version)
        found[name] = at
    return found


def wishes(session: Session, version: PolicyVersion) -> tuple[Requirements, dict[str, datetime]]:
    """Return what *version* asks, and for each criterion since when it asks just that.

    It is read once in a session: who moves many devices asks for each of them.
    """
    known = session.info.setdefault("wishes", {})
    key = version.policy_id, version.version, version.created_at
    if key not in known:
        held = version, get_policy(session, version.policy_id)  # else each would be read again
        known[key] = *_wishes(session, version), held
    requirements, since, _ = known[key]
    return requirements, since


def _wishes(session: Session, version: PolicyVersion) -> tuple[Requirements, dict[str, datetime]]:
    earlier = session.scalars(
        select(PolicyVersion)
        .where(
            PolicyVersion.policy_id == version.policy_id,
            PolicyVersion.version <= version.version,
        )
        .order_by(PolicyVersion.version)
    )
    history = [(row.created_at, read_requirements(row.requirements)) for row in earlier]
    return history[-1][1], asked_since(history)
