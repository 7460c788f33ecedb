"""The API's view of accounts that a directory's list told."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal

from flask import Blueprint
from pydantic import Field

from management.access import Permission, signed_in_name
from management.api.operations import STRICT, Limit, Place, operation
from management.audit.notes import note
from management.directory import queries, service
from management.directory.rules import Account, AccountState, read_rows
from management.paging import cut, pair_cursor
from management.personal import list_of
from management.readings import clean
from management.web import reading, transaction
from runtime.clock import utc_now

bp = Blueprint("directory_api", __name__, url_prefix="/api/v1")

Address = Annotated[str, Field(max_length=254, pattern=r"^[!-?A-~]+@[!-?A-~]+$")]


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountForm:
    """How the account of a person stands."""

    address: Address
    state: AccountState
    person: Annotated[str, Field(max_length=255, pattern=r"^[^\x00]*$")] = ""
    reading: Annotated[str, Field(max_length=100, pattern=r"^[^\x00]*$")] = ""
    """How the name is read, in kana. Empty, as ``person``: what is known stays."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountList:
    """Accounts as a directory says them; who is not in it stays as known."""

    __pydantic_config__ = STRICT

    items: Annotated[tuple[AccountForm, ...], Field(max_length=2000)]


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedAnswer:
    """What a list changed."""

    accounts: int
    changed: int
    devices: int
    """Whose owner's account stands otherwise than before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountAnswer:
    """How the account of a person stands, as the last list said."""

    address: str
    state: str
    person: str
    reading: str
    since: datetime
    said_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountsQuery:
    """Which page."""

    sort: Literal["address", "reading"] = "address"
    """``reading``: as names are read in Japanese."""
    after: Place = ""
    limit: Limit = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountPage:
    """Accounts by address."""

    items: tuple[AccountAnswer, ...]
    next: str | None


@operation(bp, "/directory-accounts", Permission.VIEW, shows=list_of("directory accounts"))
def list_directory_accounts(query: AccountsQuery) -> AccountPage:
    """List the accounts that a directory's list told."""
    after = pair_cursor(query.after) if query.after else None
    by_reading = query.sort == "reading"
    with reading() as session:
        found = queries.list_accounts(session, after, query.limit + 1, by_reading=by_reading)
    shown, following = cut(found, query.limit, lambda row: queries.place(row, by_reading))
    return AccountPage(
        items=tuple(
            AccountAnswer(
                address=row.address,
                state=row.state,
                person=row.person,
                reading=row.reading,
                since=row.since,
                said_by=row.said_by,
            )
            for row in shown
        ),
        next=following,
    )


@operation(bp, "/directory-accounts", Permission.INVITE, "POST", 200, (409,))
def take_directory_accounts(body: AccountList) -> ImportedAnswer:
    """Take a list of accounts; devices of people whose account changed are judged at once."""
    accounts: list[Account] = read_rows(
        {
            "address": one.address,
            "state": one.state.value,
            "person": one.person,
            "reading": clean(one.reading),
        }
        for one in body.items
    )
    with transaction("take directory accounts") as session:
        done = service.take_accounts(session, accounts, signed_in_name(), utc_now())
        note(session, "directory.import", "", accounts=done.accounts, changed=done.changed)
    return ImportedAnswer(accounts=done.accounts, changed=done.changed, devices=done.devices)
