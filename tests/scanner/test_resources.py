"""What Android finds under a number of resources.arsc is found, whoever wrote the table."""

import pytest

from scanner import resources
from scanner.manifest_reader import read_manifest
from scanner.resource_numbers import MAXIMUM_ROWS
from scanner.resources import MAXIMUM_STEPS, Resources
from tests.scanner import axml, misread
from tests.scanner.arsc import aliases, libraries, one, package, version, whole
from tests.scanner.conftest import Scan, rules_of
from tests.scanner.misread import INBOX, MALFORMED, Reference, Spy, apk
from tests.scanner.samples.binary_manifest import IDS

TEXT = axml.STRING
REFERENCE, DYNAMIC = axml.REFERENCE, 7
NAME = 0x01010003


def texts(body: bytes, number: int) -> list[str]:
    return Resources(lambda: body).texts(number)


def test_types_that_begin_later_are_found_where_old_and_new_systems_find_them() -> None:
    body = whole(package(one(TEXT, 0, type_id=3), later=5), texts=("here",))

    assert texts(body, 0x7F080000) == ["here"]
    assert texts(body, 0x7F030000) == ["here"]
    assert texts(body, 0x7F050000) == []


def test_what_a_new_system_finds_comes_first() -> None:
    early, late = one(TEXT, 0, type_id=3), one(TEXT, 1, type_id=1)
    body = whole(package(early, late, later=2), texts=("early", "late"))

    assert texts(body, 0x7F030000) == ["late", "early"]


def test_a_type_offset_beyond_all_types_hides_nothing() -> None:
    body = whole(package(one(TEXT, 0), later=0xFFFFFFFF), texts=("here",))

    assert texts(body, 0x7F010000) == ["here"]


def test_a_package_without_number_gets_that_of_a_library() -> None:
    first, second = package(one(TEXT, 0), number=0), package(one(TEXT, 1), number=0, name="c.d")
    body = whole(first, second, texts=("first", "second"))

    assert texts(body, 0x02010000) == ["first"]
    assert texts(body, 0x03010000) == ["second"]


@pytest.mark.parametrize("kind", [REFERENCE, DYNAMIC])
def test_a_reference_into_package_0_means_the_own_one(kind: int) -> None:
    body = whole(package(one(kind, 0x00020000), one(TEXT, 0, type_id=2)), texts=("here",))

    assert texts(body, 0x7F010000) == ["here"]


def test_numbers_of_libraries_and_aliases_lead_to_what_they_stand_for() -> None:
    known = libraries((0x40, "a.b")), aliases((0x7F090000, 0x7F010000))
    body = whole(package(*known, one(TEXT, 0)), texts=("here",))

    assert texts(body, 0x40010000) == ["here"]
    assert texts(body, 0x7F090000) == ["here"]
    assert texts(body, 0x41010000) == []


def test_a_chunk_before_the_table_and_a_second_table_hide_nothing() -> None:
    decoy = axml.chunk(0x7777, b"\0" * 20)
    real = whole(package(one(TEXT, 0)), texts=("here",))
    second = axml.chunk(2, b"\1\0\0\0" + package(one(TEXT, 0, type_id=2)), 12)

    assert texts(decoy + real, 0x7F010000) == ["here"]
    assert texts(real + second, 0x7F020000) == ["here"]
    assert not Resources(lambda: real + b"\0" * 64).is_cut


def test_references_are_followed_as_far_as_android_follows_them() -> None:
    def chain(length: int) -> bytes:
        links = [one(REFERENCE, 0x7F000000 | n + 1 << 16, type_id=n) for n in range(1, length)]
        return whole(package(*links, one(TEXT, 0, type_id=length)), texts=("end",))

    assert texts(chain(20), 0x7F010000) == ["end"]
    assert texts(chain(MAXIMUM_STEPS + 5), 0x7F010000) == []


def test_what_two_configurations_share_is_no_circle() -> None:
    shared = [one(REFERENCE, 0x7F020000), one(REFERENCE, 0x7F020000, config=version(21))]
    found = Resources(lambda: whole(package(*shared, one(0x12, 1, type_id=2)))).values(0x7F010000)

    assert [(value.kind, value.number) for value in found] == [(0x12, 1)]


def test_a_value_for_a_system_that_will_never_be_is_not_the_likeliest() -> None:
    several = one(TEXT, 0), one(TEXT, 1, config=version(10_000)), one(TEXT, 2, config=version(21))
    body = whole(package(*several), texts=("any", "never", "new"))

    assert texts(body, 0x7F010000) == ["new", "any", "never"]


def test_a_text_that_is_cut_is_told() -> None:
    long = whole(package(one(TEXT, 0)), texts=("x" * 2_001,))
    short = whole(package(one(TEXT, 0)), texts=("x" * 2_000,))

    for body, is_cut in ((long, True), (short, False)):
        found = Resources(lambda body=body: body)  # type: ignore[misc]
        assert found.texts(0x7F010000) == ["x" * 2_000]
        assert found.is_cut is is_cut


def test_a_name_that_is_cut_in_the_resources_is_never_clean(scan_here: Scan) -> None:
    spy = Spy()
    spy.name = spy.w.given("name", Reference())
    table = whole(package(one(TEXT, 0)), texts=("a." + "x" * 2_100,))

    result = scan_here(apk(spy.bytes(), table))

    assert any("longer texts" in reason for reason in result["skipped"])


def test_texts_that_are_looked_up_are_bounded_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resources, "MAXIMUM_TEXT", 25)
    types = [one(TEXT, n, type_id=n + 1) for n in range(5)]
    found = Resources(
        lambda: whole(package(*types), texts=tuple(f"text number {n}" for n in "abc"))
    )

    assert [found.texts(0x7F010000 + (n << 16)) for n in range(3)] == [
        ["text number a"],
        ["text number b"],
        [],
    ]
    assert found.is_cut


RENAMED = {
    "by a library": libraries((0x40, "android")),
    "by an alias": aliases((0x40010003, NAME)),
}


@pytest.mark.parametrize("how", RENAMED)
def test_an_attribute_that_the_resources_rename_is_found(how: str, scan_here: Scan) -> None:
    spy = Spy()
    w = spy.w
    spy.name = w.given(w.again("courier"), INBOX)
    spy.exported = b""
    ids = [*sorted(IDS.values()), *[0] * (len(w.texts) - 1 - len(IDS)), 0x40010003]
    table = whole(package(RENAMED[how]))

    body = spy.bytes(maps=w.map(ids))

    assert read_manifest(body, Resources(lambda: table)).components[0].name == INBOX
    assert misread.RULE in rules_of(scan_here(apk(body, table)))
    assert MALFORMED not in rules_of(scan_here(apk(body, table)))


def test_a_way_that_is_too_long_is_told() -> None:
    far = MAXIMUM_STEPS + 5
    links = [one(REFERENCE, 0x7F000000 | n + 1 << 16, type_id=n) for n in range(1, far)]
    told = Resources(lambda: whole(package(*links, one(TEXT, 0, type_id=far)), texts=("end",)))

    assert told.texts(0x7F010000) == []
    assert told.is_cut


def test_all_aliases_of_a_table_together_are_bounded_and_told() -> None:
    rows = [(0x40000000 + n, 0x7F010000) for n in range(900)]
    several = [aliases(*rows)] * (1 + MAXIMUM_ROWS // len(rows))
    found = Resources(lambda: whole(package(one(TEXT, 0), *several), texts=("here",)))

    assert found.texts(0x7F010000) == ["here"]
    assert found.is_cut
