"""Makes and changes policies. A version never changes; a change is the next version.

Each version is whole: what it inherits is written out. When a parent changes, its children get
their next version in the same transaction. Changes of policies wait for each other
(`lock_policies`), so that no circle and no child behind its parent can come about.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import select
from sqlalchemy.orm import Session

from management.database import locked
from management.policies.catalogue.all import COMPLIANCE
from management.policies.conflicts import conflicts
from management.policies.inheritance import ALONE, Content, Link, refusal, resolve
from management.policies.models import ROOT_GROUP, UNAUTHORIZED_GROUP, Group, Policy, PolicyVersion
from management.policies.queries import (
    find_policy_by_name,
    get_policy,
    get_version,
    usable_policy,
)
from management.policies.rules import Requirements, read_requirements, write_requirements
from management.policies.values import defaults
from management.work.service import enqueue
from runtime.errors import NotFoundError, RefusedError

SPREAD = "policies.spread"
"""Work: give every device of a policy its current version and judge it again."""
DEFAULT_NAME = "Standard"
MOST = 500
"""Most policies, not counting those of trials; each change looks at all of them."""


class StaleError(RefusedError):
    """Somebody else changed it since it was read."""


class ConflictError(RefusedError):
    """What is asked contradicts itself; *problems* tells where."""

    def __init__(self, problems: Mapping[str, str], of: str = "") -> None:
        """*of* names another policy in which it would."""
        sentence = " ".join(dict.fromkeys(problems.values()))
        super().__init__(f"{of}: {sentence}" if of else sentence)
        self.problems = {} if of else dict(problems)


def create_policy(
    session: Session,
    name: str,
    requirements: Requirements,
    settings: Mapping[str, Any],
    by: str,
    because: str,
    now: datetime,
    link: Link = ALONE,
) -> Policy:
    """Make a policy with its first version.

    RefusedError when the name is empty or taken; ConflictError when it contradicts itself.
    """
    name = _free_name(session, name, None)
    policies = lock_policies(session)
    if sum(not one.is_trial and one.deleted_at is None for one in policies.values()) >= MOST:
        raise RefusedError(f"There are {MOST} policies already; change one of them.")
    policy = Policy(id=uuid4(), name=name, current_version=1, parent_id=link.parent_id)
    policies[policy.id] = policy
    content = _resolved(session, policies, policy, Content(requirements, settings), link)
    session.add(policy)
    session.flush()
    session.add(_version(session, policy, content, link, by, because, now))
    session.flush()
    return policy


def change_policy(
    session: Session,
    policy_id: UUID,
    requirements: Requirements,
    settings: Mapping[str, Any],
    by: str,
    because: str,
    now: datetime,
    link: Link | None = None,
    based_on: int | None = None,
) -> PolicyVersion:
    """Return the new version that holds from now on.

    Its devices, and those of policies that inherit from it, get it and are judged again in the
    background. Asking for what holds already makes no version. *link* None: it inherits as before;
    *based_on*: the version that the change was made from, RefusedError when another one holds.
    """
    policies = lock_policies(session)
    policy = usable_policy(session, _found(policies, policy_id).id)
    if policy.is_trial:
        raise RefusedError("This is the policy of a trial. Promote the trial or roll it back.")
    if based_on is not None and based_on != policy.current_version:
        raise StaleError(
            f"Somebody else made version {policy.current_version} meanwhile. Look at it, and make "
            "your change again."
        )
    link = link or _link(session, policy)
    content = _resolved(session, policies, policy, Content(requirements, settings), link)
    version = _next(session, policy, content, link, by, because, now)
    if version is not None:
        _follow(session, policies, policy, by, because, now)
    return version or get_version(session, policy_id, policy.current_version)


def not_to_try(policy: Policy, version: PolicyVersion, same_criteria: bool = False) -> str:
    """Return why other criteria of the policy cannot be tried, or nothing: they would not last."""
    if policy.is_trial:
        return "This is the policy of a trial. Promote the trial or roll it back."
    if COMPLIANCE in version.inherited and not same_criteria:
        return (
            "The criteria come from the parent of this policy. Change them there, or stop "
            "inheriting them."
        )
    return ""


def with_inherited(settings: Mapping[str, Any], version: PolicyVersion) -> dict[str, Any]:
    """Return *settings* with what the version inherits as it holds: it is not the policy's own."""
    held = {name: version.settings[name] for name in version.inherited if name in version.settings}
    own = {name: content for name, content in settings.items() if name not in version.inherited}
    return {**own, **held}


def rename_policy(session: Session, policy_id: UUID, name: str) -> Policy:
    """Give the policy another name; RefusedError when it is taken."""
    policy = usable_policy(session, policy_id)
    policy.name = _free_name(session, name, policy_id)
    return policy


