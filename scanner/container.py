"""A ZIP reader that sees what any Android version may see, and more.

Entries come from every central directory and from every local header; sizes, flags and methods
are not believed. Each contradiction is evidence, for honest tools write none.
"""

import bisect
import hashlib
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from scanner.container_checks import (
    matters,
    oddities_of_directories,
    oddities_of_entry,
    overlaps,
)
from scanner.container_rules import contradiction
from scanner.evidence import Evidence
from scanner.unpacking import Unpacked, inflate_alone, unpack
from scanner.zip_records import (
    DESCRIPTOR_FLAG,
    END_BYTES,
    LOCAL,
    STORED,
    Buffer,
    Directory,
    Record,
    directories,
    local_record,
)

OUTSIDE = "(outside the entries)"
START = "(before the archive)"
_CODE = (b"dex\n", b"\x7fELF", LOCAL, b"\x03\x00\x08\x00")


@dataclass(frozen=True)
class Part:
    """Bytes of the archive that belong together, unpacked."""

    name: str
    data: bytes
    raw_name: bytes = b""
    is_listed: bool = True
    """Whether a central directory names it, and this is its first reading."""
    places: tuple[tuple[int, int], ...] = ()
    """For what stands outside the entries: offset in *data* -> offset in the archive."""

    @cached_property
    def sha256(self) -> bytes:
        """Its SHA-256, which several ask for."""
        return hashlib.sha256(self.data).digest()

    def digest(self, kind: str) -> bytes:
        """Return its digest of that kind, as `hashlib` names it."""
        return self.sha256 if kind == "sha256" else hashlib.new(kind, self.data).digest()

    def offset(self, at: int) -> int:
        """Return where the byte *at* of the data stands: in the entry, or in the archive."""
        if not self.places:
            return at
        mine, theirs = self.places[bisect.bisect_right(self.places, (at, 1 << 62)) - 1]
        return theirs + at - mine


