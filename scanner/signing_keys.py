"""Check one signature; the only place of the scanner that uses `cryptography`."""

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, padding, rsa
from cryptography.hazmat.primitives.serialization import load_der_public_key

MAXIMUM_KEY_BYTES = 4096
"""Of SubjectPublicKeyInfo; a larger one would only cost time."""
_HASHES: dict[str, type[hashes.SHA1 | hashes.SHA256 | hashes.SHA384 | hashes.SHA512]] = {
    "sha1": hashes.SHA1,
    "sha256": hashes.SHA256,
    "sha384": hashes.SHA384,
    "sha512": hashes.SHA512,
}


def is_signed_by(
    public_key: bytes, signature: bytes, data: bytes, digest: str, pss: bool = False
) -> bool:
    """Whether *signature* over *data* is *public_key*'s (SubjectPublicKeyInfo)."""
    if len(public_key) > MAXIMUM_KEY_BYTES or digest not in _HASHES:
        return False
    hashed = _HASHES[digest]()
    try:
        key = load_der_public_key(public_key)
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
