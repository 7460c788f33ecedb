"""What hides its code is recognised by how it is built, whatever it is called."""

import bz2
import gzip
import io
import lzma
import random
import struct
import zipfile
import zlib
from base64 import b64encode, encodebytes, urlsafe_b64encode
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from string import ascii_uppercase

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scanner.app_code import AppCode
from scanner.app_traits import is_payload
from scanner.dense_formats import end_of
from scanner.evidence import Evidence
from scanner.limits import DEFAULT
from tests.scanner.conftest import Scan, rules_of
from tests.scanner.raw_zip import Entry, Zip
from tests.scanner.samples.sample import (
    DISGUISED,
    PLAIN,
    Sample,
    build,
    manifest,
    read_pair,
    read_sample,
)
from tests.scanner.samples.scope import Style
from tests.scanner.sign_apk import File
from tests.scanner.test_container import archive

SECRET = random.Random(1).randbytes(20_000)
PICTURE = (
    b"\x89PNG\r\n\x1a\n"
    + struct.pack(">I", len(zlib.compress(SECRET)))
    + b"IDAT"
    + zlib.compress(SECRET)
    + bytes(8)
    + b"IEND"
    + bytes(4)
)
LOADER = read_sample("""
@launcher
class Main(Activity):
    def onCreate(self, state):
        super().onCreate(state)
        content = array(byte, 4096)
        self.getAssets().open("data.bin").read(content)
        loader = InMemoryDexClassLoader(ByteBuffer.wrap(content), self.getClassLoader())
        loader.loadClass("Start").newInstance()
""")
SERVICE = "@service\nclass Gone{}(Service):\n    pass\n"
STYLES = pytest.mark.parametrize("style", [PLAIN, DISGUISED], ids=["plain", "disguised"])


def with_missing(sample: Sample, number: int, style: Style) -> bytes:
    """Build *sample* with that many components that have no class in the file."""
    names = "".join(SERVICE.format(n) for n in range(number))
    manifest = archive_entry(build(read_sample(names, sample), style), "AndroidManifest.xml")
    code = archive_entry(build(sample, style), "classes.dex")
    return archive({"AndroidManifest.xml": manifest, "classes.dex": code, **sample.files})


def archive_entry(apk: bytes, name: str) -> bytes:
    with zipfile.ZipFile(io.BytesIO(apk)) as opened:
        return opened.read(name)


@STYLES
def test_an_app_whose_real_code_is_encrypted_says_so_and_is_never_clean(
    style: Style, scan_here: Scan
) -> None:
    packed = replace(LOADER, files={"assets/data.bin": SECRET})

    result = scan_here(with_missing(packed, 4, style))

    assert {"loads_code", "missing_code", "encrypted_payload"} <= {*result["features"]["traits"]}
    assert "hidden_code" in rules_of(result)
    assert any("encrypted" in reason for reason in result["skipped"])


@STYLES
@pytest.mark.parametrize(
    ("files", "missing"),
    [
        ({"assets/data.bin": SECRET}, 0),
        ({"assets/data.bin": SECRET}, 1),
        ({"assets/data.bin": zlib.compress(SECRET * 2)[:9_000] + bytes(9_000)}, 4),
        ({"assets/picture.png": PICTURE}, 4),
    ],
    ids=["all classes there", "one is missing", "no random bytes", "a picture"],
)
def test_one_sign_alone_is_no_hidden_code(
    files: dict[str, bytes], missing: int, style: Style, scan_here: Scan
) -> None:
    result = scan_here(with_missing(replace(LOADER, files=files), missing, style))

    assert "hidden_code" not in rules_of(result)
    assert result["skipped"] == []


@STYLES
def test_code_that_lies_readable_in_another_file_is_seen(style: Style, scan_here: Scan) -> None:
    hidden = read_sample("".join(SERVICE.format(n) for n in range(2)))
    inside = archive_entry(build(hidden, style), "classes.dex")
    carrier = replace(LOADER, files={"assets/data.bin": SECRET, "assets/part.dex": inside})

    result = scan_here(with_missing(carrier, 2, style))

    assert "missing_code" not in result["features"]["traits"]
    assert "nested_app" in result["features"]["traits"]


