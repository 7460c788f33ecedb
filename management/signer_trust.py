"""What the signer signs about management itself: its keys, its relays, and who follows whom.

The encryption key and the relays of the first statement are pinned. Whoever takes over the web
process could else put a key of its own in, and read every report; so a new key or relay waits until
whoever runs the machine confirms it. A successor of the encryption key is let in by itself twice a
year at most, by the signer's own clock. Taking a relay away needs nobody.
"""

import json
from datetime import timedelta
from hashlib import sha256
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from joserfc.jwk import ECKey

from contracts import agent, codec, envelope
from contracts import keys as jwk
from contracts.keys import thumbprint
from management.key_files import SealedFolder, write_private
from management.signer_store import Books
from runtime.clock import utc_now
from runtime.errors import RefusedError

TRUST_ISSUE = "trust issue"
PINS = "trust pins"
WAITING = "trust waiting"
CONFIRMED = "trust confirmed"
SUCCESSION = "succession"
ENCRYPTION_SINCE = "encryption key since"
CA_KEYS = "trust ca keys"
KEY_LIFE = timedelta(days=180)
"""Within it only whoever runs the machine lets another encryption key in."""
MOST_AHEAD = 1000
"""How far a trust statement's number may run ahead of the highest one signed."""


class OrderKeys:
    """The order-signing key and the one that will follow it, sealed in the signer's folder."""

    def __init__(self, sealed: SealedFolder) -> None:
        self._sealed = sealed
        for name in ("order-signing", "successor"):
            sealed.make_missing(name, _fresh)
        self._finish()
        self.key: ECKey = jwk.read_private(sealed.read("order-signing"))
        self.successor = thumbprint(jwk.read_private(sealed.read("successor")))

    def handover(self) -> str:
        """Return the key's last word: who follows it."""
        said = agent.Handover(
            order_signing_key=jwk.public_jwk(self.key),
            successor_thumbprint=self.successor,
            at=utc_now(),
        )
        return envelope.sign(codec.write(said), envelope.HANDOVER, self.key)

    def succeed(self) -> None:
        """Put the successor in the key's place and make a new successor; the old key is gone.

        A crash between the steps is mended at the next start (`_finish`): the draft says that a
        change is under way, and where the successor stands says how far it came.
        """
        self._sealed.make_missing("next-successor", _fresh)
        self._write("order-signing", self._sealed.read("successor"))
        self._finish()
        self.key = jwk.read_private(self._sealed.read("order-signing"))
        self.successor = thumbprint(jwk.read_private(self._sealed.read("successor")))

    def _finish(self) -> None:
        draft = self._sealed.folder / "next-successor.sealed"
        if not draft.exists():
            return
        if self._sealed.read("order-signing") == self._sealed.read("successor"):
            self._write("successor", self._sealed.read("next-successor"))
        draft.unlink()

    def _write(self, name: str, text: str) -> None:
        write_private(self._sealed.folder / f"{name}.sealed", self._sealed.seal(text))


def _fresh() -> str:
    return jwk.private_json(jwk.new_key())


def succession(books: Books) -> tuple[str, ...]:
    """Return the handovers of all earlier keys, oldest first."""
    return tuple(json.loads(books.read(SUCCESSION) or "[]"))


def hand_over(books: Books, keys: OrderKeys) -> None:
    """Note the key's handover, once."""
    before = succession(books)
    kept = [one for one in before if _handed_by(one) != thumbprint(keys.key)]
    books.write(SUCCESSION, json.dumps([*kept, keys.handover()]))


def current_succession(books: Books, keys: OrderKeys) -> tuple[str, ...]:
    """Return the handovers up to the present key; that of a change that crashed is left out."""
    return tuple(one for one in succession(books) if _handed_by(one) != thumbprint(keys.key))


def check(books: Books, keys: OrderKeys, statement: agent.TrustStatement) -> None:
    """Raise RefusedError unless the statement names the signer's keys and the next number."""
    said = (statement.order_signing_key, statement.successor_thumbprint, statement.succession)
    if said != (jwk.public_jwk(keys.key), keys.successor, current_succession(books, keys)):
        raise RefusedError("A trust statement must name the signer's own keys.")
    highest = int(books.read(TRUST_ISSUE) or 0)
    if statement.issue > highest + MOST_AHEAD:
        # Devices never take a lower number again: one with the highest would be the last.
        raise RefusedError(f"The number {statement.issue} is far above {highest}.")


