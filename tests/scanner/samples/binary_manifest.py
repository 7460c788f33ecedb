"""Writes a binary AndroidManifest.xml; `test_samples.py` shows that Debian's aapt reads it."""

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

ANDROID = "http://schemas.android.com/apk/res/android"
IDS = {
    "label": 0x01010001, "name": 0x01010003, "permission": 0x01010006, "enabled": 0x0101000E,
    "debuggable": 0x0101000F, "exported": 0x01010010, "authorities": 0x01010018,
    "priority": 0x0101001C, "value": 0x01010024, "resource": 0x01010025, "mimeType": 0x01010026,
    "scheme": 0x01010027, "host": 0x01010028, "minSdkVersion": 0x0101020C,
    "versionCode": 0x0101021B, "versionName": 0x0101021C, "targetSdkVersion": 0x01010270,
    "testOnly": 0x01010272, "allowBackup": 0x01010280, "usesCleartextTraffic": 0x010104EC,
    "networkSecurityConfig": 0x01010527,
}  # fmt: skip
"""Resource ids of attributes, public and the same in every Android."""
NONE = 0xFFFFFFFF
Attributes = Mapping[str, str | int | bool]


@dataclass
class Tag:
    """One element; attributes are Android's, except the manifest's ``package``."""

    name: str
    attributes: Attributes = field(default_factory=dict)
    children: Sequence["Tag"] = ()


def write_manifest(root: Tag) -> bytes:
    """Return the document as Android's packaging tool would write it."""
    plain = {"android", ANDROID, *_texts(root)}
    named = sorted({n for tag in _all(root) for n in tag.attributes if n in IDS}, key=IDS.get)  # type: ignore[arg-type]
    strings = [*named, *sorted(plain - set(named))]
    number = {text: index for index, text in enumerate(strings)}
    ids = struct.pack(f"<{len(named)}I", *(IDS[name] for name in named))
    space = struct.pack("<II", number["android"], number[ANDROID])
    body = (
        _pool(strings)
        + struct.pack("<HHI", 0x0180, 8, 8 + len(ids)) + ids
        + _node(0x0100, space) + b"".join(_written(root, number)) + _node(0x0101, space)
    )  # fmt: skip
    return struct.pack("<HHI", 3, 8, 8 + len(body)) + body


def _all(tag: Tag) -> Iterator[Tag]:
    yield tag
    for child in tag.children:
        yield from _all(child)


def _texts(root: Tag) -> Iterator[str]:
    for tag in _all(root):
        yield tag.name
        for name, value in tag.attributes.items():
            yield name
            if isinstance(value, str):
                yield value


def _written(tag: Tag, number: Mapping[str, int]) -> Iterator[bytes]:
    ordered = sorted(tag.attributes.items(), key=lambda item: IDS.get(item[0], NONE))
    head = struct.pack("<IIHHHHHH", NONE, number[tag.name], 20, 20, len(ordered), 0, 0, 0)
    yield _node(0x0102, head + b"".join(_attribute(*item, number) for item in ordered))
    for child in tag.children:
        yield from _written(child, number)
    yield _node(0x0103, struct.pack("<II", NONE, number[tag.name]))


def _attribute(name: str, value: str | int | bool, number: Mapping[str, int]) -> bytes:
    space = number[ANDROID] if name in IDS else NONE
    if isinstance(value, str):
        raw, kind, data = number[value], 0x03, number[value]
    elif isinstance(value, bool):
        raw, kind, data = NONE, 0x12, NONE if value else 0
    else:
        raw, kind, data = NONE, 0x10, value
    return struct.pack("<IIIHBBI", space, number[name], raw, 8, 0, kind, data)


def _node(kind: int, body: bytes) -> bytes:
    return struct.pack("<HHIII", kind, 16, 16 + len(body), 1, NONE) + body


def _pool(strings: Sequence[str]) -> bytes:
    offsets, bodies = [], bytearray()
    for text in strings:
        offsets.append(len(bodies))
        units = text.encode("utf-16-le")
        bodies += struct.pack("<H", len(units) // 2) + units + b"\0\0"
    bodies += b"\0" * (-len(bodies) % 4)
    start = 28 + 4 * len(strings)
    head = struct.pack(
        "<HHIIIIII", 1, 28, start + len(bodies), len(strings), 0, 0, start, 0
    ) + struct.pack(f"<{len(strings)}I", *offsets)
    return head + bytes(bodies)
