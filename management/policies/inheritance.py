"""How a policy takes categories from its parent. Pure."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from management.policies.catalogue.all import COMPLIANCE, NAMES
from management.policies.rules import Requirements

DEEPEST = 5
"""Longest line of policies from one without a parent."""
Parents = Mapping[UUID, UUID | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """From whom a policy takes which categories."""

    parent_id: UUID | None = None
    inherited: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Content:
    """What a policy asks, whole."""

    requirements: Requirements
    settings: Mapping[str, Any]


ALONE = Link()


def resolve(own: Content, parent: Content | None, inherited: Collection[str]) -> Content:
    """Return *own* with the *inherited* categories as *parent* has them."""
    if parent is None:
        return own
    chosen = {name: parent if name in inherited else own for name in NAMES}
    settings = {
        name: source.settings[name]
        for name, source in chosen.items()
        if name != COMPLIANCE and name in source.settings
    }
    return Content(chosen[COMPLIANCE].requirements, settings)


def above(policy_id: UUID, parents: Parents) -> list[UUID]:
    """Return parent, grandparent and so on; ends also where a circle would."""
    found: list[UUID] = []
    at = parents.get(policy_id)
    while at is not None and at not in found:
        found.append(at)
        at = parents.get(at)
    return found


def refusal(policy_id: UUID, parent_id: UUID | None, parents: Parents) -> str:
    """Return why *parent_id* cannot be the parent, or nothing when it can."""
    changed = {**parents, policy_id: parent_id}
    if parent_id == policy_id or policy_id in above(policy_id, changed):
        return "A policy cannot inherit from itself, nor from one that inherits from it."
    deepest = max(len(above(one, changed)) for one in changed) + 1
    if deepest > DEEPEST:
        return f"At most {DEEPEST} policies inherit from each other in a line."
    return ""
