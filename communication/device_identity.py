"""Who signed a request: a device, an enrolment that is not a device yet, or management."""

import json
import logging
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from flask import Request
from joserfc.jwk import ECKey

from communication.board import OPEN, Board
from communication.limits import Rate
from communication.mailbox import Mailbox
from communication.mailbox_register import Known
from contracts import keys, request_signature
from contracts.request_signature import ClockSkewError, FindKey, Signed
from runtime.bodies import neighbourhood
from runtime.errors import (
    ConfigurationError,
    ForbiddenError,
    MalformedMessageError,
    UnauthenticatedError,
)
from runtime.wsgi import TARGET, Scope

log = logging.getLogger(__name__)
REFUSED_PER_MINUTE = 600
"""A whole office may stand behind one address."""
NONCE_KEPT = 2 * request_signature.MAXIMUM_SKEW + timedelta(minutes=1)
NONCE_SET_SECONDS = 120.0
NONCE_SETS = 6
"""So many full sets are kept beside the one that is being filled."""
KEYS_KEPT = 20_000
"""Keys in memory of devices that were here lately: about 2 kB each."""
NOT_PAIRED = (
    "This server is not paired: it knows no management server. Run 'sekisho communication code' on "
    "it and type the code into the console under Relays."
)


class ForeignKeyError(UnauthenticatedError):
    """Somebody with another key speaks as management."""


class Nonces:
    """Refuses the second use of a signature that only reads, as long as this process lives.

    What changes something also goes into the mailbox (`use_nonce`) and is refused after a restart.
    Kept are hashes, in one set for some minutes each: forgetting drops the oldest set.
    """

    def __init__(self) -> None:
        self._sets: list[set[int]] = [set()]
        self._lock = threading.Lock()
        self._began = time.monotonic()

    def use(self, signed: Signed) -> None:
        """Raise UnauthenticatedError when this request was made before."""
        mark, now = hash((signed.key_id, signed.nonce)), time.monotonic()
        with self._lock:
            if now - self._began > NONCE_SET_SECONDS:
                self._began = now
                self._sets = [set(), *self._sets[:NONCE_SETS]]
            if any(mark in some for some in self._sets):
                raise UnauthenticatedError("This request was made before; sign it anew.")
            self._sets[0].add(mark)


class Asked(NamedTuple):
    """A request, as far as its signature covers it, and where it came from."""

    method: str
    target: str
    """Path and query as they were sent."""
    headers: Mapping[str, str]
    body: bytes
    address: str


def asked_directly(scope: Scope, body: bytes) -> Asked:
    """Return what a request asks that did not go through Flask."""
    query = scope.query_string
    target = f"{scope.path}?{query}" if query else scope.path
    address = scope.client.rpartition(":")[0].strip("[]")
    return Asked(scope.method, target, scope.headers, body, address)


def asked(request: Request) -> Asked:
    """Return what Flask's *request* asks."""
    return Asked(
        request.method,
        request.environ[TARGET],
        dict(request.headers.items()),
        request.get_data(),
        request.remote_addr or "",
    )


class _Key(NamedTuple):
    device: UUID
    known: Known
    key: EllipticCurvePublicKey


