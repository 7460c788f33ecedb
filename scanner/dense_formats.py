"""How far data is what its first bytes say: a picture, a sound, a font, compressed data. Pure.

Such data is as dense as encrypted data, so it must be told from that by its build. What only begins
like it, what stands behind its end, and what its build has room for without a meaning is not
spared.
"""

import struct
from typing import NamedTuple

from scanner import dense_archives, dense_documents, dense_media, dense_pictures, dense_textures
from scanner.dense_build import Measure, Told

MOST_IN_A_ROW = 20
"""Files behind each other in one."""


class Explained(NamedTuple):
    """What of some data is what its first bytes say."""

    end: int
    """Where it ends, other such files behind it included; 0: nothing is."""
    holes: list[tuple[int, int]]
    """(start, end) of what is not explained before that."""
    is_unsure: bool
    """Whether some of it is believed that nobody can count out."""


def explained(data: bytes) -> Explained:
    """Return how far *data* is what it says."""
    at, told = 0, Told()
    for _ in range(MOST_IN_A_ROW):
        if at == len(data):
            break
        end, found = _measured(data, at)
        if end <= at or end > len(data) + 1:  # some forget the last byte, of padding
            break
        told.holes += found.holes
        told.is_unsure |= found.is_unsure
        at = min(end, len(data))
    return Explained(at, told.holes, told.is_unsure)


def end_of(data: bytes) -> int:
    """Return where what *data* begins with ends, other such files behind it included; 0: nothing.

    The length of *data* means: all of it is what it says, but for holes.
    """
    return explained(data).end


def _measured(data: bytes, at: int) -> tuple[int, Told]:
    best = at, Told()
    for measure in _measures(data, at):
        told = Told()
        try:
            end = measure(data, at, told)
        except (struct.error, IndexError):  # it ends before its build does
            continue
        best = max(best, (end, told), key=lambda one: one[0])
    return best


def _measures(data: bytes, at: int) -> list[Measure]:
    if data[at + 4 : at + 8] == b"TFL3":
        return [dense_documents.tflite]
    if data[at + 4 : at + 8] in _BOXES:
        return [dense_media.boxes]
    if data[at : at + 2] not in _BEGINNINGS:  # most entries
        return []
    return [measure for head, measure in _MEASURES if data.startswith(head, at)]


_BOXES = (b"ftyp", b"moov", b"mdat")
_MEASURES: tuple[tuple[bytes, Measure], ...] = (
    (b"\x89PNG\r\n\x1a\n", dense_pictures.png),
    (b"\xff\xd8\xff", dense_pictures.jpeg),
    (b"GIF8", dense_pictures.gif),
    (b"RIFF", dense_pictures.webp),
    (b"RIFF", dense_media.riff),
    (b"OggS", dense_media.ogg),
    (b"ID3", dense_media.mp3),
    (b"\xff\xfb", dense_media.mp3),
    (b"\xff\xf3", dense_media.mp3),
    (b"fLaC", dense_media.flac),
    (b"PK\x05\x06", dense_archives.empty_zip),
    (b"\x1f\x8b", dense_archives.inflated),
    (b"BZh", dense_archives.bzip2),
    (b"\xfd7zXZ", dense_archives.xz),
    (b"\x28\xb5\x2f\xfd", dense_archives.zstandard),
    (b"7z\xbc\xaf\x27\x1c", dense_archives.seven_zip),
    (b"Rar!\x1a\x07", dense_archives.rar),
    (b"\x04\x22\x4d\x18", dense_archives.lz4),
    (b"wOFF", dense_documents.woff),
    (b"wOF2", dense_documents.woff_2),
    (b"glTF", dense_documents.gltf),
    (b"%PDF", dense_documents.pdf),
    (b"\x00\x00\x01\x00", dense_pictures.icon),
    (b"\x1aE\xdf\xa3", dense_media.matroska),
    (b"\xabKTX", dense_textures.ktx),
    (b"PVR\x03", dense_textures.pvr),
    (b"DDS ", dense_textures.dds),
    (b"\x13\xab\xa1\x5c", dense_textures.astc),
    (b"UnityFS\0", dense_archives.unity),
)
_BEGINNINGS = frozenset(head[:2] for head, _ in _MEASURES)