class Archive:
    """One ZIP archive at *place* in the file (empty: the file itself)."""

    def __init__(self, data: Buffer, place: str, evidence: Evidence) -> None:
        self._data = data
        self._place = place
        self._evidence = evidence
        self._spans: list[tuple[int, int]] = []
        self._heads: set[int] = set()
        room = max(1, evidence.limits.entries - evidence.entries)
        self.directories = list(directories(data, room + 1))

    def lists(self, name: bytes) -> bool:
        """Whether a directory names an entry so."""
        return any(record.name == name for one in self.directories for record in one.records)

    def read(self, name: bytes) -> bytes | None:
        """Return the first listed entry called *name*, or None when it is missing or damaged."""
        for directory in self.directories:
            for record in directory.records:
                if record.name == name and (local := self._local(record, directory)):
                    found = unpack(
                        self._data, record, local.data_at, self._room(), self._evidence.limits
                    )
                    return None if found[0].damage else found[0].data
        return None

    def parts(self) -> Iterator[Part]:
        """Yield every part of the archive once; what cannot be read is noted as skipped."""
        names: dict[bytes, int] = {}
        done: set[tuple[int, bytes]] = set()
        outer: list[Directory] = []
        for directory in self.directories:
            if self._is_inside(directory.end_at):
                continue  # it belongs to an archive that is an entry of this one
            outer.append(directory)
            for record in directory.records:
                if not self._may_go_on():
                    return
                place = (record.at + directory.shift, record.name)
                if place in done:
                    continue
                done.add(place)
                yield from self._listed(record, directory, names)
        self._check_directories(outer)
        for start, end in overlaps(self._spans):
            self._odd("container_overlap", b"", f"At {start:#x}, {end - start} bytes.")
        yield from self._before()
        yield from self._hidden()
        yield from self._outside()

    # --- entries that a directory lists ---

    def _listed(
        self, record: Record, directory: Directory, names: dict[bytes, int]
    ) -> Iterator[Part]:
        local = self._local(record, directory)
        if local is None:
            self._evidence.skip(f"{self._where(record.name)}: it has no local header.")
            return
        if local.at in self._heads:
            self._odd("container_overlap", record.name, "Another name leads to the same bytes.")
        self._heads.add(local.at)
        names[record.name] = names.get(record.name, 0) + 1
        if names[record.name] == 2:
            harmless = not matters(record.name)
            kind = "container_duplicate_harmless" if harmless else "container_duplicate_entry"
            self._odd(kind, record.name, "The name stands twice in the directory.")
        for rule, evidence in oddities_of_entry(record, local):
            self._odd(rule, record.name, evidence)
        yield from self._readings(record, local)

    def _local(self, record: Record, directory: Directory) -> Record | None:
        return local_record(self._data, record.at) or local_record(
            self._data, record.at + directory.shift
        )

    def _readings(self, record: Record, local: Record) -> Iterator[Part]:
        limits = self._evidence.limits
        readings = unpack(self._data, record, local.data_at, self._room(), limits)
        if local.method != record.method:
            readings += unpack(
                self._data,
                record._replace(method=local.method),
                local.data_at,
                self._room(),
                limits,
            )
        used = readings[0].used_bytes
        self._spans.append((local.data_at, local.data_at + used))
        self._check(record, readings)
        for index, reading in enumerate(readings):
            self._evidence.unpacked_bytes += len(reading.data)
            if reading.data and record.name.endswith(b"/"):
                self._odd("container_folder_with_data", record.name, "Tools skip folders.")
            yield Part(_text(record.name), reading.data, record.name, index == 0)

    def _check(self, record: Record, readings: list[Unpacked]) -> None:
        first = readings[0]
        for one in readings:
            if one.damage and (one is first or one.is_too_large):
                self._evidence.skip(f"{self._where(record.name)}: {one.damage}.")
        if first.damage:
            return
        told = record.packed_bytes, record.size_bytes
        found = first.used_bytes, len(first.data)
        if told != found:
            self._odd(
                "container_sizes_lie",
                record.name,
                f"The directory says {told[0]} packed and {told[1]} unpacked bytes, "
                f"it has {found[0]} and {found[1]}.",
            )
        elif zlib.crc32(first.data) != record.crc:
            self._odd("container_checksum_wrong", record.name, f"{record.crc:08x} is said.")

    # --- what no directory lists ---

    def _before(self) -> Iterator[Part]:
        """Yield byte code in front of the archive (CVE-2017-13156)."""
        first = min(self._heads, default=0)
        if first == 0:
            return
        head = self._data[:first]
        if head[:4] == b"dex\n":
            self._odd("container_code_before_archive", b"", "The file begins with byte code.")
            yield Part(START, head, is_listed=False)
        elif any(directory.shift for directory in self.directories):
            self._odd("container_bytes_before_archive", b"", f"{first} bytes stand before it.")

    def _hidden(self) -> Iterator[Part]:
        """Yield the entries of local headers that no directory points to."""
        for start, end in self._gaps():
            at = start
            while (at := self._data.find(LOCAL, at, end)) >= 0:
                if at in self._heads:
                    at += 4
                    continue
                if not self._may_go_on():
                    return
                local = local_record(self._data, at)
                at += 4
                if local is None or not 0 < len(local.name) < 4096:
                    continue
                body = self._unlisted(local, end)
                at = max(at, local.data_at + body.used_bytes)
                yield self._found(local, body)

    def _unlisted(self, local: Record, end: int) -> Unpacked:
        limits, cap = self._evidence.limits, min(self._room(), self._evidence.limits.entry_bytes)
        if local.method != STORED:
            body = inflate_alone(self._data, local.data_at, cap, limits)
        elif local.packed_bytes or not local.flags & DESCRIPTOR_FLAG:
            body = unpack(self._data, local, local.data_at, cap, limits)[0]
        else:
            rest = self._data[local.data_at : min(end, local.data_at + cap)]
            body = Unpacked(rest, len(rest))
        self._evidence.unpacked_bytes += len(body.data)
        return body

    def _found(self, local: Record, body: Unpacked) -> Part:
        is_code = body.data[:4] in _CODE or matters(local.name)
        self._odd(
            "container_hidden_entry" if is_code else "container_leftover_entry",
            local.name,
            f"A local header at {local.at:#x} leads to {len(body.data)} bytes.",
        )
        if body.is_too_large:
            self._evidence.skip(f"{self._where(local.name)}: {body.damage}.")
        if not body.damage:
            self._spans.append((local.data_at, local.data_at + body.used_bytes))
        return Part(_text(local.name), body.data, local.name, is_listed=False)

    def _outside(self) -> Iterator[Part]:
        """Yield all bytes that belong to no entry's data as one part."""
        pieces, places, length = [], [], 0
        for start, end in self._gaps():
            piece = self._data[start : min(end, start + max(0, self._room() - length))]
            if len(piece) < end - start:
                self._evidence.skip(f"{self._where(b'')}: bytes outside its entries.")
            places.append((length, start))
            pieces.append(piece)
            length += len(piece)
        self._evidence.unpacked_bytes += length
        if length:
            yield Part(OUTSIDE, b"".join(pieces), is_listed=False, places=tuple(places))

    def _gaps(self) -> list[tuple[int, int]]:
        gaps, at = [], 0
        for start, end in sorted(self._spans):
            if start > at:
                gaps.append((at, start))
            at = max(at, end)
        if at < len(self._data):
            gaps.append((at, len(self._data)))
        return gaps

    # --- bookkeeping ---

    def _is_inside(self, at: int) -> bool:
        return any(start <= at < end for start, end in self._spans)

    def _check_directories(self, outer: list[Directory]) -> None:
        if not outer:
            return
        for rule, evidence in oddities_of_directories(outer, len(self._data)):
            self._odd(rule, b"", evidence)
        if outer[0].end_at + END_BYTES > len(self._data):
            self._evidence.skip(f"{self._where(b'')}: the end record is cut off.")

    def _may_go_on(self) -> bool:
        evidence = self._evidence
        evidence.entries += 1
        reason = ""
        if evidence.entries > evidence.limits.entries:
            reason = f"the rest, after {evidence.limits.entries} entries"
        elif self._room() <= 0:
            reason = f"the rest, after {evidence.limits.total_bytes} unpacked bytes"
        elif evidence.is_late():
            reason = "the rest, because the time was over"
        if reason:
            evidence.skip(f"{self._where(b'')}: {reason}.")
        return not reason

    def _room(self) -> int:
        return self._evidence.limits.total_bytes - self._evidence.unpacked_bytes

    def _where(self, name: bytes) -> str:
        return "!/".join(part for part in (self._place, _text(name)) if part) or "archive"

    def _odd(self, rule: str, name: bytes, evidence: str) -> None:
        self._evidence.find(contradiction(rule, self._where(name), evidence))


def _text(name: bytes) -> str:
    return name[:1000].decode("utf-8", "surrogateescape")
