"""Values inside a signed package: signatures stay valid, only the end of the file is made anew."""

import asyncio
import hashlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.simulator import apk
from communication import downloads
from communication.downloads import Downloads, Package, with_values
from communication.files import Files
from contracts import codec, envelope, keys, signing_block
from contracts.download import Download, DownloadValues, link_of
from runtime.clock import utc_now
from runtime.errors import MalformedMessageError, TooLargeError, UnauthenticatedError
from tests.scanner.apksig import Apksig
from tests.scanner.build_apk import App, build_apk

KEY = keys.new_key()
VALUES = DownloadValues(
    relay_url="https://mdm.example.jp:4343",
    enrolment_key="SHINAGAWA-2026-KIOSK",
    order_signing_key=keys.public_jwk(KEY),
    agent_sha256="a" * 64,
    issued_at=utc_now(),
)
TOKEN = envelope.sign(codec.write(VALUES), envelope.DOWNLOAD, KEY).encode()
SCHEMES = [frozenset(one.split("+")) for one in ("v1+v2+v3", "v2", "v3")]


@pytest.fixture(scope="module")
def apksig() -> Any:
    tool = Apksig()
    yield tool
    tool.close()


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    big = App(files={"assets/big.bin": bytes(range(256)) * 9000})
    return build_apk(tmp_path_factory.mktemp("original") / "agent.apk", big)


def _whole(package: Package) -> bytes:
    return package.path.read_bytes()[: package.head_bytes] + package.tail


def _blocks(body: bytes) -> bytes:
    end = signing_block.find_end(body[-signing_block.END_BYTES :], len(body))
    size = signing_block.block_bytes(body[end.directory_offset - 24 : end.directory_offset])
    return body[end.directory_offset - size : end.directory_offset]


@pytest.mark.parametrize("schemes", SCHEMES, ids=["v1+v2+v3", "v2", "v3"])
def test_the_makers_signature_stays_valid(
    apksig: Apksig, tmp_path: Path, schemes: frozenset[str]
) -> None:
    minimum = 28 if schemes == {"v3"} else 24
    original = build_apk(tmp_path / "agent.apk", App(schemes=schemes, minimum_sdk=minimum))
    before = apksig.verify(original, minimum)
    patched = tmp_path / "patched.apk"
    patched.write_bytes(_whole(with_values(original, TOKEN)))

    after = apksig.verify(patched, minimum)
    assert after.is_good, after.errors
    assert (after.schemes, after.signers) == (before.schemes, before.signers)
    assert after.schemes
    assert len(_blocks(patched.read_bytes())) % 4096 == 0
    assert apk.enrolment_code(patched) == link_of(VALUES)


def test_putting_values_in_again_replaces_them_and_grows_nothing(
    tmp_path: Path, original: Path
) -> None:
    once = tmp_path / "once.apk"
    once.write_bytes(_whole(with_values(original, b"first")))
    twice = tmp_path / "twice.apk"
    twice.write_bytes(_whole(with_values(once, b"other")))

    assert once.stat().st_size == twice.stat().st_size
    found = signing_block.read_pairs(_blocks(twice.read_bytes()))
    assert [value for pair_id, value in found if pair_id == signing_block.OURS] == [b"other"]
    kept = [pair for pair in found if pair[0] not in (signing_block.OURS, signing_block.PADDING)]
    before = signing_block.read_pairs(_blocks(original.read_bytes()))
    assert kept == [pair for pair in before if pair[0] != signing_block.PADDING]


def test_only_the_end_of_the_file_is_made_anew(original: Path) -> None:
    package = with_values(original, TOKEN)

    assert package.head_bytes > 0
    assert len(package.tail) < 100_000
    assert _whole(package)[: package.head_bytes] == original.read_bytes()[: package.head_bytes]


def test_a_package_without_scheme_v2_takes_nothing(tmp_path: Path) -> None:
    for schemes in (frozenset[str](), frozenset({"v1"})):
        with pytest.raises(MalformedMessageError, match="no signature of scheme v2"):
            with_values(build_apk(tmp_path / "old.apk", App(schemes=schemes)), TOKEN)


def test_altered_values_are_refused_by_the_agent(tmp_path: Path, original: Path) -> None:
    other = keys.new_key()
    stranger = envelope.sign(codec.write(VALUES), envelope.DOWNLOAD, other)
    order = envelope.sign(codec.write(VALUES), envelope.ORDER, KEY)
    for number, value in enumerate((stranger.encode(), order.encode(), TOKEN[:-6] + b"AAAAAA")):
        path = tmp_path / f"{number}.apk"
        path.write_bytes(_whole(with_values(original, value)))
        with pytest.raises((UnauthenticatedError, MalformedMessageError)):
            apk.enrolment_code(path)
    with pytest.raises(MalformedMessageError, match="Nothing is inside"):
        apk.enrolment_code(original)


