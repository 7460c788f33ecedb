"""The search of single rows finds what the index over all code finds."""

import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from scanner.code_file import CodeFile, Method
from scanner.code_sites import MAXIMUM_ROWS
from tests.scanner.corpus import real_apk, second_real_apk


def _indexed(file: CodeFile) -> CodeFile:
    """Return the same file, to be answered by its index."""
    other = CodeFile(file.place, file.data)
    other.users(range(MAXIMUM_ROWS + 1), ())
    assert "_index" in other.__dict__
    return other


@pytest.mark.parametrize("apk", [real_apk, second_real_apk], ids=["one DEX", "many DEX"])
def test_search_finds_what_the_index_finds(apk: Callable[[], Path]) -> None:
    with zipfile.ZipFile(apk()) as archive:
        data = archive.read("classes.dex")
    indexed = _indexed(CodeFile("classes.dex", data))
    found: list[Method] = []
    searches = 0
    for first in range(100, indexed.dex.methods.rows, indexed.dex.methods.rows // 12):
        searched = CodeFile("classes.dex", data)
        rows = range(first, first + 3)
        methods = searched.users(rows, rows, rows)
        assert methods == indexed.users(rows, rows, rows)
        searches += "_index" not in searched.__dict__
        found += methods
    assert searches > 6 and len(found) > 50


def test_small_or_odd_files_are_answered_by_the_index() -> None:
    with zipfile.ZipFile(real_apk()) as archive:
        data = bytearray(archive.read("classes.dex"))
    indexed = _indexed(CodeFile("classes.dex", bytes(data)))
    data[0x34:0x38] = bytes(4)  # no map: the sections are not known
    rows = range(500, 503)
    assert CodeFile("classes.dex", bytes(data)).users(rows, ()) == indexed.users(rows, ())


def test_counting_stops_above_the_number_asked_for() -> None:
    with zipfile.ZipFile(real_apk()) as archive:
        file = CodeFile("classes.dex", archive.read("classes.dex"))
    rows = range(500, 510)
    number = len(_indexed(file).users(rows, ()))
    assert file.count_users(rows, (), number) == number > 3
    assert file.count_users(rows, (), 2) > 2
