"""The part of the spool that holds closed doors: what is put back is what was found."""

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import replace

from contracts.connector import Door
from exchange_connector.door_rules import DoorState

DOOR_TABLE = """
CREATE TABLE IF NOT EXISTS doors (mailbox TEXT PRIMARY KEY, state TEXT NOT NULL);
"""


class DoorBook:
    """Belongs to an open `spool.Spool`, whose transactions it joins."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def all(self) -> dict[str, DoorState]:
        """Return what we did, by mailbox."""
        rows = self._db.execute("SELECT mailbox, state FROM doors")
        return {mailbox: _read(state) for mailbox, state in rows}

    def keep(self, mailbox: str, state: DoorState) -> None:
        """Write down what we did to one mailbox; nothing is forgotten."""
        if state == DoorState():
            self._db.execute("DELETE FROM doors WHERE mailbox = ?", (mailbox,))
        else:
            self._db.execute("INSERT OR REPLACE INTO doors VALUES (?, ?)", (mailbox, _text(state)))


def intended(before: DoorState, ours: Mapping[Door, bool]) -> DoorState:
    """Return what is written down before the effect: all of *ours* may become ours."""
    return replace(before, ours={**before.ours, **ours})


def _text(state: DoorState) -> str:
    return json.dumps(
        {
            "ours": dict(state.ours),
            "settled": sorted(state.settled),
            "reopened": sorted(state.reopened),
            "asked": state.asked,
            "since": state.since,
            "at": state.at,
        }
    )


def _read(text: str) -> DoorState:
    said = json.loads(text)
    return DoorState(
        said["ours"],
        frozenset(said["settled"]),
        frozenset(said["reopened"]),
        tuple(said["asked"]),
        said["since"],
        said["at"],
    )
