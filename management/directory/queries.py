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
    session: Session, after: str, limit: int, text: str = "", state: str = ""
) -> Sequence[DirectoryAccount]:
    """Return accounts by address, those behind *after*; *text* is how an address begins."""
    wanted = select(DirectoryAccount).where(DirectoryAccount.address > after)
    if text:
        begins = DirectoryAccount.address.startswith(text.lower(), autoescape=True)
        wanted = wanted.where(begins)
    if state:
        wanted = wanted.where(DirectoryAccount.state == state)
    return session.scalars(wanted.order_by(DirectoryAccount.address).limit(limit)).all()


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
    known = _known(session, [one.address for one in accounts])
    changed = [one for one in accounts if known.get(one.address, "") != one.state.value]
    devices = find_devices(session, (one.address for one in changed))
    changes = [
        Change(one, known.get(one.address, ""), len(devices.get(one.address, ())))
        for one in changed
    ]
    return Preview(len(accounts), sorted(changes, key=lambda one: -one.devices))


def _known(session: Session, addresses: Sequence[str]) -> Mapping[str, str]:
    found: dict[str, str] = {}
    for start in range(0, len(addresses), CHUNK):
        some = addresses[start : start + CHUNK]
        wanted = select(DirectoryAccount.address, DirectoryAccount.state)
        found |= dict(session.execute(wanted.where(DirectoryAccount.address.in_(some))).all())
    return found
