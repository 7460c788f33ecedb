"""Takes lists of accounts, and says of devices how the account of their owner stands.

The lists come by hand, by API or by command until a directory is asked directly.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from management.compliance.service import rejudge
from management.devices.models import Device
from management.devices.rules import DIRECTORY, Fact, FactKind
from management.devices.service import record_facts
from management.directory.models import DirectoryAccount
from management.directory.rules import Account

CHUNK = 200


@dataclass(slots=True)
class Imported:
    """What a list changed."""

    accounts: int = 0
    changed: int = 0
    devices: int = 0
    """Whose owner's account is said to stand otherwise than before."""


def take_accounts(
    session: Session, accounts: Sequence[Account], by: str, now: datetime
) -> Imported:
    """Keep what a list says; who is not in it stays as known. Devices concerned are judged."""
    done = Imported(accounts=len(accounts))
    for start in range(0, len(accounts), CHUNK):
        some = accounts[start : start + CHUNK]
        changed = [one for one in some if _keep(session, one, by, now)]
        done.changed += len(changed)
        done.devices += len(_tell(session, changed, now))
    return done


def list_accounts(session: Session, after: str, limit: int) -> Sequence[DirectoryAccount]:
    """Return accounts by address, those behind *after*."""
    wanted = select(DirectoryAccount).where(DirectoryAccount.address > after)
    return session.scalars(wanted.order_by(DirectoryAccount.address).limit(limit)).all()


def take_device(session: Session, device: Device, now: datetime) -> None:
    """Say of a device that just enrolled what is known of its owner."""
    known = session.get(DirectoryAccount, device.owner_address.lower())
    if known is not None:
        record_facts(session, device.id, _fact(known.address, known.state, now), now)


def _keep(session: Session, account: Account, by: str, now: datetime) -> bool:
    known = session.get(DirectoryAccount, account.address)
    if known is None:
        known = DirectoryAccount(address=account.address, state="", since=now, said_by=by[:255])
        session.add(known)
    if known.state == account.state.value:
        return False
    known.state, known.since, known.said_by = account.state.value, now, by[:255]
    return True


def _tell(session: Session, changed: Sequence[Account], now: datetime) -> list[UUID]:
    states = {one.address: one.state.value for one in changed}
    owner = func.lower(Device.owner_address)
    found = session.execute(select(Device.id, owner).where(owner.in_(states))).all()
    for device_id, address in found:
        record_facts(session, device_id, _fact(address, states[address], now), now)
    ids = [device_id for device_id, _ in found]
    rejudge(session, ids, now)
    return ids


def _fact(address: str, state: str, now: datetime) -> dict[FactKind, Fact]:
    return {FactKind.OWNER_ACCOUNT: Fact({"account": address, "state": state}, DIRECTORY, now)}
