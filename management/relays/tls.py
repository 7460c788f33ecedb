"""Checks the TLS certificate of a relay before any device sees it. Reads no network, no database.

Each thing that can be wrong has a name (`Flaw`), so that the console says it in the reader's
language; the error's own text is English, for the API.
"""

import ssl
import tempfile
import warnings
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import cache
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.utils import CryptographyDeprecationWarning
from cryptography.x509.oid import ExtendedKeyUsageOID

from runtime.errors import RefusedError

MOST_BYTES = 100_000
MOST_CERTIFICATES = 8
LONGEST_PEM = 4000
"""`contracts.types.Text`, in which devices are told of a CA."""
OLD_HASHES = ("md5", "sha1")


class Flaw(StrEnum):
    """What is wrong with a file."""

    UNREADABLE = "unreadable"
    NO_KEY = "no_key"
    OTHER_KEY = "other_key"
    WEAK_KEY = "weak_key"
    WEAK_SIGNATURE = "weak_signature"
    EXPIRED = "expired"
    NOT_YET = "not_yet"
    OTHER_NAME = "other_name"
    NO_SERVER = "no_server"
    INCOMPLETE = "incomplete"
    CA_TOO_LARGE = "ca_too_large"
    REFUSED = "refused"


SENTENCES = {
    Flaw.UNREADABLE: "The file cannot be read: the password is wrong, or it is no .pfx/.p12 file.",
    Flaw.NO_KEY: "The file holds no private key. Export it again together with the key.",
    Flaw.OTHER_KEY: "The private key belongs to none of the certificates in the file.",
    Flaw.WEAK_KEY: "The key is too weak or of a kind phones do not take ({detail}). "
    "Use ECDSA P-256, P-384, or RSA with at least 2048 bits.",
    Flaw.WEAK_SIGNATURE: "{detail} is signed with MD5 or SHA-1, which phones refuse.",
    Flaw.EXPIRED: "{detail} has expired.",
    Flaw.NOT_YET: "{detail} is not valid yet.",
    Flaw.OTHER_NAME: "The certificate is for {detail}, not for the name under which devices reach "
    "this relay.",
    Flaw.NO_SERVER: "The certificate is not meant for servers (extended key usage).",
    Flaw.INCOMPLETE: "The chain is incomplete: the certificate of {detail} is missing. Export the "
    "file again with all certificates of the chain.",
    Flaw.CA_TOO_LARGE: "The certificate of the CA is too large to tell devices of it.",
    Flaw.REFUSED: "A device would refuse this certificate: {detail}.",
}


class CertificateError(RefusedError):
    """A certificate that must not be shown to devices."""

    def __init__(self, flaw: Flaw, detail: str = "") -> None:
        super().__init__(SENTENCES[flaw].format(detail=detail))
        self.flaw, self.detail = flaw, detail


@dataclass(frozen=True, slots=True)
class Checked:
    """A certificate that devices will take."""

    chain: str
    """PEM: leaf, then each issuer, without the root."""
    key: str
    """PKCS#8, PEM."""
    ca: str
    """The root, PEM; devices are told of it."""
    sha256: str
    """Of the leaf, DER."""
    until: datetime


def read_pfx(
    data: bytes, password: str, host: str, now: datetime, roots: Sequence[x509.Certificate]
) -> Checked:
    """Return what a ``.pfx``/``.p12`` file holds, in order; CertificateError says what is wrong.

    *host* is the name or address under which devices reach the relay; *roots* are known CAs, for
    files that leave theirs out.
    """
    key, certificates = _open(data, password)
    return check(key, certificates, host, now, roots)


def check(
    key: object,
    certificates: Sequence[x509.Certificate],
    host: str,
    now: datetime,
    roots: Sequence[x509.Certificate] = (),
) -> Checked:
    """Return the chain that begins with the certificate of *key*; CertificateError."""
    private = _strong(key)
    leaf = _of_key(private, certificates)
    chain = _chain(leaf, certificates, roots)
    for one in chain:
        _in_time(one, now)
    for one in chain[:-1] or chain:
        if one.signature_hash_algorithm and one.signature_hash_algorithm.name in OLD_HASHES:
            raise CertificateError(Flaw.WEAK_SIGNATURE, _name(one))
    _for_servers(leaf)
    _covers(leaf, host)
    shown, root = chain[:-1] or chain, chain[-1]
    checked = Checked(
        chain="".join(_pem(one) for one in shown),
        key=private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ).decode("ascii"),
        ca=_pem(root),
        sha256=leaf.fingerprint(hashes.SHA256()).hex(),
        until=min(one.not_valid_after_utc for one in chain),
    )
    if len(checked.ca) > LONGEST_PEM:
        raise CertificateError(Flaw.CA_TOO_LARGE)
    _shake_hands(checked, host)
    return checked


