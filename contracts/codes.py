"""One-time codes that a person reads from one screen and types into another."""

import secrets

ALPHABET = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
"""Without characters that look alike; five bits each."""


def random_code(length: int) -> str:
    """Return *length* random characters of `ALPHABET`."""
    return "".join(secrets.choice(ALPHABET) for _ in range(length))
