"""The files that make a communication server: its own keys, and whom it belongs to."""

import ipaddress
import json
import os
import secrets
from datetime import timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from contracts import keys
from runtime.clock import utc_now
from runtime.errors import ConfigurationError

MANAGEMENT = "management.json"
TLS_CERTIFICATE, TLS_KEY, TLS_NEXT = "tls.pem", "tls.key", "tls.next"
LINK_CERTIFICATE, LINK_KEY = "link.pem", "link.key"
TOKEN_KEY = "token.key"  # noqa: S105  (a file's name)
_YEARS = timedelta(days=3650)


def prepare(
    folder: Path,
    management_link_key: dict[str, str],
    names: list[str],
    tls_certificate_pem: str,
    tls_key_pem: str,
) -> str:
    """Write all files and return the link certificate (PEM), which management pins.

    *management_link_key* is the public JWK that signs link requests; *tls_certificate_pem* (with
    its chain) and *tls_key_pem* (PKCS#8) are what devices see. Doing it again replaces these and
    keeps the server's own keys; a running server takes them when it is started again.
    """
    prepare_own(folder, names)
    key = keys.public_jwk(keys.read_public(management_link_key))
    write(folder / MANAGEMENT, json.dumps(key).encode(), 0o644)
    prepare_tls(folder, tls_certificate_pem, tls_key_pem)
    return (folder / LINK_CERTIFICATE).read_text(encoding="ascii")


def prepare_tls(folder: Path, certificate_pem: str, key_pem: str) -> None:
    """Put another certificate and key before devices; ConfigurationError if they do not match."""
    try:
        key = serialization.load_pem_private_key(key_pem.encode(), None)
        certificate = x509.load_pem_x509_certificate(certificate_pem.encode())
    except (ValueError, TypeError) as error:
        raise ConfigurationError(f"The TLS certificate or key cannot be read: {error}.") from None
    if certificate.public_key() != key.public_key():
        raise ConfigurationError("The TLS key does not belong to the TLS certificate.")
    pair = json.dumps([certificate_pem, _pkcs8(key).decode()])
    write(folder / TLS_NEXT, pair.encode(), 0o600)
    finish_tls(folder)


def finish_tls(folder: Path) -> None:
    """Put what `prepare_tls` was given in its place; a crash in between is mended at the start."""
    draft = folder / TLS_NEXT
    if not draft.exists():
        return
    certificate_pem, key_pem = json.loads(draft.read_bytes())
    write(folder / TLS_CERTIFICATE, certificate_pem.encode(), 0o644)
    write(folder / TLS_KEY, key_pem.encode(), 0o600)
    draft.unlink()


def prepare_own(folder: Path, names: list[str]) -> None:
    """Make what is missing of the server's own: the key of poll tokens, the link certificate."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not (folder / TOKEN_KEY).exists():
        write(folder / TOKEN_KEY, secrets.token_bytes(32), 0o600)
    if not (folder / LINK_KEY).exists() or not (folder / LINK_CERTIFICATE).exists():
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = _self_signed(key, names)
        write(folder / LINK_KEY, _pkcs8(key), 0o600)
        pem = certificate.public_bytes(serialization.Encoding.PEM)
        write(folder / LINK_CERTIFICATE, pem, 0o644)


def write(path: Path, content: bytes, mode: int) -> None:
    """Replace the file at once, readable as *mode* says from its first byte on."""
    new = path.with_name(f"{path.name}.{secrets.token_hex(4)}.new")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)


def _self_signed(key: ec.EllipticCurvePrivateKey, names: list[str]) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Sekisho communication server")])
    now = utc_now()
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + _YEARS)
        .add_extension(x509.SubjectAlternativeName(_alternatives(names)), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )


def _alternatives(names: list[str]) -> list[x509.GeneralName]:
    """Return *names* and this machine's own, as addresses where they are such."""
    found: list[x509.GeneralName] = []
    for name in dict.fromkeys([*names, "localhost", "127.0.0.1"]):
        try:
            found.append(x509.IPAddress(ipaddress.ip_address(name)))
        except ValueError:
            found.append(x509.DNSName(name))
    return found


def _pkcs8(key: object) -> bytes:
    private: ec.EllipticCurvePrivateKey = key  # type: ignore[assignment]  # or RSA: the same call
    return private.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
