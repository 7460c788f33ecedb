"""What the gate remembers: whole lists, changes, a pause, and what management was not told."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from contracts.connector import Access, Wanted, WantedAccess
from exchange_connector.gate.identity import key_of
from exchange_connector.gate.listening import rules
from exchange_connector.gate.store import Store
from exchange_connector.wishes import Wishes, wishes

NOW = datetime(2026, 11, 22, 10, tzinfo=UTC)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(tmp_path / "gate.db")
    yield opened
    opened.close()


def answer(whole: bool = True, paused: bool = False, **wanted: Access) -> WantedAccess:
    """Return management's answer about phones of ada."""
    return WantedAccess(
        issue=1,
        paused=paused,
        cycle_seconds=60,
        whole=whole,
        at=NOW,
        wanted=tuple(
            Wanted(mailbox="ada", device_id=name, access=access, because="so", since=NOW)
            for name, access in wanted.items()
        ),
    )


def keep(store: Store, said: WantedAccess, at: datetime = NOW) -> None:
    named = {key_of(one.mailbox, one.device_id): one for one in said.wanted}
    store.keep(said, named, "mark", at.isoformat())


def held(store: Store) -> dict[str, str]:
    return {device: one.access for (_, device), one in store.wanted().items()}


def told(store: Store) -> list[tuple[str, str]]:
    """Tell management everything, and return what that was."""
    found = store.untold(100)
    store.note_told(found)
    return sorted((one.device_id, one.access) for one in found)


def test_changes_are_merged_and_a_whole_list_replaces(store: Store) -> None:
    keep(store, answer(A="allow", B="block"))
    assert held(store) == {"a": "allow", "b": "block"}
    keep(store, answer(whole=False, B="leave", C="block", D="leave"))
    assert held(store) == {"a": "allow", "c": "block"}
    keep(store, answer(C="allow"))
    assert held(store) == {"c": "allow"}
    assert store.moment("since") == NOW


def test_each_change_is_told_once(store: Store) -> None:
    keep(store, answer(A="allow", B="block"))
    assert told(store) == [("A", "allow"), ("B", "block")]
    keep(store, answer(A="allow", B="block"), NOW + timedelta(seconds=9))
    assert told(store) == []
    keep(store, answer(whole=False, B="leave"), NOW + timedelta(seconds=9))
    assert told(store) == [("B", "leave")]
    keep(store, answer(whole=False, B="leave"), NOW + timedelta(seconds=12))
    assert told(store) == []
    assert store.count_untold() == 0


def test_a_pause_keeps_what_holds_and_what_came_meanwhile_comes_later(store: Store) -> None:
    keep(store, answer(A="block"))
    later = replace(answer(A="allow", paused=True), at=NOW + timedelta(hours=1))
    keep(store, later, NOW + timedelta(hours=1))

    assert held(store) == {"a": "block"}
    assert store.moment("since") == NOW
    assert store.head()[0].paused


def test_opened_by_silence_or_undone_also_the_unknown_pass() -> None:
    silent = replace(answer(A="block", B="allow"), when_silent="open", silent_hours=1)
    heard = NOW - timedelta(hours=2)

    opened = rules(wishes(silent, heard, False, NOW), "block", "")
    assert opened.default == "allow"
    assert {key: one.allowed for key, one in opened.decided.items()} == {("ada", "b"): True}
    assert not opened.guards.blocked_phones
    assert rules(wishes(silent, NOW, False, NOW), "allow", "").guards.blocked_phones == {"a"}
    assert rules(wishes(silent, NOW, True, NOW), "block", "").decided == {}
    assert rules(wishes(silent, NOW, False, NOW), "block", "").default == "block"
    paused = Wishes({}, stopped=True, because="Paused.")
    assert rules(paused, "block", "").default == "block"
