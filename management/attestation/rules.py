"""What a chain of certificates proves of a device, and why it does not. Pure: no clock, no files.

Follows https://developer.android.com/privacy-and-security/security-key-attestation. `docs/adr/0038`
tells what is believed and what is not.
"""

from base64 import b64decode
from binascii import Error
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from contracts.attestation import (
    EXTENSION,
    PROVISIONING,
    BootState,
    KeyDescription,
    RootOfTrust,
    SecurityLevel,
    read_key_description,
)
from runtime.errors import MalformedMessageError, TooLargeError

GOOGLE_ROOTS = frozenset(
    {
        # RSA 4096, for devices whose keys came from the factory.
        "feb2ea7551ee316ed4bb443c8293b884dbfdea40b603ee3e4f4a897e4580fbae",
        # "Key Attestation CA1", P-384, since February 2026.
        "3ee44512a1af2beb39c889490c60ea3f82e43f5d5a5532f5ab9419f676cd07ec",
    }
)
"""SHA-256 of the root keys (SubjectPublicKeyInfo) that Google publishes for hardware attestation.

The key and not the certificate, because Google issued several certificates for the first one."""
_BOOT_STATES = {
    BootState.UNVERIFIED: "the system was not verified at the start",
    BootState.FAILED: "the system failed verification at the start",
}


class UnprovedError(Exception):
    """Why a chain proves nothing."""


@dataclass(frozen=True, slots=True)
class Anchors:
    """Whose word counts."""

    roots: frozenset[str] = GOOGLE_ROOTS
    """SHA-256 of root keys, hexadecimal."""
    revoked: frozenset[str] = frozenset()
    """Serial numbers of certificates that do not count any more, hexadecimal without zeros."""
    boot_keys: frozenset[str] = frozenset()
    """SHA-256 of keys of others than the makers that may sign a system, hexadecimal."""


@dataclass(frozen=True, slots=True)
class Proof:
    """What a chain proves of the key in its leaf and of the device that made it."""

    key: ec.EllipticCurvePublicKey
    described: KeyDescription


def prove(chain: Sequence[str], challenge: bytes, anchors: Anchors, now: datetime) -> Proof:
    """Return what *chain* (Base64 of DER, leaf first) proves; UnprovedError says what is wrong."""
    certificates = [_certificate(place, text) for place, text in enumerate(chain)]
    if len(certificates) < 2:
        raise UnprovedError("no chain of certificates was sent")
    _linked(certificates)
    root = fingerprint(certificates[-1])
    if root not in anchors.roots:
        raise UnprovedError(f"the chain ends at a root that does not count here ({root[:16]}…)")
    _not_revoked(certificates, anchors.revoked)
    _in_time(certificates, now)
    proof = _read(certificates)
    if proof.described.challenge != challenge:
        raise UnprovedError("the chain answers another question than this server asked")
    return proof


def serials(chain: Sequence[str]) -> tuple[str, ...]:
    """Return the serial number of each certificate; UnprovedError when one cannot be read."""
    return tuple(_serial(_certificate(place, text)) for place, text in enumerate(chain))


def revoked_because(serial: str) -> str:
    """Return what is said of a chain with a certificate on the list."""
    return f"a key of the chain was revoked (serial number {serial})"


def failing(described: KeyDescription, boot_keys: frozenset[str] = frozenset()) -> str:
    """Return why the device that a chain describes is not as its maker made it; empty: it is.

    A system that was signed with one of *boot_keys* counts like the maker's.
    """
    software = SecurityLevel.SOFTWARE in (described.attestation_level, described.key_level)
    if software:
        return "the key lives in software, not in secure hardware"
    root = described.root_of_trust
    if root is None:
        return "the hardware did not say how the device started"
    found = _started(root, boot_keys)
    return " and ".join(found if root.is_locked else [*found, "the boot loader is unlocked"])


def _started(root: RootOfTrust, boot_keys: frozenset[str]) -> list[str]:
    key = root.boot_key.hex()
    if root.boot_state is BootState.SELF_SIGNED and key not in boot_keys:
        return [f"the system was signed by somebody other than the maker, with the key {key[:64]}"]
    return [_BOOT_STATES[root.boot_state]] if root.boot_state in _BOOT_STATES else []


def fingerprint(certificate: x509.Certificate) -> str:
    """Return the SHA-256 of the certificate's public key, hexadecimal."""
    try:
        key = certificate.public_key()
    except (ValueError, UnsupportedAlgorithm):
        raise UnprovedError("a certificate's key cannot be read") from None
    spki = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return sha256(spki).hexdigest()


def _certificate(place: int, text: str) -> x509.Certificate:
    try:
        return x509.load_der_x509_certificate(b64decode(text, validate=True))
    except (Error, ValueError, UnsupportedAlgorithm):
        raise UnprovedError(f"certificate {place + 1} of the chain cannot be read") from None


def _linked(certificates: Sequence[x509.Certificate]) -> None:
    """Check that each is signed by the next, and the last by itself."""
    issuers = [*certificates[1:], certificates[-1]]
    for place, (one, issuer) in enumerate(zip(certificates, issuers, strict=True)):
        try:
            one.verify_directly_issued_by(issuer)
        except (InvalidSignature, ValueError, TypeError, UnsupportedAlgorithm):
            raise UnprovedError(
                f"certificate {place + 1} of the chain is not signed by the next"
            ) from None


def _not_revoked(certificates: Sequence[x509.Certificate], revoked: frozenset[str]) -> None:
    for one in certificates:
        if (serial := _serial(one)) in revoked:
            raise UnprovedError(revoked_because(serial))


def _serial(certificate: x509.Certificate) -> str:
    return f"{certificate.serial_number:x}"


def _in_time(certificates: Sequence[x509.Certificate], now: datetime) -> None:
    """Check the time of chains issued over the network; keys from the factory outlive theirs."""
    if not any(_extension(one, PROVISIONING) for one in certificates):
        return
    for one in certificates[:-1]:
        if not one.not_valid_before_utc <= now <= one.not_valid_after_utc:
            raise UnprovedError("a certificate of the chain is not valid today")


def _read(certificates: Sequence[x509.Certificate]) -> Proof:
    """Read the leaf. Any other certificate with the extension is a key that signed one itself."""
    found = [_extension(one, EXTENSION) for one in certificates]
    if found[0] is None:
        raise UnprovedError("the certificate of the key does not say how the key was made")
    if any(found[1:]):
        raise UnprovedError("the chain was made longer by a key that is attested itself")
    try:
        key = certificates[0].public_key()
        if not isinstance(key, ec.EllipticCurvePublicKey):
            raise UnprovedError("the attested key is not an elliptic-curve key")
        return Proof(key, read_key_description(found[0]))
    except (MalformedMessageError, TooLargeError) as error:
        raise UnprovedError(f"what the hardware says cannot be read: {error}") from None
    except (ValueError, UnsupportedAlgorithm):
        raise UnprovedError("the attested key cannot be read") from None


def _extension(certificate: x509.Certificate, oid: str) -> bytes | None:
    try:
        found = certificate.extensions.get_extension_for_oid(x509.ObjectIdentifier(oid))
    except x509.ExtensionNotFound:
        return None
    except (ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType):
        raise UnprovedError("an extension of a certificate cannot be read") from None
    value = found.value
    return value.value if isinstance(value, x509.UnrecognizedExtension) else None