class Identity:
    """Checks signatures with the keys that the mailbox and the pairing know."""

    def __init__(
        self, mailbox: Mailbox, seen: Board, management: ECKey | None, per_minute: int
    ) -> None:
        self._mailbox, self._board, self._management = mailbox, seen, management
        self._keys: dict[str, _Key] = {}
        self._nonces = Nonces()
        self._rate = Rate(per_minute, "signed requests of one device")
        self._refused = Rate(REFUSED_PER_MINUTE, "wrong signatures from one address")

    def device(self, request: Asked) -> tuple[UUID, Known, Signed]:
        """Return the device that signed; ForbiddenError when it may no longer use its mailbox."""
        found: list[_Key] = []

        def find(key_id: str) -> EllipticCurvePublicKey | None:
            key = self._find_key(key_id)
            found.extend([key] if key else [])
            return key.key if key else None

        def next_key() -> EllipticCurvePublicKey | None:
            known = self._mailbox.find_device(found[0].device) if found else None
            return keys.read_raw_public(known.next_key) if known and known.next_key else None

        signed = self._verify(request, find, request_signature.AGENT, next_key)
        device, known, _ = found[0]
        if not known.active:
            raise ForbiddenError("Management no longer lets this device use its mailbox.")
        self._rate.count(signed.key_id, time.time())
        return device, known, signed

    def _find_key(self, key_id: str) -> _Key | None:
        """Return the device's key: from memory as long as its slot is open, else newly read."""
        found = self._keys.get(key_id)
        if found is not None and self._board.state(found.known.slot) == OPEN:
            return found
        device = _uuid(key_id)
        known = self._mailbox.find_device(device) if device else None
        if device is None or known is None:
            return None
        found = _Key(device, known, keys.read_raw_public(known.signing_key))
        if len(self._keys) >= KEYS_KEPT:  # the older half goes
            self._keys = dict(list(self._keys.items())[KEYS_KEPT // 2 :])
        self._keys[key_id] = found
        return found

    def enrolment(self, request: Asked, enrolment: UUID) -> Signed:
        """Return who signed with the key that began *enrolment*."""

        def find(key_id: str) -> EllipticCurvePublicKey | None:
            key = self._mailbox.find_enrolment_key(enrolment)
            return keys.read_raw_public(key) if key and _uuid(key_id) == enrolment else None

        signed = self._verify(request, find, request_signature.AGENT)
        self._rate.count(signed.key_id, time.time())
        return signed

    def management(self, request: Asked) -> Signed:
        """Return the signature of the one management server that this relay is paired with."""
        if self._management is None:
            raise ForbiddenError(NOT_PAIRED)
        key, name = keys.raw_public(self._management), keys.thumbprint(self._management)

        def find(key_id: str) -> EllipticCurvePublicKey:
            if key_id != name:
                raise ForeignKeyError(
                    f"This communication server belongs to the management server with the key "
                    f"{name} and takes orders from no other. To hand it over, run 'sekisho "
                    "communication code' on it and pair it anew."
                )
            return key

        return self._verify(request, find, request_signature.LINK)

    def belong_to(self, management: ECKey) -> None:
        """Take orders from whoever holds this key, and from nobody else."""
        self._management = management

    def owner_thumbprint(self) -> str:
        """Return the thumbprint of management's key; empty before pairing."""
        return keys.thumbprint(self._management) if self._management else ""

    def check_address(self, address: str) -> None:
        """Raise TooManyError when too many wrong signatures came from there in this minute."""
        self._refused.check(neighbourhood(address), time.time())

    def _verify(
        self,
        request: Asked,
        find: FindKey,
        tag: str,
        next_key: Callable[[], EllipticCurvePublicKey | None] = lambda: None,
    ) -> Signed:
        """Return who signed with the key of *find*, or else with *next_key*, if there is one."""
        who = neighbourhood(request.address)
        self._refused.check(who, time.time())
        try:
            try:
                signed = _verified(request, find, tag)
            except ClockSkewError:
                raise
            except UnauthenticatedError:
                following = next_key()
                if following is None:
                    raise
                signed = _verified(request, lambda key_id: following, tag)
            self._nonces.use(signed)
        except ClockSkewError:
            raise
        except UnauthenticatedError as error:
            log.warning("A request of %s was refused: %s", who, error)
            self._refused.count(who, time.time())
            raise
        return signed


def _verified(request: Asked, find: FindKey, tag: str) -> Signed:
    return request_signature.verify_request(
        request.method,
        "https://relay" + request.target,
        request.headers,
        request.body,
        find,
        tag,
        datetime.now(UTC),
    )


def nonce_until(signed: Signed) -> datetime:
    """Return until when *signed* would be taken again if nobody kept its nonce."""
    return signed.created_at + NONCE_KEPT


def read_management_key(path: Path) -> ECKey | None:
    """Return management's pinned link key, or None before pairing."""
    if not path.exists():
        return None
    try:
        return keys.read_public(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, MalformedMessageError) as error:
        raise ConfigurationError(f"{path.name} holds no key: {error}. Pair again.") from None


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
