"""The ways to devices by what they have: an app, a command that failed, serial numbers, IMEIs."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import ColumnElement, Select, false, func, literal_column, select
from sqlalchemy.orm import Session

from management.database import Base
from management.devices.models import Device, DeviceApp
from management.limits import seeing_all
from management.listing.models import DeviceListing
from management.listing.rules import asked_numbers, spellings

CHUNK = 1_000
"""Values in one statement; SQL Server takes 2,100."""


def reported_as(session: Session, sha256: str) -> list[str]:
    """Return the hashes by which devices report a file: its own and, of a set, that of its base.

    The table by its name: apps know this list, so it must not know them.
    """
    app = Base.metadata.tables["app"]
    with seeing_all(session):  # only which file is meant; devices are kept to groups all the same
        base = session.scalar(select(app.c.base_sha256).where(app.c.sha256 == sha256))
    return [sha256, base] if base else [sha256]


def holders(hashes: Sequence[str]) -> Select[Any]:
    """Return who holds one of these files, in the order of an index; a device may come twice."""
    return select(DeviceApp.device_id).where(DeviceApp.sha256.in_(hashes))


def holds(device_id: Any, hashes: Sequence[str]) -> ColumnElement[bool]:
    """Return that a device holds one of these files: one look into an index for each device."""
    return holders(hashes).where(DeviceApp.device_id == device_id).exists()


@lru_cache(maxsize=1)
def _command() -> Any:
    """Return the class of commands by its table: commands know this list, so it must not them."""
    table = Base.metadata.tables["command"]
    return next(one.class_ for one in Base.registry.mappers if one.local_table is table)


def ordered(which: str) -> Select[Any]:
    """Return which devices have a command that ``failed`` or is ``waiting``, in the order of an
    index; a device may come twice, and what else is asked finds none.
    """
    command = _command()
    wanted = select(command.device_id)
    if which == "failed":
        return wanted.where(command.state == "failed")
    if which == "waiting":
        empty: ColumnElement[str] = literal_column(
            "''"
        )  # said so that the index of those that wait is known to do
        return wanted.where(command.waiting_for > empty, command.waiting_for != empty)
    return wanted.where(false())


def has_command(device_id: Any, which: str) -> ColumnElement[bool]:
    """Return that a device has such a command: its few are looked at, whatever others have."""
    command = _command()
    said = func.coalesce(command.state, "") == "failed"
    if which != "failed":
        said = func.coalesce(command.waiting_for, "") != "" if which == "waiting" else false()
    return select(command.id).where(command.device_id == device_id, said).exists()


def count_first(session: Session, way: Select[Any], most: int) -> int:
    """Return how many devices are among the first *most* entries of a way to ids of devices."""
    first = way.limit(most).subquery()
    return session.scalar(select(func.count(func.distinct(first.c.device_id)))) or 0


def rows_with_numbers(session: Session, text: str) -> list[int]:
    """Return the rows of devices whose serial number or IMEI is one of a pasted list."""
    said = sorted({one for number in asked_numbers(text) for one in spellings(number)})
    found: set[int] = set()
    for column in (Device.serial, Device.imei):
        for start in range(0, len(said), CHUNK):
            rows = select(DeviceListing.id).join(Device, Device.id == DeviceListing.device_id)
            found.update(session.scalars(rows.where(column.in_(said[start : start + CHUNK]))))
    return sorted(found)


def missing_numbers(session: Session, text: str) -> list[str]:
    """Return the numbers of a pasted list that no device has, of those that who asks sees."""
    said = {one: number for number in asked_numbers(text) for one in spellings(number)}
    spelt, had = sorted(said), set[str]()
    for column in (Device.serial, Device.imei):
        for start in range(0, len(spelt), CHUNK):
            part = column.in_(spelt[start : start + CHUNK])
            had.update(session.scalars(select(column).where(part).distinct()))
    return [number for number in asked_numbers(text) if not spellings(number) & had]
