"""Writes APK signing blocks of schemes v2, v3 and v3.1 byte by byte, good ones and others.

Debian's apksigner knows no v3.1 and writes only honest blocks; what it knows, it checks of ours.
"""

import datetime
import hashlib
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, padding, rsa
from cryptography.x509.oid import NameOID

V2, V3, V31 = 0x7109871A, 0xF05368C0, 0x1B93AD61
RSA_SHA256, RSA_SHA512, EC_SHA256, DSA_SHA256 = 0x0103, 0x0104, 0x0201, 0x0301
RSA_PSS_SHA256, RSA_VERITY, EC_VERITY = 0x0101, 0x0421, 0x0423
EVER = 0x7FFFFFFF


@dataclass(frozen=True)
class Key:
    """A private key and its self-signed certificate."""

    private: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | dsa.DSAPrivateKey
    certificate: bytes

    @property
    def public(self) -> bytes:
        """SubjectPublicKeyInfo."""
        return self.private.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )

    @property
    def sha256(self) -> str:
        """Of the certificate."""
        return hashlib.sha256(self.certificate).hexdigest()

    def sign(self, number: int, data: bytes) -> bytes:
        """Return a signature by the algorithm of that id."""
        hashed = hashes.SHA512() if number in (0x0102, 0x0104, 0x0202) else hashes.SHA256()
        if isinstance(self.private, rsa.RSAPrivateKey):
            if number in (0x0101, 0x0102):
                pss = padding.PSS(padding.MGF1(hashed), hashed.digest_size)
                return self.private.sign(data, pss, hashed)
            return self.private.sign(data, padding.PKCS1v15(), hashed)
        if isinstance(self.private, ec.EllipticCurvePrivateKey):
            return self.private.sign(data, ec.ECDSA(hashed))
        return self.private.sign(data, hashed)

    def files(self, folder: Path) -> list[str]:
        """Write the key for apksigner and return its switches."""
        name = folder / self.sha256[:12]
        name.with_suffix(".pk8").write_bytes(
            self.private.private_bytes(
                serialization.Encoding.DER,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        name.with_suffix(".x509").write_bytes(self.certificate)
        return ["--key", f"{name}.pk8", "--cert", f"{name}.x509"]


@cache
def key(kind: str, name: str = "one", years: int = 20) -> Key:
    """Return a key: ``rsa2048``, any other length, ``ec`` or ``dsa``; the same each time."""
    private: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | dsa.DSAPrivateKey
    if kind == "ec":
        private = ec.generate_private_key(ec.SECP256R1())
    elif kind == "dsa":
        private = dsa.generate_private_key(1024)
    else:
        private = rsa.generate_private_key(65537, int(kind[3:]))
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{kind} {name}")])
    start = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    certificate = (
        x509.CertificateBuilder(subject, subject, private.public_key(), x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + datetime.timedelta(days=365 * years))
        .sign(private, hashes.SHA256())
    )
    return Key(private, certificate.public_bytes(serialization.Encoding.DER))


@dataclass(frozen=True, kw_only=True)
class Signer:
    """One signer of one scheme."""

    key: Key
    algorithms: Sequence[int] = (RSA_SHA256,)
    sdk: tuple[int, int] = (28, EVER)
    """The systems for which a signer of v3 or v3.1 is."""
    outer_sdk: tuple[int, int] | None = None
    """The same outside the signed part; None: the same."""
    attributes: Sequence[tuple[int, bytes]] = ()
    certificate: bytes | None = None
    digest_order: Sequence[int] | None = None


@dataclass
class File:
    """An APK in its parts: entries, pairs of the signing block, directory and end record."""

    entries: bytes
    directory: bytes
    end: bytes
    pairs: list[tuple[int, bytes]] = field(default_factory=list)

    @classmethod
    def of(cls, data: bytes) -> "File":
        """Take a file apart."""
        end_at = data.rindex(b"PK\x05\x06")
        (start,) = struct.unpack_from("<I", data, end_at + 16)
        found = cls(data[:start], data[start:end_at], data[end_at:])
        if data[start - 16 : start] == b"APK Sig Block 42":
            (size,) = struct.unpack_from("<Q", data, start - 24)
            found.entries = data[: start - size - 8]
            body = data[start - size : start - 24]
            while body:
                length, number = struct.unpack_from("<QI", body)
                found.pairs.append((number, body[12 : 8 + length]))
                body = body[8 + length :]
        return found

    def pair(self, number: int) -> bytes:
        """Return the body of the first pair with that id."""
        return next(body for known, body in self.pairs if known == number)

    def digest(self, algorithm: int) -> bytes:
        """Return the content digest that goes with a signature algorithm."""
        end = self.end[:16] + struct.pack("<I", len(self.entries)) + self.end[20:]
        parts = (self.entries, self.directory, end)
        if algorithm in (RSA_VERITY, EC_VERITY):
            return verity(b"".join(parts))
        kind = "sha512" if algorithm in (0x0102, 0x0104, 0x0202) else "sha256"
        chunks = [
            hashlib.new(kind, b"\xa5" + struct.pack("<I", len(piece)) + piece).digest()
            for part in parts
            for piece in (part[at : at + (1 << 20)] for at in range(0, len(part), 1 << 20))
        ]
        head = b"\x5a" + struct.pack("<I", len(chunks))
        return hashlib.new(kind, head + b"".join(chunks)).digest()

    def signed(self, **schemes: Sequence[Signer]) -> "File":
        """Return the file with pairs for ``v2``, ``v3`` and ``v31``."""
        numbers = {"v2": V2, "v3": V3, "v31": V31}
        pairs = [
            (numbers[name], prefixed(b"".join(prefixed(self.signer(one, name)) for one in signers)))
            for name, signers in schemes.items()
        ]
        return File(self.entries, self.directory, self.end, [*self.pairs, *pairs])

    def signer(self, one: Signer, name: str) -> bytes:
        """Return the bytes of one signer."""
        sdk = b"" if name == "v2" else struct.pack("<II", *one.sdk)
        digests = [
            prefixed(struct.pack("<I", number) + prefixed(self.digest(number)))
            for number in one.digest_order or one.algorithms
        ]
        attributes = [prefixed(struct.pack("<I", kind) + body) for kind, body in one.attributes]
        data = (
            prefixed(b"".join(digests))
            + prefixed(prefixed(one.certificate or one.key.certificate))
            + sdk
            + prefixed(b"".join(attributes))
        )
        signatures = [
            prefixed(struct.pack("<I", number) + prefixed(one.key.sign(number, data)))
            for number in one.algorithms
        ]
        outer = struct.pack("<II", *one.outer_sdk) if one.outer_sdk else sdk
        return prefixed(data) + outer + prefixed(b"".join(signatures)) + prefixed(one.key.public)

    def paged(self) -> "File":
        """Return the file with a block that ends at a page, as fs-verity needs it."""
        size = 32 + sum(12 + len(body) for _, body in self.pairs)
        filler = (0x42726577, b"\0" * ((-size - 12) % 4096))
        return File(self.entries, self.directory, self.end, [*self.pairs, filler])

    def bytes(self) -> bytes:
        """Put the file together."""
        block = b""
        if self.pairs:
            body = b"".join(
                struct.pack("<QI", 4 + len(pair), number) + pair for number, pair in self.pairs
            )
            size = struct.pack("<Q", len(body) + 24)
            block = size + body + size + b"APK Sig Block 42"
        start = struct.pack("<I", len(self.entries) + len(block))
        return self.entries + block + self.directory + self.end[:16] + start + self.end[20:]


def lineage(*keys: Key, algorithm: int = RSA_SHA256) -> bytes:
    """Return a proof of rotation from the first key to the last."""
    nodes, before, signed_with = [], None, 0
    for one in keys:
        data = prefixed(one.certificate) + struct.pack("<I", signed_with)
        signature = before.sign(signed_with, data) if before else b""
        uses = algorithm if one is not keys[-1] else 0
        nodes.append(prefixed(prefixed(data) + struct.pack("<II", 23, uses) + prefixed(signature)))
        before, signed_with = one, algorithm
    return struct.pack("<I", 1) + b"".join(nodes)


def verity(data: bytes) -> bytes:
    """Return the fs-verity root of *data* with a salt of zeros, and its size."""
    size = struct.pack("<Q", len(data))
    while True:
        pages = [data[at : at + 4096].ljust(4096, b"\0") for at in range(0, len(data), 4096)]
        data = b"".join(hashlib.sha256(b"\0" * 8 + page).digest() for page in pages)
        if len(pages) == 1:
            return data + size


def prefixed(body: bytes) -> bytes:
    """Return *body* behind its length."""
    return struct.pack("<I", len(body)) + body


def joined(parts: Iterable[bytes]) -> bytes:
    """Return a sequence of length-prefixed values, with its own length in front."""
    return prefixed(b"".join(prefixed(part) for part in parts))
