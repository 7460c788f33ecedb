"""Hostile files, one for each trick: what Android could install must be seen through.

Each carries `MARKER`, unless it says otherwise, and says which evidence names the trick.
"""

import base64
import gzip
import struct
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import NamedTuple

from tests.scanner import axml, marker
from tests.scanner.raw_zip import CENTRAL, LOCAL, Entry, Zip, extra
from tests.scanner.sign_apk import File

MARKER = marker.TEXT
HEADER = 0x70


class Variant(NamedTuple):
    """One hostile file."""

    name: str
    data: bytes
    rule: str = ""
    """The evidence that names the trick; empty: the trick is honest."""
    has_marker: bool = True
    """Whether the marker must be found."""
    package: str | None = "a.b"
    """What the manifest must be read as; None: it need not be readable."""


def dex(**fields: int) -> bytes:
    """Return byte code with the marker in its data and header fields of one's choice."""
    body = bytearray(b"dex\n035\0".ljust(HEADER, b"\0") + b"words " * 30 + MARKER + b" words" * 30)
    struct.pack_into("<III", body, 0x20, len(body), HEADER, 0x12345678)
    for name, value in fields.items():
        struct.pack_into("<I", body, _DEX_FIELDS[name], value)
    return bytes(body)


_DEX_FIELDS = {
    "checksum": 0x08, "file_size": 0x20, "header_size": 0x24, "endian": 0x28,
    "link_size": 0x2C, "link_off": 0x30, "map_off": 0x34, "strings": 0x38, "strings_off": 0x3C,
    "types": 0x40, "types_off": 0x44, "protos": 0x48, "protos_off": 0x4C, "fields": 0x50,
    "fields_off": 0x54, "methods": 0x58, "methods_off": 0x5C, "classes": 0x60,
    "classes_off": 0x64, "data_size": 0x68, "data_off": 0x6C,
}  # fmt: skip
CODE = dex()
MANIFEST = Entry(name=b"AndroidManifest.xml", body=axml.PLAIN)
CLEAN = Entry(name=b"classes.dex", body=dex().replace(MARKER, b"-" * len(MARKER)))


def app(code: Entry | None = None, *more: Entry, manifest: Entry = MANIFEST) -> list[Entry]:
    """Return the entries of a small app; *code* carries the marker unless told otherwise."""
    return [manifest, code or Entry(name=b"classes.dex", body=CODE), *more]


def coded(**fields: object) -> bytes:
    """Return an app whose code entry has odd fields."""
    return Zip(entries=app(Entry(name=b"classes.dex", body=CODE, **fields))).bytes()  # type: ignore[arg-type]


