"""The tree of groups: who is below whom, and which policy holds where. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from uuid import UUID

MOST = 1000
DEEPEST = 8
"""Most groups from the root to any group, both counted."""
LONGEST_NAME = 100
PLATFORMS = ("android", "ios")


@dataclass(frozen=True, slots=True)
class Node:
    """One group."""

    id: UUID
    name: str
    parent_id: UUID | None
    policies: Mapping[str, UUID | None]
    """Platform -> the policy that it has itself; None: its parent's holds."""


Tree = Mapping[UUID, Node]


def stamp(node: Node) -> str:
    """Return what is another when name, place or policies of the group are."""
    policies = [node.policies[platform] for platform in PLATFORMS]
    return sha256(repr((node.name, node.parent_id, policies)).encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Asked:
    """Which policy holds in a group, and the group that says so."""

    policy_id: UUID
    group: Node


def line(tree: Tree, group_id: UUID) -> list[Node]:
    """Return the group and those above it, the root last; ends also where a circle would."""
    found: list[Node] = []
    at: UUID | None = group_id
    while at is not None and at in tree and tree[at] not in found:
        found.append(tree[at])
        at = tree[at].parent_id
    return found


def full_name(tree: Tree, group_id: UUID) -> str:
    """Return the names from below the root to the group, for people."""
    names = [node.name for node in reversed(line(tree, group_id))]
    return " / ".join(names[1:] or names)


def below(tree: Tree, group_id: UUID) -> set[UUID]:
    """Return the ids of the group and of all groups below it."""
    return {node.id for _, node in _down(_children(tree), tree[group_id], 1)}


def with_below(tree: Tree, counts: Mapping[UUID, int]) -> dict[UUID, int]:
    """Return group -> how many there are in it and all groups below it, from those in each."""
    totals = dict.fromkeys(tree, 0)
    for _depth, node in reversed(ordered(tree)):
        totals[node.id] += counts.get(node.id, 0)
        if node.parent_id in totals:
            totals[node.parent_id] += totals[node.id]
    return totals


def ordered(tree: Tree) -> list[tuple[int, Node]]:
    """Return (depth from 0, group), each group followed by those below it, siblings by name."""
    children = _children(tree)
    return [
        (depth - 1, node)
        for root in children.get(None, ())
        for depth, node in _down(children, root, 1)
    ]


def asked(tree: Tree, group_id: UUID, platform: str) -> Asked | None:
    """Return the policy that holds for devices of *platform* in the group: its own or the next
    one above; None when no group up to the root has one.
    """
    for node in line(tree, group_id):
        policy_id = node.policies.get(platform)
        if policy_id is not None:
            return Asked(policy_id, node)
    return None


def refusal(tree: Tree, group_id: UUID | None, name: str, parent_id: UUID | None) -> str:
    """Return why a group cannot have this name and place, or nothing; None as id: a new one."""
    if not 1 <= len(name) <= LONGEST_NAME or not name.isprintable():
        return f"The name of a group has 1 to {LONGEST_NAME} printable characters."
    if group_id is None and len(tree) >= MOST:
        return f"There are {MOST} groups already."
    if parent_id is None:
        is_root = group_id is not None and tree[group_id].parent_id is None
        return "" if is_root else "Choose the group above it."
    if parent_id not in tree:
        return "There is no such group to put it in."
    if group_id is not None and tree[group_id].parent_id is None:
        return "The root stays above all other groups."
    moving = {group_id} if group_id is None else below(tree, group_id)
    if parent_id in moving:
        return "A group cannot be put below itself."
    if len(line(tree, parent_id)) + _height(tree, group_id) > DEEPEST:
        return f"Groups are at most {DEEPEST} deep."
    return _taken(tree, group_id, name, parent_id)


def _taken(tree: Tree, group_id: UUID | None, name: str, parent_id: UUID) -> str:
    siblings = (node for node in tree.values() if node.parent_id == parent_id)
    if any(one.id != group_id and one.name.casefold() == name.casefold() for one in siblings):
        return f"There is a group called {name} beside it already."
    return ""


def _height(tree: Tree, group_id: UUID | None) -> int:
    if group_id is None:
        return 1
    return max(depth for depth, _ in _down(_children(tree), tree[group_id], 1))


def _children(tree: Tree) -> dict[UUID | None, list[Node]]:
    found: dict[UUID | None, list[Node]] = {}
    for node in sorted(tree.values(), key=lambda node: (node.name.casefold(), node.id)):
        found.setdefault(node.parent_id, []).append(node)
    return found


def _down(
    children: Mapping[UUID | None, list[Node]], node: Node, depth: int
) -> Iterator[tuple[int, Node]]:
    yield depth, node
    for child in children.get(node.id, ()):
        yield from _down(children, child, depth + 1)
