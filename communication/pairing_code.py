"""The one-time code that this server shows, and what happens when management proves it."""

import hmac
import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from joserfc.jwk import ECKey

from communication import pairing
from contracts import keys, relay_pairing
from runtime.errors import ForbiddenError

FILE = "pairing.code"
VALID = timedelta(minutes=30)
REFUSED = (
    "The pairing code is wrong, was used, or is older than 30 minutes; or somebody is in between. "
    "Make a new one on the communication server with 'sekisho communication code'."
)


@dataclass(frozen=True, slots=True)
class Paired:
    """Whom this server belongs to from now on, and the proof for its answer."""

    key: ECKey
    proof: str


def make(folder: Path, now: datetime) -> str:
    """Return a fresh code; an earlier one no longer works."""
    code = relay_pairing.new_code()
    kept = json.dumps({"code": code, "until": (now + VALID).isoformat()})
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    pairing.write(folder / FILE, kept.encode(), 0o600)
    return code


def use(folder: Path, asked: relay_pairing.PairingRequest, now: datetime) -> Paired:
    """Pin the key of whoever proves the code, which is used up; ForbiddenError else."""
    key = keys.read_public(asked.management_key)
    code = _code(folder, now)
    own = x509.load_pem_x509_certificate((folder / pairing.LINK_CERTIFICATE).read_bytes())
    seen = sha256(own)
    about = (seen, keys.thumbprint(key), asked.nonce)
    expected = relay_pairing.proof(code, "management", *about)
    if not code or not hmac.compare_digest(expected, asked.proof):
        raise ForbiddenError(REFUSED)
    (folder / FILE).unlink()
    pinned = json.dumps(keys.public_jwk(key)).encode()
    pairing.write(folder / pairing.MANAGEMENT, pinned, 0o644)
    return Paired(key, relay_pairing.proof(code, "relay", *about))


def _code(folder: Path, now: datetime) -> str:
    try:
        kept = json.loads((folder / FILE).read_bytes())
    except FileNotFoundError:
        return ""
    return str(kept["code"]) if now < datetime.fromisoformat(kept["until"]) else ""


def sha256(certificate: x509.Certificate) -> str:
    """Return the SHA-256 of the certificate (DER), in hex."""
    return certificate.fingerprint(hashes.SHA256()).hex()