def archives() -> Iterator[Variant]:
    """Yield the tricks of the ZIP format."""
    packed = len(Entry(name=b"", body=CODE).packed())
    descriptor = struct.pack("<III", 0, packed, len(CODE))
    plain = Zip(entries=app()).bytes()
    code = Entry(name=b"classes.dex", body=CODE)

    yield Variant("plain", plain)
    yield Variant("stored", coded(method=0))
    streamed = {"flags": 8, "local_packed": 0, "local_size": 0}
    yield Variant("descriptor", coded(**streamed, after=b"PK\x07\x08" + descriptor))
    yield Variant("descriptor without signature", coded(**streamed, after=descriptor))
    yield Variant(
        "descriptor of 64 bits",
        coded(**streamed, after=b"PK\x07\x08" + struct.pack("<IQQ", 0, packed, len(CODE))),
    )
    yield Variant(
        "descriptor and stored", coded(**streamed, method=0, after=b"PK\x07\x08" + b"\0" * 12)
    )
    wide = extra(1, struct.pack("<QQ", len(CODE), packed))
    full = {"packed_bytes": 0xFFFFFFFF, "size_bytes": 0xFFFFFFFF}
    yield Variant("zip64 entry", coded(**full, extra=wide, local_extra=wide))
    yield Variant("zip64 entry cut off", coded(**full, extra=wide[:9]), "container_sizes_lie")
    yield Variant("zip64 end", Zip(entries=app(), wide=True).bytes(), "container_zip64")
    yield Variant("split entry", coded(disk=3), "container_split")
    yield Variant("split archive", Zip(entries=app(), disk=2).bytes(), "container_split")
    yield Variant("encrypted", coded(flags=1), "container_encryption_flag")
    yield Variant("strongly encrypted", coded(flags=0x41), "container_encryption_flag")
    yield Variant("masked headers", coded(flags=0x2000), "container_encryption_flag")
    yield Variant(
        "encrypted for readers of the local header",
        coded(local_flags=1),
        "container_encryption_flag",
    )
    for method in (1, 9, 12, 14, 93, 99, 0x2F1D):
        yield Variant(f"method {method}", coded(told_method=method), "container_unknown_method")
        yield Variant(
            f"method {method}, stored",
            coded(told_method=method, method=0),
            "container_unknown_method",
        )
        for name, packed in {"stored": 0, "deflated": 8}.items():
            manifest = replace(MANIFEST, method=packed, told_method=method)
            yield Variant(
                f"manifest of method {method}, {name}",
                Zip(entries=app(manifest=manifest)).bytes(),
                "container_unknown_method",
            )
    yield Variant("stored, called deflated", coded(method=0, told_method=8))
    yield Variant("deflated, called stored", coded(told_method=0), "container_sizes_lie", False)
    yield Variant("other method in local header", coded(local_method=0), "container_methods_differ")
    yield Variant("version 255", coded(version=255), "container_version")
    yield Variant("wrong checksum", coded(crc=1), "container_checksum_wrong")
    for name, (packed_bytes, size) in {
        "zero": (0, 0), "small": (3, 3), "2 GB": (1 << 31, 1 << 31), "4 GB": (0xFFFFFFFE,) * 2
    }.items():  # fmt: skip
        yield Variant(
            f"sizes {name}",
            coded(packed_bytes=packed_bytes, size_bytes=size),
            "container_sizes_lie",
        )
        yield Variant(
            f"sizes {name}, stored",
            coded(method=0, size_bytes=size, local_packed=packed_bytes),
            "container_sizes_lie",
        )
    yield Variant("other local name", coded(local_name=b"res/a.png"), "container_names_differ")
    yield Variant("no local name", coded(local_name=b""), "container_names_differ")
    for raw in (b"", b"/classes.dex", b"../../classes.dex", b"classes.dex\0.png", b"x" * 10_000):
        odd = Entry(name=raw, body=CODE)
        yield Variant(
            f"name {raw[:20]!r}", Zip(entries=app(CLEAN, odd)).bytes(), "container_odd_name"
        )
    for raw in (b"assets/\xff\xfe.bin", b"classes.DEX", b"a\\b.dex", "名前.dex".encode()):
        odd = Entry(name=raw, body=CODE)
        yield Variant(f"name {raw!r}", Zip(entries=app(CLEAN, odd)).bytes())
    yield Variant(
        "folder with data",
        Zip(entries=app(CLEAN, Entry(name=b"assets/", body=CODE))).bytes(),
        "container_folder_with_data",
    )
    unicode = extra(0x7075, b"\x01" + b"\0" * 4 + b"res/picture.png")
    yield Variant("unicode path", coded(extra=unicode), "container_unicode_path")
    yield Variant(
        "extra field cut off", coded(local_extra=b"\x34\x12\xff\xff\x01"), "container_extra_broken"
    )
    yield Variant("aligned", coded(local_extra=extra(0xD935, b"\x04\0" + b"\0" * 30), method=0))
    yield Variant("aligned with zeros", coded(local_extra=b"\0" * 3, method=0))
    yield Variant(
        "marker in an extra field",
        Zip(
            entries=app(
                Entry(name=b"classes.dex", body=CLEAN.body, local_extra=extra(0x1234, MARKER))
            )
        ).bytes(),
    )
    yield Variant("extra field longer than the file", coded(extra_length=0xFFFF), "", False)
    yield Variant(
        "two codes, marker first",
        Zip(entries=app(code, CLEAN)).bytes(),
        "container_duplicate_entry",
    )
    yield Variant(
        "two codes, marker last", Zip(entries=app(CLEAN, code)).bytes(), "container_duplicate_entry"
    )
    other = Entry(name=b"AndroidManifest.xml", body=axml.PLAIN.replace(b"a.b", b"c.d"))
    yield Variant(
        "two manifests", Zip(entries=app(None, other)).bytes(), "container_duplicate_entry"
    )
    hidden = Entry(name=b"classes2.dex", body=CODE, listed=False)
    yield Variant("hidden entry", Zip(entries=app(CLEAN, hidden)).bytes(), "container_hidden_entry")
    yield Variant(
        "hidden entry in a comment",
        Zip(entries=app(CLEAN), comment=_local_only(code)).bytes(),
        "container_hidden_entry",
    )
    yield Variant(
        "hidden entry in the gap",
        Zip(entries=app(CLEAN), gap=_local_only(code)).bytes(),
        "container_hidden_entry",
    )
    yield Variant("marker in the gap", Zip(entries=app(CLEAN), gap=MARKER).bytes())
    yield Variant("marker in the comment", Zip(entries=app(CLEAN), comment=MARKER).bytes())
    yield Variant(
        "marker behind the end",
        Zip(entries=app(CLEAN), tail=MARKER).bytes(),
        "container_bytes_after_end",
    )
    yield Variant(
        "junk behind the end", Zip(entries=app(), tail=b"junk").bytes(), "container_bytes_after_end"
    )
    yield Variant(
        "comment length lies",
        Zip(entries=app(), comment_length=9).bytes(),
        "container_bytes_after_end",
    )
    yield Variant(
        "second end record in the comment",
        Zip(entries=app(), comment=Zip(entries=()).bytes()).bytes(),
    )
    second = Zip(entries=[MANIFEST, CLEAN]).bytes()
    yield Variant("archive behind an archive", plain + second, "container_several_directories")
    yield Variant("archive in front of an archive", second + plain, "container_directory_size")
    yield Variant(
        "nine end records", plain + b"".join(b"PK\x05\x06" + b"\0" * 18 for _ in range(9))
    )
    yield Variant("count too small", Zip(entries=app(), told=1).bytes(), "container_count_wrong")
    yield Variant("count too large", Zip(entries=app(), told=9).bytes(), "container_count_wrong")
    yield Variant(
        "directory size lies", Zip(entries=app(), size=7).bytes(), "container_directory_size"
    )
    yield Variant(
        "directory start lies",
        Zip(entries=app(), start=7).bytes(),
        "container_directory_place",
    )
    yield Variant(
        "no directory", plain[: plain.index(CENTRAL)], "container_hidden_entry", package=None
    )
    yield Variant("end record cut off", plain[:-9], package=None)
    for name, prefix in {"script": b"#!/bin/sh\nexit\n", "picture": b"\x89PNG\r\n\x1a\n"}.items():
        for counts in (True, False):
            data = Zip(entries=app(), prefix=prefix, counts_prefix=counts).bytes()
            yield Variant(
                f"{name} in front, {counts}",
                data,
                "" if counts else "container_bytes_before_archive",
            )
    for counts in (True, False):
        data = Zip(entries=app(CLEAN), prefix=CODE, counts_prefix=counts).bytes()
        yield Variant(f"code in front (Janus), {counts}", data, "container_code_before_archive")
    yield Variant("two names for one entry", _two_names(), "container_overlap")
    yield Variant("an entry in an entry", _inside(), "container_overlap")
    yield Variant(
        "an entry that is its own", _overlapping_bomb(), "container_overlap", package=None
    )
    yield Variant(
        "behind the stream",
        Zip(entries=app(Entry(name=b"classes.dex", body=CLEAN.body, after=MARKER))).bytes(),
    )
    for name, held in {
        "behind the archive": Zip(entries=app(CLEAN), tail=CODE),
        "between the entries": Zip(entries=app(replace(CLEAN, after=CODE))),
    }.items():
        yield Variant(f"code {name}", held.bytes(), "container_code_outside")
    yield Variant(
        "stream cut off",
        plain[: plain.index(CENTRAL) - 20] + plain[plain.index(CENTRAL) :],
        "",
        False,
    )


