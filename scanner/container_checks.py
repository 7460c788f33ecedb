"""What contradicts itself in the records of an archive, in words of `container_rules.ODD`. Pure."""

from collections.abc import Iterator, Sequence

from scanner.zip_records import (
    DESCRIPTOR_FLAG,
    ENCRYPTION_FLAGS,
    Directory,
    Record,
    extra_fields,
)

Odd = tuple[str, str]
"""(rule, evidence)."""
NEWEST_VERSION = 63
"""Of the format (APPNOTE 4.4.3); what needs a newer one than that lies."""
UNICODE_PATH = 0x7075
MAXIMUM_NAME = 4096
_ENDIAN = (b"\x78\x56\x34\x12", b"\x12\x34\x56\x78")
"""What a DEX header says of the order of bytes."""
_CODE_ENDINGS = (b".dex", b".so", b".apk", b".jar")
_CODE_NAMES = (b"AndroidManifest.xml", b"resources.arsc")


def matters(name: bytes) -> bool:
    """Whether Android reads the entry as code or manifest."""
    return name.endswith(_CODE_ENDINGS) or name in _CODE_NAMES


def heads_of_code(data: bytes) -> Iterator[int]:
    """Yield where byte code begins in *data*: a whole header, with a size that fits or lies."""
    at = -1
    while (at := data.find(b"dex\n", at + 1)) >= 0:
        if data[at + 7 : at + 8] == b"\0" and data[at + 40 : at + 44] in _ENDIAN:
            yield at


def oddities_of_entry(record: Record, local: Record) -> Iterator[Odd]:
    """Yield what is wrong with the records of one entry."""
    if local.name != record.name:
        yield "container_names_differ", f"The local header says {_text(local.name)}."
    if local.method != record.method:
        yield (
            "container_methods_differ",
            f"Method {record.method} in the directory, {local.method} in the local header.",
        )
    if (record.flags ^ local.flags) & DESCRIPTOR_FLAG:
        yield "container_flags_differ", f"{record.flags:#06x} there, {local.flags:#06x} here."
    elif not local.flags & DESCRIPTOR_FLAG and _sizes(local) != _sizes(record):
        yield "container_sizes_lie", f"The local header says {_described(local)}."
    if (record.flags | local.flags) & ENCRYPTION_FLAGS:
        yield "container_encryption_flag", "Android ignores the mark."
    if record.method not in (0, 8):
        yield "container_unknown_method", f"Method {record.method:#06x}."
    if max(record.version & 0xFF, local.version & 0xFF) > NEWEST_VERSION:
        yield "container_version", f"A reader of version {record.version / 10} is asked for."
    if record.disk:
        yield "container_split", f"The entry is said to be on disk {record.disk}."
    yield from _of_name(record.name)
    for extra in {record.extra, local.extra} - {b""}:
        yield from _of_extra(extra, record.name)


def oddities_of_directories(found: Sequence[Directory], file_bytes: int) -> Iterator[Odd]:
    """Yield what is wrong with the directories of an archive."""
    if len({directory.start for directory in found}) > 1:
        yield "container_several_directories", f"{len(found)} of them."
    main = found[0]
    if not main.is_cut and main.told not in (len(main.records), len(main.records) & 0xFFFF):
        yield "container_count_wrong", f"{main.told} said, {len(main.records)} are there."
    if not any(directory.is_last for directory in found):
        yield "container_bytes_after_end", f"{file_bytes} bytes, more than the end record tells."
    if not main.is_wide and main.start + main.size != main.end_at:
        yield "container_directory_size", f"{main.size} bytes said, {main.end_at - main.start} are."
    if main.is_wide:
        yield "container_zip64", "Old versions of Android cannot open it."
    if main.shift:
        yield "container_directory_place", f"It is {main.shift} bytes from where it is said to be."
    if main.disk:
        yield "container_split", f"The end record calls itself disk {main.disk}."


def overlaps(spans: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Yield the places where the data of two entries lies on one another."""
    end = 0
    for start, stop in sorted(spans):
        if start < end:
            yield start, min(stop, end)
        end = max(end, stop)


def _described(record: Record) -> str:
    return f"{record.packed_bytes} packed, {record.size_bytes} bytes, checksum {record.crc:08x}"


def _sizes(record: Record) -> tuple[int, int, int]:
    return record.packed_bytes, record.size_bytes, record.crc


def _of_name(name: bytes) -> Iterator[Odd]:
    if not name or b"\0" in name or name.startswith(b"/") or b".." in name.split(b"/"):
        yield "container_odd_name", "The name is made to mislead whoever unpacks it."
    elif len(name) > MAXIMUM_NAME:
        yield "container_odd_name", f"The name has {len(name)} bytes."


def _of_extra(extra: bytes, name: bytes) -> Iterator[Odd]:
    used = 0
    for kind, body in extra_fields(extra):
        used += 4 + len(body)
        if kind == UNICODE_PATH and body[5:] != name:
            yield "container_unicode_path", f"Its other name is {_text(body[5:])}."
    if any(extra[used:]):
        yield "container_extra_broken", f"{len(extra) - used} bytes are in no field."


def _text(name: bytes) -> str:
    return name[:1000].decode("utf-8", "surrogateescape")
