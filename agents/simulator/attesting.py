"""Secure hardware that is simulated: it vouches for keys as Android's does, under a root of ours.

The root is a file with key and certificate (PEM), made when it is missing. Management believes it
only where its setting ``attestation_roots`` names it.
"""

import os
from base64 import b64encode, urlsafe_b64decode
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_bytes
from typing import TYPE_CHECKING
from uuid import UUID

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID

from contracts.agent import AskAttestation, Attestation
from contracts.attestation import (
    EXTENSION,
    OS_PATCH_LEVEL,
    OS_VERSION,
    ROOT_OF_TRUST,
    BootState,
    SecurityLevel,
    enrolment_challenge,
)
from runtime.errors import ConfigurationError

if TYPE_CHECKING:
    from agents.simulator.phone import Phone

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_END = datetime(2048, 1, 1, tzinfo=UTC)


@dataclass(kw_only=True)
class Hardware:
    """What the secure hardware of a phone knows, whatever the phone says of itself."""

    root_file: str
    """Of the maker who made it."""
    boot_state: str = "verified"
    is_locked: bool = True
    os_version: str = ""
    """Empty: as the phone says."""
    security_patch: str = ""
    """``YYYY-MM``; empty: as the phone says."""


def attest(
    hardware: Hardware,
    key: ec.EllipticCurvePublicKey,
    challenge: bytes,
    os_version: str | None,
    security_patch: str | None,
) -> tuple[str, ...]:
    """Return the chain for *key*: Base64 of DER, leaf first; *os_version* is the phone's word."""
    root_key, root = ensure_root(Path(hardware.root_file))
    batch_key = ec.generate_private_key(ec.SECP256R1())
    batch = _issue("Simulated TEE", batch_key.public_key(), root.subject, root_key)
    described = describe(
        challenge,
        BootState[hardware.boot_state.upper()],
        hardware.is_locked,
        hardware.os_version or os_version or "",
        hardware.security_patch or (security_patch or "")[:7],
    )
    leaf = _issue("Android Keystore Key", key, batch.subject, batch_key, described)
    return tuple(b64encode(one.public_bytes(Encoding.DER)).decode() for one in (leaf, batch, root))


def enrolment_chain(
    phone: "Phone", key: ec.EllipticCurvePublicKey, enrolment_key: str, enrolment_id: UUID
) -> tuple[str, ...]:
    """Return what proves the signing key at enrolment; nothing when no hardware can."""
    return attest_for(phone, key, enrolment_challenge(enrolment_key, enrolment_id))


def attest_for(phone: "Phone", key: ec.EllipticCurvePublicKey, challenge: bytes) -> tuple[str, ...]:
    """Return the chain for *key* by the hardware of *phone*; nothing when it has none."""
    if phone.hardware is None:
        return ()
    posture = phone.posture
    return attest(phone.hardware, key, challenge, posture.os_version, posture.security_patch)


def answer(phone: "Phone", asked: AskAttestation) -> Attestation:
    """Return the answer with a fresh key, which nobody needs afterwards."""
    fresh = ec.generate_private_key(ec.SECP256R1()).public_key()
    chain = attest_for(phone, fresh, urlsafe_b64decode(asked.challenge + "="))
    because = "" if chain else "This phone has no secure hardware."
    return Attestation(challenge=asked.challenge, chain=chain, because=because)


def describe(
    challenge: bytes,
    boot_state: BootState,
    is_locked: bool,
    os_version: str,
    security_patch: str,
    level: SecurityLevel = SecurityLevel.TRUSTED_ENVIRONMENT,
) -> bytes:
    """Return a KeyDescription (see `contracts.attestation`) as DER."""
    trust = (
        _octets(token_bytes(32)),
        _flag(is_locked),
        _number(boot_state, 10),
        _octets(bytes(32)),
    )
    said = [(ROOT_OF_TRUST, _sequence(*trust))]
    if version := _version(os_version):
        said.append((OS_VERSION, _number(version)))
    if patch := security_patch.replace("-", ""):
        said.append((OS_PATCH_LEVEL, _number(int(patch))))
    hardware = _sequence(*(_tagged(tag, content) for tag, content in said))
    levels = _number(level, 10)
    fields = (_number(300), levels, _number(300), levels, _octets(challenge), _octets(b""))
    return _sequence(*fields, _sequence(), hardware)


def ensure_root(path: Path) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    """Return the root in a file, which is made when it is missing."""
    if not path.exists():
        key = ec.generate_private_key(ec.SECP384R1())
        name = _name("Simulated attestation root")
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        made = _issue("Simulated attestation root", key.public_key(), name, key)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(pem + made.public_bytes(Encoding.PEM))
    try:
        body = path.read_bytes()
        found, certificate = load_pem_private_key(body, None), x509.load_pem_x509_certificate(body)
    except (OSError, ValueError):
        raise ConfigurationError(f"{path} holds no key with its certificate (PEM).") from None
    if not isinstance(found, ec.EllipticCurvePrivateKey):
        raise ConfigurationError(f"{path} holds another kind of key.")
    return found, certificate


def _issue(
    name: str,
    key: ec.EllipticCurvePublicKey,
    issuer: x509.Name,
    signer: ec.EllipticCurvePrivateKey,
    described: bytes = b"",
) -> x509.Certificate:
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(_EPOCH)
        .not_valid_after(_END)
        .add_extension(x509.BasicConstraints(not described, None), True)
    )
    if described:
        oid = x509.ObjectIdentifier(EXTENSION)
        builder = builder.add_extension(x509.UnrecognizedExtension(oid, described), False)
    return builder.sign(signer, hashes.SHA256())


def _name(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _version(text: str) -> int:
    """Return a dotted version as ``MMmmss``."""
    parts = [int(part) if part.isdigit() else 0 for part in (*text.split("."), "0", "0")[:3]]
    return parts[0] * 10_000 + parts[1] * 100 + parts[2]


def _sequence(*fields: bytes) -> bytes:
    return _element(b"\x30", b"".join(fields))


def _octets(value: bytes) -> bytes:
    return _element(b"\x04", value)


def _flag(value: bool) -> bytes:
    return _element(b"\x01", b"\xff" if value else b"\x00")


def _number(value: int, tag: int = 2) -> bytes:
    return _element(bytes([tag]), value.to_bytes(value.bit_length() // 8 + 1))


def _tagged(number: int, content: bytes) -> bytes:
    """Return an explicit context tag of 128 to 16,383 around *content*."""
    return _element(bytes([0xBF, 0x80 | number >> 7, number & 0x7F]), content)


def _element(tag: bytes, content: bytes) -> bytes:
    size = len(content)
    if size < 0x80:
        return tag + bytes([size]) + content
    length = size.to_bytes((size.bit_length() + 7) // 8)
    return tag + bytes([0x80 | len(length)]) + length + content