@cache
def system_roots() -> tuple[x509.Certificate, ...]:
    """Return the CAs that this machine knows; public ones are left out of many files.

    Those that are made badly (a few old ones are) count as unknown.
    """
    found = []
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for der in ssl.create_default_context().get_ca_certs(binary_form=True):
            with suppress(ValueError, CryptographyDeprecationWarning):
                found.append(x509.load_der_x509_certificate(der))
    return tuple(found)


def _open(data: bytes, password: str) -> tuple[object, list[x509.Certificate]]:
    if len(data) > MOST_BYTES:
        raise CertificateError(Flaw.UNREADABLE)
    try:
        key, leaf, others = pkcs12.load_key_and_certificates(data, password.encode() or None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise CertificateError(Flaw.UNREADABLE) from None
    if key is None:
        raise CertificateError(Flaw.NO_KEY)
    return key, [one for one in (leaf, *others) if one is not None]


def _strong(key: object) -> ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey:
    if isinstance(key, ec.EllipticCurvePrivateKey):
        if isinstance(key.curve, ec.SECP256R1 | ec.SECP384R1):
            return key
        raise CertificateError(Flaw.WEAK_KEY, f"curve {key.curve.name}")
    if not isinstance(key, rsa.RSAPrivateKey):
        raise CertificateError(Flaw.WEAK_KEY, type(key).__name__.removesuffix("PrivateKey"))
    if key.key_size < 2048:
        raise CertificateError(Flaw.WEAK_KEY, f"RSA {key.key_size}")
    return key


def _of_key(
    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey, found: Iterable[x509.Certificate]
) -> x509.Certificate:
    for one in found:
        if one.public_key() == key.public_key():
            return one
    raise CertificateError(Flaw.OTHER_KEY)


def _chain(
    leaf: x509.Certificate,
    found: Sequence[x509.Certificate],
    roots: Sequence[x509.Certificate],
) -> list[x509.Certificate]:
    """Return leaf, each issuer and the root, whatever order they came in."""
    chain = [leaf]
    while not _issued(chain[-1], chain[-1]):
        issuer = next((one for one in (*found, *roots) if _issued(one, chain[-1])), None)
        if issuer is None or len(chain) >= MOST_CERTIFICATES:
            raise CertificateError(Flaw.INCOMPLETE, chain[-1].issuer.rfc4514_string()[:200])
        chain.append(issuer)
    return chain


def _issued(issuer: x509.Certificate, child: x509.Certificate) -> bool:
    if issuer.subject != child.issuer:
        return False
    try:
        child.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def _in_time(certificate: x509.Certificate, now: datetime) -> None:
    if certificate.not_valid_after_utc <= now:
        raise CertificateError(Flaw.EXPIRED, _name(certificate))
    if certificate.not_valid_before_utc > now:
        raise CertificateError(Flaw.NOT_YET, _name(certificate))


def _for_servers(leaf: x509.Certificate) -> None:
    try:
        usage = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return
    good = (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE)
    if not any(purpose in usage for purpose in good):
        raise CertificateError(Flaw.NO_SERVER)


def _covers(leaf: x509.Certificate, host: str) -> None:
    """Compare as devices do (RFC 9525): alternative names only, ``*`` for one whole label."""
    try:
        held = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        held = x509.SubjectAlternativeName([])
    names = [name.lower() for name in held.get_values_for_type(x509.DNSName)]
    addresses = held.get_values_for_type(x509.IPAddress)
    try:
        covered = ip_address(host) in addresses
    except ValueError:
        wanted = host.lower().rstrip(".")
        covered = wanted in names or f"*.{wanted.partition('.')[2]}" in names
    if not covered:
        shown = ", ".join([*names, *map(str, addresses)][:10])
        raise CertificateError(Flaw.OTHER_NAME, shown or _name(leaf))


def _shake_hands(checked: Checked, host: str) -> None:
    """Let a TLS library judge what is left, as a device's would."""
    server, client = (
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER),
        ssl.create_default_context(cadata=checked.ca),
    )
    with tempfile.TemporaryDirectory() as folder:  # for its owner only
        path = Path(folder) / "pair.pem"
        path.write_text(checked.chain + checked.key, encoding="ascii")
        try:
            server.load_cert_chain(path)
        except ssl.SSLError as error:
            raise CertificateError(Flaw.REFUSED, str(error.reason or error)) from None
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = (
        client.wrap_bio(down, up, server_hostname=host),
        server.wrap_bio(up, down, server_side=True),
    )
    for _ in range(6):
        for end in ends:
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
            except ssl.SSLCertVerificationError as error:
                raise CertificateError(Flaw.REFUSED, error.verify_message) from None
            except ssl.SSLError as error:
                raise CertificateError(Flaw.REFUSED, str(error.reason)) from None


def _name(certificate: x509.Certificate) -> str:
    return certificate.subject.rfc4514_string()[:200] or "the certificate"


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode("ascii")
