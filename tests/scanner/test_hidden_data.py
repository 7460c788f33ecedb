"""Encrypted data behind a known head, in the room that a format leaves, or in odd Base64."""

import gzip
import json
import random
import struct
import sysconfig
import zlib
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable
from pathlib import Path

import pytest

from scanner.app_traits import density, hidden_code, is_payload
from scanner.base64_text import code_in
from scanner.dense_formats import _MEASURES, end_of
from tests.scanner.conftest import Scan, rules_of
from tests.scanner.samples.sample import build, manifest, read_pair
from tests.scanner.test_app_traits import archive_entry, dds, dense, element, gif, lumps, png
from tests.scanner.test_container import archive

SECRET = random.Random(7).randbytes(40_000)


@pytest.mark.parametrize("head", sorted({head for head, _ in _MEASURES} | {b"\x1c\0\0\0TFL3"}))
def test_no_head_alone_hides_encrypted_data(head: bytes) -> None:
    assert is_payload(head + SECRET)
    assert is_payload(head.ljust(16, b"\0") + SECRET)


def with_chunk(kind: bytes) -> bytes:
    head = struct.pack(">IIBBBBB", 9, 9, 8, 2, 0, 0, 0)
    return png((b"IHDR", head), (kind, SECRET), (b"IDAT", zlib.compress(b"x")), (b"IEND", b""))


def film(kind: bytes) -> bytes:
    box = struct.pack(">I4s", 8 + len(SECRET), kind) + SECRET
    return struct.pack(">I4s4s", 12, b"ftyp", b"isom") + struct.pack(">I4s", 8, b"moov") + box


def segments() -> bytes:
    """Return a JPEG with the data in many small segments before the picture."""
    picture = dense("jpeg", random.Random(1))
    pieces = (SECRET[at : at + 9_000] for at in range(0, len(SECRET), 9_000))
    held = b"".join(b"\xff\xe5" + struct.pack(">H", 2 + len(piece)) + piece for piece in pieces)
    return picture[:2] + held + picture[2:]


IN_ROOM: dict[str, Callable[[], bytes]] = {
    "a chunk of PNG": lambda: with_chunk(b"prVt"),
    "PNG that does not unpack": lambda: with_chunk(b"IDAT"),
    "segments of JPEG": segments,
    "a JPEG too large for its picture": lambda: dense("jpeg", random.Random(1)).replace(
        b"\0\xa0\0\xa0", b"\0\x08\0\x08"
    ),
    "comments of GIF": lambda: gif(2, 2, lumps(b"x"), extra=b"!\xfe" + lumps(SECRET)),
    "a GIF too large for its picture": lambda: gif(9, 9, lumps(SECRET)),
    "samples of WAVE": lambda: b"RIFF" + struct.pack("<I", 40_036) + b"WAVEfmt " + struct.pack(
        "<IHHIIHHI4sI", 16, 1, 1, 8_000, 8_000, 1, 8, 0, b"data", 40_000
    )[:20] + struct.pack("<4sI", b"data", 40_000) + SECRET,
    "a title of MP3": lambda: b"ID3\3\0\0\0\2\x38\x4a" + b"PRIV" + struct.pack(">IH", 40_000, 0)
    + SECRET + dense("mp3", random.Random(1)),
    "room in MPEG-4": lambda: film(b"free"),
    "MPEG-4 that describes nothing": lambda: film(b"mdat").replace(b"moov", b"free"),
    "room in Matroska": lambda: b"\x1aE\xdf\xa3\x80" + element(
        0x18538067,
        element(0x1654AE6B, b"t") + element(0x1F43B675, b"c")
        + b"\xec" + (1 << 28 | 40_000).to_bytes(4) + SECRET,
    ),
    "a stored block of zstandard": lambda: b"\x28\xb5\x2f\xfd\x00\x58"
    + (40_000 << 3 | 1).to_bytes(3, "little") + SECRET,
    "a stored block of LZ4": lambda: b"\x04\x22\x4d\x18\x40\x70\x00"
    + struct.pack("<I", 40_000 | 1 << 31) + SECRET + bytes(4),
    "PDF beside its streams": lambda: b"%PDF-1.4\n1 0 obj\n" + SECRET
    + b"xref\n0 1\nstartxref\n40017\n%%EOF",
    "meta data of PVR": lambda: b"PVR\3" + struct.pack(
        "<12I", 0, 6, 0, 0, 0, 4, 4, 1, 1, 1, 1, 40_000
    ) + SECRET + bytes(8),
    "a small DDS": lambda: dds(b"DXT5", 8, 8) + SECRET,
    "a stored table of a font": lambda: b"wOFF\0\1\0\0" + struct.pack(
        ">IHHI24xIIIII", 40_064, 1, 0, 40_100, 0, 64, 40_000, 40_000, 0
    ) + SECRET,
    "gzip that goes on": lambda: gzip.compress(b"words", mtime=0) + SECRET,
}  # fmt: skip


@pytest.mark.parametrize("where", IN_ROOM)
def test_room_that_a_format_leaves_hides_no_encrypted_data(where: str) -> None:
    assert is_payload(IN_ROOM[where]())


def test_pictures_in_others_are_measured_too() -> None:
    picture = dense("jpeg", random.Random(1))
    field = b"APIC" + struct.pack(">IH", len(picture) + 14, 0) + b"\0image/jpeg\0\3\0" + picture
    size = bytes(len(field) >> 7 * n & 0x7F for n in (3, 2, 1, 0))

    assert not is_payload(b"ID3\3\0\0" + size + field + dense("mp3", random.Random(1)))


