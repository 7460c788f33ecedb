"""The certificate that the front proxy saw at a phone."""

from functools import lru_cache
from urllib.parse import unquote

from cryptography import x509

LONGEST = 16_384


@lru_cache(4096)
def serial_number(header: str) -> str | None:
    """Return the serial number in hexadecimal, or None without a certificate that can be read.

    nginx hands it on as PEM with percent escapes, and only after it was verified.
    """
    if not 0 < len(header) <= LONGEST:
        return None
    try:
        found = x509.load_pem_x509_certificate(unquote(header).encode("ascii"))
    except ValueError:
        return None
    return f"{found.serial_number:x}"
