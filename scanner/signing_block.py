"""APK signature schemes v2, v3 and v3.1, which protect the whole file.

https://source.android.com/docs/security/features/apksigning/v2 (and v3) define them.
"""

import hashlib
import struct
from collections.abc import Iterator
from typing import NamedTuple

from scanner import der
from scanner.signing_keys import is_signed_by
from scanner.zip_records import Buffer, Directory

MAGIC = b"APK Sig Block 42"
SCHEMES = {0x7109871A: "v2", 0xF05368C0: "v3", 0x1B93AD61: "v3.1"}
STRIPPING_PROTECTION = 0xBEEFF00D
ROTATION_TARGET = 0x559F8B02
MAXIMUM_SIGNERS = 10
CHUNK_BYTES = 1024 * 1024
_ALGORITHMS = {
    0x0101: ("sha256", True),
    0x0102: ("sha512", True),
    0x0103: ("sha256", False),
    0x0104: ("sha512", False),
    0x0201: ("sha256", False),
    0x0202: ("sha512", False),
    0x0301: ("sha256", False),
}
"""Id -> (digest of signature and content, whether it is RSASSA-PSS)."""
_VERITY = {0x0421, 0x0423, 0x0425}


class BrokenSignatureError(Exception):
    """The signature does not hold; the text says why. Stays inside the scanner."""


class Scheme(NamedTuple):
    """One scheme's outcome; *problem* empty: verified."""

    name: str
    certificates: tuple[der.Certificate, ...] = ()
    problem: str = ""
    is_unsupported: bool = False


class Block(NamedTuple):
    """The APK signing block: where it starts, and its pairs."""

    start: int
    pairs: dict[int, bytes]


def find_block(data: Buffer, directory: Directory) -> Block | None:
    """Return the block before the central directory; BrokenSignatureError when it is malformed."""
    end = directory.start
    if end < 32 or data[end - 16 : end] != MAGIC:
        return None
    (size,) = struct.unpack_from("<Q", data, end - 24)
    start = end - size - 8
    if size < 24 or start < 0 or struct.unpack_from("<Q", data, start)[0] != size:
        raise BrokenSignatureError("the signing block's two sizes differ")
    return Block(start, _pairs(data[start + 8 : end - 24]))


def verify(data: Buffer, directory: Directory, block: Block) -> list[Scheme]:
    """Return the outcome of each scheme whose id is in *block*."""
    content = _Content(data, directory, block.start)
    found = []
    for number, name in SCHEMES.items():
        if number in block.pairs:
            try:
                found.append(_verify_scheme(name, block, content))
            except _UnsupportedError as error:
                found.append(Scheme(name, problem=str(error), is_unsupported=True))
            except (BrokenSignatureError, der.BrokenDerError, struct.error) as error:
                found.append(Scheme(name, problem=str(error)))
    return found


class _UnsupportedError(Exception):
    pass


def _verify_scheme(name: str, block: Block, content: "_Content") -> Scheme:
    number = next(number for number, known in SCHEMES.items() if known == name)
    signers = list(_sequence(_prefixed(block.pairs[number])[0]))
    if not 1 <= len(signers) <= MAXIMUM_SIGNERS:
        raise BrokenSignatureError(f"it has {len(signers)} signers")
    return Scheme(name, tuple(_verify_signer(name, signer, block, content) for signer in signers))


def _verify_signer(name: str, signer: bytes, block: Block, content: "_Content") -> der.Certificate:
    signed, rest = _prefixed(signer)
    versions = b""
    if name != "v2":
        versions, rest = rest[:8], rest[8:]
    signatures, rest = _prefixed(rest)
    public_key, _ = _prefixed(rest)
    told = [(_number(pair), _prefixed(pair[4:])[0]) for pair in _sequence(signatures)]
    digest = _check_signatures(told, signed, public_key)

    digests, rest = _prefixed(signed)
    certificates, rest = _prefixed(rest)
    if versions and rest[:8] != versions:
        raise BrokenSignatureError("the system versions in it differ")
    attributes = _prefixed(rest[8:] if versions else rest)[0]
    contents = [(_number(pair), _prefixed(pair[4:])[0]) for pair in _sequence(digests)]
    if [number for number, _ in contents] != [number for number, _ in told]:
        raise BrokenSignatureError("digests and signatures are of different kinds")
    owner = next((der.certificate(body) for body in _sequence(certificates)), None)
    if owner is None or owner.public_key != public_key:
        raise BrokenSignatureError("the key is not the certificate's")
    for number, value in contents:
        if (
            number in _ALGORITHMS
            and _ALGORITHMS[number][0] == digest
            and value != content.digest(digest)
        ):
            raise BrokenSignatureError("the file was changed after it was signed")
    _check_attributes(name, attributes, block)
    return owner