def test_an_application_class_that_loads_code_is_a_stub(scan_here: Scan) -> None:
    text = """
application(name="org.example.sample.First")
class First(Application):
    def onCreate(self):
        super().onCreate()
        loader = DexClassLoader("a", "b", None, self.getClassLoader())
"""

    traits = scan_here(build(read_sample(text)))["features"]["traits"]

    assert {"loads_code", "stub_application"} <= {*traits}


def test_decoys_with_classes_do_not_hide_that_the_first_screen_is_missing(scan_here: Scan) -> None:
    decoys = read_sample("".join(f"@service\nclass A{n}(Service):\n    pass\n" for n in range(60)))
    icon = read_sample("@launcher\nclass Gone(Activity):\n    pass\n", decoys)
    apk = build(replace(decoys, files={"assets/data.bin": SECRET}))
    files = {name: archive_entry(apk, name) for name in ("classes.dex", "assets/data.bin")}

    def traits(sample: Sample) -> set[str]:
        data = archive({"AndroidManifest.xml": manifest(sample), **files})
        return {*scan_here(data)["features"]["traits"]}

    assert "missing_code" in traits(icon)
    assert "missing_code" not in traits(decoys)


def test_a_class_of_android_is_not_missed_in_the_file() -> None:
    """Games start in `NativeActivity`, which no app brings with it."""
    code, native = AppCode(Evidence(DEFAULT)), "Landroid/app/NativeActivity;"
    code.references([])
    assert code.traits("", [native], [native]) == []
    assert "missing_code" in code.traits("", [native, "Lorg/example/Gone;"], ["Lorg/example/Gone;"])


def test_a_scan_is_late_before_the_limit_of_processor_time_ends_it() -> None:
    assert not Evidence(DEFAULT).is_late()
    assert Evidence(DEFAULT._replace(cpu_seconds=0)).is_late()


def test_forty_decoys_first_do_not_hide_that_most_classes_are_missing(scan_here: Scan) -> None:
    decoys = read_sample("".join(f"@service\nclass A{n}(Service):\n    pass\n" for n in range(45)))
    gone = read_sample("".join(f"@service\nclass B{n}(Service):\n    pass\n" for n in range(60)))
    whole = replace(decoys, classes={**decoys.classes, **gone.classes})
    code = archive_entry(build(decoys), "classes.dex")

    result = scan_here(archive({"AndroidManifest.xml": manifest(whole), "classes.dex": code}))

    assert "missing_code" in result["features"]["traits"]


# What is dense, and why.


def png(*chunks: tuple[bytes, bytes]) -> bytes:
    body = b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + body


def frame(chosen: random.Random) -> bytes:
    """Return a frame of MPEG-1, layer III, 128 kbit/s, 44,100 Hz."""
    return b"\xff\xfb\x90\x00" + chosen.randbytes(413)


def page(chosen: random.Random) -> bytes:
    return (
        b"OggS\0\2".ljust(26, b"\0") + b"\1\x1e" + b"\1vorbis".ljust(30, b"\0")
        + b"OggS\0".ljust(26, b"\0") + b"\xff" + b"\xff" * 255 + chosen.randbytes(255 * 255)
    )  # fmt: skip


def scan_data(chosen: random.Random, size: int) -> bytes:
    """Return what a JPEG has behind SOS: bytes 0xFF only with a zero behind them."""
    return chosen.randbytes(size).replace(b"\xff", b"\xff\x00")


def element(kind: int, body: bytes) -> bytes:
    """Return an element of Matroska."""
    return kind.to_bytes(4) + (1 << 28 | len(body)).to_bytes(4) + body


def lumps(data: bytes) -> bytes:
    """Return *data* in the small blocks of GIF."""
    pieces = (data[at : at + 255] for at in range(0, len(data), 255))
    return b"".join(bytes([len(piece)]) + piece for piece in pieces) + b"\0"


