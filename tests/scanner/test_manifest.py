"""The manifest reader agrees with aapt and survives what is built to mislead it."""

import struct
import subprocess
import zipfile
from pathlib import Path

import pytest

from scanner.binary_xml import MAXIMUM_ELEMENTS
from scanner.chunks import BrokenChunkError
from scanner.manifest import Manifest
from scanner.manifest_reader import read_manifest
from scanner.manifest_rules import oddities_of
from scanner.resources import Resources
from tests.scanner.build_apk import App, build_apk
from tests.scanner.corpus import real_apk


def manifest_bytes(path: Path) -> bytes:
    with zipfile.ZipFile(path) as archive:
        return archive.read("AndroidManifest.xml")


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    app = App(
        package="org.example.full",
        label="名前 & more",
        version_code=1234,
        version_name="5.6-β",
        permissions=["android.permission.CAMERA", "android.permission.INTERNET"],
        components='<receiver android:name=".Boot" android:exported="false"'
        ' android:permission="android.permission.BIND_DEVICE_ADMIN"><intent-filter'
        ' android:priority="999"><action android:name="android.intent.action.BOOT_COMPLETED"/>'
        "</intent-filter></receiver>",
        minimum_sdk=26,
        target_sdk=33,
        schemes=frozenset(),
    )
    return build_apk(tmp_path_factory.mktemp("apk") / "full.apk", app)


@pytest.fixture(scope="module")
def read(own: Path) -> Manifest:
    return read_manifest(manifest_bytes(own))


def test_everything_said_is_read(read: Manifest) -> None:
    assert (read.package, read.version_code, read.version_name) == (
        "org.example.full",
        "1234",
        "5.6-β",
    )
    assert (read.minimum_sdk, read.target_sdk) == (26, 33)
    assert read.permissions == ("android.permission.CAMERA", "android.permission.INTERNET")
    assert read.oddities == ()


def test_components_with_their_filters_are_read(read: Manifest) -> None:
    main, boot = read.components

    assert main.categories == ("android.intent.category.LAUNCHER",)
    assert (main.exported, boot.exported) == (True, False)
    assert boot.permission == "android.permission.BIND_DEVICE_ADMIN"
    assert (boot.actions, boot.priority) == (("android.intent.action.BOOT_COMPLETED",), 999)


def test_the_label_is_looked_up_in_the_resources(own: Path, read: Manifest) -> None:
    with zipfile.ZipFile(own) as archive:
        body = archive.read("resources.arsc")
    resources = Resources(lambda: body)
    (label,) = read.labels

    assert isinstance(label, int)
    assert resources.texts(label) == ["名前 & more"]
    assert resources.texts(0x7F7F7F7F) == []
    assert not resources.is_cut
    damaged = Resources(lambda: body[: len(body) // 2])
    damaged.texts(label)
    assert damaged.is_cut, "what a broken table no longer answers is told"


def test_it_agrees_with_aapt_on_a_real_app() -> None:
    said = subprocess.run(
        ["aapt", "dump", "badging", str(real_apk())], capture_output=True, text=True, check=True
    ).stdout
    read = read_manifest(manifest_bytes(real_apk()))

    assert f"package: name='{read.package}' versionCode='{read.version_code}'" in said
    assert f"sdkVersion:'{read.minimum_sdk}'" in said
    assert {line.split("'")[1] for line in said.splitlines() if "uses-permission:" in line} == set(
        read.permissions
    )


def test_tricks_are_seen_through_and_told(own: Path) -> None:
    body = manifest_bytes(own)
    tricks = {
        "type": b"\x00\x00" + body[2:],
        "file size": body[:4] + struct.pack("<I", 99) + body[8:],
        "tail": body + b"\xff" * 64,
        "unknown chunk": body[:8] + struct.pack("<HHI", 0x7777, 8, 12) + b"\0" * 4 + body[8:],
        "header size": body[:2] + struct.pack("<H", 9999) + body[4:],
    }
    for name, trick in tricks.items():
        read = read_manifest(trick)
        assert read.package == "org.example.full", name
        assert [finding.rule for finding in oddities_of(read, "m")] == ["manifest_malformed"], name


@pytest.mark.parametrize(
    "body",
    [b"", b"<manifest/>", b"\x03\x00\x08\x00" + b"\0" * 4, b"\x03\x00\x08\x00\xff\xff\xff\x7f"],
)
def test_what_cannot_be_read_is_refused(body: bytes) -> None:
    with pytest.raises(BrokenChunkError):
        read_manifest(body)


def pool(*texts: str) -> bytes:
    strings = b"".join(bytes([len(t), len(t)]) + t.encode() + b"\0" for t in texts)
    offsets, at = [], 0
    for text in texts:
        offsets.append(at)
        at += len(text) + 3
    head = 28 + 4 * len(texts)
    size = head + len(strings)
    return (
        struct.pack("<HHIIIIII", 1, 28, size, len(texts), 0, 0x100, head, 0)
        + struct.pack(f"<{len(offsets)}I", *offsets)
        + strings
    )


def element(name: int, attributes: bytes = b"", count: int = 0) -> bytes:
    body = struct.pack("<IIIIHHHHHH", 1, 0xFFFFFFFF, 0xFFFFFFFF, name, 20, 20, count, 0, 0, 0)
    return struct.pack("<HHI", 0x0102, 16, 8 + len(body) + len(attributes)) + body + attributes


def document(*chunks: bytes) -> bytes:
    body = b"".join(chunks)
    return struct.pack("<HHI", 3, 8, 8 + len(body)) + body


MANIFEST = element(0, struct.pack("<IIIHBBI", 0xFFFFFFFF, 1, 2, 8, 0, 3, 2), 1)
POOL = pool("manifest", "package", "a.b")


def test_a_hand_made_document_is_read() -> None:
    assert read_manifest(document(POOL, MANIFEST)).package == "a.b"


def test_two_hundred_thousand_elements_are_cut_and_told() -> None:
    read = read_manifest(document(POOL, MANIFEST, element(1) * 200_000))

    assert read.is_cut
    assert 2 * MAXIMUM_ELEMENTS < 200_000


def test_a_chunk_whose_header_leaves_the_file_is_refused_or_told() -> None:
    lying_map = struct.pack("<HHI", 0x0180, 0x7000, 0x7000)

    read = read_manifest(document(POOL, MANIFEST, lying_map))
    assert read.oddities
    with pytest.raises(BrokenChunkError):
        read_manifest(document(lying_map, POOL, MANIFEST))


def test_counts_that_lie_cost_nothing() -> None:
    lying_pool = POOL[:8] + struct.pack("<I", 0x7FFFFFFF) + POOL[12:]
    many = element(0, struct.pack("<IIIHBBI", 0xFFFFFFFF, 1, 2, 8, 0, 3, 2), 0xFFFF)

    read = read_manifest(document(lying_pool, many))

    assert read.package == "a.b"
    assert read.oddities
