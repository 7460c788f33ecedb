"""What identifies a device, read strictly; and lists of devices as administrators write them.

Pure. IMEI: 3GPP TS 23.003 section 6.2 (15 digits, the last by Luhn). MEID: 3GPP2 S.R0048 (14
hexadecimal digits from A0, or the same as 18 decimal ones). MAC: IEEE 802, six octets.
"""

import csv
import io
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from contracts.agent import DeviceDescription
from management.formulas import as_it_was, harmless

COLUMNS = ("imei_or_meid", "wifi_mac", "serial", "enrolment_id", "note")
MOST_LINES = 200_000
LARGEST_BYTES = 16 * 1024 * 1024
MOST_BAD = 200
"""So many bad lines are named; the others are counted."""
TEMPLATE = ",".join(COLUMNS) + "\r\n"
_MAC = re.compile(r"[0-9A-F]{12}")
_SERIAL = re.compile(r"[!-~]{1,64}")
_ENTERPRISE = re.compile(r"[A-Za-z0-9]{8,64}")
_SHORTENED = re.compile(r"[0-9]+[.,]?[0-9]*E\+[0-9]+")


class Unlisted(StrEnum):
    """What becomes of a device that is not on the list."""

    ALLOWED = "allowed"
    """Nothing: there is no list."""
    REFUSED = "refused"
    GROUP = "group"
    """It comes into the group ``unauthorized``."""


class WrongError(ValueError):
    """Why a text is no such identifier."""


@dataclass(frozen=True, slots=True)
class Identifiers:
    """What is known of one device; each in the form that is stored, or empty."""

    imei: str = ""
    wifi_mac: str = ""
    serial: str = ""
    enterprise_id: str = ""

    @property
    def known(self) -> bool:
        """Whether anything identifies the device."""
        return bool(self.marks)

    @property
    def marks(self) -> frozenset[tuple[str, str]]:
        """Each that is known, with its name."""
        said = {
            "imei": self.imei,
            "wifi_mac": self.wifi_mac,
            "serial": self.serial,
            "enterprise_id": self.enterprise_id,
        }
        return frozenset(pair for pair in said.items() if pair[1])


@dataclass(frozen=True, slots=True)
class Line:
    """One good line of a list."""

    number: int
    identifiers: Identifiers
    note: str


@dataclass(slots=True)
class Parsed:
    """What a list says; nothing of it is taken while a line is bad."""

    lines: list[Line] = field(default_factory=list)
    bad: list[tuple[int, str]] = field(default_factory=list)
    """Number and reason of each bad line, the first `MOST_BAD`."""
    bad_count: int = 0

    def refuse(self, number: int, why: str) -> None:
        """Note a bad line."""
        self.bad_count += 1
        if len(self.bad) < MOST_BAD:
            self.bad.append((number, why))


def read_imei(text: str) -> str:
    """Return an IMEI as 15 digits, a MEID as 14 capital hexadecimal digits; else WrongError."""
    found = re.sub(r"[\s-]", "", text).upper()
    if _SHORTENED.fullmatch(found):
        raise WrongError("the spreadsheet shortened the number: format its column as text")
    if found.isascii() and found.isdigit() and len(found) == 15:
        if _luhn(found) % 10:
            raise WrongError("the check digit of this IMEI is wrong")
        if len(set(found)) == 1:
            raise WrongError("this IMEI is a placeholder")
        return found
    if found.isascii() and found.isdigit() and len(found) == 18:
        found = f"{int(found[:10]):08X}{int(found[10:]):06X}"
    if re.fullmatch(r"[A-F][0-9A-F]{13}", found):
        return found
    raise WrongError("an IMEI has 15 digits, a MEID 14 hexadecimal digits from A0 or 18 digits")