def gif(width: int, height: int, blocks: bytes, extra: bytes = b"") -> bytes:
    size = struct.pack("<HH", width, height)
    return b"GIF89a" + size + bytes(3) + extra + b"," + bytes(4) + size + b"\0\x08" + blocks + b";"


def seven_zip(noise: bytes) -> bytes:
    start = struct.pack("<QQI", len(noise) - 100, 100, zlib.crc32(noise[-100:]))
    return b"7z\xbc\xaf\x27\x1c\0\4" + struct.pack("<I", zlib.crc32(start)) + start + noise


def pdf(noise: bytes) -> bytes:
    body = b"%PDF-1.4\n1 0 obj <</Length 40000>>\nstream\n" + noise + b"\nendstream endobj\n"
    return body + b"xref\n0 1\ntrailer <<>>\nstartxref\n" + str(len(body)).encode() + b"\n%%EOF"


def rar_block(body: bytes) -> bytes:
    whole = bytes([len(body)]) + body
    return struct.pack("<I", zlib.crc32(whole)) + whole


def dds(name: bytes, width: int, height: int) -> bytes:
    head = b"DDS " + struct.pack("<7I", 124, 0x1007, height, width, 0, 0, 1)
    return head.ljust(76, b"\0") + struct.pack("<II4s", 32, 4, name).ljust(52, b"\0")


def tflite(noise: bytes) -> bytes:
    """Return a model with one buffer, and nothing else."""
    table = struct.pack("<HHHHHHH", 14, 12, 8, 0, 0, 0, 4)
    # 8: table of fields, 24: the model, 36: the list of buffers, 48: their fields, 56: a buffer
    model = struct.pack("<iII", 16, 8, 3)
    return (
        struct.pack("<I", 24) + b"TFL3" + table.ljust(16, b"\0") + model
        + struct.pack("<II", 1, 16) + bytes(4) + struct.pack("<HHHH", 6, 8, 4, 0)
        + struct.pack("<iII", 8, 4, len(noise)) + noise
    )  # fmt: skip


