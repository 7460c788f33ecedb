"""What sealing and opening one report costs, beside the bare elliptic-curve operations."""

import time
from collections.abc import Callable, Iterator
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from contracts import envelope, keys

ROUNDS = 300
PAYLOAD = b"x" * 2000


def run() -> Iterator[dict[str, Any]]:
    """Yield CPU microseconds for a sealed report and for opening one."""
    ours, theirs = keys.new_key(), keys.new_key()
    private, public = keys.raw_private(ours), keys.raw_public(theirs)
    signature = private.sign(PAYLOAD, ec.ECDSA(hashes.SHA256()))
    sealed = envelope.seal(PAYLOAD, envelope.REPORT, ours, theirs)

    def floor_of_sealing() -> None:
        private.sign(PAYLOAD, ec.ECDSA(hashes.SHA256()))
        ec.generate_private_key(ec.SECP256R1()).exchange(ec.ECDH(), public)

    def floor_of_opening() -> None:
        keys.raw_private(theirs).exchange(ec.ECDH(), keys.raw_public(ours))
        keys.raw_public(ours).verify(signature, PAYLOAD, ec.ECDSA(hashes.SHA256()))

    yield _row(
        "envelope.seal",
        lambda: envelope.seal(PAYLOAD, envelope.REPORT, ours, theirs),
        floor_of_sealing,
    )
    yield _row(
        "envelope.open",
        lambda: envelope.open_sealed(sealed, envelope.REPORT, ours, theirs),
        floor_of_opening,
    )


def _row(name: str, what: Callable[[], object], floor: Callable[[], object]) -> dict[str, Any]:
    value, lowest = _microseconds(what), _microseconds(floor)
    return {
        "name": name,
        "value": value,
        "unit": "us CPU",
        "floor": lowest,
        "ratio": value / lowest,
        "reach": "ratio<=2",
    }


def _microseconds(what: Callable[[], object]) -> float:
    started = time.process_time()
    for _ in range(ROUNDS):
        what()
    return (time.process_time() - started) / ROUNDS * 1e6
