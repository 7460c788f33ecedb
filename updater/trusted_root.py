"""Reads the root.json that an administrator enters: where all trust in a source begins."""

import hashlib
from dataclasses import dataclass
from datetime import datetime

from securesystemslib.exceptions import Error as SigningError
from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import TOP_LEVEL_ROLE_NAMES, Metadata, Root
from tuf.api.serialization.json import CanonicalJSONSerializer

from runtime.errors import MalformedMessageError, TooLargeError

MAXIMUM_BYTES = 256 * 1024
MEND = "Paste the whole file root.json, unchanged, as the publisher of the source hands it out."


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleKeys:
    """How many of which keys must sign in one role."""

    role: str
    threshold: int
    key_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustedRoot:
    """What a root.json says, for a person to compare with its publisher's words."""

    version: int
    expires_at: datetime
    roles: tuple[RoleKeys, ...]
    fingerprint: str
    """SHA-256 of the signed part in canonical form: the same however the file is spaced."""


def read_root(text: bytes) -> TrustedRoot:
    """Return what the root *text* says.

    It must be TUF root metadata that enough of its own keys signed and that names, for each role,
    at least as many keys as must sign. Expired is no error here: a source may hold newer roots.
    Raises MalformedMessageError or TooLargeError with a sentence that mends it.
    """
    if len(text) > MAXIMUM_BYTES:
        raise TooLargeError(f"root.json is larger than {MAXIMUM_BYTES} bytes. {MEND}")
    metadata = _parsed(text)
    root = metadata.signed
    roles = tuple(_role(root, name) for name in sorted(TOP_LEVEL_ROLE_NAMES))
    signed_part = CanonicalJSONSerializer().serialize(root)
    _check_signed(metadata, signed_part)
    return TrustedRoot(
        version=root.version,
        expires_at=root.expires,
        roles=roles,
        fingerprint=hashlib.sha256(signed_part).hexdigest(),
    )


def _parsed(text: bytes) -> Metadata[Root]:
    try:
        metadata = Metadata[Root].from_bytes(text)
    except RepositoryError:
        raise MalformedMessageError(f"This is not TUF metadata. {MEND}") from None
    if not isinstance(metadata.signed, Root):
        raise MalformedMessageError(f"This is TUF metadata, but not of the root role. {MEND}")
    return metadata


def _role(root: Root, name: str) -> RoleKeys:
    role = root.roles[name]
    known = tuple(sorted(key_id for key_id in role.keyids if key_id in root.keys))
    if len(known) < role.threshold:
        raise MalformedMessageError(
            f"root.json asks for {role.threshold} signatures in the role {name} but holds only"
            f" {len(known)} of its keys, so nothing could ever be trusted. {MEND}"
        )
    return RoleKeys(role=name, threshold=role.threshold, key_ids=known)


def _check_signed(metadata: Metadata[Root], signed_part: bytes) -> None:
    try:
        metadata.signed.verify_delegate(Root.type, signed_part, metadata.signatures)
    except (RepositoryError, SigningError, ValueError):
        raise MalformedMessageError(
            f"root.json does not carry enough valid signatures of its own root keys. {MEND}"
        ) from None
