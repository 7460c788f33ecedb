"""The private keys of an update source: made on the spot, kept apart from what is published."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from securesystemslib.signer import CryptoSigner

from runtime.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class KeyFolder:
    """A folder with one file a key (PEM, PKCS#8, Ed25519), readable by its owner only.

    Files are found by the key inside, so keys may be added, replaced and taken elsewhere freely.
    """

    folder: Path
    passphrase: str = ""
    """Not empty: the files are encrypted with it."""

    def make(self, role: str) -> CryptoSigner:
        """Make a key for *role* and store it as ``ROLE-<first 8 of its id>.pem``."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        key = Ed25519PrivateKey.generate()
        signer = CryptoSigner(key)
        path = self.folder / f"{role}-{signer.public_key.keyid[:8]}.pem"
        secret = self.passphrase.encode()
        encryption = BestAvailableEncryption(secret) if secret else NoEncryption()
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(file, "wb") as opened:
            opened.write(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption))
            opened.flush()
            os.fsync(opened.fileno())
        return signer

    def find(self, key_ids: Iterable[str]) -> list[CryptoSigner]:
        """Return those of the keys *key_ids* that are in the folder.

        ConfigurationError when a file cannot be opened: then the passphrase is wrong.
        """
        wanted = set(key_ids)
        signers = (self._open(path) for path in sorted(self.folder.glob("*.pem")))
        return [signer for signer in signers if signer.public_key.keyid in wanted]

    def get(self, role: str, key_ids: Iterable[str], threshold: int) -> list[CryptoSigner]:
        """Return the keys of *role*; ConfigurationError when fewer than *threshold* are here."""
        found = self.find(key_ids)
        if len(found) < threshold:
            raise ConfigurationError(
                f"{threshold} keys of the role {role} must sign, and {self.folder} holds"
                f" {len(found)}. Bring them there, or name their folder with --keys."
            )
        return found

    def _open(self, path: Path) -> CryptoSigner:
        try:
            key = load_pem_private_key(path.read_bytes(), self.passphrase.encode() or None)
        except (ValueError, TypeError):
            raise ConfigurationError(
                f"The key {path} cannot be opened: the passphrase is wrong or missing."
            ) from None
        if not isinstance(key, Ed25519PrivateKey):
            raise ConfigurationError(f"{path} holds a key of another kind; take it away.")
        return CryptoSigner(key)
