"""Reads accounts, whose devices they speak of, and what a list would change."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from management.devices.models import Device
from management.directory.models import DirectoryAccount
from management.directory.rules import Account, AccountState

CHUNK = 200


@dataclass(frozen=True, slots=True)
class Change:
    """An account that a list says stands otherwise than is known."""

    account: Account
    before: str
    """An `AccountState`; empty: it is new."""
    devices: int
    """Whose owner has this address."""


@dataclass(frozen=True, slots=True)
class Preview:
    """What a list would change."""

    accounts: int
    changes: Sequence[Change]
    named: Sequence[Account]
    """Accounts that stand as is known, and whose name or reading is said otherwise."""

    @property
    def devices(self) -> int:
        """How many devices would be judged anew."""
        return sum(one.devices for one in self.changes)

    @property
    def ended(self) -> int:
        """How many of them belong to somebody whose account would not be in use."""
        wanted = AccountState.ACTIVE
        return sum(one.devices for one in self.changes if one.account.state is not wanted)


def list_accounts(
    session: Session,
    after: tuple[str, str] | None,
    limit: int,
    text: str = "",
    state: str = "",
    by_reading: bool = False,
) -> Sequence[DirectoryAccount]:
    """Return accounts by address, or as names are read, those behind *after* (`place`).

    *text* is how an address, a name or a reading begins.
    """
    row = DirectoryAccount
    key = row.sort_key if by_reading else row.address
    wanted = select(row).order_by(*dict.fromkeys((key, row.address)))
    if after is not None:
        last, address = after
        wanted = wanted.where(key >= last, or_(key > last, row.address > address))
    if text:
        begins = (one.startswith(text, autoescape=True) for one in (row.person, row.reading))
        wanted = wanted.where(or_(row.address.startswith(text.lower(), autoescape=True), *begins))
    if state:
        wanted = wanted.where(DirectoryAccount.state == state)
    return session.scalars(wanted.limit(limit)).all()


def place(row: DirectoryAccount, by_reading: bool) -> tuple[str, str]:
    """Return where a row stands in the list."""
    return (row.sort_key if by_reading else row.address, row.address)


def count_accounts(session: Session) -> dict[str, int]:
    """Return how many accounts stand how, all states named."""
    found = select(DirectoryAccount.state, func.count()).group_by(DirectoryAccount.state)
    return {**{state.value: 0 for state in AccountState}, **dict(session.execute(found).all())}


def find_devices(session: Session, addresses: Iterable[str]) -> dict[str, list[UUID]]:
    """Return address in lower case -> the devices whose owner has it, in any case of letters.

    No index knows the case of letters, so many addresses are looked up in one walk over all.
    """
    wanted = set(addresses)
    owner = func.lower(Device.owner_address)
    query = select(Device.id, Device.owner_address).where(Device.owner_address != "")
    if len(wanted) <= CHUNK:
        query = query.where(or_(owner.in_(wanted), Device.owner_address.in_(wanted)))
    found: dict[str, list[UUID]] = {}
    for device_id, address in session.execute(query.execution_options(yield_per=10_000)):
        if address.lower() in wanted:
            found.setdefault(address.lower(), []).append(device_id)
    return found


def preview(session: Session, accounts: Sequence[Account]) -> Preview:
    """Return what `service.take_accounts` would change."""
    rows = _known(session, [one.address for one in accounts])
    known = {address: row.state for address, row in rows.items()}
    changed = [one for one in accounts if known.get(one.address, "") != one.state.value]
    named = [
        one
        for one in accounts
        if known.get(one.address) == one.state.value and _is_named_anew(one, rows[one.address])
    ]
    devices = find_devices(session, (one.address for one in changed))
    changes = [
        Change(one, known.get(one.address, ""), len(devices.get(one.address, ())))
        for one in changed
    ]
    return Preview(len(accounts), sorted(changes, key=lambda one: -one.devices), named)


def _is_named_anew(account: Account, row: DirectoryAccount) -> bool:
    said = ((account.person, row.person), (account.reading, row.reading))
    return any(new and new != old for new, old in said)


def _known(session: Session, addresses: Sequence[str]) -> Mapping[str, DirectoryAccount]:
    found: dict[str, DirectoryAccount] = {}
    for start in range(0, len(addresses), CHUNK):
        some = addresses[start : start + CHUNK]
        wanted = select(DirectoryAccount).where(DirectoryAccount.address.in_(some))
        found |= {row.address: row for row in session.scalars(wanted)}
    return found
