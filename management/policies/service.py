"""Makes and changes policies. A version never changes; a change is the next version."""

from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import select
from sqlalchemy.orm import Session

from management.policies.models import Policy, PolicyVersion
from management.policies.queries import find_policy_by_name, get_policy, get_version
from management.policies.rules import Requirements, write_requirements
from management.work.service import enqueue
from runtime.errors import RefusedError

SPREAD = "policies.spread"
"""Work: give every device of a policy its current version and judge it again."""
DEFAULT_NAME = "Standard"


def create_policy(
    session: Session,
    name: str,
    requirements: Requirements,
    settings: dict[str, Any],
    by: str,
    because: str,
    now: datetime,
) -> Policy:
    """Make a policy with its first version; RefusedError when the name is empty or taken."""
    name = name.strip()
    if not 1 <= len(name) <= 100:
        raise RefusedError("The name of a policy has 1 to 100 characters.")
    if find_policy_by_name(session, name) is not None:
        raise RefusedError(f"There is a policy called {name} already.")
    policy = Policy(id=uuid4(), name=name, current_version=1, is_default=False)
    session.add(policy)
    session.flush()
    session.add(_version(policy, requirements, settings, by, because, now))
    session.flush()
    return policy


def change_policy(
    session: Session,
    policy_id: UUID,
    requirements: Requirements,
    settings: dict[str, Any],
    by: str,
    because: str,
    now: datetime,
) -> PolicyVersion:
    """Return the new version that holds from now on.

    Its devices get it and are judged again in the background. Asking for what holds already makes
    no version.
    """
    policy = _locked(session, policy_id)
    current = get_version(session, policy_id, policy.current_version)
    wanted = write_requirements(requirements)
    if (current.requirements, current.settings) == (wanted, settings):
        return current
    policy.current_version += 1
    version = _version(policy, requirements, settings, by, because, now)
    session.add(version)
    session.flush()
    enqueue(
        session,
        SPREAD,
        f"{SPREAD}:{policy_id}:{version.version}",
        {"policy_id": str(policy_id)},
        now=now,
    )
    return version


def rename_policy(session: Session, policy_id: UUID, name: str) -> Policy:
    """Give the policy another name; RefusedError when it is taken."""
    policy, name = get_policy(session, policy_id), name.strip()
    other = find_policy_by_name(session, name)
    if not 1 <= len(name) <= 100:
        raise RefusedError("The name of a policy has 1 to 100 characters.")
    if other is not None and other.id != policy.id:
        raise RefusedError(f"There is a policy called {name} already.")
    policy.name = name
    return policy


def ensure_default_policy(session: Session, now: datetime) -> Policy:
    """Return the policy that new devices get, made at set-up when there is none."""
    found = session.scalars(select(Policy).where(Policy.is_default)).first()
    if found is not None:
        return found
    policy = create_policy(
        session, DEFAULT_NAME, Requirements(), {}, "system", "made at set-up", now
    )
    policy.is_default = True
    return policy


def _locked(session: Session, policy_id: UUID) -> Policy:
    """Return the policy; until the transaction ends nobody else makes a version."""
    get_policy(session, policy_id)
    session.flush()
    return session.scalars(
        select(Policy)
        .where(Policy.id == policy_id)
        .with_hint(Policy, "WITH (UPDLOCK)", "mssql")
        .with_for_update()
        .execution_options(populate_existing=True)
    ).one()


def _version(
    policy: Policy,
    requirements: Requirements,
    settings: dict[str, Any],
    by: str,
    because: str,
    now: datetime,
) -> PolicyVersion:
    return PolicyVersion(
        policy_id=policy.id,
        version=policy.current_version,
        requirements=write_requirements(requirements),
        settings=settings,
        created_at=now,
        created_by=by,
        because=because,
    )