def test_real_pictures_are_measured_to_their_end() -> None:
    icons = Path(sysconfig.get_path("stdlib")) / "idlelib" / "Icons"
    if not icons.is_dir():
        pytest.skip("this Python came without IDLE, whose pictures are read")
    pictures = [path for path in icons.iterdir() if path.suffix in (".gif", ".png", ".ico")]

    assert len(pictures) > 10
    assert [path for path in pictures if end_of(path.read_bytes()) != path.stat().st_size] == []


def bundle() -> bytes:
    """Return a bundle of Unity, of which only a length can be read."""
    head = b"UnityFS\0" + struct.pack(">I", 7) + b"5.x.x\x002019.4.1f1\0"
    return head + struct.pack(">QIII", len(head) + 20 + len(SECRET), 60, 91, 0x43) + SECRET


def test_dense_data_that_cannot_be_counted_out_is_told(scan_here: Scan) -> None:
    found = scan_here(archive({"assets/bundle": bundle(), "assets/a.png": with_chunk(b"npTc")}))

    assert [(one["severity"], one["where"]) for one in found["findings"]] == [
        ("note", "assets/bundle")
    ]
    assert rules_of(found) == {"unmeasured_data"}
    assert found["features"]["traits"] == ["unmeasured_data"]


def test_hidden_code_may_stand_in_data_that_nobody_can_measure() -> None:
    told = hidden_code(["missing_code", "loads_code", "unmeasured_data"])

    assert told is not None
    assert "dense data that nobody can measure" in told.evidence
    assert hidden_code(["missing_code", "loads_code", "native_code"]) is None


def lines(text: bytes, blank: bytes, every: int = 76) -> bytes:
    return blank.join(text[at : at + every] for at in range(0, len(text), every))


ODD: dict[str, Callable[[bytes], bytes]] = {
    "plain": b64encode,
    "lines of Windows": lambda body: lines(b64encode(body), b"\r\n"),
    "tabs": lambda body: lines(b64encode(body), b"\n\t\t"),
    "blanks between all letters": lambda body: lines(b64encode(body), b" ", 1),
    "short lines": lambda body: lines(b64encode(body), b"\n", 3),
    "spaces that do not break": lambda body: lines(b64encode(body), "\u00a0".encode()),
    "zero width": lambda body: lines(b64encode(body), "\u200b".encode(), 3),
    "a mark of the order of bytes": lambda body: "\ufeff".encode() + b64encode(body),
    "UTF-16": lambda body: b64encode(body).decode().encode("utf-16"),
    "escapes of JSON": lambda body: lines(b64encode(body), rb"\n"),
    "numbered escapes": lambda body: b64encode(body).replace(b"+", rb"\u002b").replace(
        b"/", rb"\/"
    ),
    "escapes of addresses": lambda body: b64encode(body).replace(b"+", b"%2B").replace(
        b"/", b"%2f"
    ),
    "escapes of XML": lambda body: lines(b64encode(body), b"&#10;"),
    "the alphabet for addresses": urlsafe_b64encode,
    "no padding": lambda body: b64encode(body).rstrip(b"="),
    "a string of JSON": lambda body: json.dumps(["a", 7, b64encode(body).decode()]).encode(),
    "an address with data": lambda body: b"data:application/octet-stream;base64," + b64encode(body),
    "other signs, which Android skips": lambda body: lines(b64encode(body), b".!*"),
}  # fmt: skip


@pytest.mark.parametrize("form", ODD)
def test_an_encrypted_payload_in_base64_of_any_form_is_one(form: str) -> None:
    assert is_payload(ODD[form](SECRET[:20_000]))
    assert not is_payload(ODD[form](b"words of a language " * 2_000))


@pytest.mark.parametrize("form", ODD)
def test_code_in_base64_of_any_form_is_read(form: str, scan_here: Scan) -> None:
    spy = read_pair("sms_forwarder").sample
    code = archive_entry(build(spy), "classes.dex")
    for body in (code, archive({"code": code}), gzip.compress(code, mtime=0)):
        files = {"AndroidManifest.xml": manifest(spy), "assets/a.txt": ODD[form](body)}

        assert "sms_forwarder" in rules_of(scan_here(archive(files)))


def test_a_decoy_before_the_code_hides_nothing(scan_here: Scan) -> None:
    spy = read_pair("sms_forwarder").sample
    code = b64encode(archive_entry(build(spy), "classes.dex"))
    text = b"a: H4sI UEsDBAAA ZGV4Cg== x, b: " + code
    files = {"AndroidManifest.xml": manifest(spy), "assets/a.txt": text}

    assert "sms_forwarder" in rules_of(scan_here(archive(files)))


def test_more_places_than_are_looked_at_are_told(scan_here: Scan) -> None:
    result = scan_here(archive({"assets/a.txt": b"ZGV4CgAA " * 40}))

    assert "more Base64 than is looked at" in " ".join(result["skipped"])
    assert [*code_in(b"words of a language " * 2_000)] == []


def test_an_honest_picture_in_a_page_is_no_payload() -> None:
    picture = b64encode(dense("png", random.Random(3)))

    assert density(b'<img src="data:image/png;base64,' + picture + b'">') == ""
