"""Whatever the bytes, a scan within limits returns a result and raises nothing."""

import contextlib
import io
import json
import random
import zipfile
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from patterns.opened import OpenSet
from scanner.chunks import BrokenChunkError
from scanner.der import BrokenDerError, certificate
from scanner.dex import BrokenDexError, Dex
from scanner.limits import MEBIBYTE, Limits
from scanner.manifest_reader import read_manifest
from scanner.resources import Resources
from scanner.scan import scan
from tests.scanner.corpus import real_apk
from tests.scanner.fuzzing import fuzz

LIMITS = Limits(entry_bytes=4 * MEBIBYTE, total_bytes=16 * MEBIBYTE, seconds=30)
QUIET = settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
changes = st.lists(
    st.tuples(st.integers(0, 2**31), st.sampled_from([0, 1, 2, 0x7F, 0x80, 0xFE, 0xFF])),
    min_size=1,
    max_size=40,
)


def small_real_archive() -> bytes:
    """Return the real app's manifest, resources and signature files as an archive of their own."""
    whole = io.BytesIO()
    with zipfile.ZipFile(real_apk()) as real, zipfile.ZipFile(whole, "w") as small:
        for name in real.namelist():
            if name == "AndroidManifest.xml" or name.startswith("META-INF/CERT"):
                small.writestr(name, real.read(name), zipfile.ZIP_DEFLATED)
        small.writestr("nested.jar", whole.getvalue()[:2000])
    return whole.getvalue()


def entry(name: str) -> bytes:
    with zipfile.ZipFile(real_apk()) as real:
        return real.read(name)


def changed(data: bytes, where: list[tuple[int, int]], end: int) -> bytes:
    body = bytearray(data)
    for at, value in where:
        body[at % len(body)] = value
    return bytes(body[: len(body) - end % len(body)]) if end % 3 == 0 else bytes(body)


@QUIET
@given(where=changes, end=st.integers(0, 2**20))
def test_a_mutated_archive_gives_a_result(
    where: list[tuple[int, int]], end: int, opened: OpenSet
) -> None:
    result = scan(changed(small_real_archive(), where, end), opened, LIMITS)

    assert json.loads(json.dumps(result)) == result


@QUIET
@given(body=st.binary(max_size=3000))
def test_any_bytes_give_a_result(body: bytes, opened: OpenSet) -> None:
    scan(body, opened, LIMITS)
    scan(b"PK\x03\x04" + body + b"PK\x05\x06" + body[:18].ljust(18, b"\0"), opened, LIMITS)


@QUIET
@given(where=changes, end=st.integers(0, 2**20))
def test_a_mutated_manifest_is_read_or_refused(where: list[tuple[int, int]], end: int) -> None:
    with contextlib.suppress(BrokenChunkError):
        read_manifest(changed(entry("AndroidManifest.xml"), where, end))


@QUIET
@given(where=changes, end=st.integers(0, 2**20))
def test_mutated_resources_give_a_text(where: list[tuple[int, int]], end: int) -> None:
    data = entry("resources.arsc")
    head = bytearray(changed(data[:20_000], where, 1))

    assert isinstance(Resources(lambda: bytes(head) + data[20_000:]).texts(0x7F0E001B), list)


def torn(data: bytes, chance: random.Random) -> bytes:
    """Return *data* with numbers that lie, pieces cut out and pieces copied."""
    body = bytearray(data)
    for _ in range(chance.choice([1, 2, 8, 40])):
        at, other = chance.randrange(len(body)), chance.randrange(len(body))
        kind = chance.randrange(4)
        if kind == 0:
            lie = chance.choice([0, 1, 2**31 - 1, 2**32 - 1, len(body), other])
            body[at : at + 4] = lie.to_bytes(4, "little")
        elif kind == 1 and len(body) > 200:
            del body[at : at + chance.randrange(60)]
        elif kind == 2:
            body[at:at] = body[other : other + chance.randrange(200)]
        else:
            body[at] = chance.randrange(256)
    return bytes(body)


def test_a_torn_archive_gives_a_result_and_a_torn_manifest_is_read_or_refused(
    opened: OpenSet,
) -> None:
    archive, manifest, chance = small_real_archive(), entry("AndroidManifest.xml"), random.Random(9)
    for _ in range(400):
        scan(torn(archive, chance), opened, LIMITS)
        with contextlib.suppress(BrokenChunkError):
            read_manifest(torn(manifest, chance))


def test_mutated_byte_code_is_searched_or_refused() -> None:
    data, chance = entry("classes.dex"), random.Random(7)
    for _ in range(200):
        body = bytearray(data)
        for _ in range(10):
            body[chance.randrange(0x20, 0x70)] = chance.randrange(256)
        with contextlib.suppress(BrokenDexError):
            Dex(bytes(body)).calls(["Ljava/lang/String;->length", "Lnot/There;->method"])


@QUIET
@given(body=st.binary(max_size=400))
def test_any_certificate_is_read_or_refused(body: bytes) -> None:
    with contextlib.suppress(BrokenDerError):
        certificate(b"\x30\x82" + len(body).to_bytes(2, "big") + body)


def test_every_kept_input_is_read_or_refused_and_so_is_what_grows_from_it(tmp_path: Path) -> None:
    assert fuzz(tmp_path, "-runs=6000", "-seed=1") == ""
