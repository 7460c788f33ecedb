"""The log of a connector: ordered in the console, sent as a named ZIP, without a secret."""

import base64
import io
import json
import logging
import re
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from exchange_connector import configuration, log_file
from management.log_zips import KEPT_FOR, VALID_FOR
from management.mail_access import connectors, logs
from runtime import logs as runtime_logs
from runtime.clock import utc_now
from runtime.errors import MalformedMessageError, NotFoundError, RefusedError, SekishoError
from tests.exchange_connector.bed import BY, Bed

NAME = "mail1_0.1.0_20261122T101500Z.zip"
ZIP = b"PK\x03\x04 and more"


@pytest.fixture
def logging_to_file(bed: Bed) -> Iterator[Path]:
    """Log as the process does, into the connector's folder."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    bed.folder.mkdir(mode=0o700, exist_ok=True)
    runtime_logs.start("exchange-connector", "INFO")
    log_file.keep(bed.folder)
    yield bed.folder
    for one in root.handlers:
        one.close()
    root.handlers[:] = handlers
    root.setLevel(level)


def order(bed: Bed, paired: configuration.Paired) -> None:
    with bed.context.database.transaction("test") as session:
        logs.order_log(session, bed.context.keys, paired.connector_id, BY, utc_now())


def fetched(bed: Bed, paired: configuration.Paired) -> tuple[str, bytes]:
    with bed.context.database.reading() as session:
        return logs.get_file(session, paired.connector_id)


def test_what_is_ordered_comes_with_the_next_pass_as_a_named_zip(
    bed: Bed, logging_to_file: Path
) -> None:
    paired = bed.pair()
    logging.getLogger("test").warning("Exchange went away")
    logging.getLogger("test").warning("Authorization: Basic c2VjcmV0OnNlY3JldA== was sent")
    logging.getLogger("test").warning("the word secret, and %s", base64.b64encode(b"secret"))
    order(bed, paired)
    bed.run_pass()

    name, content = fetched(bed, paired)
    assert re.fullmatch(r"[^_]+_[^_]+_\d{8}T\d{6}Z\.zip", name)
    with zipfile.ZipFile(io.BytesIO(content)) as packed:
        assert packed.testzip() is None
        lines = [json.loads(line) for line in packed.read("connector.log").splitlines()]
        assert "version" in json.loads(packed.read("about.json"))
    said = " ".join(line["message"] for line in lines)
    assert "Exchange went away" in said
    assert "c2VjcmV0" not in said
    assert "secret" not in said
    assert (logging_to_file / "log").stat().st_mode & 0o077 == 0

    bed.run_pass()
    assert fetched(bed, paired) == (name, content)


def test_what_is_taken_back_is_not_sent(bed: Bed) -> None:
    paired = bed.pair()
    bed.run_pass()
    order(bed, paired)
    with bed.context.database.transaction("test") as session:
        logs.cancel_log(session, bed.context.keys, paired.connector_id, BY, utc_now())
    bed.run_pass()
    with pytest.raises(NotFoundError):
        fetched(bed, paired)
    with bed.context.database.transaction("test") as session, pytest.raises(RefusedError):
        logs.cancel_log(session, bed.context.keys, paired.connector_id, BY, utc_now())


def test_nothing_is_taken_that_was_not_ordered_of_this_connector(bed: Bed) -> None:
    paired = bed.pair()
    bed.open()
    assert bed.management
    with pytest.raises(SekishoError, match="not wanted"):
        bed.management.send_log(uuid4(), NAME, ZIP)
    order(bed, paired)
    with bed.context.database.reading() as session:
        row = logs.find_log(session, paired.connector_id)
    assert row
    for name, content in (
        ("..%2F..%2Fetc.zip", ZIP),
        ("a_b_c.zip", ZIP),
        (NAME, b"no zip"),
        (NAME, ZIP + bytes(4 * 1024 * 1024)),
    ):
        with pytest.raises(SekishoError):
            bed.management.send_log(row.id, name, content)
    bed.management.send_log(row.id, NAME, ZIP)
    assert fetched(bed, paired) == (NAME, ZIP)
    with pytest.raises(SekishoError, match="not wanted"):
        bed.management.send_log(row.id, NAME, ZIP)


def test_old_orders_and_old_files_are_forgotten(bed: Bed) -> None:
    paired = bed.pair()
    order(bed, paired)
    later = utc_now() + VALID_FOR
    with bed.context.database.transaction("test") as session:
        row = logs.find_log(session, paired.connector_id)
        assert row
        assert logs.wanted_log(session, paired.connector_id, utc_now()) == row.id
        connector = connectors.note_call(session, paired.connector_id, utc_now())
        with pytest.raises(MalformedMessageError):
            logs.take_log(session, connector, row.id, "x.zip", ZIP, utc_now())
        assert logs.wanted_log(session, paired.connector_id, later) is None
        session.flush()
        assert logs.find_log(session, paired.connector_id) is None
    order(bed, paired)
    with bed.context.database.transaction("test") as session:
        row = logs.find_log(session, paired.connector_id)
        assert row
        logs.take_log(session, connector, row.id, NAME, ZIP, utc_now())
        assert logs.wanted_log(session, paired.connector_id, utc_now() + KEPT_FOR) is None
        session.flush()
        assert logs.find_log(session, paired.connector_id) is None


def test_a_log_too_large_to_send_loses_its_oldest_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "log"
    folder.mkdir()
    monkeypatch.setattr(log_file, "LARGEST_LOG_BYTES", 2000)
    for suffix in ("", ".1", ".2"):
        (folder / f"connector.log{suffix}").write_text(str([uuid4().hex for _ in range(60)]))
    packed = log_file.pack(tmp_path, ())
    assert len(packed) <= 2000
    with zipfile.ZipFile(io.BytesIO(packed)) as found:
        assert found.namelist() == ["about.json", "connector.log"]


def test_private_keys_are_blanked() -> None:
    pem = b"-----BEGIN PRIVATE KEY-----\nMIIE\nAAAA\n-----END PRIVATE KEY-----"
    assert b"MIIE" not in log_file.blank(b"before " + pem + b" after", ())
    assert log_file.blank(b"before " + pem + b" after", ()).startswith(
        b"before -----BEGIN PRIVATE KEY-----[not logged]-----END"
    )
    cut = b"-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nMIIE"
    assert b"MIIE" not in log_file.blank(cut, ())
    assert log_file.blank(b"Bearer abc.def-ghi_123 x", ()) == b"Bearer [not logged] x"


def test_a_log_full_of_beginnings_of_keys_costs_no_more_than_its_length() -> None:
    begin = b"-----BEGIN PRIVATE KEY-----"
    text = begin * (2 * 2**20 // len(begin))
    begun = time.process_time()
    blanked = log_file.blank(text, ())
    assert time.process_time() - begun < 60  # 0.1 s; when it grew with the square, minutes
    assert blanked.count(b"[not logged]") == text.count(begin)
