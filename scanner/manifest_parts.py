"""Elements of a manifest that are still open: components and their filters."""

from itertools import islice, product

from scanner.manifest import Component

MAXIMUM_READINGS = 16
"""Of one component whose name differs with the device or the reader."""


class Filter:
    """An intent filter that is open."""

    def __init__(self, depth: int, labels: list[str | int]) -> None:
        self.depth, self.labels = depth, labels
        self.has_data = False
        self.names: set[str] = set()
        """Of actions and categories, in every reading."""
        self.words: set[str] = set()
        """Those of an icon that Android finds there."""


class Part:
    """A component that is open."""

    def __init__(self, depth: int, kind: str) -> None:
        self.depth, self.kind = depth, kind
        self.names: list[str] = []
        self.permissions: list[str] = []
        self.exported: bool | None = None
        self.is_shown = False
        """Whether its icon is on every device, if it has one."""
        self.labels: list[str | int] = []
        self.lists: dict[str, list[str]] = {"action": [], "category": []}
        self.priority = 0
        self.is_launcher = self.may_be_launcher = False

    def components(self) -> list[Component]:
        """Return it with each of its names; one, unless it misleads."""
        every = product(self.names or [""], self.permissions or [""])
        readings = islice(every, MAXIMUM_READINGS + 1)
        rest = (
            self.exported,
            tuple(self.lists["action"]),
            tuple(self.lists["category"]),
            self.priority,
            self.is_launcher and self.is_shown,
        )
        return [Component(self.kind, name, permission, *rest) for name, permission in readings]
