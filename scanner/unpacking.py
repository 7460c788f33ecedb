"""Decompress one entry within the limits, whatever its sizes and method claim."""

import zlib
from typing import NamedTuple

from scanner.limits import Limits
from scanner.zip_records import DEFLATED, STORED, Buffer, Record

GZIP = b"\x1f\x8b\x08"
_MEMBERS = 1000
_PIECE = 64 * 1024
_SMALL_PIECE = 4 * 1024


class Unpacked(NamedTuple):
    """What came out of an entry, and how far it can be believed."""

    data: bytes
    used_bytes: int
    """Packed bytes that it took."""
    damage: str = ""
    """Why the data is not whole; empty: it is."""
    is_too_large: bool = False


def unpack(data: Buffer, record: Record, start: int, room: int, limits: Limits) -> list[Unpacked]:
    """Return what the entry at *start* can be: first what its method says, then any other reading.

    *room* is how many bytes may still come out. Never empty.
    """
    cap = max(0, min(room, limits.entry_bytes))
    if record.method == STORED:
        return [_stored(data, record, start, cap)]
    inflated = _inflate(data, start, record.packed_bytes, cap, limits)
    if record.method == DEFLATED and (not inflated.damage or inflated.is_too_large):
        return [inflated]
    stored = _stored(data, record, start, cap)
    if record.method == DEFLATED or _is_as_told(inflated, record):
        return [inflated, stored]
    # Android reads an unknown method as stored. A manifest begins with 03 00, which is a whole
    # deflate stream of nothing: that a stream ends well says little.
    return [stored, inflated] if inflated.data else [stored]


def _is_as_told(inflated: Unpacked, record: Record) -> bool:
    told = record.packed_bytes, record.size_bytes
    return not inflated.damage and (inflated.used_bytes, len(inflated.data)) == told


def inflate_alone(data: Buffer, start: int, cap: int, limits: Limits) -> Unpacked:
    """Return the deflate stream at *start*, of a length that nobody tells."""
    return _inflate(data, start, _PIECE, cap, limits)


def gunzip(data: bytes, cap: int) -> Unpacked:
    """Return what the gzip members at the start of *data* (RFC 1952) hold, one behind the other."""
    out: list[bytes] = []
    produced, rest = 0, data
    while rest[:3] == GZIP and produced <= cap and len(out) < _MEMBERS:
        stream = zlib.decompressobj(16 + zlib.MAX_WBITS)
        try:
            out.append(stream.decompress(rest, cap - produced + 1))
        except zlib.error as error:
            return Unpacked(b"".join(out), 0, f"its compressed data is damaged ({error})")
        produced += len(out[-1])
        rest = stream.unused_data
    damage = "it is larger than the limits" if produced > cap or rest[:3] == GZIP else ""
    return Unpacked(b"".join(out)[:cap], len(data) - len(rest), damage, bool(damage))


def _stored(data: Buffer, record: Record, start: int, cap: int) -> Unpacked:
    asked = record.packed_bytes
    if record.size_bytes > asked and start + record.size_bytes <= len(data):
        asked = record.size_bytes
    if asked > cap:
        return Unpacked(data[start : start + cap], cap, "it is larger than the limits", True)
    body = data[start : start + asked]
    return Unpacked(body, len(body), "the file ends before it" if len(body) < asked else "")


def _inflate(data: Buffer, start: int, packed: int, cap: int, limits: Limits) -> Unpacked:
    """Inflate at most *cap* bytes; when *packed* is too small, go on until the stream ends."""
    stream = zlib.decompressobj(-zlib.MAX_WBITS)
    out: list[bytes] = []
    produced, fed = 0, min(packed, max(0, len(data) - start))
    pending = data[start : start + fed]
    while True:
        step = min(cap - produced, limits.ratio_free_bytes) + 1
        try:
            piece = stream.decompress(pending, step)
        except zlib.error as error:
            return _as_far_as_possible(data, start, cap, str(error))
        out.append(piece)
        produced += len(piece)
        pending = stream.unconsumed_tail
        used = fed - len(pending) - len(stream.unused_data)
        if stream.eof:
            return Unpacked(_joined(out), used)
        if produced > cap or _is_bomb(produced, used, limits):
            return Unpacked(_joined(out), used, "it is larger than the limits", True)
        if not pending:
            pending = data[start + fed : start + fed + _PIECE]
            fed += len(pending)
            if not pending:
                return Unpacked(_joined(out), used, "the compressed data ends too early")


def _joined(pieces: list[bytes]) -> bytes:
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _is_bomb(produced: int, used: int, limits: Limits) -> bool:
    return produced > limits.ratio_free_bytes and produced > limits.ratio * max(used, 1)


def _as_far_as_possible(data: Buffer, start: int, cap: int, why: str) -> Unpacked:
    """Inflate in small pieces until the error; zlib throws a whole piece away at an error."""
    stream = zlib.decompressobj(-zlib.MAX_WBITS)
    out: list[bytes] = []
    produced, at = 0, start
    while produced < cap and at < len(data):
        try:
            piece = stream.decompress(data[at : at + _SMALL_PIECE], cap - produced)
        except zlib.error:
            break
        out.append(piece)
        produced += len(piece)
        at += _SMALL_PIECE
    return Unpacked(b"".join(out), at - start, f"its compressed data is damaged ({why})")