def dense(name: str, chosen: random.Random) -> bytes:
    """Return a file of that kind, whole and dense."""
    noise = chosen.randbytes(40_000)
    head = struct.pack(">IIBBBBB", 100, 100, 8, 2, 0, 0, 0)
    words = " ".join(chosen.choices(["alpha", "beta", "gamma", "x9", "(", "{"], k=80_000)).encode()
    makers: dict[str, Callable[[], bytes]] = {
        "png": lambda: png((b"IHDR", head), (b"IDAT", zlib.compress(noise)), (b"IEND", b"")),
        "jpeg": lambda: (
            b"\xff\xd8\xff\xe0\x00\x10JFIF".ljust(20, b"\0") + b"\xff\xc0\0\x11\x08\0\xa0\0\xa0\3"
            + bytes(9) + b"\xff\xda\x00\x02"
            + scan_data(chosen, 40_000) + b"\xff\xd9"
        ),
        "webp": lambda: (
            b"RIFF" + struct.pack("<I", 40_018) + b"WEBPVP8 " + struct.pack("<I", 40_006)
            + b"\0\0\0\x9d\1\x2a" + noise
        ),
        "ogg": lambda: page(chosen),
        "mp3": lambda: b"".join(frame(chosen) for _ in range(100)),
        "mp3 with a title": lambda: (
            b"ID3\x03\0\0\0\0\0\x0a" + b"x" * 10 + b"".join(frame(chosen) for _ in range(100))
        ),
        "mp4": lambda: struct.pack(">I4s", 16, b"ftyp") + b"isom\0\0\0\0" + struct.pack(
            ">I4sI4s", 8, b"moov", 8 + len(noise), b"mdat"
        ) + noise,
        "gzip": lambda: gzip.compress(words, mtime=0),
        "bzip2": lambda: bz2.compress(words),
        "xz": lambda: lzma.compress(words),
        "woff2": lambda: (
            b"wOF2\0\1\0\0" + struct.pack(">IHHII", 40_052, 2, 0, 90_000, 40_000) + bytes(24)
            + b"\1\x20\0\x20" + noise
        ),
        "glb": lambda: (
            b"glTF" + struct.pack("<IIII", 2, 40_068, 40, 0x4E4F534A)
            + b'{"asset":{},"bufferViews":[]}'.ljust(40)
            + struct.pack("<I4s", 40_000, b"BIN\0") + noise
        ),
        "7z": lambda: seven_zip(noise),
        "zstandard": lambda: (
            b"\x28\xb5\x2f\xfd\x00\x58" + (len(noise) << 3 | 5).to_bytes(3, "little") + noise
        ),
        "lz4": lambda: (
            b"\x04\x22\x4d\x18\x40\x70\x00"
            + struct.pack("<I", len(noise)) + noise + b"\0" * 4
        ),
        "icon": lambda: (
            b"\0\0\1\0\1\0" + b"\0" * 8 + struct.pack("<II", len(PICTURE), 22) + PICTURE
        ),
        "webm": lambda: (
            b"\x1aE\xdf\xa3\x87\x42\x82\x84webm" + element(
                0x18538067, element(0x1654AE6B, b"track") + element(0x1F43B675, noise)
            )
        ),
        "gif": lambda: gif(200, 200, lumps(noise)),
        "flac": lambda: (
            b"fLaC\x80\0\0\x22" + bytes(7) + (8_004).to_bytes(3) + bytes(24)
            + b"".join(b"\xff\xf8\xc9\x08" + chosen.randbytes(8_000) for _ in range(5))
        ),
        "pdf": lambda: pdf(noise),
        "rar": lambda: (
            b"Rar!\x1a\7\1\0" + rar_block(b"\2\2" + b"\xc0\xb8\2") + noise + rar_block(b"\5\0\0")
        ),
        "astc": lambda: b"\x13\xab\xa1\x5c\x04\x04\1\xc8\0\0\xc8\0\0\1\0\0" + bytes(
            byte | 1 if not at % 16 else byte for at, byte in enumerate(noise)
        ),
        "pvr": lambda: (
            b"PVR\3" + struct.pack("<12I", 0, 23, 0, 0, 0, 200, 200, 1, 1, 1, 1, 0) + noise
        ),
        "dds": lambda: dds(b"DXT5", 200, 200) + noise,
        "ktx": lambda: (
            b"\xabKTX 11\xbb\r\n\x1a\n" + struct.pack(
                "<14I", 0x04030201, 0, 1, 0, 0x9278, 0x1908, 200, 200, 0, 0, 1, 1, 0, 40_000
            ) + noise
        ),
        "tflite": lambda: tflite(noise),
    }  # fmt: skip
    return makers[name]()


KINDS = [
    "png", "jpeg", "webp", "ogg", "mp3", "mp3 with a title", "mp4", "gzip", "bzip2", "xz", "woff2",
    "glb", "7z", "zstandard", "lz4", "icon", "webm", "gif", "flac", "pdf", "rar", "astc", "pvr",
    "dds", "ktx", "tflite",
]  # fmt: skip
TEXTS = {"pdf", "tflite"}
"""Kinds that are read from their end, or to it."""


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_dense_by_its_build_is_no_payload_what_only_begins_so_is(kind: str) -> None:
    chosen = random.Random(kind)
    data, secret = dense(kind, chosen), chosen.randbytes(40_000)

    assert len(data) > 15_000
    assert end_of(data) == len(data)
    assert not is_payload(data)
    for head in (4, 8):
        assert is_payload(data[:head] + secret)
    assert is_payload(data + secret)
    if kind not in TEXTS:
        assert end_of(data + secret) == len(data)


@cache
def beginning(kind: str) -> bytes:
    return dense(kind, random.Random(1))[:20_000]


@settings(deadline=None)
@given(st.sampled_from(KINDS), st.integers(0, 400), st.integers(0, 2**32))
def test_a_damaged_file_of_any_kind_is_measured(kind: str, at: int, value: int) -> None:
    data = bytearray(beginning(kind))
    data[at : at + 4] = value.to_bytes(5, "little")[:4]

    assert 0 <= end_of(bytes(data)) <= len(data)


