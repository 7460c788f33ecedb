"""Files at the relay: filled by management, fetched by devices, and parts that devices leave."""

import hashlib
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import httpx
import pytest

from communication.files import Uploads
from contracts import codec
from contracts.files import ExpectedUpload, HeldFiles, HeldParts, WaitingUploads
from runtime.errors import NotFoundError
from tests.communication.relay import Management, Phone, Relay, detail

BODY = bytes(range(256)) * 400  # 100 KiB
NAME = hashlib.sha256(BODY).hexdigest()
HALF = len(BODY) // 2


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Relay]:
    """A relay with little room for files."""
    settings = {"files_bytes": "150000", "upload_bytes": "70000"}
    started = Relay(tmp_path_factory.mktemp("small"), settings).start()
    yield started
    started.hang_up()
    started.stop()


@pytest.fixture
def office(small: Relay) -> Management:
    made = Management(small)
    for held in codec.read(HeldFiles, made.send("GET", "/link/v1/files").content).files:
        made.send("DELETE", f"/link/v1/files/{held.sha256}")
    waiting = codec.read(WaitingUploads, made.send("GET", "/link/v1/uploads").content)
    for upload in waiting.uploads:
        made.send("DELETE", f"/link/v1/uploads/{upload.upload_id}")
    return made


@pytest.fixture
def device(small: Relay, office: Management) -> Phone:
    return Phone(small, office)


def put(
    office: Management, offset: int, body: bytes, name: str = NAME, size: int = len(BODY)
) -> httpx.Response:
    return office.send("PUT", f"/link/v1/files/{name}?offset={offset}&size={size}", body)


def expect(office: Management, device: UUID, parts: int = 2, days: int = 1) -> UUID:
    upload = uuid4()
    until = datetime.now(UTC) + timedelta(days=days)
    body = codec.write(ExpectedUpload(device_id=device, most_parts=parts, until=until))
    assert office.send("PUT", f"/link/v1/uploads/{upload}", body).status_code == 204
    return upload


def leave(device: Phone, upload: UUID, part: int, body: bytes = b"sealed") -> httpx.Response:
    return device.send("POST", f"/agent/v1/uploads?upload={upload}&part={part}", body)


def test_a_file_comes_in_pieces_and_is_fetched_in_pieces(office: Management, device: Phone) -> None:
    assert put(office, 0, BODY[:HALF]).status_code == 200
    early = device.send("GET", f"/agent/v1/files/{NAME}?offset=0")
    assert put(office, HALF, BODY[HALF:]).status_code == 200

    answer = device.send("GET", f"/agent/v1/files/{NAME}?offset={HALF}")

    assert early.status_code == 404
    assert (answer.content, answer.headers["sekisho-file-size"]) == (BODY[HALF:], str(len(BODY)))
    held = codec.read(HeldFiles, office.send("GET", "/link/v1/files").content).files
    assert [(one.sha256, one.received_bytes, one.whole) for one in held] == [
        (NAME, len(BODY), True)
    ]


def test_a_piece_at_the_wrong_place_is_refused_and_says_where_it_goes_on(
    office: Management,
) -> None:
    put(office, 0, BODY[:HALF])

    answer = put(office, 10, BODY[10:])

    assert answer.status_code == 409
    assert f"goes on at {HALF}" in detail(answer)


def test_a_file_that_is_not_what_its_name_says_is_gone(office: Management) -> None:
    answer = put(office, 0, BODY, name="0" * 64)

    assert answer.status_code == 400
    assert codec.read(HeldFiles, office.send("GET", "/link/v1/files").content).files == ()


def test_files_have_a_quota(office: Management) -> None:
    assert put(office, 0, BODY).status_code == 200

    answer = put(office, 0, BODY, name="1" * 64)

    assert answer.status_code == 507
    assert "SEKISHO_COMMUNICATION_FILES_BYTES" in detail(answer)


@pytest.mark.parametrize("name", ["..%2Fmailbox.db", "short", "A" * 64])
def test_other_names_lead_nowhere(office: Management, device: Phone, name: str) -> None:
    assert put(office, 0, BODY, name=name).status_code == 404
    assert device.send("GET", f"/agent/v1/files/{name}?offset=0").status_code == 404


def test_parts_are_kept_for_the_expected_device_only(
    small: Relay, office: Management, device: Phone
) -> None:
    upload, other = expect(office, device.id), Phone(small, office)

    assert leave(other, upload, 0).status_code == 403
    assert leave(device, uuid4(), 0).status_code == 404
    assert leave(device, upload, 2).status_code == 403
    assert leave(device, upload, 1).status_code == 202
    assert leave(device, upload, 1).status_code == 202

    held = device.send("GET", f"/agent/v1/uploads?upload={upload}")
    assert codec.read(HeldParts, held.content).parts == (1,)
    assert office.send("GET", f"/link/v1/uploads/{upload}/1").content == b"sealed"
    assert office.send("GET", f"/link/v1/uploads/{upload}/0").status_code == 404
    assert office.send("DELETE", f"/link/v1/uploads/{upload}").status_code == 204
    assert leave(device, upload, 0).status_code == 404


def test_parts_have_a_quota_and_an_end(office: Management, device: Phone) -> None:
    upload = expect(office, device.id)
    assert leave(device, upload, 0, b"x" * 60_000).status_code == 202

    assert leave(device, upload, 1, b"x" * 20_000).status_code == 507
    late = expect(office, device.id, days=-1)
    assert leave(device, late, 0).status_code == 403


def test_strangers_neither_fill_nor_fetch(small: Relay, office: Management, device: Phone) -> None:
    put(office, 0, BODY)
    unsigned = small.devices_client().get(f"/agent/v1/files/{NAME}?offset=0")
    as_device = Phone(small, office)
    by_device = small.link_client().put(
        f"/link/v1/files/{NAME}?offset=0&size=1",
        content=b"x",
        headers=as_device.headers("PUT", f"/link/v1/files/{NAME}?offset=0&size=1", b"x"),
    )

    assert unsigned.status_code == 401
    assert by_device.status_code == 401


def test_what_lies_there_survives_the_death_of_the_relay(own_relay: Relay) -> None:
    office = Management(own_relay.start())
    put(office, 0, BODY[:HALF])
    own_relay.kill()
    own_relay.start()
    office = Management(own_relay)

    held = codec.read(HeldFiles, office.send("GET", "/link/v1/files").content).files

    assert [(one.received_bytes, one.whole) for one in held] == [(HALF, False)]
    assert put(office, HALF, BODY[HALF:]).status_code == 200
    assert (Path(own_relay.folder) / "files" / NAME).read_bytes() == BODY


def test_an_upload_may_be_forgotten_while_its_parts_come(tmp_path: Path) -> None:
    uploads, upload_id, device = Uploads(tmp_path / "uploads", 10**6), uuid4(), uuid4()
    now = datetime.now(UTC)
    expected = ExpectedUpload(device_id=device, most_parts=9, until=now + timedelta(days=1))
    ended = threading.Event()

    def send() -> int:
        kept = 0
        while not ended.is_set():
            with suppress(NotFoundError):
                uploads.put_part(upload_id, device, kept % 9, b"part", now)
                kept += 1
        return kept

    with ThreadPoolExecutor(1) as pool:
        sending = pool.submit(send)
        for _ in range(200):
            uploads.expect(upload_id, expected)
            uploads.forget(upload_id)
        ended.set()
        sending.result()

    assert uploads.waiting() == ()
