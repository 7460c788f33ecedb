"""Accounts as a list from a directory says them, in CSV or JSON. Pure."""

import csv
import io
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from management.readings import clean
from runtime.errors import MalformedMessageError, RefusedError, TooLargeError

MOST = 100_000
MOST_BYTES = 20 * 1024 * 1024
COLUMNS = ("address", "state")
NAMES = ("person", "reading")
"""Columns that a list may have besides; empty: what is known stays."""


class AccountState(StrEnum):
    """How the account of a person stands."""

    ACTIVE = "active"
    DISABLED = "disabled"
    LEFT = "left"


@dataclass(frozen=True, slots=True)
class Account:
    """One person's account."""

    address: str
    """Mail address in lower case, as devices name their owner."""
    state: AccountState
    person: str = ""
    reading: str = ""
    """How the name is read, in kana."""


def read_file(body: bytes) -> list[Account]:
    """Return the accounts of a CSV (with a line of names) or JSON file (a list of objects).

    The last line of an address counts. MalformedMessageError names the first line that is wrong:
    then nothing of the file is taken.
    """
    if len(body) > MOST_BYTES:
        raise TooLargeError(f"The file is larger than {MOST_BYTES} bytes.")
    try:
        text = body.decode("utf-8-sig")
        rows = _from_json(text) if text.lstrip()[:1] == "[" else _from_csv(text)
    except (UnicodeDecodeError, csv.Error, ValueError, RecursionError) as error:
        raise MalformedMessageError(f"The file is neither CSV nor JSON ({error}).") from None
    return read_rows(rows)


def table(accounts: Iterable[Account]) -> str:
    """Return the accounts as a CSV file that `read_file` reads."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow((*COLUMNS, *NAMES))
    writer.writerows((one.address, one.state, one.person, one.reading) for one in accounts)
    return text.getvalue().rstrip("\n")


def read_rows(rows: Iterable[Mapping[str, Any]]) -> list[Account]:
    """Return the accounts in *rows*; MalformedMessageError names the first that is wrong."""
    found: dict[str, Account] = {}
    for number, row in enumerate(rows, 1):
        if number > MOST:
            raise TooLargeError(f"The list has more than {MOST} accounts.")
        account = _account(number, row)
        found[account.address] = account
    return list(found.values())


def _account(number: int, row: Mapping[str, Any]) -> Account:
    address, state = (str(row.get(name) or "").strip().lower() for name in COLUMNS)
    if "@" not in address or len(address) > 254 or not address.isprintable() or " " in address:
        raise MalformedMessageError(f"Entry {number}: the address is no mail address.")
    if state not in set(AccountState):
        raise MalformedMessageError(
            f"Entry {number}: the state is {state[:40]!r}, not active, disabled or left."
        )
    person = " ".join(str(row.get("person") or "").split())[:255]
    try:
        return Account(address, AccountState(state), person, clean(str(row.get("reading") or "")))
    except RefusedError as error:
        raise MalformedMessageError(f"Entry {number}: {error}") from None


def _from_csv(text: str) -> list[dict[str, Any]]:
    reader = csv.DictReader(io.StringIO(text), strict=True)
    names = [name.strip().lower() for name in reader.fieldnames or ()]
    if not set(COLUMNS) <= set(names):
        raise MalformedMessageError("The first line names the columns: address and state.")
    reader.fieldnames = names
    return list(reader)


def _from_json(text: str) -> list[dict[str, Any]]:
    rows = json.loads(text)
    if not all(isinstance(row, dict) for row in rows):
        raise MalformedMessageError("The JSON file is a list of objects with address and state.")
    return list(rows)