def _check_signatures(told: list[tuple[int, bytes]], signed: bytes, public_key: bytes) -> str:
    """Check the strongest signature, as Android does; return its digest's name."""
    known = [(number, value) for number, value in told if number in _ALGORITHMS]
    if not known:
        if any(number in _VERITY for number, _ in told):
            raise _UnsupportedError("it is signed with fs-verity digests only")
        raise BrokenSignatureError("it names no known algorithm")
    number, value = max(known, key=lambda pair: _ALGORITHMS[pair[0]][0])
    digest, pss = _ALGORITHMS[number]
    if not is_signed_by(public_key, value, signed, digest, pss):
        raise BrokenSignatureError("the signature is wrong")
    return digest


def _check_attributes(name: str, attributes: bytes, block: Block) -> None:
    for attribute in _sequence(attributes):
        kind = _number(attribute)
        if name == "v2" and kind == STRIPPING_PROTECTION:
            scheme = _number(attribute[4:])
            if scheme == 3 and 0xF05368C0 not in block.pairs:
                raise BrokenSignatureError("a signature of scheme v3 was taken away")
        if name == "v3" and kind == ROTATION_TARGET and 0x1B93AD61 not in block.pairs:
            raise BrokenSignatureError("a signature of scheme v3.1 was taken away")


class _Content:
    """The digest over the file without the block, in chunks of 1 MiB."""

    def __init__(self, data: Buffer, directory: Directory, block_start: int) -> None:
        self._data, self._directory, self._start = data, directory, block_start
        self._known: dict[str, bytes] = {}

    def digest(self, name: str) -> bytes:
        if name not in self._known:
            self._known[name] = self._compute(name)
        return self._known[name]

    def _compute(self, name: str) -> bytes:
        whole = memoryview(self._data)
        end_at = self._directory.end_at
        end = bytearray(whole[end_at:])
        struct.pack_into("<I", end, 16, self._start)
        parts = (whole[: self._start], whole[self._directory.start : end_at], memoryview(end))
        digests = []
        for part in parts:
            for at in range(0, len(part), CHUNK_BYTES):
                piece = part[at : at + CHUNK_BYTES]
                chunk = hashlib.new(name, b"\xa5" + struct.pack("<I", len(piece)))
                chunk.update(piece)
                digests.append(chunk.digest())
        head = b"\x5a" + struct.pack("<I", len(digests))
        return hashlib.new(name, head + b"".join(digests)).digest()


def _pairs(body: bytes) -> dict[int, bytes]:
    pairs: dict[int, bytes] = {}
    at = 0
    while at < len(body):
        if at + 12 > len(body):
            raise BrokenSignatureError("a pair of the signing block is cut off")
        size, number = struct.unpack_from("<QI", body, at)
        if size < 4 or at + 8 + size > len(body):
            raise BrokenSignatureError("a pair of the signing block has an impossible size")
        pairs.setdefault(number, body[at + 12 : at + 8 + size])
        at += 8 + size
    return pairs


def _number(data: bytes) -> int:
    number: int = struct.unpack_from("<I", data)[0]
    return number


def _prefixed(data: bytes) -> tuple[bytes, bytes]:
    """Return the length-prefixed value at the start, and what follows it."""
    size = _number(data)
    if 4 + size > len(data):
        raise BrokenSignatureError("a length in it is too large")
    return data[4 : 4 + size], data[4 + size :]


def _sequence(data: bytes) -> Iterator[bytes]:
    while data:
        value, data = _prefixed(data)
        yield value