@given(st.binary(max_size=300))
def test_no_end_of_a_file_does_harm(tail: bytes) -> None:
    for body in (tail, tail + b"PK\x05\x06" + bytes(18), tail + signing_block.MAGIC):
        try:
            end = signing_block.find_end(body, len(body))
            signing_block.block_bytes(body[max(0, end.directory_offset - 24) :][:24])
        except (MalformedMessageError, TooLargeError):
            continue


@given(st.binary(max_size=400), st.integers(0, 2**64 - 1))
def test_no_block_does_harm(inside: bytes, size: int) -> None:
    written = (len(inside) + 24).to_bytes(8, "little")
    for block in (
        written + inside + written + signing_block.MAGIC,
        size.to_bytes(8, "little") + inside + written + signing_block.MAGIC,
        inside,
    ):
        try:
            pairs = signing_block.read_pairs(block)
        except (MalformedMessageError, TooLargeError):
            continue
        again = signing_block.with_value(block, b"value")
        assert signing_block.read_value(again) == b"value"
        kept = [p for p in pairs if p[0] not in (signing_block.OURS, signing_block.PADDING)]
        assert signing_block.read_pairs(again)[: len(kept)] == kept
        assert len(again) % 4096 == 0


class _Asked:
    method = "GET"
    path = downloads.PATH

    def __init__(self, method: str = "GET", **headers: str) -> None:
        self.method, self.headers = method, headers


class _Answered:
    """Takes an answer as granian does; *breaks*: the client goes away after the first piece."""

    def __init__(self, breaks: bool = False) -> None:
        self.status, self.headers, self.body, self.breaks = 0, dict[str, str](), b"", breaks

    def response_stream(self, status: int, headers: list[tuple[str, str]]) -> "_Answered":
        self.status, self.headers = status, dict(headers)
        return self

    response_empty = response_stream

    def response_bytes(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.status, self.headers, self.body = status, dict(headers), body

    async def send_bytes(self, piece: bytes) -> None:
        if self.breaks and self.body:
            raise RuntimeError("gone")
        self.body += piece


def _desk(tmp_path: Path, original: Path) -> tuple[Downloads, bytes]:
    body = original.read_bytes()
    files = Files(tmp_path / "files", 10**9)
    sha256 = hashlib.sha256(body).hexdigest()
    files.append(sha256, 0, len(body), body)
    desk = Downloads(tmp_path, files)
    desk.put(
        Download(
            tag="t", sha256=sha256, size_bytes=len(body), package="org.example", version="1.0",
            signer_sha256="b" * 64, values=TOKEN.decode(),
        )
    )  # fmt: skip
    return desk, body


def _get(desk: Downloads, asked: _Asked, plain: bool = False, breaks: bool = False) -> _Answered:
    answered = _Answered(breaks)
    asyncio.run(desk.stream(asked, answered, plain))  # type: ignore[arg-type]
    return answered


def test_a_download_is_whole_and_goes_on_where_it_broke_off(tmp_path: Path, original: Path) -> None:
    desk, body = _desk(tmp_path, original)
    whole = _get(desk, _Asked())

    assert whole.status == 200
    assert int(whole.headers["Content-Length"]) == len(whole.body)
    assert signing_block.read_value(_blocks(whole.body)) == TOKEN
    for start in (1, len(body) // 2, len(whole.body) - 1):
        rest = _get(desk, _Asked(range=f"bytes={start}-"))
        assert (rest.status, rest.body) == (206, whole.body[start:])
        assert rest.headers["Content-Range"].startswith(f"bytes {start}-")
    assert _get(desk, _Asked(range=f"bytes={len(whole.body)}-")).status == 416
    assert _get(desk, _Asked(range="bytes=1-2,4-5")).body == whole.body
    head = _get(desk, _Asked("HEAD"))
    assert (head.status, head.body) == (200, b"")


def test_without_tls_the_package_comes_without_key(tmp_path: Path, original: Path) -> None:
    desk, body = _desk(tmp_path, original)

    assert _get(desk, _Asked(), plain=True).body == body
    assert TOKEN not in body


def test_a_client_that_goes_away_leaves_nothing_behind(tmp_path: Path, original: Path) -> None:
    desk, _ = _desk(tmp_path, original)

    _get(desk, _Asked(), breaks=True)
    assert _get(desk, _Asked()).status == 200
    assert Downloads(tmp_path, desk._files).current == desk.current


def test_without_a_package_the_page_has_nothing(tmp_path: Path) -> None:
    desk = Downloads(tmp_path, Files(tmp_path / "files", 10**9))

    assert _get(desk, _Asked()).status == 404
    desk.put(Download(tag="nothing"))
    assert _get(desk, _Asked()).status == 404
    desk.put(Download(tag="t", sha256="c" * 64, values=TOKEN.decode()))
    assert _get(desk, _Asked()).status == 404, "the file is not here yet"
