"""What may stand in an address of the console and the API."""

from typing import Any

from werkzeug import routing

LARGEST = 2**63 - 1
"""No database keeps larger integers: an address with one names nothing."""


class IntegerConverter(routing.IntegerConverter):
    """A number that a database can look for; others are no such address (404)."""

    def __init__(self, *arguments: Any, **more: Any) -> None:
        """Bound it, unless the route does."""
        more.setdefault("max", LARGEST)
        super().__init__(*arguments, **more)
