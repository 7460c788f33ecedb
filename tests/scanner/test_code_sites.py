"""The search of single rows finds what the copy of all instructions finds."""

import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from scanner import code_sites
from scanner.code_file import CodeFile, Method
from scanner.code_sites import INVOKES, CodeSites
from tests.scanner.corpus import real_apk, second_real_apk


def _code(apk: Path) -> bytes:
    with zipfile.ZipFile(apk) as archive:
        return archive.read("classes.dex")


def _by_copy(file: CodeFile, rows: range) -> list[Method]:
    """Return the users of *rows*, found without the search of single rows."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(code_sites, "MAXIMUM_SEARCHES", 0)
        return CodeFile(file.place, file.data).users(rows, rows, rows)


@pytest.mark.parametrize("apk", [real_apk, second_real_apk], ids=["one DEX", "many DEX"])
def test_search_finds_what_the_copy_finds(apk: Callable[[], Path]) -> None:
    file = CodeFile("classes.dex", _code(apk()))
    found: list[Method] = []
    for first in range(100, file.dex.methods.rows, file.dex.methods.rows // 12):
        rows = range(first, first + 3)
        methods = CodeFile("classes.dex", file.data).users(rows, rows, rows)
        assert methods == _by_copy(file, rows)
        found += methods
    assert len(found) > 50


def test_every_use_that_the_instructions_show_is_found() -> None:
    file = CodeFile("classes.dex", _code(real_apk()))
    row = next(row for row in range(500, 900) if len(file.users([row], ())) > 5)
    users = {(method.owner, method.name, method.proto) for method in file.users([row], ())}

    told = set()
    for number in range(file.dex.classes.rows):
        owner = file.type_name(file.parents[number][0])
        for (name, proto), method in file.methods_of(number, owner).items():
            (units,) = memoryview(file.data)[method.code_at + 12 :][:4].cast("I")
            body = memoryview(file.data)[method.code_at + 16 :][: 2 * units].cast("H")
            if any(
                body[at] & 0xFF in (*range(0x6E, 0x73), *range(0x74, 0x79)) and body[at + 1] == row
                for at in range(len(body) - 1)
            ):
                told.add((owner, name, proto))

    assert users == told


def test_a_file_without_a_map_is_read_whole() -> None:
    data = bytearray(_code(real_apk()))
    rows = range(500, 503)
    expected = CodeFile("classes.dex", bytes(data)).users(rows, ())
    data[0x34:0x38] = bytes(4)  # no map: the sections are not known

    assert CodeFile("classes.dex", bytes(data)).users(rows, ()) == expected


def test_a_method_whose_header_lies_about_what_android_ignores_is_found() -> None:
    data = bytearray(_code(real_apk()))
    rows = range(500, 520)
    expected = CodeFile("classes.dex", bytes(data)).users(rows, ())
    for method in expected:  # where its notes for debuggers are
        data[method.code_at + 8 : method.code_at + 12] = b"\xff" * 4

    assert CodeFile("classes.dex", bytes(data)).users(rows, ()) == expected
    assert len(expected) > 5


def test_counting_stops_above_the_number_asked_for() -> None:
    file = CodeFile("classes.dex", _code(real_apk()))
    rows = range(500, 510)
    number = len(file.users(rows, ()))

    assert file.count_users(rows, (), number) == number > 3
    assert file.count_users(rows, (), 2) > 2


def test_instructions_without_methods_around_them_cost_no_search_each() -> None:
    calls = bytes.fromhex("6e1005000000") * 400_000
    data = bytearray(b"dex\n035\0" + bytes(0x4000) + bytes(32) + bytes(4) + calls)
    code_map = struct.pack("<I", 2) + struct.pack("<HHII", 0x2000, 0, 1, 0x4010)
    data += code_map + struct.pack("<HHII", 0x2001, 0, 1, 0x4030)
    struct.pack_into("<I", data, 0x34, len(data) - 28)

    sites = CodeSites(bytes(data), (1, 0x4010), lambda _: [(7, 0x4010)])

    assert sites.users(INVOKES, [5]) == set()


def test_where_the_search_takes_too_long_all_methods_are_listed() -> None:
    file = CodeFile("classes.dex", _code(real_apk()))
    rows = range(500, 520)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(code_sites, "MAXIMUM_STEPS", 2_000)
        listed = CodeFile("classes.dex", file.data).users(rows, rows, rows)

    assert listed == file.users(rows, rows, rows) != []