def ensure_default_policy(session: Session, now: datetime) -> Policy:
    """Return the policy of the root group; both are made at set-up when there are none."""
    policy = session.scalars(select(Policy).where(Policy.is_default)).first()
    if policy is None:
        policy = create_policy(
            session, DEFAULT_NAME, Requirements(), defaults(), "system", "made at set-up", now
        )
        policy.is_default = True
    _ensure_groups(session, policy)
    return policy


def _ensure_groups(session: Session, policy: Policy) -> None:
    if session.get(Group, ROOT_GROUP) is not None:
        return
    both = {"android_policy_id": policy.id, "ios_policy_id": policy.id}
    session.add(Group(id=ROOT_GROUP, name="All devices", **both))
    session.flush()
    session.add(Group(id=UNAUTHORIZED_GROUP, name="unauthorized", parent_id=ROOT_GROUP))
    session.flush()


def _free_name(session: Session, name: str, policy_id: UUID | None) -> str:
    name = name.strip()
    if not 1 <= len(name) <= 100 or not name.isprintable():
        raise RefusedError("The name of a policy has 1 to 100 printable characters.")
    other = find_policy_by_name(session, name)
    if other is not None and other.id != policy_id:
        raise RefusedError(f"There is a policy called {name} already.")
    return name


def lock_policies(session: Session) -> dict[UUID, Policy]:
    """Return all policies as they are now; until this transaction ends nobody else changes one."""
    session.flush()
    found = session.scalars(locked(select(Policy).order_by(Policy.id), Policy, key_share=True))
    return {policy.id: policy for policy in found}


def _found(policies: Mapping[UUID, Policy], policy_id: UUID) -> Policy:
    if policy_id not in policies:
        raise NotFoundError("There is no such policy.")
    return policies[policy_id]


def _link(session: Session, policy: Policy) -> Link:
    version = get_version(session, policy.id, policy.current_version)
    return Link(parent_id=policy.parent_id, inherited=tuple(version.inherited))


def _resolved(
    session: Session,
    policies: Mapping[UUID, Policy],
    policy: Policy,
    own: Content,
    link: Link,
) -> Content:
    """Return what the policy asks with what it inherits; RefusedError when that cannot be."""
    if link.parent_id is None:
        if link.inherited:
            raise RefusedError("Choose the policy from which these categories come.")
        content = own
    else:
        usable_policy(session, _found(policies, link.parent_id).id)
        parents = {one.id: one.parent_id for one in policies.values()}
        if why := refusal(policy.id, link.parent_id, parents):
            raise RefusedError(why)
        content = resolve(own, _content(session, policies[link.parent_id]), link.inherited)
    if problems := conflicts(content.requirements, content.settings):
        raise ConflictError(problems)
    return content


def _content(session: Session, policy: Policy) -> Content:
    version = get_version(session, policy.id, policy.current_version)
    return Content(read_requirements(version.requirements), version.settings)


def _follow(
    session: Session,
    policies: Mapping[UUID, Policy],
    parent: Policy,
    by: str,
    because: str,
    now: datetime,
) -> None:
    """Write the next version of each policy that inherits what changed, and of theirs."""
    asked = _content(session, parent)
    told = f"follows version {parent.current_version} of {parent.name}: {because}"[:1000]
    for child in policies.values():
        if child.parent_id != parent.id:
            continue
        link = _link(session, child)
        content = resolve(_content(session, child), asked, link.inherited)
        if problems := conflicts(content.requirements, content.settings):
            raise ConflictError(problems, f"{child.name}, which inherits from it")
        if _next(session, child, content, link, by, told, now) is not None:
            _follow(session, policies, child, by, because, now)


def _next(
    session: Session,
    policy: Policy,
    content: Content,
    link: Link,
    by: str,
    because: str,
    now: datetime,
) -> PolicyVersion | None:
    """Write the next version and queue that devices get it; None when it would say the same."""
    current = get_version(session, policy.id, policy.current_version)
    before = (current.requirements, current.settings, policy.parent_id, set(current.inherited))
    wanted = write_requirements(content.requirements), dict(content.settings)
    if before == (*wanted, link.parent_id, set(link.inherited)):
        return None
    policy.current_version, policy.parent_id = policy.current_version + 1, link.parent_id
    version = _version(session, policy, content, link, by, because, now)
    session.add(version)
    session.flush()
    key = f"{SPREAD}:{policy.id}:{version.version}"
    enqueue(session, SPREAD, key, {"policy_id": str(policy.id)}, now=now)
    return version


def _version(
    session: Session,
    policy: Policy,
    content: Content,
    link: Link,
    by: str,
    because: str,
    now: datetime,
) -> PolicyVersion:
    parent = None if link.parent_id is None else get_policy(session, link.parent_id)
    return PolicyVersion(
        policy_id=policy.id,
        version=policy.current_version,
        requirements=write_requirements(content.requirements),
        settings=dict(content.settings),
        inherited=sorted(link.inherited),
        parent_id=link.parent_id,
        parent_version=parent.current_version if parent else None,
        created_at=now,
        created_by=by,
        because=because[:1000],
    )
