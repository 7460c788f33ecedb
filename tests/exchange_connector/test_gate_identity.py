"""Who asks for what, out of hostile queries and credentials; and what a blocked phone is told."""

import base64
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyactivesync._wbxml import WBXMLReader, find, text_of

from exchange_connector.gate.answers import Refusal, refuse
from exchange_connector.gate.certificate import serial_number
from exchange_connector.gate.commands import COMMAND_CODES, STATUS_PLACES
from exchange_connector.gate.identity import (
    UnreadableError,
    canonical_user,
    key_of,
    read_query,
    read_user,
)
from runtime.errors import UnauthenticatedError

ids = st.text(string.ascii_letters + string.digits, min_size=1, max_size=32)
commands = st.sampled_from(sorted(COMMAND_CODES.items()))
names = st.text(st.characters(codec="utf-8", categories=("L", "N")), min_size=1, max_size=40)


def packed(code: int, device_id: bytes, version: int = 141, more: bytes = b"") -> bytes:
    """Return the fields of a base64 query (MS-ASHTTP 2.2.1.1.1.1)."""
    return bytes([version, code, 9, 4, len(device_id)]) + device_id + b"\0" + b"\x06iPhone" + more


@given(commands, ids, st.sampled_from([121, 140, 141, 161]))
def test_a_base64_query_is_read_and_written_alike(
    command: tuple[int, str], device_id: str, version: int
) -> None:
    raw = packed(command[0], device_id.encode(), version, b"\x08\x03ada")
    found = read_query(base64.b64encode(raw).decode())

    assert (found.command, found.device_id, found.version) == (command[1], device_id, version)
    assert found.device_type == "iPhone"
    assert base64.b64decode(found.query) == raw
    assert read_query(found.query) == found


@given(commands, ids, st.text(max_size=40).filter(str.isprintable))
def test_a_plain_query_says_afterwards_what_it_said(
    command: tuple[int, str], device_id: str, kind: str
) -> None:
    from urllib.parse import quote

    query = f"DEVICEID={device_id}&cMd={command[1].upper()}&DeviceType={quote(kind, safe='')}"
    found = read_query(query, "16.1")

    assert (found.command, found.device_id, found.device_type, found.version) == (
        command[1],
        device_id,
        kind,
        161,
    )
    assert found.query.startswith(f"Cmd={command[1]}&DeviceId={device_id}&")
    assert read_query(found.query, "16.1") == found


@given(
    st.one_of(st.text(max_size=300), st.binary(max_size=200).map(lambda raw: raw.decode("latin-1")))
)
def test_any_query_is_read_the_same_twice_or_refused(query: str) -> None:
    try:
        found = read_query(query)
    except UnreadableError:
        return
    again = read_query(found.query)
    assert (again.command, again.device_id) == (found.command, found.device_id)


@given(st.binary(max_size=120))
def test_any_bytes_in_base64_are_read_to_their_end_or_refused(raw: bytes) -> None:
    query = base64.b64encode(raw).decode()
    try:
        found = read_query(query)
    except UnreadableError:
        return
    assert base64.b64decode(found.query) == raw
    with pytest.raises(UnreadableError):
        read_query(base64.b64encode(raw + b"\x01\x05").decode())


@pytest.mark.parametrize(
    "query",
    [
        "",
        "Cmd=",
        "Cmd=Sync",
        "Cmd=Sync&User=ada",
        "Cmd=Sync&DeviceId=" + "A" * 65,
        "Cmd=Sync&DeviceId=A&DeviceId=B",
        "Cmd=Sync&DeviceId=A&CMD=Ping",
        "Cmd=Sync&DeviceId=A&x%00=1",
        "Cmd=Sync&DeviceId=A&User=a%0d%0ab",
        "Cmd=Sync&DeviceId=A&User=%ff",
        "Cmd=Sync&DeviceId=A&;",
        "Cmd=Sync&DeviceId=A" + "&x=1" * 20,
        "Cmd=Sync&DeviceId=A&User=" + "a" * 5000,
        base64.b64encode(packed(5, b"PHONE1")).decode(),
        base64.b64encode(packed(0, b"")).decode(),
        base64.b64encode(packed(0, b"PHONE1") + b"\x01").decode(),
        base64.b64encode(packed(0, b"PHONE1", more=b"\x08\x01a\x08\x01b")).decode(),
    ],
)
def test_what_has_no_or_two_meanings_is_refused(query: str) -> None:
    with pytest.raises(UnreadableError):
        read_query(query)


def test_a_device_id_of_bytes_is_hexadecimal() -> None:
    raw = bytes(range(16))
    assert read_query(base64.b64encode(packed(18, raw)).decode()).device_id == raw.hex().upper()


@given(names, st.sampled_from(["{}", "EXAMPLE\\{}", "{}@example.com", " {} "]))
def test_a_user_is_one_in_every_spelling(name: str, spelling: str) -> None:
    said = base64.b64encode(f"{spelling.format(name)}:pass:word".encode()).decode()
    plain = canonical_user(name)
    if not plain.isprintable() or len(plain.encode()) > 200:
        return
    assert read_user(f"Basic {said}", "example.com") == f"{plain}@example.com"
    assert canonical_user(plain) == plain


@given(st.text(max_size=80))
def test_any_credentials_name_somebody_or_are_refused(header: str) -> None:
    try:
        user = read_user(header)
    except (UnreadableError, UnauthenticatedError):
        return
    assert user
    assert user.isprintable()


def test_a_name_without_end_is_refused() -> None:
    for name in ("a" * 256, "a" * 5000, "\ufdfa" * 50):
        with pytest.raises(UnreadableError):
            read_user("Basic " + base64.b64encode(f"{name}:x".encode()).decode())


def test_without_credentials_a_phone_signs_in_first() -> None:
    for header in (None, ""):
        with pytest.raises(UnauthenticatedError):
            read_user(header)


def test_a_device_id_is_one_in_every_spelling() -> None:
    assert key_of("ada", "ApplABC") == key_of("ada", "APPLabc")


@pytest.mark.parametrize(
    "command", sorted(set(STATUS_PLACES) - {"MeetingResponse", "ValidateCert"})
)
@pytest.mark.parametrize("refusal", list(Refusal), ids=lambda one: one.name)
def test_another_reader_finds_the_status(command: str, refusal: Refusal) -> None:
    answer = refuse(refusal, command, 141)

    assert answer.status == 200
    ((root, _, children),) = WBXMLReader(answer.body).parse()
    page, _, name = root.partition(".")
    assert name == command
    assert text_of(find(children, f"{page}.Status")) == str(refusal.value[0])


def test_older_versions_and_plain_downloads_are_told_by_http() -> None:
    for command, version in (("Sync", 121), ("Sync", 25), ("Sync", 0), ("GetAttachment", 141)):
        answer = refuse(Refusal.BLOCKED, command, version)
        assert (answer.status, answer.body) == (403, b"")


@given(st.text(max_size=200))
def test_rubbish_is_no_certificate(header: str) -> None:
    assert serial_number(header) is None
