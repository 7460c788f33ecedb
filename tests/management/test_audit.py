"""The audit trail: chained, in order under concurrency, and honest about tampering."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
from sqlalchemy import delete, update
from sqlalchemy.orm import Session

from management.audit import queries, service
from management.audit.models import AuditEntry
from management.context import Context
from management.keys import prepare

NOW = datetime(2026, 11, 21, 12, 0, 0, 123456, tzinfo=UTC)


def _write(context: Context, number: int) -> None:
    with context.database.transaction("test") as session:
        for index in range(number):
            service.record(
                session,
                context.keys,
                "青井",
                "device.lock",
                f"device {index}",
                reason="lost",
                address="192.0.2.1",
                details={"z": 1.5, "a": ["日本", None, True]},
                now=NOW,
            )


def _problems(context: Context) -> list[str]:
    with context.database.reading() as session:
        return service.verify(session, context.keys)


def test_an_untouched_trail_holds(context: Context) -> None:
    assert _problems(context) == []
    _write(context, 5)
    assert _problems(context) == []
    with context.database.reading() as session:
        entries = queries.list_entries(session)
    assert [entry.seq for entry in entries] == [5, 4, 3, 2, 1]
    assert entries[0].details == {"z": 1.5, "a": ["日本", None, True]}
    assert entries[0].at == NOW


@pytest.mark.parametrize(
    "change",
    [
        {"actor": "somebody else"},
        {"reason": ""},
        {"details": {}},
        {"at": datetime(2020, 1, 1, tzinfo=UTC)},
        {"address": "203.0.113.9"},
    ],
)
def test_a_changed_entry_is_named(context: Context, change: dict[str, object]) -> None:
    _write(context, 5)
    with context.database.transaction("tamper") as session:
        session.execute(update(AuditEntry).where(AuditEntry.seq == 3).values(change))
    assert _problems(context) == [
        f"Audit entry 3 (device.lock, {'2020-01-01' if 'at' in change else '2026-11-21'}) "
        "was changed."
    ]


def test_a_removed_entry_is_named(context: Context) -> None:
    _write(context, 5)
    with context.database.transaction("tamper") as session:
        session.execute(delete(AuditEntry).where(AuditEntry.seq == 2))
    assert _problems(context) == ["Audit entry 2 is missing: the next one there is 3."]


def test_a_removed_beginning_is_named(context: Context) -> None:
    _write(context, 3)
    with context.database.transaction("tamper") as session:
        session.execute(delete(AuditEntry).where(AuditEntry.seq == 1))
    assert _problems(context) == ["Audit entry 1 is missing: the next one there is 2."]


def test_entries_that_change_places_are_named(context: Context) -> None:
    _write(context, 3)
    with context.database.transaction("tamper") as session:
        for old, new in ((1, 9), (2, 1), (9, 2)):
            session.execute(update(AuditEntry).where(AuditEntry.seq == old).values(seq=new))
    assert _problems(context) == ["Audit entry 1 does not follow the entry before it."]


def test_another_servers_key_proves_nothing(
    context: Context, tmp_path_factory: pytest.TempPathFactory
) -> None:
    _write(context, 2)
    other = prepare(tmp_path_factory.mktemp("other") / "keys", NOW)
    with context.database.reading() as session:
        assert "was changed" in service.verify(session, other)[0]


def test_many_writers_at_once_make_one_unbroken_chain(context: Context) -> None:
    def write(_: int) -> None:
        for _ in range(5):
            _write(context, 1)

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(write, range(6)))

    assert _problems(context) == []
    with context.database.reading() as session:
        assert queries.list_entries(session, limit=1)[0].seq == 30


def test_too_long_words_are_cut_before_they_are_sealed(context: Context) -> None:
    with context.database.transaction("test") as session:
        service.record(session, context.keys, "x" * 300, "a" * 200, "s" * 300, "r" * 2000, "b" * 99)
    assert _problems(context) == []


def test_entries_are_found_by_what_was_done_and_by_whom(context: Context) -> None:
    with context.database.transaction("test") as session:
        for actor, action in (("a", "device.lock"), ("b", "device.wipe"), ("a", "policy.change")):
            service.record(session, context.keys, actor, action, "one", now=NOW)

    def seqs(session: Session, **filters: object) -> list[int]:
        return [entry.seq for entry in queries.list_entries(session, **filters)]  # type: ignore[arg-type]

    with context.database.reading() as session:
        assert seqs(session, actor="a") == [3, 1]
        assert seqs(session, action="device.") == [2, 1]
        assert seqs(session, action="device.wipe") == [2]
        assert seqs(session, before_seq=3) == [2, 1]
        assert seqs(session, subject="two") == []
        assert seqs(session, since=NOW, until=NOW) == []