def _luhn(digits: str) -> int:
    doubled = (int(digit) * (1 + place % 2) for place, digit in enumerate(reversed(digits)))
    return sum(value // 10 + value % 10 for value in doubled)


def read_mac(text: str) -> str:
    """Return a MAC address as 12 capital hexadecimal digits; WrongError when it is none."""
    found = re.sub(r"[\s:.-]", "", text).upper()
    if not _MAC.fullmatch(found):
        raise WrongError("a MAC address has 12 hexadecimal digits, like 00:1A:2B:3C:4D:5E")
    first = int(found[:2], 16)
    if found in ("0" * 12, "F" * 12) or first & 1:
        raise WrongError("this MAC address belongs to no single device")
    if first & 2:
        raise WrongError(
            "this MAC address is a random one, another in each network; enter that of the hardware"
        )
    return found


def read_serial(text: str) -> str:
    """Return a serial number in capitals; WrongError when it says nothing."""
    found = as_it_was(text.strip().upper())
    if not _SERIAL.fullmatch(found):
        raise WrongError("a serial number has 1 to 64 letters, digits or signs and no space")
    if found in ("UNKNOWN", "NULL", "NONE") or not found.strip("0"):
        raise WrongError("this serial number is a placeholder")
    return found


def read_enterprise_id(text: str) -> str:
    """Return Android's enrolment-specific id in capitals; WrongError when it cannot be one."""
    found = text.strip()
    if not _ENTERPRISE.fullmatch(found):
        raise WrongError("an enrolment id has 8 to 64 letters and digits")
    return found.upper()


_READERS: Mapping[str, tuple[str, Callable[[str], str]]] = {
    "imei_or_meid": ("imei", read_imei),
    "wifi_mac": ("wifi_mac", read_mac),
    "serial": ("serial", read_serial),
    "enrolment_id": ("enterprise_id", read_enterprise_id),
}


def told(description: DeviceDescription) -> Identifiers:
    """Return what a device says of itself; what cannot identify anything counts as not said."""
    imei = _or_nothing(read_imei, description.imei) or description.meid
    return told_as(imei, description.wifi_mac, description.serial, description.enterprise_id)


def told_as(imei: str, wifi_mac: str, serial: str, enterprise_id: str) -> Identifiers:
    """Return the same of a device whose words were kept; *imei* may be a MEID."""
    return Identifiers(
        imei=_or_nothing(read_imei, imei),
        wifi_mac=_or_nothing(read_mac, wifi_mac),
        serial=_or_nothing(read_serial, serial),
        enterprise_id=_or_nothing(read_enterprise_id, enterprise_id),
    )


def _or_nothing(read: Callable[[str], str], text: str) -> str:
    try:
        return read(text)
    except WrongError:
        return ""


def decode(body: bytes) -> str:
    """Return the text of a file: UTF-8, or what Japanese spreadsheets write (Windows-31J)."""
    for encoding in ("utf-8-sig", "cp932"):
        try:
            return body.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise WrongError("the file is neither UTF-8 nor Shift_JIS text")


def parse(text: str) -> Parsed:
    """Return the lines of a list with a first line of `COLUMNS` (in any order, not all needed)."""
    parsed, seen = Parsed(), dict[tuple[str, str], int]()
    first = text.partition("\n")[0]
    separator = max(",;\t", key=first.count)
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    try:
        names = [name.strip().lower() for name in next(rows, [])]
        if why := _wrong_names(names):
            parsed.refuse(1, why)
            return parsed
        for row in rows:
            if any(cell.strip() for cell in row):
                _take(parsed, seen, rows.line_num, dict(zip(names, row, strict=False)))
            if len(parsed.lines) > MOST_LINES:
                parsed.refuse(rows.line_num, f"the list has more than {MOST_LINES} lines")
                return parsed
    except csv.Error as error:
        parsed.refuse(rows.line_num, f"the line cannot be read ({error})")
    return parsed


def _wrong_names(names: list[str]) -> str:
    strange = sorted(set(names) - set(COLUMNS))
    if strange or not set(names) & set(_READERS) or len(set(names)) != len(names):
        wanted = ", ".join(COLUMNS)
        return f"the first line must name the columns as the template does: {wanted}"
    return ""


def _take(
    parsed: Parsed, seen: dict[tuple[str, str], int], number: int, cells: Mapping[str, str]
) -> None:
    found: dict[str, str] = {}
    for column, (name, read) in _READERS.items():
        if not (cell := cells.get(column, "").strip()):
            continue
        try:
            found[name] = read(cell)
        except WrongError as error:
            parsed.refuse(number, f"{column}: {error}")
            return
    if not found:
        parsed.refuse(number, "nothing in this line identifies a device")
        return
    for mark in found.items():
        if mark in seen:
            parsed.refuse(number, f"{mark[1]} stands in line {seen[mark]} already")
            return
    seen.update(dict.fromkeys(found.items(), number))
    note = cells.get("note", "").replace("\0", "").strip()[:255]
    parsed.lines.append(Line(number, Identifiers(**found), note))


def refusal(said: Identifiers, listed: bool) -> str:
    """Return why a device is not one of the list, or nothing when it is."""
    if listed:
        return ""
    if not said.known:
        return (
            "This device tells nothing that the allow-list could know it by. Android tells IMEI, "
            "serial number and hardware MAC address only to an agent that is device owner; "
            "enrol it so, or let the administrator list its enrolment id."
        )
    return "This device is not on the allow-list. Ask your administrator to add it."


def table(rows: Iterable[tuple[Identifiers, str]]) -> str:
    """Return a list in the template's form; no cell begins a formula."""
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow(COLUMNS)
    for one, note in rows:
        told = (one.imei, one.wifi_mac, one.serial, one.enterprise_id, note)
        writer.writerow(map(harmless, told))
    return out.getvalue()


def parse_one(cells: Mapping[str, str]) -> Parsed:
    """Return one device that was typed into a form, or why it is none."""
    parsed = Parsed()
    _take(parsed, {}, 1, cells)
    return parsed
