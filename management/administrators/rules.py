"""Decides on names, passwords, and how long a failed sign-in makes the next one wait. Pure."""

import unicodedata
from datetime import datetime, timedelta
from ipaddress import ip_address, ip_network
from itertools import pairwise

SHORTEST_PASSWORD = 12
LONGEST_PASSWORD = 200
IDLE = timedelta(minutes=30)
ABSOLUTE = timedelta(hours=10)
LINK_LIVES = timedelta(hours=24)
FRESH = timedelta(minutes=10)
"""So long after a sign-in nobody is asked again who they are."""
FREE_FAILURES_OF_ACCOUNT = 3
"""From one address, or in one browser that signed in before."""
FREE_FAILURES_OF_ADDRESS = 10
FREE_FAILURES_EVERYWHERE = 100
"""With one name, from all addresses together."""
LONGEST_WAIT = timedelta(minutes=15)
FORGET_FAILURES_AFTER = timedelta(hours=12)

# fmt: off
_COMMON = frozenset({
    "password", "passw0rd", "passwort", "kennwort", "motdepasse", "contrasena", "pasuwado",
    "letmein", "welcome", "iloveyou", "administrator", "admin", "sekisho", "qwertyuiop",
    "qwertyuio", "qwertz", "azerty", "asdfghjkl", "zxcvbnm", "abcdefghijkl", "changeme",
    "secret", "default", "monkey", "dragon", "football", "baseball", "sunshine", "princess",
    "master", "superman",
})
# fmt: on


def normal_name(name: str) -> str:
    """Return *name* as it is stored and looked up: NFKC, no outer spaces, case folded."""
    return unicodedata.normalize("NFKC", name).strip().casefold()


def password_problem(password: str, name: str) -> str | None:
    """Return why *password* is not taken, as a word the console translates, or None."""
    if len(password) < SHORTEST_PASSWORD:
        return "short"
    if len(password) > LONGEST_PASSWORD:
        return "long"
    plain = unicodedata.normalize("NFKC", password).casefold()
    if len(set(plain)) < 5 or _is_run(plain):
        return "simple"
    if name and normal_name(name) in plain:
        return "name"
    letters = plain.strip("0123456789!?.,-_#$@* ")
    doubled = letters[: len(letters) // 2] if letters == letters[: len(letters) // 2] * 2 else ""
    return "common" if letters in _COMMON or (doubled and doubled in _COMMON) else None


def _is_run(text: str) -> bool:
    """Return whether each character follows the one before it (123…, zyx…), digits wrapping."""
    steps = {(ord(b) - ord(a)) % 10 for a, b in pairwise(text)}
    return text.isdigit() and steps in ({1}, {9})


def wait_after(failures: int, free: int) -> timedelta:
    """Return how long nobody is let in after so many failures in a row; never for ever."""
    if failures < free:
        return timedelta()
    return min(LONGEST_WAIT, timedelta(seconds=5 << min(failures - free, 20)))


def is_told(failures: int) -> bool:
    """Return whether the audit trail tells of this failure: of the 1st, 2nd, 4th, 8th, …"""
    return failures & (failures - 1) == 0


def place_of(address: str) -> str:
    """Return whom an address belongs to: of IPv6 the /64, which one customer has at least."""
    try:
        told = ip_address(address)
    except ValueError:
        return address
    if told.version == 6:
        mapped = told.ipv4_mapped
        return str(mapped or ip_network((told, 64), strict=False))
    return str(told)


def went_back(before: int, now: int) -> bool:
    """Return whether a passkey's counter did not grow: a copy of it may exist (WebAuthn 6.1.1).

    One that always says 0 does not count.
    """
    return (before > 0 or now > 0) and now <= before


def is_address(name: str) -> bool:
    """Return whether *name* is an IP address: passkeys hold for names only."""
    try:
        ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True


def session_holds(created_at: datetime, seen_at: datetime, now: datetime) -> bool:
    """Return whether a session may go on: not idle too long, not too old."""
    return now < seen_at + IDLE and now < created_at + ABSOLUTE
