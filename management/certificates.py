"""X.509 certificates of the built-in CA (RFC 5280), ECDSA P-256 throughout."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Literal
from uuid import UUID

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import pkcs7
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from runtime.errors import MalformedMessageError

AUTHORITY_VALID = timedelta(days=3650)
DEVICE_VALID = timedelta(days=730)
PROFILE_VALID = timedelta(days=1825)
SERVER_VALID = timedelta(days=397)  # browsers and phones refuse more than 398
CLOCKS_DIFFER = timedelta(hours=1)
WARN_DAYS = (60, 30, 7)
"""So many days before a certificate ends somebody is told, each time more urgently."""
Urgency = Literal["ok", "info", "warn", "bad"]

_USAGES = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)


@dataclass(frozen=True, slots=True)
class Issuer:
    """A CA certificate and its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


def warning_step(days: int) -> int | None:
    """Return which of `WARN_DAYS` a certificate has reached that ends in *days*; None: none yet."""
    return min((step for step in WARN_DAYS if days <= step), default=None)


def urgency(days: int) -> Urgency:
    """Return how urgent it is to renew a certificate that ends in *days*."""
    step = warning_step(days)
    tones: tuple[Urgency, ...] = ("info", "warn", "bad")
    return "ok" if step is None else tones[WARN_DAYS.index(step)]


def authority(key: ec.EllipticCurvePrivateKey, now: datetime) -> x509.Certificate:
    """Return a self-signed CA certificate that may issue end certificates only."""
    public = key.public_key()
    identifier = x509.SubjectKeyIdentifier.from_public_key(public)
    name = _name(f"Sekisho CA {identifier.digest.hex()[:8]}")
    return (
        _builder(name, name, public, now, AUTHORITY_VALID)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage("key_cert_sign", "crl_sign"), critical=True)
        .add_extension(identifier, critical=False)
        .sign(key, hashes.SHA256())
    )


def for_device(
    issuer: Issuer, device_id: UUID, key: ec.EllipticCurvePublicKey, now: datetime
) -> x509.Certificate:
    """Return a client certificate whose subject is the device's id."""
    return _end_entity(
        issuer,
        _builder(_name(str(device_id)), issuer.certificate.subject, key, now, DEVICE_VALID),
        key,
        ExtendedKeyUsageOID.CLIENT_AUTH,
    )


def for_server(
    issuer: Issuer, names: Sequence[str], now: datetime
) -> tuple[list[x509.Certificate], ec.EllipticCurvePrivateKey]:
    """Return the chain (leaf, CA) and a fresh key for a TLS server that *names* reach."""
    if not names:
        raise MalformedMessageError("A server certificate needs at least one name or address.")
    key = ec.generate_private_key(ec.SECP256R1())
    public = key.public_key()
    builder = _builder(
        _name(names[0]), issuer.certificate.subject, public, now, SERVER_VALID
    ).add_extension(
        x509.SubjectAlternativeName([_alternative(name) for name in dict.fromkeys(names)]),
        critical=False,
    )
    leaf = _end_entity(issuer, builder, public, ExtendedKeyUsageOID.SERVER_AUTH)
    return [leaf, issuer.certificate], key


def for_profiles(issuer: Issuer, key: ec.EllipticCurvePublicKey, now: datetime) -> x509.Certificate:
    """Return a certificate for the signatures of configuration profiles, and nothing else."""
    subject = _name("Sekisho profile signing")
    return _end_entity(
        issuer,
        _builder(subject, issuer.certificate.subject, key, now, PROFILE_VALID),
        key,
        ExtendedKeyUsageOID.EMAIL_PROTECTION,  # what CMS signatures are checked for
    )


def signed(
    content: bytes,
    certificate: x509.Certificate,
    key: ec.EllipticCurvePrivateKey,
    authority: x509.Certificate,
) -> bytes:
    """Return *content* inside a CMS signature (RFC 5652, DER) that carries the whole chain."""
    return (
        pkcs7.PKCS7SignatureBuilder()
        .set_data(content)
        .add_signer(certificate, key, hashes.SHA256())
        .add_certificate(authority)
        .sign(
            serialization.Encoding.DER,
            [pkcs7.PKCS7Options.Binary, pkcs7.PKCS7Options.NoCapabilities],
        )
    )


def covers(certificate: x509.Certificate, names: Sequence[str]) -> bool:
    """Tell whether the certificate's alternative names hold all of *names*."""
    try:
        held = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return False
    return all(_alternative(name) in list(held) for name in names)


def belong(certificate: x509.Certificate, key: Path) -> bool:
    """Tell whether the PEM private key in file *key* is the certificate's."""
    try:
        private = serialization.load_pem_private_key(key.read_bytes(), None)
    except (ValueError, TypeError):
        return False
    return private.public_key() == certificate.public_key()


def pem(certificate: x509.Certificate) -> str:
    """Return the certificate as PEM text."""
    return certificate.public_bytes(serialization.Encoding.PEM).decode("ascii")


def key_pem(key: ec.EllipticCurvePrivateKey) -> str:
    """Return the private key as unencrypted PKCS#8 PEM text, which is what granian reads."""
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode("ascii")


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    now: datetime,
    valid: timedelta,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCKS_DIFFER)
        .not_valid_after(now - CLOCKS_DIFFER + valid)
    )


def _end_entity(
    issuer: Issuer,
    builder: x509.CertificateBuilder,
    key: ec.EllipticCurvePublicKey,
    purpose: x509.ObjectIdentifier,
) -> x509.Certificate:
    return (
        builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage("digital_signature"), critical=True)
        .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key()),
            critical=False,
        )
        .sign(issuer.key, hashes.SHA256())
    )


def _usage(*granted: str) -> x509.KeyUsage:
    return x509.KeyUsage(**{name: name in granted for name in _USAGES})


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common[:64])])


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        pass
    try:
        return x509.DNSName(name.encode("idna").decode("ascii"))
    except UnicodeError:
        raise MalformedMessageError(f"{name!r} is neither a DNS name nor an IP address.") from None
