"""A company's own certificate authority, made here: root, intermediate, and what it issues."""

from datetime import datetime, timedelta
from ipaddress import ip_address
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, NoEncryption
from cryptography.hazmat.primitives.serialization.pkcs12 import serialize_key_and_certificates
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from runtime.clock import utc_now

Pair = tuple[x509.Certificate, ec.EllipticCurvePrivateKey]


def certificate(
    name: str,
    issuer: Pair | None,
    names: tuple[str, ...] = (),
    days: tuple[int, int] = (-1, 100),
    key: Any = None,
    purpose: x509.ObjectIdentifier = ExtendedKeyUsageOID.SERVER_AUTH,
) -> Pair:
    """Return a certificate: for a server with *names*, else a CA's."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now: datetime = utc_now()
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer[0].subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + timedelta(days=days[0]))
        .not_valid_after(now + timedelta(days=days[1]))
        .add_extension(x509.BasicConstraints(ca=not names, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(
                (issuer[1] if issuer else key).public_key()
            ),
            critical=False,
        )
    )
    if names:
        builder = builder.add_extension(
            x509.SubjectAlternativeName([_alternative(one) for one in names]), critical=False
        ).add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
    signer = issuer[1] if issuer else key
    return builder.sign(signer, hashes.SHA256()), key


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def pfx(leaf: Pair, *others: x509.Certificate, password: str = "secret", key: Any = None) -> bytes:
    """Return a ``.pfx`` file; *key* is another one than the leaf's."""
    encryption = BestAvailableEncryption(password.encode()) if password else NoEncryption()
    if key is not None:  # the library refuses to lie; the leaf goes in beside a key of another
        return serialize_key_and_certificates(b"x", key, None, [leaf[0], *others], encryption)
    return serialize_key_and_certificates(b"relay", leaf[1], leaf[0], others, encryption)


def company(host: str, **how: Any) -> tuple[bytes, x509.Certificate]:
    """Return a good ``.pfx`` for *host* (password ``secret``) and the root behind it."""
    root = certificate("Company root", None, days=(-10, 3000))
    middle = certificate("Company servers", root, days=(-10, 2000))
    leaf = certificate(host, middle, (host,), **how)
    return pfx(leaf, root[0], middle[0]), root[0]