def nested() -> Iterator[Variant]:
    """Yield what is hidden in other files."""
    inner = Zip(entries=app()).bytes()
    for name, body in {
        "app in assets": inner,
        "app behind a picture": b"\x89PNG\r\n\x1a\n" + b"\0" * 99 + inner,
        "gzip": gzip.compress(CODE, mtime=0),
        "gzip of an archive": gzip.compress(inner, mtime=0),
        "gzip behind gzip": gzip.compress(b"x", mtime=0) + gzip.compress(CODE, mtime=0),
        "code in Base64": base64.encodebytes(CODE),
        "archive in Base64": base64.b64encode(inner),
        "code behind zeros": b"\0" * 4096 + CODE,
        "library": elf() + MARKER,
        "library with lies": elf(shoff=1 << 62, shnum=0xFFFF) + MARKER,
        "library cut off": elf()[:20] + MARKER,
    }.items():
        yield Variant(name, Zip(entries=app(CLEAN, Entry(name=b"assets/x.bin", body=body))).bytes())
    data = CODE
    for depth in range(30):
        data = Zip(entries=[Entry(name=b"%d.zip" % depth, body=data, method=0)]).bytes()
        if depth in (6, 29):
            holder = Entry(name=b"assets/deep.zip", body=data, method=0)
            yield Variant(f"{depth + 1} archives deep", Zip(entries=app(CLEAN, holder)).bytes())


