"""What may stand in an address of the console and the API."""

from werkzeug import routing

LARGEST = 10**18 - 1
"""Databases keep 63 bits: an address with a larger number names nothing (404)."""


class IntegerConverter(routing.IntegerConverter):
    """A number that a database can look for.

    The pattern bounds it, and not ``max``: werkzeug compares that only after it took the method of
    another route for a match, and answers 405.
    """

    regex = r"\d{1,18}"
