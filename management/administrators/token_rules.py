"""Decides what an API token carries: never more than its maker may. Pure."""

from collections.abc import Iterable

from management.access import PERMISSIONS_OF, Permission, Role

ALL = "all"
"""All that its maker may, also what they are given later."""
READ_ONLY = PERMISSIONS_OF[Role.READ_ONLY]
DAYS = (7, 30, 90, 365)
"""How long a token can hold, to choose from."""


def scope_of(permissions: Iterable[Permission]) -> str:
    """Return how a token keeps the permissions that were chosen for it."""
    return " ".join(sorted(one.value for one in permissions))


def carried(scope: str, held: frozenset[Permission]) -> frozenset[Permission]:
    """Return what a token of *scope* may, while its maker holds *held*; an unknown word is none."""
    return held if scope == ALL else held & chosen(scope)


def chosen(scope: str) -> frozenset[Permission]:
    """Return the permissions that were chosen; none for `ALL`, which names none."""
    words = set(scope.split())
    return frozenset(one for one in Permission if one.value in words)