def elf(shoff: int = 0, shnum: int = 0) -> bytes:
    """Return the header of a native library."""
    return b"\x7fELF\x02\x01\x01".ljust(16, b"\0") + struct.pack(
        "<HHIQQQIHHHHHH", 3, 183, 1, 0, 64, shoff, 0, 64, 56, 0, 64, shnum, 0
    )


def codes() -> Iterator[Variant]:
    """Yield the tricks of the DEX format."""
    lies: dict[str, dict[str, int]] = {
        "checksum": {"checksum": 1},
        "file size": {"file_size": 1 << 31},
        "header size": {"header_size": 0xFFFF},
        "other byte order": {"endian": 0x78563412},
        "map outside": {"map_off": 1 << 30},
        "link section": {"link_size": 99, "link_off": 1 << 30},
    }
    for table in ("strings", "types", "methods", "classes", "fields", "protos"):
        lies[f"{table} outside"] = {table: 10, f"{table}_off": 1 << 30}
        lies[f"{table} without number"] = {table: 0xFFFFFFFF, f"{table}_off": HEADER}
        lies[f"{table} over the header"] = {table: 20, f"{table}_off": 4}
    for name, fields in lies.items():
        yield Variant(f"code: {name}", _with_code(dex(**fields)))
    yield Variant("code: newest version", _with_code(CODE.replace(b"dex\n035", b"dex\n041")))
    yield Variant("code: no version", _with_code(CODE.replace(b"dex\n035", b"dex\nabc")))
    yield Variant("code: cut off", _with_code(CODE[:60] + MARKER))
    yield Variant("code: container of two", _with_code(CLEAN.body + CODE))
    yield Variant("code: compact", _with_code(b"cdex001\0" + CODE[8:]))


def _with_code(code: bytes) -> bytes:
    return Zip(entries=app(Entry(name=b"classes.dex", body=code))).bytes()