@pytest.mark.parametrize("seed", range(20))
def test_random_bytes_are_told_from_compressed_ones(seed: int) -> None:
    chosen = random.Random(seed)
    words = " ".join(chosen.choices(["alpha", "beta", "gamma", "x9", "(", "{"], k=80_000))
    compressed = zlib.compress(words.encode())

    assert is_payload(chosen.randbytes(17_000))
    assert not is_payload(words.encode())
    assert not is_payload(compressed)
    assert not is_payload(gzip.compress(words.encode()))
    assert not is_payload(chosen.randbytes(9_000))


@pytest.mark.parametrize("encode", [b64encode, encodebytes, urlsafe_b64encode])
def test_a_payload_in_base64_is_one(encode: Callable[[bytes], bytes]) -> None:
    assert is_payload(encode(random.Random(1).randbytes(20_000)))
    assert not is_payload(encode(dense("png", random.Random(2))))
    assert not is_payload(encode(b"words of a language " * 2_000))


@STYLES
def test_code_in_base64_is_read_like_code_in_a_file(style: Style, scan_here: Scan) -> None:
    spy = read_pair("sms_forwarder").sample
    code = archive_entry(build(spy, style), "classes.dex")
    files = {"AndroidManifest.xml": manifest(spy, style), "assets/a.txt": encodebytes(code)}

    result = scan_here(archive(files))

    assert "sms_forwarder" in rules_of(result)
    assert "nested_app" in result["features"]["traits"]


def outside(place: str, code: bytes, entries: list[Entry]) -> bytes:
    """Return an archive with *code* in no entry."""
    if place == "appended":
        return Zip(entries=entries, tail=code).bytes()
    if place == "in a gap":
        return Zip(entries=[replace(entries[0], after=code), *entries[1:]]).bytes()
    file = File.of(Zip(entries=entries).bytes())
    return File(file.entries, file.directory, file.end, [(0x1234, code)]).bytes()


@pytest.mark.parametrize("place", ["appended", "in a gap", "in the signing block"])
def test_code_outside_the_entries_is_read_and_told(place: str, scan_here: Scan) -> None:
    spy = read_pair("sms_forwarder").sample
    code = archive_entry(build(spy), "classes.dex")
    entries = [Entry(name=b"AndroidManifest.xml", body=manifest(spy)), Entry(name=b"a", body=b"b")]

    result = scan_here(outside(place, b"some bytes" + code, entries))

    assert {"sms_forwarder", "container_code_outside"} <= rules_of(result)
    assert "nested_app" in result["features"]["traits"]
    assert "container_code_outside" not in rules_of(scan_here(outside(place, b"dex\n035", entries)))


# Notes about code.


def test_what_code_does_to_stay_unread_is_told_with_its_places(scan_here: Scan) -> None:
    sample = read_sample("""
@launcher
class Main(Activity):
    def onCreate(self, state):
        super().onCreate(state)
        System.loadLibrary("a")
        Class.forName("b").getMethod("c", None).invoke(None, None)
        DexClassLoader("a", "b", None, self.getClassLoader())
""")

    found = {one["rule"]: one for one in scan_here(build(sample))["findings"]}

    for rule, call in {
        "trait_reflection": "Ljava/lang/reflect/Method;->invoke",
        "trait_loads_code": "Ldalvik/system/DexClassLoader;-><init>",
        "trait_loads_native": "Ljava/lang/System;->loadLibrary",
    }.items():
        assert found[rule]["severity"] == "note"
        assert found[rule]["where"].startswith("classes.dex at 0x")
        assert f"Lorg/example/sample/Main;->onCreate uses {call}" in found[rule]["evidence"]


def test_replaced_names_are_told(scan_here: Scan) -> None:
    def app(name: str) -> bytes:
        classes = (f"class {name}{letter}(Object):\n    pass\n" for letter in ascii_uppercase)
        return build(read_sample("".join(classes)))

    assert "trait_renamed" in rules_of(scan_here(app("A")))
    assert "trait_renamed" not in rules_of(scan_here(app("Screen")))
