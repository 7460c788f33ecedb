"""Identifiers of devices and lists of them, read strictly."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.agent import DeviceDescription
from management.allow_list.rules import (
    COLUMNS,
    TEMPLATE,
    Identifiers,
    WrongError,
    decode,
    parse,
    read_imei,
    read_mac,
    read_serial,
    refusal,
    table,
    told,
)

HEAD = ",".join(COLUMNS)


def _imei(body: str) -> str:
    digits = [int(digit) * (1 + place % 2) for place, digit in enumerate(reversed(body + "0"))]
    return body + str(-sum(d // 10 + d % 10 for d in digits) % 10)


@given(st.from_regex(r"[0-9]{14}", fullmatch=True))
def test_exactly_one_check_digit_is_right(body: str) -> None:
    good = _imei(body)
    others = [body + digit for digit in "0123456789" if digit != good[-1]]

    if len(set(good)) > 1:
        assert read_imei(f" {good[:2]}-{good[2:8]} {good[8:]}") == good
    for wrong in others:
        with pytest.raises(WrongError, match=r"check digit|placeholder"):
            read_imei(wrong)


def test_a_meid_is_the_same_in_both_notations() -> None:
    # 3GPP2 S.R0048: the first 8 hexadecimal digits are 10 decimal ones, the other 6 are 8.
    assert read_imei("a0-00000a-000001") == "A000000A000001"
    assert read_imei(f"{0xA000000A:010}{1:08}") == "A000000A000001"


@pytest.mark.parametrize(
    "text",
    ["", "1234", "4.90154E+14", "4,9E+14", "000000000000000", "99000000000000", "49015420323751８"],
    ids=["empty", "short", "spreadsheet", "comma", "zeros", "not a0", "wide digit"],
)
def test_what_is_no_imei_is_refused(text: str) -> None:
    with pytest.raises(WrongError):
        read_imei(text)


@pytest.mark.parametrize("text", ["00:1a:2b:3c:4d:5e", "001A.2B3C.4D5E", "00-1A-2B-3C-4D-5E"])
def test_a_mac_address_is_read_in_every_notation(text: str) -> None:
    assert read_mac(text) == "001A2B3C4D5E"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("00:1a:2b", "12 hexadecimal"),
        ("02:00:00:00:00:00", "random"),
        ("DA:A1:19:00:00:01", "random"),
        ("01:00:5e:00:00:01", "no single device"),
        ("00:00:00:00:00:00", "no single device"),
    ],
)
def test_a_mac_address_that_names_no_hardware_is_refused(text: str, why: str) -> None:
    with pytest.raises(WrongError, match=why):
        read_mac(text)


def test_placeholders_are_no_serial_numbers() -> None:
    assert read_serial(" r58n123 ") == "R58N123"
    for text in ("unknown", "0000", "", "with space"):
        with pytest.raises(WrongError):
            read_serial(text)


def test_what_a_phone_cannot_tell_counts_as_not_said() -> None:
    said = told(DeviceDescription(platform="android", imei="0", wifi_mac="02:00:00:00:00:00"))

    assert said == Identifiers()
    assert "tells nothing" in refusal(said, False)
    assert "not on the allow-list" in refusal(Identifiers(serial="X"), False)
    assert refusal(Identifiers(serial="X"), True) == ""


def test_every_bad_line_is_named() -> None:
    parsed = parse(
        f"{HEAD}\n490154203237518,,,,first\n490154203237519,,,,\n,00:1A:2B:3C:4D:5E,,,\n\n"
        ",,,,only a note\n490154203237518,,,,again\n,,,short,\n"
    )

    assert [line.number for line in parsed.lines] == [2, 4]
    assert [number for number, _ in parsed.bad] == [3, 6, 7, 8]
    reasons = dict(parsed.bad)
    assert "check digit" in reasons[3]
    assert "nothing in this line" in reasons[6]
    assert "stands in line 2 already" in reasons[7]
    assert "8 to 64" in reasons[8]


@pytest.mark.parametrize("separator", [",", ";", "\t"], ids=["comma", "semicolon", "tab"])
def test_columns_may_stand_in_any_order(separator: str) -> None:
    text = separator.join(("note", "serial")) + "\r\n" + separator.join(("desk", "R58N123"))

    (line,) = parse(text).lines
    assert (line.identifiers.serial, line.note) == ("R58N123", "desk")


def test_a_list_without_its_first_line_is_refused_as_a_whole() -> None:
    parsed = parse("490154203237518,,,,\n")

    assert parsed.lines == []
    assert "first line" in parsed.bad[0][1]
    assert parse(TEMPLATE).bad == []
    assert parse("").bad_count == 1


def test_japanese_spreadsheets_are_read() -> None:
    text = f"{HEAD}\n490154203237518,,,,受付の端末\n"

    for encoding in ("utf-8", "utf-8-sig", "cp932"):
        assert parse(decode(text.encode(encoding))).lines[0].note == "受付の端末"
    with pytest.raises(WrongError):
        decode(b"\xff\xfe\x00\x81")


@given(st.text(max_size=400))
def test_anything_is_read_or_refused(text: str) -> None:
    parsed = parse(text)

    assert parsed.bad_count >= len(parsed.bad)
    assert all(line.identifiers.known for line in parsed.lines)


def test_what_is_written_is_read_again_and_begins_no_formula() -> None:
    rows = [
        (Identifiers(imei="490154203237518"), "=HYPERLINK()"),
        (Identifiers(serial="=S"), "ok"),
    ]

    written = table(rows)
    assert "\n=" not in written
    assert ",=" not in written
    assert [line.identifiers for line in parse(written).lines] == [one for one, _ in rows]