def manifests() -> Iterator[Variant]:
    """Yield the tricks of the binary XML format."""
    body, tail = axml.PLAIN, axml.element(3) + axml.end(3) + axml.end(0)
    pool, first, words = axml.POOL, axml.MANIFEST, ("manifest", "package", "a.b")
    given = axml.attribute(1, 2)
    lying = {
        "type": b"\0\0" + body[2:],
        "type of text": b"\x00\x00\x08\x00" + body[4:],
        "header size": body[:2] + struct.pack("<H", 9999) + body[4:],
        "header size zero": body[:2] + b"\0\0" + body[4:],
        "file size": body[:4] + struct.pack("<I", 99) + body[8:],
        "file size huge": body[:4] + struct.pack("<I", 0xFFFFFFFF) + body[8:],
        "tail": body + b"\xff" * 64,
        "unknown chunk": axml.document(axml.chunk(0x7777, b"1234"), pool, first, tail),
        "chunk of no size": axml.document(pool, first, axml.chunk(0x7777, b"", size=0), tail),
        "huge string count": axml.document(axml.pool(*words, told=1 << 30), first),
        "huge style count": axml.document(axml.pool(*words, styles=1 << 30), first),
        "huge attribute count": axml.document(pool, axml.element(0, given, count=0xFFFF)),
        "wide attributes": axml.document(
            pool, axml.element(0, given + b"\0" * 8, count=1, size=28)
        ),
        "pool before the real one": axml.document(axml.pool("x", "y", "z"), pool, first, tail),
        "pool behind the first element": axml.document(pool, first, axml.pool("x", "y"), tail),
        "package twice": axml.document(pool, axml.element(0, given + axml.attribute(1, 3))),
    }
    honest = {
        "broad strings": axml.document(axml.pool(*words, utf8=False), first),
        "200,000 elements deep": axml.document(pool, first, axml.element(3) * 200_000),
        "2,000,000 strings": axml.document(axml.pool(*words, empty=2_000_000), first),
        "second manifest": axml.document(pool, first, axml.element(0, axml.attribute(1, 3))),
    }
    for name, manifest in lying.items():
        yield Variant(f"manifest: {name}", _with_manifest(manifest), "manifest_malformed")
    for name, manifest in honest.items():
        yield Variant(f"manifest: {name}", _with_manifest(manifest))
    unreadable = {
        "empty": b"",
        "text": b"<manifest package='a.b'/>",
        "zeros": b"\0" * 4096,
        "no strings": axml.document(first, tail),
        "no package": axml.document(pool, axml.element(0), tail),
        "another root": axml.document(pool, axml.element(3, axml.attribute(1, 2))),
        "strings outside": axml.document(pool[:20] + struct.pack("<I", 1 << 30) + pool[24:], first),
        "pool cut off": axml.document(pool[:20]),
        "header only": body[:8],
    }
    for name, manifest in unreadable.items():
        yield Variant(f"manifest: {name}", _with_manifest(manifest), package=None)


def _with_manifest(body: bytes) -> bytes:
    return Zip(entries=app(manifest=Entry(name=b"AndroidManifest.xml", body=body))).bytes()


def resources() -> Iterator[Variant]:
    """Yield the tricks of the resource table."""
    for name, body in {
        "garbage": b"\x02\x00\x0c\x00" + b"\xff" * 400,
        "empty": b"",
        "cut off": axml.chunk(2, b"\0" * 4, 12),
        "a chunk in itself": axml.chunk(2, axml.chunk(0x200, b"\0" * 300, 288) * 3, 12),
        "many chunks": axml.chunk(2, axml.chunk(0x200, b"") * 60_000, 12),
    }.items():
        label = axml.document(
            axml.pool("manifest", "package", "a.b", "application", "label"),
            axml.chunk(0x0180, struct.pack("<5I", 0, 0, 0, 0, 0x01010001)),
            axml.MANIFEST,
            axml.element(3, axml.attribute(4, 0x7F010000, axml.REFERENCE)),
        )
        entries = app(
            None,
            Entry(name=b"resources.arsc", body=body),
            manifest=Entry(name=b"AndroidManifest.xml", body=label),
        )
        yield Variant(f"resources: {name}", Zip(entries=entries).bytes())


