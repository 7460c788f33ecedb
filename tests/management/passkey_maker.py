"""An authenticator in software, and the browser in front of it (WebAuthn Level 3, CTAP 2)."""

import hashlib
import json
from base64 import urlsafe_b64encode
from dataclasses import dataclass, field, replace
from secrets import token_bytes
from typing import Any

import cbor2
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

PRESENT, VERIFIED, HAS_KEY = 0x01, 0x04, 0x40


def text(binary: bytes) -> str:
    return urlsafe_b64encode(binary).rstrip(b"=").decode()


@dataclass
class Passkey:
    """One key for one site; what it says about itself can be changed."""

    origin: str = "https://localhost:8443"
    site: str = "localhost"
    verifies: bool = True
    counter: int = 0
    owner: bytes = b""
    key: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1())
    )
    identifier: bytes = field(default_factory=lambda: token_bytes(32))

    def copied(self) -> "Passkey":
        """Return what a thief of its memory would hold."""
        return replace(self)

    def create(self, options: dict[str, Any]) -> str:
        """Answer ``navigator.credentials.create``."""
        self.owner = options["user"]["id"].encode()
        numbers = self.key.public_key().public_numbers()
        public = {1: 2, 3: -7, -1: 1, -2: numbers.x.to_bytes(32), -3: numbers.y.to_bytes(32)}
        attested = bytes(16) + len(self.identifier).to_bytes(2) + self.identifier
        data = self._data(HAS_KEY) + attested + cbor2.dumps(public)
        attestation = cbor2.dumps({"fmt": "none", "attStmt": {}, "authData": data})
        client = self._client("webauthn.create", options)
        return self._answer(clientDataJSON=client, attestationObject=attestation)

    def get(self, options: dict[str, Any]) -> str:
        """Answer ``navigator.credentials.get``."""
        if self.counter:
            self.counter += 1
        data, client = self._data(0), self._client("webauthn.get", options)
        signed = data + hashlib.sha256(client).digest()
        signature = self.key.sign(signed, ec.ECDSA(hashes.SHA256()))
        return self._answer(
            clientDataJSON=client,
            authenticatorData=data,
            signature=signature,
            userHandle=self.owner.decode(),
        )

    def _data(self, flags: int) -> bytes:
        flags |= PRESENT | (VERIFIED if self.verifies else 0)
        return (
            hashlib.sha256(self.site.encode()).digest()
            + bytes([flags])
            + (self.counter.to_bytes(4))
        )

    def _client(self, kind: str, options: dict[str, Any]) -> bytes:
        said = {"type": kind, "challenge": options["challenge"], "origin": self.origin}
        return json.dumps(said).encode()

    def _answer(self, **response: bytes | str) -> str:
        written = {
            name: value if isinstance(value, str) else text(value)
            for name, value in response.items()
        }
        name = text(self.identifier)
        return json.dumps({"id": name, "rawId": name, "type": "public-key", "response": written})
