"""Check one signature, describe one key; the only place of the scanner that uses `cryptography`."""

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.serialization import load_der_public_key

MAXIMUM_KEY_BYTES = 4096
"""Of SubjectPublicKeyInfo; a larger one would only cost time."""
_HASHES: dict[str, type[hashes.SHA1 | hashes.SHA256 | hashes.SHA384 | hashes.SHA512]] = {
    "sha1": hashes.SHA1,
    "sha256": hashes.SHA256,
    "sha384": hashes.SHA384,
    "sha512": hashes.SHA512,
}
_WEAK_BELOW = {"RSA": 2048, "DSA": 2048, "EC": 224}


def is_signed_by(
    public_key: bytes,
    signature: bytes,
    data: bytes,
    digest: str,
    pss: bool = False,
    kind: str = "",
) -> bool:
    """Whether *signature* over *data* is *public_key*'s (SubjectPublicKeyInfo).

    *kind* is what the key must be (``RSA``, ``EC``, ``DSA``); empty: any of these.
    """
    key = _load(public_key)
    if key is None or digest not in _HASHES or kind not in ("", _kind(key)):
        return False
    hashed = _HASHES[digest]()
    try:
        if isinstance(key, rsa.RSAPublicKey):
            scheme: padding.AsymmetricPadding = padding.PKCS1v15()
            if pss:
                scheme = padding.PSS(padding.MGF1(hashed), hashed.digest_size)
            key.verify(signature, data, scheme, hashed)
        elif isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(signature, data, ec.ECDSA(hashed))
        elif isinstance(key, dsa.DSAPublicKey):
            key.verify(signature, data, hashed)
        else:
            return False
    except (InvalidSignature, UnsupportedAlgorithm, ValueError, TypeError):
        return False
    return True


def describe(public_key: bytes) -> tuple[str, bool]:
    """Return the key in words (``RSA 2048``; empty: unknown), and whether it is weak."""
    key = _load(public_key)
    kind = _kind(key)
    if not kind or not isinstance(
        key, rsa.RSAPublicKey | dsa.DSAPublicKey | ec.EllipticCurvePublicKey
    ):
        return "", False
    return f"{kind} {key.key_size}", key.key_size < _WEAK_BELOW[kind]


def _load(public_key: bytes) -> PublicKeyTypes | None:
    if len(public_key) > MAXIMUM_KEY_BYTES:
        return None
    try:
        return load_der_public_key(public_key)
    except (UnsupportedAlgorithm, ValueError, TypeError):
        return None


def _kind(key: PublicKeyTypes | None) -> str:
    if isinstance(key, rsa.RSAPublicKey):
        return "RSA"
    if isinstance(key, dsa.DSAPublicKey):
        return "DSA"
    return "EC" if isinstance(key, ec.EllipticCurvePublicKey) else ""
