"""Everything in a file is seen, whatever its archive claims; what is not seen is told."""

import io
import random
import struct
import time
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scanner.container_rules import ODD
from scanner.limits import Limits
from scanner.zip_records import CENTRAL, END, END_64, LOCAL, LOCATOR_64, directories
from tests.scanner.conftest import SMALL, Scan, rules_of
from tests.scanner.raw_zip import Entry, Zip

EICAR = bytes.fromhex(
    "58354f2150254041505b345c505a58353428505e2937434329377d2445494341522d5354414e444152442d414e54"
    "4956495255532d544553542d46494c452124482b482a"
)
FOUND = "eicar_test_file"


def archive(files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w", method) as opened:
        for name, body in files.items():
            opened.writestr(name, body)
    return whole.getvalue()


def patched(data: bytes, head: bytes, offset: int, body: bytes) -> bytes:
    """Replace bytes at *offset* of every record that begins with *head*."""
    changed, at = bytearray(data), -1
    while (at := data.find(head, at + 1)) >= 0:
        changed[at + offset : at + offset + len(body)] = body
    return bytes(changed)


PLAIN = archive({"assets/a.bin": b"so many words " * 20 + EICAR, "b.txt": b"hello"})
STORED = archive({"assets/a.bin": b"words " + EICAR}, zipfile.ZIP_STORED)


def encrypted() -> bytes:
    return patched(patched(PLAIN, CENTRAL, 8, b"\x01\x00"), LOCAL, 6, b"\x01\x00")


def unknown_method() -> bytes:
    return patched(patched(PLAIN, CENTRAL, 10, b"\x1d\x2f"), LOCAL, 8, b"\x1d\x2f")


def method_of_local_header() -> bytes:
    return patched(PLAIN, LOCAL, 8, b"\x00\x00")


def stored_but_called_deflated() -> bytes:
    return patched(STORED, CENTRAL, 10, b"\x08\x00")


def too_small_sizes() -> bytes:
    return patched(PLAIN, CENTRAL, 20, struct.pack("<II", 3, 3))


def too_large_sizes() -> bytes:
    return patched(PLAIN, CENTRAL, 20, struct.pack("<II", 1 << 31, 0xFFFFFFFE))


def wrong_checksum() -> bytes:
    return patched(PLAIN, CENTRAL, 16, b"\0\0\0\0")


def other_local_name() -> bytes:
    at = PLAIN.index(b"assets/a.bin")
    return PLAIN[:at] + b"assets/b.png" + PLAIN[at + 12 :]


def without_directory() -> bytes:
    return PLAIN[: PLAIN.index(CENTRAL)]


def empty_second_end() -> bytes:
    end = PLAIN.rindex(END)
    comment = END + b"\0" * 18
    return PLAIN[: end + 20] + struct.pack("<H", len(comment)) + comment


def hidden_behind_directory() -> bytes:
    clean = archive({"b.txt": b"hello"})
    hidden = archive({"c.bin": b"x" * 50 + EICAR})
    at = clean.index(CENTRAL)
    extra = hidden[: hidden.index(CENTRAL)]
    moved = clean[:at] + extra + clean[at:]
    end = moved.rindex(END)
    return moved[: end + 16] + struct.pack("<I", at + len(extra)) + moved[end + 20 :]


def name_that_is_no_text() -> bytes:
    return PLAIN.replace(b"assets/a.bin", b"assets/\xff\x00\xed.n")


def in_comment() -> bytes:
    return PLAIN_CLEAN[:-2] + struct.pack("<H", len(EICAR)) + EICAR


def in_front() -> bytes:
    return b"\x89PNG" + EICAR + PLAIN_CLEAN


def nested_three_deep() -> bytes:
    return archive({"x.zip": archive({"y.jar": archive({"z.dat": EICAR})})})


def gzipped() -> bytes:
    stream = zlib.compressobj(wbits=31)
    return archive({"assets/x": stream.compress(b"head " + EICAR) + stream.flush()})


def nested_behind_a_picture() -> bytes:
    return archive({"res/logo.png": b"\x89PNG\r\n" + b"\0" * 40 + archive({"z": EICAR})})


PLAIN_CLEAN = archive({"b.txt": b"hello"})
HIDING = {
    make.__name__: make
    for make in (
        encrypted,
        unknown_method,
        method_of_local_header,
        stored_but_called_deflated,
        too_small_sizes,
        too_large_sizes,
        wrong_checksum,
        other_local_name,
        without_directory,
        empty_second_end,
        hidden_behind_directory,
        name_that_is_no_text,
        in_comment,
        in_front,
        nested_three_deep,
        gzipped,
        nested_behind_a_picture,
    )
}


@pytest.mark.parametrize("make", HIDING.values(), ids=HIDING)
def test_a_marker_is_found_wherever_it_hides(make: Callable[[], bytes], scan_here: Scan) -> None:
    assert FOUND in rules_of(scan_here(make()))


@pytest.mark.parametrize(
    ("make", "rule"),
    [
        (encrypted, "container_encryption_flag"),
        (unknown_method, "container_unknown_method"),
        (method_of_local_header, "container_methods_differ"),
        (too_small_sizes, "container_sizes_lie"),
        (too_large_sizes, "container_sizes_lie"),
        (wrong_checksum, "container_checksum_wrong"),
        (other_local_name, "container_names_differ"),
        (hidden_behind_directory, "container_leftover_entry"),
    ],
)
def test_each_contradiction_is_evidence(
    make: Callable[[], bytes], rule: str, scan_here: Scan
) -> None:
    assert rule in rules_of(scan_here(make()))


def test_the_place_names_the_nested_entry_and_the_offset(scan_here: Scan) -> None:
    (finding,) = (f for f in scan_here(nested_three_deep())["findings"] if f["rule"] == FOUND)

    assert finding["where"] == "x.zip!/y.jar!/z.dat at 0x0"


def test_an_offset_outside_the_entries_is_the_files_own(scan_here: Scan) -> None:
    data = in_comment()
    (finding,) = (f for f in scan_here(data)["findings"] if f["rule"] == FOUND)

    assert finding["where"] == f"(outside the entries) at {data.index(EICAR):#x}"


def test_an_honest_archive_has_no_oddities(scan_here: Scan) -> None:
    assert rules_of(scan_here(PLAIN_CLEAN)) == set()


def test_streamed_entries_with_data_descriptors_are_honest(scan_here: Scan) -> None:
    class Pipe(io.RawIOBase):
        def __init__(self) -> None:
            self.body = b""

        def writable(self) -> bool:
            return True

        def write(self, piece: Any) -> int:
            self.body += bytes(piece)
            return len(piece)

    pipe = Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as opened:
        opened.writestr("a.txt", b"hello " * 100)
        opened.writestr("b.txt", b"world " * 100)

    assert rules_of(scan_here(pipe.body)) == set()


def test_two_manifests_are_suspicious_two_texts_are_not(scan_here: Scan) -> None:
    def twice(name: str) -> bytes:
        whole = io.BytesIO()
        with zipfile.ZipFile(whole, "w") as opened, pytest.warns(UserWarning, match="Duplicate"):
            opened.writestr(name, b"one")
            opened.writestr(name, b"two")
        return whole.getvalue()

    assert "container_duplicate_entry" in rules_of(scan_here(twice("AndroidManifest.xml")))
    assert rules_of(scan_here(twice("b.txt"))) == {"container_duplicate_harmless"}


def test_byte_code_before_the_archive_is_malicious(scan_here: Scan) -> None:
    result = scan_here(b"dex\n035\0" + b"\0" * 200 + PLAIN_CLEAN)

    (finding,) = (f for f in result["findings"] if f["rule"] == "container_code_before_archive")
    assert finding["severity"] == "high"


def test_a_bomb_is_cut_off_and_told(scan_here: Scan) -> None:
    bomb = archive({"zeros": b"\0" * (200 * 1024 * 1024)})

    result = scan_here(bomb)

    assert any("zeros: it is larger than the limits" in reason for reason in result["skipped"])
    assert result["features"]["unpacked_bytes"] < 4 * SMALL.entry_bytes


def test_many_bombs_together_stop_at_the_total(scan_here: Scan) -> None:
    body = random.Random(1).randbytes(10_000) * 700
    bomb = archive({f"{number}": body for number in range(10)})

    result = scan_here(bomb)

    assert any("unpacked bytes" in reason for reason in result["skipped"])


def test_sixty_thousand_entries_are_all_seen(scan_here: Scan) -> None:
    data = archive({f"res/{number}.xml": b"x" for number in range(59_999)} | {"last": EICAR})

    result = scan_here(data)

    assert FOUND in rules_of(result)
    assert result["features"]["counts"]["other"] == 60_000


def test_more_entries_than_the_limit_are_told(scan_here: Scan) -> None:
    data = archive({f"{number}": b"x" for number in range(50)})

    result = scan_here(data, SMALL._replace(entries=20))

    assert any("after 20 entries" in reason for reason in result["skipped"])


def test_archives_nested_too_deep_are_told(scan_here: Scan) -> None:
    data = EICAR
    for number in range(30):
        data = archive({f"{number}.zip": data})

    result = scan_here(data)

    assert any("deeper than the limit" in reason for reason in result["skipped"])


def test_a_late_scan_stops_and_tells(scan_here: Scan) -> None:
    data = archive({f"{number}": b"x" for number in range(50)})
    began = time.monotonic()

    result = scan_here(data, Limits(seconds=0.0))

    assert any("the time was over" in reason for reason in result["skipped"])
    assert time.monotonic() - began < 30


def test_a_damaged_entry_is_told_and_its_beginning_still_searched(scan_here: Scan) -> None:
    noise = zlib.compress(bytes(i * i % 251 for i in range(60_000)), 0)
    data = bytearray(archive({"a": EICAR + noise * 3 + b"words " * 50_000}))
    data[data.index(CENTRAL) - 30] ^= 0xFF

    result = scan_here(bytes(data))

    assert FOUND in rules_of(result)
    assert result["skipped"] or "container_checksum_wrong" in rules_of(result)


@pytest.mark.parametrize("body", [b"", b"hello", b"PK", b"PK\x03\x04", END, LOCAL * 100, END * 100])
def test_what_is_no_archive_is_told(body: bytes, scan_here: Scan) -> None:
    assert scan_here(body)["skipped"]


def test_a_plain_test_file_is_found(scan_here: Scan) -> None:
    assert FOUND in rules_of(scan_here(EICAR))


def test_every_contradiction_is_documented() -> None:
    told = Path(__file__).parents[2].joinpath("docs", "scanner.md").read_text("utf-8")

    assert [rule for rule in ODD if f"`{rule}`" not in told] == []


def test_an_end_record_of_two_kinds_leads_to_both_directories(scan_here: Scan) -> None:
    """Android's native reader goes by size and place, its Java reader by the count too."""
    whole = Zip(entries=[Entry(name=b"classes.dex", body=EICAR)]).bytes()
    first = whole.index(CENTRAL)
    decoy = Zip(entries=[Entry(name=b"decoy", body=b"x")], prefix=whole[: whole.index(END)]).bytes()
    second, end_at = decoy.rindex(CENTRAL), decoy.rindex(END)
    wide = END_64 + struct.pack("<QHHIIQQQQ", 44, 45, 45, 0, 0, 1, 1, end_at - second, second)
    locator = LOCATOR_64 + struct.pack("<IQI", 0, end_at, 1)
    told = struct.pack("<HHHHIIH", 0, 0, 0xFFFF, 0xFFFF, second - first, first, 0)
    data = decoy[:end_at] + wide + locator + END + told

    starts = [one.start for one in directories(data, 100)]
    names = [[record.name for record in one.records] for one in directories(data, 100)]
    rules = rules_of(scan_here(data))

    assert starts == [second, first]
    assert names == [[b"decoy"], [b"classes.dex"]]
    assert "container_several_directories" in rules
    assert "container_hidden_entry" not in rules
