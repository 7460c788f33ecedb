"""Takes lists of accounts, and says of devices how the account of their owner stands.

The lists come by hand, by API or by command until a directory is asked directly.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Session

from management.compliance.service import rejudge
from management.devices.models import Device
from management.devices.rules import DIRECTORY, Fact, FactKind
from management.devices.service import record_facts
from management.directory.models import DirectoryAccount
from management.directory.queries import find_devices
from management.directory.rules import Account
from management.readings import sort_key


@dataclass(frozen=True, slots=True)
class Imported:
    """What a list changed."""

    accounts: int
    changed: int
    devices: int
    """Whose owner's account is said to stand otherwise than before."""


def take_accounts(
    session: Session, accounts: Sequence[Account], by: str, now: datetime
) -> Imported:
    """Keep what a list says; who is not in it stays as known. Devices concerned are judged."""
    changed = [one for one in accounts if _keep(session, one, by, now)]
    told = _tell(session, changed, now) if changed else []
    return Imported(len(accounts), len(changed), len(told))


def take_device(session: Session, device: Device, now: datetime) -> None:
    """Say of a device that just enrolled what is known of its owner."""
    known = session.get(DirectoryAccount, device.owner_address.lower())
    if known is not None:
        record_facts(session, device.id, _fact(known.address, known.state, now), now)


def _keep(session: Session, account: Account, by: str, now: datetime) -> bool:
    known = session.get(DirectoryAccount, account.address)
    if known is None:
        known = DirectoryAccount(
            address=account.address, state="", since=now, said_by=by[:255], person="", reading=""
        )
        session.add(known)
    known.person, known.reading = account.person or known.person, account.reading or known.reading
    known.sort_key = sort_key(known.reading, known.person, known.address)
    if known.state == account.state.value:
        return False
    known.state, known.since, known.said_by = account.state.value, now, by[:255]
    return True


def _tell(session: Session, changed: Sequence[Account], now: datetime) -> list[UUID]:
    states = {one.address: one.state.value for one in changed}
    found = find_devices(session, states)
    for address, device_ids in found.items():
        for device_id in device_ids:
            record_facts(session, device_id, _fact(address, states[address], now), now)
    ids = [device_id for device_ids in found.values() for device_id in device_ids]
    rejudge(session, ids, now)
    return ids


def _fact(address: str, state: str, now: datetime) -> dict[FactKind, Fact]:
    return {FactKind.OWNER_ACCOUNT: Fact({"account": address, "state": state}, DIRECTORY, now)}
