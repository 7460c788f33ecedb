"""Small, properly signed APK files for the demonstration; nothing in them can run."""

import hashlib
import io
import struct
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

ANDROID = "http://schemas.android.com/apk/res/android"
ATTRIBUTES = {  # name -> its number in android.R.attr
    "versionCode": 0x0101021B,
    "versionName": 0x0101021C,
    "minSdkVersion": 0x0101020C,
    "targetSdkVersion": 0x01010270,
    "label": 0x01010001,
    "name": 0x01010003,
}
NONE = 0xFFFFFFFF
STRING, NUMBER = 0x03, 0x10  # Res_value types
CHUNK = 1 << 20
V2_BLOCK, ECDSA_SHA256 = 0x7109871A, 0x0201  # APK Signature Scheme v2


@dataclass(frozen=True, slots=True)
class Signer:
    """A developer's key and certificate."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate


def new_signer(name: str, now: datetime) -> Signer:
    """Return a fresh self-signed P-256 developer certificate for *name*."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=400))
        .not_valid_after(now + timedelta(days=9000))
        .sign(key, hashes.SHA256())
    )
    return Signer(key, certificate)


def apk(
    package: str,
    label: str,
    version: str,
    permissions: Iterable[str],
    files: Mapping[str, bytes],
    signer: Signer,
) -> bytes:
    """Return an APK with a binary manifest, *files*, and an APK Signature Scheme v2 signature."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("AndroidManifest.xml", _manifest(package, label, version, permissions))
        for name, content in files.items():
            archive.writestr(name, content)
    return _signed(out.getvalue(), signer)


# --- the manifest, in Android's binary XML ---


Attribute = tuple[str, int, str | int]
"""Name, type and value."""


def _manifest(package: str, label: str, version: str, permissions: Iterable[str]) -> bytes:
    pool = _Strings()
    about: list[Attribute] = [("versionCode", NUMBER, 1), ("versionName", STRING, version)]
    systems: list[Attribute] = [("minSdkVersion", NUMBER, 26), ("targetSdkVersion", NUMBER, 34)]
    body = pool.start("manifest", about, [("package", STRING, package)])
    body += pool.start("uses-sdk", systems) + pool.end("uses-sdk")
    for one in permissions:
        body += pool.start("uses-permission", [("name", STRING, f"android.permission.{one}")])
        body += pool.end("uses-permission")
    body += pool.start("application", [("label", STRING, label)]) + pool.end("application")
    body += pool.end("manifest")
    namespace = struct.pack("<II", pool.number("android"), pool.number(ANDROID))
    node = struct.pack("<II", 1, NONE)
    opened = _chunk(0x0100, 16, node + namespace)
    closed = _chunk(0x0101, 16, node + namespace)
    numbers = struct.pack(f"<{len(ATTRIBUTES)}I", *ATTRIBUTES.values())
    return _chunk(0x0003, 8, pool.chunk() + _chunk(0x0180, 8, numbers) + opened + body + closed)


class _Strings:
    """The string pool; the attributes' names come first, as the resource map asks."""

    def __init__(self) -> None:
        self.numbers: dict[str, int] = {name: n for n, name in enumerate(ATTRIBUTES)}

    def number(self, text: str) -> int:
        return self.numbers.setdefault(text, len(self.numbers))

    def start(
        self, name: str, attributes: list[Attribute], plain: Iterable[Attribute] = ()
    ) -> bytes:
        order = list(ATTRIBUTES.values())
        sorted_ones = sorted(attributes, key=lambda one: order.index(ATTRIBUTES[one[0]]))
        packed = [self._attribute(ANDROID, *one) for one in sorted_ones]
        packed += [self._attribute(None, *one) for one in plain]
        head = struct.pack("<IIII", 1, NONE, NONE, self.number(name))
        head += struct.pack("<HHHHHH", 20, 20, len(packed), 0, 0, 0)
        return _chunk(0x0102, 16, head + b"".join(packed))

    def end(self, name: str) -> bytes:
        return _chunk(0x0103, 16, struct.pack("<IIII", 1, NONE, NONE, self.number(name)))

    def _attribute(self, namespace: str | None, name: str, kind: int, value: str | int) -> bytes:
        raw = self.number(value) if isinstance(value, str) else NONE
        held = raw if isinstance(value, str) else value
        where = NONE if namespace is None else self.number(namespace)
        return struct.pack("<IIIHBBI", where, self.number(name), raw, 8, 0, kind, held)

    def chunk(self) -> bytes:
        texts = [
            struct.pack("<H", len(text)) + text.encode("utf-16-le") + b"\0\0"
            for text in self.numbers
        ]
        offsets = [sum(map(len, texts[:n])) for n in range(len(texts))]
        data = b"".join(texts)
        data += b"\0" * (-len(data) % 4)
        start = 28 + 4 * len(texts)
        head = struct.pack("<IIIII", len(texts), 0, 0, start, 0)
        return _chunk(0x0001, 28, head + struct.pack(f"<{len(texts)}I", *offsets) + data)


def _chunk(kind: int, header_size: int, rest: bytes) -> bytes:
    return struct.pack("<HHI", kind, header_size, 8 + len(rest)) + rest


# --- APK Signature Scheme v2 ---


def _signed(archive: bytes, signer: Signer) -> bytes:
    end = archive.rindex(b"PK\5\6")
    directory = struct.unpack_from("<I", archive, end + 16)[0]
    parts = (archive[:directory], archive[directory:end], archive[end:])
    block = _signing_block(_content_digest(parts), signer)
    moved = parts[2][:16] + struct.pack("<I", directory + len(block)) + parts[2][20:]
    return parts[0] + block + parts[1] + moved


def _content_digest(parts: Iterable[bytes]) -> bytes:
    pieces = [part[n : n + CHUNK] for part in parts for n in range(0, len(part), CHUNK)]
    digests = [
        hashlib.sha256(b"\xa5" + struct.pack("<I", len(piece)) + piece).digest() for piece in pieces
    ]
    joined = b"\x5a" + struct.pack("<I", len(digests)) + b"".join(digests)
    return hashlib.sha256(joined).digest()


def _signing_block(digest: bytes, signer: Signer) -> bytes:
    certificate = signer.certificate.public_bytes(serialization.Encoding.DER)
    public = signer.key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    algorithm = struct.pack("<I", ECDSA_SHA256)
    data = _sized(_sized(algorithm + _sized(digest))) + _sized(_sized(certificate)) + _sized(b"")
    signature = signer.key.sign(data, ec.ECDSA(hashes.SHA256()))
    one = _sized(data) + _sized(_sized(algorithm + _sized(signature))) + _sized(public)
    value = struct.pack("<I", V2_BLOCK) + _sized(_sized(one))
    pair = struct.pack("<Q", len(value)) + value
    size = struct.pack("<Q", len(pair) + 24)
    return size + pair + size + b"APK Sig Block 42"


def _sized(content: bytes) -> bytes:
    return struct.pack("<I", len(content)) + content