def begin(books: Books) -> None:
    """Let the age of an encryption key count that was pinned by an earlier release."""
    if books.read(PINS) and not books.read(ENCRYPTION_SINCE):
        books.write(ENCRYPTION_SINCE, str(books.now))


def pin(books: Books, statement: agent.TrustStatement) -> None:
    """Remember what the statement names, and its number."""
    if _encryption_pin(statement) not in json.loads(books.read(PINS) or "[]"):
        books.write(ENCRYPTION_SINCE, str(books.now))
    books.write(PINS, json.dumps(_pins(statement)))
    books.write(CA_KEYS, json.dumps(sorted(filter(None, _relays(statement).values()))))
    highest = int(books.read(TRUST_ISSUE) or 0)
    books.write(TRUST_ISSUE, str(max(highest, statement.issue)))


def hold(books: Books, statement: agent.TrustStatement, new: list[str]) -> str:
    """Note that what is *new* waits for the operator; return that in a sentence."""
    books.write(WAITING, json.dumps({"fingerprint": _fingerprint(statement), "new": new}))
    return (
        f"Devices are not told of this before it is confirmed: {'; '.join(new)}. Run "
        "`sekisho trust confirm` on the server, as the signer's user or root."
    )


def strange(books: Books, statement: agent.TrustStatement) -> list[str]:
    """Return in words what the statement names that nobody confirmed; nothing for the first.

    Two things follow by themselves: an encryption key once in `KEY_LIFE`, and the certificate of a
    CA whose key is pinned for this relay.
    """
    pinned = json.loads(books.read(PINS) or "null")
    if pinned is None:
        return []
    known = [*pinned, *json.loads(books.read(CONFIRMED) or "[]")]
    if books.now - float(books.read(ENCRYPTION_SINCE) or books.now) >= KEY_LIFE.total_seconds():
        known.append(_encryption_pin(statement))
    ca_keys = json.loads(books.read(CA_KEYS) or "[]")
    known += [words for words, key in _relays(statement).items() if key in ca_keys]
    return [words for words in _pins(statement) if words not in known]


def confirm(books: Books, fingerprint: str) -> list[str]:
    """Take what waits and return it in words; RefusedError when it is something else by now."""
    waiting = waits(books)
    if waiting.get("fingerprint") != fingerprint:
        raise RefusedError("Something else waits by now; look at it again.")
    books.write(CONFIRMED, json.dumps(waiting["new"]))
    books.write(WAITING, "")
    return list(waiting["new"])


def waits(books: Books) -> dict[str, Any]:
    """Return what waits for the operator: ``fingerprint`` and ``new`` in words; else nothing."""
    found: dict[str, Any] = json.loads(books.read(WAITING) or "{}")
    return found


def _pins(statement: agent.TrustStatement) -> list[str]:
    return [_encryption_pin(statement), *_relays(statement)]


def _encryption_pin(statement: agent.TrustStatement) -> str:
    return f"encryption key {thumbprint(jwk.read_public(statement.encryption_key))}"


def _relays(statement: agent.TrustStatement) -> dict[str, str]:
    """Return for each relay and CA in words: the relay with the CA's key, or nothing."""
    return {
        f"relay {relay.url} with CA {sha256(pem.encode()).hexdigest()[:32]}": _ca_key(
            relay.url, pem
        )
        for relay in statement.relays
        for pem in relay.ca_certificates or ("",)
    }


def _ca_key(url: str, pem: str) -> str:
    try:
        key = x509.load_pem_x509_certificate(pem.encode()).public_key()
        plain = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except (ValueError, UnsupportedAlgorithm):
        return ""
    return f"{url} {sha256(plain).hexdigest()}"


def _fingerprint(statement: agent.TrustStatement) -> str:
    return sha256(json.dumps(sorted(_pins(statement))).encode()).hexdigest()


def _handed_by(token: str) -> str:
    said = codec.read(agent.Handover, envelope.unverified_payload(token))
    return thumbprint(jwk.read_public(said.order_signing_key))
