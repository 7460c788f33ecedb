"""What secure hardware says, read strictly from bytes that anybody may send."""

from contextlib import suppress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agents.simulator.attesting import describe
from contracts import der
from contracts.attestation import (
    BootState,
    SecurityLevel,
    dotted,
    month,
    read_key_description,
)
from runtime.errors import MalformedMessageError, TooLargeError

SOUND = describe(b"question", BootState.VERIFIED, True, "15", "2026-09")


@given(
    challenge=st.binary(max_size=128),
    boot=st.sampled_from(BootState),
    locked=st.booleans(),
    version=st.tuples(st.integers(1, 99), st.integers(0, 99), st.integers(0, 99)),
    year=st.integers(2000, 9999),
    number=st.integers(1, 12),
    level=st.sampled_from(SecurityLevel),
)
def test_what_hardware_writes_is_read_back(
    challenge: bytes,
    boot: BootState,
    locked: bool,
    version: tuple[int, int, int],
    year: int,
    number: int,
    level: SecurityLevel,
) -> None:
    text = ".".join(map(str, version))
    patch = f"{year}-{number:02d}"

    read = read_key_description(describe(challenge, boot, locked, text, patch, level))

    assert (read.challenge, read.attestation_level, read.key_level) == (challenge, level, level)
    assert read.root_of_trust is not None
    assert (read.root_of_trust.boot_state, read.root_of_trust.is_locked) == (boot, locked)
    assert read.patch_level == patch
    assert read.os_version is not None
    assert [*map(int, read.os_version.split("."))] == [*version][: len(read.os_version.split("."))]


@given(st.binary(max_size=300))
@example(b"\x30\x80")
@example(b"\x30\x84\xff\xff\xff\xff")
@example(b"\x1f\xff\xff\xff\xff\x7f\x00")
def test_any_bytes_are_read_or_refused_with_a_sentence(said: bytes) -> None:
    with suppress(MalformedMessageError, TooLargeError):
        read_key_description(said)


@given(st.integers(0, len(SOUND) - 1), st.integers(0, 255))
def test_a_changed_byte_is_refused_or_read_as_another_statement(at: int, byte: int) -> None:
    changed = SOUND[:at] + bytes([byte]) + SOUND[at + 1 :]
    with suppress(MalformedMessageError, TooLargeError):
        read_key_description(changed)


@given(st.integers(0, len(SOUND) - 1))
def test_what_is_cut_off_is_refused(size: int) -> None:
    with pytest.raises(MalformedMessageError):
        read_key_description(SOUND[:size])


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (SOUND + b"\x00", "follows"),
        (b"\x30\x81\x05" + bytes(5), "shortest"),
        (b"\x30\x80\x00\x00", "indefinite"),
        (b"\x02\x02\x00\x01", "universal tag 16"),
        (b"\x30\x03\x02\x01\x01", "8 fields"),
        (b"\x1f\x80\x01\x00", "tag number"),
    ],
    ids=["tail", "long length", "indefinite", "no sequence", "few fields", "padded tag"],
)
def test_what_no_correct_encoder_writes_is_refused(said: bytes, why: str) -> None:
    with pytest.raises(MalformedMessageError, match=why):
        read_key_description(said)


def test_numbers_have_one_form_and_a_bound() -> None:
    for said in (b"\x02\x00", b"\x02\x02\x00\x05", b"\x02\x01\x80", b"\x02\x09" + b"\x01" * 9):
        with pytest.raises(MalformedMessageError):
            der.read(said).whole()
    assert der.read(b"\x02\x02\x00\x80").whole() == 128


def test_many_elements_and_many_bytes_are_too_large() -> None:
    many = b"\x05\x00" * (der.MOST_CHILDREN + 1)
    with pytest.raises(TooLargeError):
        der.read(b"\x30\x82" + len(many).to_bytes(2) + many).children()
    with pytest.raises(TooLargeError):
        der.read(bytes(der.MOST_BYTES + 1))


def test_versions_and_months_are_told_as_people_write_them() -> None:
    assert [dotted(160_000), dotted(80_100), dotted(90_002), dotted(0)] == [
        "16",
        "8.1",
        "9.0.2",
        None,
    ]
    assert [month(202_511), month(0), month(202_513)] == ["2025-11", None, None]
