"""The fingerprint by which one part tells another, through a person, which authority to trust."""

import base64
import hashlib

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from runtime.errors import MalformedMessageError


def fingerprint(certificate: str) -> str:
    """Return the base64url SHA-256 of a PEM certificate, without padding (43 characters)."""
    try:
        read = x509.load_pem_x509_certificate(certificate.encode())
    except ValueError:
        raise MalformedMessageError("This is no certificate in PEM form.") from None
    digest = hashlib.sha256(read.public_bytes(Encoding.DER)).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
