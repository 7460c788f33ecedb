"""P-256 keys as JSON Web Keys (RFC 7517) and their SHA-256 thumbprints (RFC 7638)."""

import json
from hashlib import sha256

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from joserfc.jwk import ECKey

from contracts.base64url import decode, encode
from runtime.errors import MalformedMessageError

COORDINATE_BYTES = 32
_P256, _UNCOMPRESSED = ec.SECP256R1(), b"\x04"


def new_key() -> ECKey:
    """Return a fresh P-256 private key."""
    return ECKey.generate_key("P-256", private=True, auto_kid=False)


def public_jwk(key: ECKey) -> dict[str, str]:
    """Return the public half: exactly ``kty``, ``crv``, ``x``, ``y``."""
    return write_raw_public(raw_public(key))


def private_json(key: ECKey) -> str:
    """Return the private key as JSON, for a sealed file and nowhere else."""
    return json.dumps(key.as_dict(private=True))


def read_private(text: str) -> ECKey:
    """Return the private key that `private_json` wrote."""
    return ECKey.import_key(json.loads(text))


def read_public(fields: object) -> ECKey:
    """Return the public P-256 key without other members; MalformedMessageError if it is none."""
    return ECKey.import_key(read_raw_public(fields))


def read_raw_public(fields: object) -> ec.EllipticCurvePublicKey:
    """Return the same as the cryptography library holds it."""
    if not isinstance(fields, dict) or (fields.get("kty"), fields.get("crv")) != ("EC", "P-256"):
        raise MalformedMessageError("The key is not an EC P-256 key.")
    try:
        x, y = decode(fields["x"]), decode(fields["y"])
        if len(x) != COORDINATE_BYTES or len(y) != COORDINATE_BYTES:
            raise ValueError("A coordinate has another length (RFC 7518 section 6.2.1.2).")
        return ec.EllipticCurvePublicKey.from_encoded_point(_P256, _UNCOMPRESSED + x + y)
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise MalformedMessageError(f"The key cannot be read: {type(error).__name__}.") from None


def write_raw_public(key: ec.EllipticCurvePublicKey) -> dict[str, str]:
    """Return what `read_raw_public` reads."""
    point = key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    x, y = encode(point[1 : 1 + COORDINATE_BYTES]), encode(point[1 + COORDINATE_BYTES :])
    return {"kty": "EC", "crv": "P-256", "x": x, "y": y}


def thumbprint(key: ECKey) -> str:
    """Return the base64url SHA-256 thumbprint of the public key (43 characters)."""
    return raw_thumbprint(raw_public(key))


def raw_thumbprint(key: ec.EllipticCurvePublicKey) -> str:
    """Return the same of a key as the cryptography library holds it."""
    said = '{{"crv":"{crv}","kty":"{kty}","x":"{x}","y":"{y}"}}'.format(**write_raw_public(key))
    return encode(sha256(said.encode("ascii")).digest())


def raw_public(key: ECKey) -> ec.EllipticCurvePublicKey:
    """Return the key as the cryptography library holds it."""
    public = key.public_key
    if not isinstance(public, ec.EllipticCurvePublicKey):
        raise MalformedMessageError("The key is not an elliptic-curve key.")
    return public


def raw_private(key: ECKey) -> ec.EllipticCurvePrivateKey:
    """Return the private key as the cryptography library holds it."""
    private = key.private_key
    if not isinstance(private, ec.EllipticCurvePrivateKey):
        raise MalformedMessageError("The key has no private part.")
    return private
