"""How management and a relay come to know each other through a one-time code.

The relay shows a code of 100 random bits; a person types it into the console. Management dials the
relay's link port without knowing which certificate to expect, and both sides prove the code over
what they see of each other: the certificate of that connection and management's public key. Who
stands in between shows another certificate, so its proofs do not hold; and nobody guesses 100 bits
within the code's 30 minutes, nor from a recorded proof. Afterwards each side pins the other's key.
"""

import hmac
from dataclasses import dataclass
from hashlib import sha256
from typing import Annotated, Literal

from pydantic import Field

from contracts.codes import random_code
from contracts.types import Jwk, Sha256, Short

CODE_LENGTH = 20
PATH = "/link/v1/pairing"
Who = Literal["management", "relay"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PairingRequest:
    """Body of ``POST /link/v1/pairing``, the one call of the link that is not signed."""

    v: int = 1
    management_key: Jwk
    """Which signs every later request."""
    nonce: Annotated[str, Field(min_length=16, max_length=64)]
    proof: Sha256
    """`proof` of management."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PairingAnswer:
    """The relay has pinned the key, and proves that it knew the code too."""

    v: int = 1
    proof: Sha256
    version: Short


def new_code() -> str:
    """Return a code in groups of four, without characters that look alike."""
    plain = random_code(CODE_LENGTH)
    return "-".join(plain[start : start + 4] for start in range(0, CODE_LENGTH, 4))


def plain_code(typed: str) -> str:
    """Return the code as it is meant, however a person wrote it."""
    return typed.replace("-", "").replace(" ", "").strip().upper()


def proof(code: str, who: Who, certificate_sha256: str, thumbprint: str, nonce: str) -> str:
    """Return what *who* shows: HMAC-SHA-256 under the code, in hex.

    *certificate_sha256* is of the relay's link certificate (DER), as this side sees it, and
    *thumbprint* management's key's.
    """
    said = "\n".join(("sekisho relay pairing 1", who, certificate_sha256, thumbprint, nonce))
    return hmac.new(plain_code(code).encode(), said.encode(), sha256).hexdigest()
