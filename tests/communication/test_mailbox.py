"""The mailbox's rules that depend on time and room, with a mailbox on disk."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import UUID, uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from joserfc.jwk import ECKey

from communication import device_identity, mailbox_schema
from communication.board import Board
from communication.device_identity import Asked, Identity
from communication.limits import TooManyError
from communication.mailbox import ENROLMENT_KEPT, UNANSWERED_KEPT, Limits, Mailbox
from communication.report_batch import Kept, report
from contracts import keys
from contracts.link import KnownDevice, Outbound
from contracts.request_signature import AGENT, signature_headers
from runtime.errors import ConfigurationError, ForbiddenError, UnauthenticatedError

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
KEY = keys.public_jwk(keys.new_key())
LIMITS = Limits(
    device_messages=10,
    device_bytes=100_000,
    inbound_bytes=1_000_000,
    outbound_bytes=1_000_000,
    enrolments=2,
)


@pytest.fixture
def mailbox(tmp_path: Path) -> Iterator[Mailbox]:
    opened = Mailbox(tmp_path / "mailbox.db", LIMITS)
    yield opened
    opened.close()


def _enrol(mailbox: Mailbox, now: datetime) -> UUID:
    enrolment = uuid4()
    with mailbox.writing("enrolment"):
        mailbox.put_enrolment(enrolment, KEY, "request", now)
    return enrolment


def _take_all(mailbox: Mailbox) -> None:
    with mailbox.writing("taken"):
        mailbox.forget_inbound(item.id for item in mailbox.list_inbound(200, 10**6))


def _answer(mailbox: Mailbox, enrolment: UUID) -> None:
    answer = Outbound(kind="enrolment_answer", recipient=enrolment, epoch=1, seq=1, sealed="yes")
    with mailbox.writing("orders"):
        mailbox.put_outbound([answer])


def test_one_that_management_saw_long_ago_and_did_not_answer_makes_room(mailbox: Mailbox) -> None:
    ignored, fresh = _enrol(mailbox, NOW), _enrol(mailbox, NOW)
    _take_all(mailbox)
    later = NOW + UNANSWERED_KEPT + timedelta(seconds=1)

    _enrol(mailbox, later)

    assert [mailbox.find_enrolment_key(each) for each in (ignored, fresh)].count(None) == 1


def test_one_that_management_answered_or_has_not_seen_is_kept(mailbox: Mailbox) -> None:
    answered = _enrol(mailbox, NOW)
    _take_all(mailbox)
    _answer(mailbox, answered)
    unseen = _enrol(mailbox, NOW)
    later = NOW + UNANSWERED_KEPT + timedelta(seconds=1)

    with pytest.raises(TooManyError, match="2 enrolments wait here already"):
        _enrol(mailbox, later)

    assert mailbox.find_enrolment_key(answered) == mailbox.find_enrolment_key(unseen) == KEY


def test_old_enrolments_go_with_their_answers_and_orders_stay(mailbox: Mailbox) -> None:
    old, young = _enrol(mailbox, NOW), _enrol(mailbox, NOW + timedelta(days=1))
    for each in (old, young):
        _answer(mailbox, each)
    order = Outbound(kind="order", recipient=old, epoch=1, seq=1, sealed="order")
    with mailbox.writing("orders"):
        mailbox.put_outbound([order])

    with mailbox.writing("old"):
        mailbox.forget_old(NOW + ENROLMENT_KEPT + timedelta(seconds=1))

    assert mailbox.find_enrolment_key(old) is None
    assert (mailbox.list_answers(old), mailbox.list_answers(young)) == ((), ("yes",))
    assert mailbox.list_orders(old, 0, 0, 10, 10**6) == ("order",)


def test_a_nonce_is_refused_until_it_is_too_old_to_matter(mailbox: Mailbox) -> None:
    def use() -> None:
        with mailbox.writing("nonce"):
            mailbox.use_nonce("key", "nonce", NOW + timedelta(minutes=11))

    use()
    with mailbox.writing("old"):
        mailbox.forget_old(NOW)
    with pytest.raises(UnauthenticatedError, match="made before"):
        use()
    with mailbox.writing("old"):
        mailbox.forget_old(NOW + timedelta(minutes=12))
    use()


@given(
    st.lists(
        st.tuples(
            st.sampled_from([UUID(int=1), UUID(int=2)]),
            st.integers(1, 4),
            st.sampled_from(["A", "B" * 40, "C" * 90]),
        ),
        min_size=1,
        max_size=12,
    ),
    st.integers(0, 12),
)
@settings(max_examples=30, deadline=None)
def test_many_reports_at_once_fare_as_one_by_one(
    posted: list[tuple[UUID, int, str]], first: int
) -> None:
    """Repeats, and the limits of a device and of all, within a batch and over two."""
    limits = Limits(3, 170, 230, 1000, 10)

    def put(folder: Path, *batches: list[tuple[UUID, int, str]]) -> list[str]:
        mailbox = Mailbox(folder / "mailbox.db", limits)
        said: list[Kept] = []
        for batch in filter(None, batches):
            with mailbox.writing("report"):
                reports = [report(device, 1, seq, sealed) for device, seq, sealed in batch]
                said += mailbox.put_reports(reports, NOW)
        held = [(one.sender, one.sealed) for one in mailbox.list_inbound(100, 10**6)]
        mailbox.close()
        return [f"{one!r}" for one in (*said, held)]

    with TemporaryDirectory() as one, TemporaryDirectory() as many:
        assert put(Path(many), posted[:first], posted[first:]) == put(
            Path(one), *([single] for single in posted)
        )


def test_what_failed_half_way_left_nothing(mailbox: Mailbox) -> None:
    with pytest.raises(UnauthenticatedError), mailbox.writing("report"):
        mailbox.put_report(uuid4(), 1, 1, "report", NOW)
        raise UnauthenticatedError

    assert mailbox.list_inbound(10, 10**6) == ()
    with mailbox.writing("report"):
        assert mailbox.put_report(uuid4(), 1, 1, "report", NOW)


def test_bytes_are_counted_exactly_through_all_changes(mailbox: Mailbox) -> None:
    device = uuid4()
    order = Outbound(kind="order", recipient=device, epoch=1, seq=1, sealed="A" * 1000)
    with mailbox.writing("orders"):
        mailbox.put_outbound([order, replace(order, sealed="A" * 400), replace(order, seq=2)])
        mailbox.put_report(device, 1, 1, "A" * 70, NOW)

    assert dict(mailbox._read("SELECT name, bytes FROM held")) == {"inbound": 70, "outbound": 1400}


def test_a_mailbox_of_another_version_is_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "mailbox.db"
    connection = mailbox_schema.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()

    with pytest.raises(ConfigurationError, match="version 99"):
        Mailbox(path, LIMITS)


def test_a_key_is_kept_as_long_as_its_slot_is_open(
    mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device_identity, "KEYS_KEPT", 10)
    ids, first, second = [uuid4() for _ in range(30)], keys.new_key(), keys.new_key()
    board = Board(mailbox)
    identity = Identity(mailbox, board, None, 1000)

    def know(device: UUID, key: ECKey, active: bool = True) -> None:
        known = KnownDevice(device_id=device, signing_key=keys.public_jwk(key), active=active)
        with mailbox.writing("devices"):
            mailbox.put_devices([known], NOW)
        board.read_devices([device])

    def ask(device: UUID, key: ECKey) -> UUID:
        path, now = "/agent/v1/orders", datetime.now(UTC)
        signed = signature_headers("GET", f"https://relay{path}", b"", key, str(device), AGENT, now)
        return identity.device(Asked("GET", path, signed, b"", "127.0.0.1"))[0]

    for device in ids:
        know(device, first)
    for device in ids * 2:  # more than are kept
        assert ask(device, first) == device
    know(ids[0], second)
    assert ask(ids[0], second) == ids[0]
    with pytest.raises(UnauthenticatedError):
        ask(ids[0], first)
    know(ids[0], second, active=False)
    with pytest.raises(ForbiddenError):
        ask(ids[0], second)
