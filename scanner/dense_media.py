"""How far sounds and films are what they say. Pure."""

import re
import struct

from scanner.dense_build import MOST_PIECES, Told, number

_NOT_ZERO = re.compile(rb"[^\0]")
_KILOBITS = (
    (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
)
"""A second in a frame of MPEG-2 and MPEG-1, layer III."""
_HERTZ = (44_100, 48_000, 32_000)
_FRAMES = 5
_TORN = 4096
"""Bytes between two frames of sound that players skip."""
_STREAMS = (
    b"\x01vorbis", b"OpusHead", b"\x7fFLAC", b"Speex   ", b"\x80theora", b"fishead\0", b"BBCD\0",
)  # fmt: skip
_FLAC_FRAME = 1 << 16
"""Bytes that a frame of FLAC has at most, unless the file says."""
_FILM = (
    b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"udta", b"uuid", b"meta", b"moof",
    b"mfra", b"sidx", b"styp", b"emsg", b"pdin", b"prft", b"ssix", b"pnot",
)  # fmt: skip
_ANY = (b"free", b"skip", b"wide", b"udta", b"uuid", b"pnot")
_SEGMENT, _VOID = 0x18538067, 0xEC
_EBML = {
    0x1A45DFA3, _SEGMENT, 0x114D9B74, 0x1549A966, 0x1654AE6B, 0x1F43B675, 0x1C53BB6B, 0x1254C367,
    0x1941A469, 0x1043A770, _VOID, 0xBF, 0xE7, 0xA3, 0xA0, 0xAB, 0xA7, 0x5854,
}  # fmt: skip
"""Elements of Matroska (RFC 9559) at the top, in a segment and in a cluster of unknown size."""
_CLUSTER = 0x1F43B675
_ATTACHED = (0x1941A469, _VOID)


def riff(data: bytes, at: int, told: Told) -> int:
    """Walk WAVE, AVI and MIDI; samples that are not compressed are not spared."""
    first, end = at, at + 8 + number("<I", data, at + 4)
    if data[at + 8 : at + 12] not in (b"WAVE", b"AVI ", b"RMID"):
        return at
    at, is_packed, heads = at + 12, data[at + 8 : at + 12] == b"AVI ", 0
    for _ in range(MOST_PIECES):
        if at + 8 > min(end, len(data)):
            break
        kind, size = struct.unpack_from("<4sI", data, at)
        if kind == b"fmt ":
            is_packed, heads = number("<H", data, at + 8) not in (1, 3, 0xFFFE), heads + 1
        elif kind == b"LIST" and data[at + 8 : at + 12] == b"hdrl":
            heads += 1
        elif not (kind == b"data" and is_packed) and data[at + 8 : at + 12] != b"movi":
            told.hole(at + 8, min(at + 8 + size, end))
        at += 8 + size + size % 2
    return max(end, at - 1) if heads else first


def ogg(data: bytes, at: int, told: Told) -> int:
    """Walk the pages; the first one names a known kind of stream (RFC 3533)."""
    first = at
    head = at + 27 + data[at + 26]
    if not data.startswith(_STREAMS, head):
        return at
    for _ in range(MOST_PIECES):
        if not data.startswith(b"OggS\0", at):
            return at
        segments = data[at + 26]
        at += 27 + segments + sum(data[at + 27 : at + 27 + segments])
        if at > len(data):  # cut off
            return len(data)
    return first


def mp3(data: bytes, at: int, told: Told) -> int:
    """Walk the frames of sound, with what stands before and behind them."""
    first = at
    if data.startswith(b"ID3", at):
        size = sum((byte & 0x7F) << 7 * (3 - n) for n, byte in enumerate(data[at + 6 : at + 10]))
        _title(data, at + 10, min(at + 10 + size, len(data)), told)
        found = _NOT_ZERO.search(data, at + 10 + size)
        at = found.start() if found else len(data)
    at = _frames(data, at)
    if not at:
        return first
    while torn := _next_frame(data, at):
        told.hole(at, torn)
        at = _frames(data, torn)
    return at


def _title(data: bytes, at: int, end: int, told: Told) -> None:
    """Note what each field of a title holds, a picture from where it begins."""
    is_new = data[at - 7] >= 4
    for _ in range(1000):
        name = data[at : at + 4]
        if at + 10 > end or not name.isalnum():
            break
        if is_new:
            size = sum((byte & 0x7F) << 7 * (3 - n) for n, byte in enumerate(data[at + 4 : at + 8]))
        else:
            size = number(">I", data, at + 4)
        start, last = at + 10, min(at + 10 + size, end)
        found = re.compile(rb"\xff\xd8\xff|\x89PNG").search(data, start, min(start + 512, last))
        told.hole(found.start() if found else start, last)
        at = last
    told.hole(at, end)


def _frames(data: bytes, at: int) -> int:
    """Return where the frames that begin at *at* end; 0: there are fewer than five."""
    for count in range(len(data)):
        size = _frame(data, at) if at + 4 <= len(data) else 0
        if not size:
            return at if count >= _FRAMES else 0
        if at + size > len(data):  # cut off
            return len(data) if count >= _FRAMES else 0
        at += size
    return at


def _next_frame(data: bytes, at: int) -> int:
    """Return where frames go on behind bytes that players skip; 0: nowhere near."""
    end = min(len(data), at + _TORN)
    while (at := data.find(b"\xff", at + 1, end)) >= 0:
        if _frames(data, at) > at:
            return at
    return 0


def _frame(data: bytes, at: int) -> int:
    """Return the length of one frame of sound; 0: there is none."""
    head = number(">I", data, at)
    version, layer, rate, tone = head >> 19 & 3, head >> 17 & 3, head >> 12 & 15, head >> 10 & 3
    if head >> 21 != 0x7FF or version == 1 or layer != 1 or not 0 < rate < 15 or tone == 3:
        return 0
    hertz = _HERTZ[tone] // {3: 1, 2: 2, 0: 4}[version]
    samples = 144_000 if version == 3 else 72_000
    return samples * _KILOBITS[version == 3][rate - 1] // hertz + (head >> 9 & 1)


def flac(data: bytes, at: int, told: Told) -> int:
    """Walk the blocks before the sound, then from frame to frame, which begin alike (RFC 9639)."""
    first, at, is_last = at, at + 4, False
    while not is_last:
        head = number(">I", data, at)
        is_last, kind, size = bool(head >> 31), head >> 24 & 0x7F, head & 0xFFFFFF
        if kind > 6 or (at == first + 4 and (kind, size) != (0, 34)):
            return first
        if kind:
            found = re.compile(rb"\xff\xd8\xff|\x89PNG").search(data, at, at + 512)
            told.hole(found.start() if found else at + 4, at + 4 + size)
        at += 4 + size
    sync = data[at : at + 3]
    if sync[:1] != b"\xff" or sync[1] & 0xFE != 0xF8:
        return first
    most = int.from_bytes(data[first + 15 : first + 18]) or _FLAC_FRAME
    while (found_at := data.find(sync, at + 3, at + most + 3)) >= 0:
        at = found_at
    return min(len(data), at + most)


def boxes(data: bytes, at: int, told: Told) -> int:
    """Walk the boxes of MPEG-4, which must hold the description of what they carry."""
    first, is_told = at, False
    for _ in range(MOST_PIECES):
        if at + 8 > len(data):
            break
        size, kind = struct.unpack_from(">I4s", data, at)
        head = 8
        if size == 1:
            head, size = 16, number(">Q", data, at + 8)
        size = size or len(data) - at
        if size < head or kind not in _FILM:
            break
        is_told |= kind in (b"moov", b"moof", b"meta")
        if kind in _ANY:
            told.hole(at + head, min(at + size, len(data)))
        at += size
    return at if is_told else first


def matroska(data: bytes, at: int, told: Told) -> int:
    """Walk the elements of Matroska and WebM."""
    first, kinds = at, set()
    for _ in range(MOST_PIECES):
        if at >= len(data):
            break
        wide = 9 - data[at].bit_length()
        kind = int.from_bytes(data[at : at + wide])
        long = 9 - data[at + wide].bit_length()
        start = at + wide + long
        size = int.from_bytes(data[at + wide : start]) & (1 << 7 * long) - 1
        if wide > 4 or long > 8 or kind not in _EBML:
            break
        kinds.add(kind)
        if kind == _SEGMENT or (kind == _CLUSTER and size == (1 << 7 * long) - 1):
            size = 0  # what it holds comes next
        if kind in _ATTACHED:
            told.hole(start, min(start + size, len(data)))
        at = start + size
    return at if {_SEGMENT, 0x1654AE6B, _CLUSTER} <= kinds else first