def blocks() -> Iterator[Variant]:
    """Yield the tricks of the signing block."""
    file = File.of(Zip(entries=app(CLEAN)).bytes())
    signed = File(
        file.entries, file.directory, file.end, [(0x1234, MARKER), (0x7109871A, b"\0" * 40)]
    )
    whole = signed.bytes()
    start = len(file.entries)
    yield Variant("block: marker in a pair", whole, "signature_broken")
    held = File(file.entries, file.directory, file.end, [(0x1234, CODE)])
    yield Variant("block: code in a pair", held.bytes(), "container_code_outside")
    yield Variant("block: sizes differ", _put(whole, start, 77), "signature_block_odd")
    yield Variant("block: huge pair", _put(whole, start + 8, 1 << 62), "signature_block_odd")
    yield Variant("block: pair of no size", _put(whole, start + 8, 0), "signature_block_odd")
    twice = File(file.entries, file.directory, file.end, [(0x7109871A, MARKER)] * 2)
    yield Variant("block: an id twice", twice.bytes(), "signature_block_odd")
    many = File(file.entries, file.directory, file.end, [(7, b"")] * 30_000 + [(8, MARKER)])
    yield Variant("block: 30,000 pairs", many.bytes(), "signature_block_odd")
    deep = File(
        file.entries, file.directory, file.end, [(0x7109871A, b"\xff\xff\xff\x7f" * 9 + MARKER)]
    )
    yield Variant("block: lengths lie", deep.bytes(), "signature_broken")


def _put(data: bytes, at: int, number: int) -> bytes:
    return data[:at] + struct.pack("<Q", number) + data[at + 8 :]


def bombs() -> Iterator[Variant]:
    """Yield what unpacks to more than anybody has."""
    zeros = Entry(name=b"assets/zeros", body=b"\0" * (80 << 20))
    yield Variant("one bomb", Zip(entries=app(None, zeros)).bytes())
    inner = Zip(entries=[Entry(name=b"%d" % n, body=b"\0" * (30 << 20)) for n in range(2)]).bytes()
    holders = [Entry(name=b"%d.zip" % n, body=inner, method=0) for n in range(40)]
    yield Variant("bombs in archives", Zip(entries=app(None, *holders)).bytes())
    stream = gzip.compress(b"\0" * (80 << 20), 9, mtime=0)
    yield Variant("gzip bomb", Zip(entries=app(None, Entry(name=b"assets/z", body=stream))).bytes())
    manifest = Entry(name=b"AndroidManifest.xml", body=axml.PLAIN + b"\0" * (80 << 20))
    yield Variant("manifest bomb", Zip(entries=app(manifest=manifest)).bytes(), package=None)
    many = [Entry(name=b"res/%d" % n, body=b"", method=0) for n in range(60_000)]
    yield Variant("60,000 entries", Zip(entries=[MANIFEST, *many, app()[1]]).bytes())


def _local_only(entry: Entry) -> bytes:
    """Return an entry's local header and data without directory."""
    whole = Zip(entries=[entry]).bytes()
    return whole[: whole.index(CENTRAL)]


def _two_names() -> bytes:
    first, second = app()[0], app()[1]
    alias = Entry(name=b"assets/other", body=CODE, at=len(_local_only(first)))
    data = Zip(entries=[first, second, Entry(name=alias.name, body=b"", method=0, at=alias.at)])
    return data.bytes()


def _inside() -> bytes:
    """Return an archive with a stored entry that holds the local header of the code."""
    inner = _local_only(Entry(name=b"classes.dex", body=CODE))
    manifest = _local_only(MANIFEST)
    holder = Entry(name=b"assets/holder", body=inner, method=0)
    at = len(manifest) + 30 + len(holder.name)
    code = Entry(name=b"classes.dex", body=CODE, at=at)
    whole = Zip(entries=[MANIFEST, holder, code]).bytes()
    assert whole[at : at + 4] == LOCAL
    return whole


def _overlapping_bomb() -> bytes:
    """Return an archive whose 2,000 entries are all the same 8 MB."""
    zeros = Entry(name=b"0", body=b"\0" * (8 << 20))
    again = [Entry(name=b"%d" % n, body=b"", method=8, at=0) for n in range(1, 2000)]
    holder = Entry(name=b"m", body=MARKER, method=0)
    return Zip(entries=[zeros, holder, *again]).bytes()


ALL: tuple[Callable[[], Iterator[Variant]], ...] = (
    archives, nested, codes, manifests, resources, blocks, bombs,
)  # fmt: skip
