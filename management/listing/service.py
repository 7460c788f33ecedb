"""Keeps what lists and counts read in step with the devices, in the same transaction."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Row, delete, func, insert, select
from sqlalchemy.orm import Session

from management.database import locked
from management.devices.models import Device, DeviceFacts, DeviceJudgement
from management.listing import rules
from management.listing.models import DeviceListing, DeviceTally, DeviceToken, SystemTally

BATCH = 200
TALLIES: tuple[type[DeviceTally] | type[SystemTally], ...] = (DeviceTally, SystemTally)
KINDS: dict[Any, tuple[str, ...]] = {
    tally: tuple(
        column.name
        for column in tally.__table__.columns
        if column.name not in {"id", "shape", "number"}
    )
    for tally in TALLIES
}
"""What makes a shape of each tally."""
Changes = dict[int, int]
_SOURCES = (
    Device.id,
    Device.name,
    Device.owner_name,
    Device.owner_address,
    Device.manufacturer,
    Device.model,
    Device.serial,
    Device.imei,
    Device.exchange_device_id,
    Device.platform,
    Device.ownership,
    Device.enrolment_state,
    Device.group_id,
    Device.policy_id,
    DeviceJudgement.state,
    DeviceJudgement.risk,
    DeviceJudgement.violations,
    DeviceFacts.facts,
)


@dataclass(frozen=True, slots=True)
class Listed:
    """How a device is listed: its row, the combinations that it counts in, and its tokens."""

    row: dict[str, Any]
    tallies: tuple[dict[str, Any], dict[str, Any]]
    tokens: list[str]


def bring_up(session: Session, device_ids: Iterable[UUID]) -> int:
    """List these devices as they are now; return how many were listed otherwise.

    Call it last in a transaction: it locks the rows of the list, in the order of the ids.
    """
    wanted = sorted(set(device_ids))
    changed = 0
    for start in range(0, len(wanted), BATCH):
        changed += _bring_up(session, wanted[start : start + BATCH])
    return changed


def _bring_up(session: Session, device_ids: Sequence[UUID]) -> int:
    session.flush()
    held = {
        row.device_id: row
        for row in session.scalars(
            locked(
                select(DeviceListing)
                .where(DeviceListing.device_id.in_(device_ids))
                .order_by(DeviceListing.device_id),
                DeviceListing,
            )
        )
    }
    found = [listed(row) for row in session.execute(_sources(device_ids))]
    fresh = [one for one in found if one.row["device_id"] not in held]
    other = [one for one in found if _differs(held.get(one.row["device_id"]), one)]
    _count(session, fresh, other, held)
    _insert(session, fresh)
    _update(session, other, held)
    return len(fresh) + len(other)


def _sources(device_ids: Sequence[UUID]) -> Any:
    return (
        select(*_SOURCES)
        .join(DeviceJudgement, DeviceJudgement.device_id == Device.id)
        .outerjoin(DeviceFacts, DeviceFacts.device_id == Device.id)
        .where(Device.id.in_(device_ids))
        .order_by(Device.id)
    )


def listed(row: Row[Any]) -> Listed:
    """Return how the device of this row of sources is listed."""
    os, patch, patterns, mail = rules.listed_facts(row.facts or {})
    enrolment, platform = row.enrolment_state, row.platform
    core = {
        "state": row.state,
        "risk": row.risk,
        "platform": platform,
        "enrolment": enrolment,
        "ownership": row.ownership,
        "group_id": row.group_id,
        "policy_id": row.policy_id,
        "mail": rules.mail_label(mail),
        "rules": rules.rules_label(row.violations)[:500],
    }
    system = {
        "platform": platform,
        "enrolment": enrolment,
        "group_id": row.group_id,
        "os": rules.os_label(os),
        "patch": rules.patch_label(patch),
        "patterns": rules.patterns_label(patterns),
    }
    shaped = tuple({**one, "shape": rules.shape_of(one.values())} for one in (core, system))
    found = rules.tokens(
        (
            row.name,
            row.owner_name,
            row.owner_address,
            row.manufacturer,
            row.model,
            row.exchange_device_id,
        ),
        (row.serial, row.imei),
    )
    own = {
        "device_id": row.id,
        "name": rules.sort_name(row.name),
        "shape": shaped[0]["shape"],
        "system": shaped[1]["shape"],
        "words": rules.search_text(found),
    }
    return Listed(own, (shaped[0], shaped[1]), found)


def _differs(held: DeviceListing | None, one: Listed) -> bool:
    return held is not None and any(getattr(held, name) != value for name, value in one.row.items())


def _insert(session: Session, fresh: list[Listed]) -> None:
    rows = [DeviceListing(**one.row) for one in fresh]
    session.add_all(rows)
    session.flush()
    _add_tokens(session, [(row.id, one.tokens) for row, one in zip(rows, fresh, strict=True)])


def _update(session: Session, other: list[Listed], held: dict[UUID, DeviceListing]) -> None:
    found: list[tuple[int, list[str]]] = []
    for one in other:
        row = held[one.row["device_id"]]
        if row.words != one.row["words"]:
            found.append((row.id, one.tokens))
            _drop_tokens(session, row, one.tokens)
        for name, value in one.row.items():
            setattr(row, name, value)
    session.flush()
    _add_tokens(session, found)


def _drop_tokens(session: Session, row: DeviceListing, fresh: list[str]) -> None:
    """Delete its tokens by name: the table is sorted by token and has no other index."""
    old = {*row.words.split("|"), *fresh}
    session.execute(
        delete(DeviceToken)
        .where(DeviceToken.token.in_(old), DeviceToken.listing_id == row.id)
        .execution_options(synchronize_session=False)
    )


def _add_tokens(session: Session, found: list[tuple[int, list[str]]]) -> None:
    rows = [{"token": token, "listing_id": id_} for id_, words in found for token in words]
    if rows:
        session.execute(insert(DeviceToken), rows)


def _count(
    session: Session, fresh: list[Listed], other: list[Listed], held: dict[UUID, DeviceListing]
) -> None:
    """Write down that devices left their combinations and came to others."""
    rows = [held[one.row["device_id"]] for one in other]
    left = ([row.shape for row in rows], [row.system for row in rows])
    for place, tally in enumerate(TALLIES):
        came = {one.tallies[place]["shape"]: one.tallies[place] for one in (*fresh, *other)}
        changes: Changes = {}
        for one in (*fresh, *other):
            shape = one.tallies[place]["shape"]
            changes[shape] = changes.get(shape, 0) + 1
        for shape in left[place]:
            changes[shape] = changes.get(shape, 0) - 1
        known = came | _known(session, tally, [one for one in changes if one not in came])
        found = [known[shape] | {"number": by} for shape, by in changes.items() if by]
        if found:
            session.execute(insert(tally), found)


def _known(session: Session, tally: Any, shapes: Sequence[int]) -> dict[int, dict[str, Any]]:
    """Return what these shapes stand for; each has a device, so it has a row."""
    names = ("shape", *KINDS[tally])
    found: dict[int, dict[str, Any]] = {}
    for start in range(0, len(shapes), BATCH):
        wanted = (
            select(*(getattr(tally, name) for name in names))
            .where(tally.shape.in_(shapes[start : start + BATCH]))
            .distinct()
        )
        found |= {row[0]: dict(zip(names, row, strict=True)) for row in session.execute(wanted)}
    return found


def fold(session: Session) -> int:
    """Add up the changes of each shape to one row; return how many rows that saved.

    What others write meanwhile stays beside it: only rows that were added up are deleted.
    """
    saved = 0
    for tally in TALLIES:
        shapes = session.execute(
            select(tally.shape, func.count(), func.max(tally.id))
            .group_by(tally.shape)
            .having((func.count() > 1) | (func.sum(tally.number) == 0))
            .limit(1000)
        ).all()
        for shape, _rows, newest in shapes:
            saved += _fold_one(session, tally, shape, newest)
    return saved


def _fold_one(session: Session, tally: Any, shape: int, newest: int) -> int:
    wanted = select(tally).where(tally.shape == shape, tally.id <= newest).order_by(tally.id)
    rows = session.scalars(locked(wanted, tally)).all()
    if not rows:
        return 0
    number = sum(row.number for row in rows)
    for row in rows[1:] if number else rows:
        session.delete(row)
    if number:
        rows[0].number = number
    session.flush()
    return len(rows) - bool(number)


def recount(session: Session) -> int:
    """Mend the tallies from the list itself; return how many shapes were counted wrongly."""
    wrong = 0
    for place, (tally, column) in enumerate(COLUMNS):
        fresh = _pairs(session, select(column, func.count()).group_by(column))
        counted = select(tally.shape, func.sum(tally.number)).group_by(tally.shape)
        kept = _pairs(session, counted)
        for shape in fresh.keys() | kept.keys():
            if by := fresh.get(shape, 0) - kept.get(shape, 0):
                wrong += 1
                means = _known(session, tally, [shape]).get(shape)
                means = means or _read(session, column, shape, place)
                session.execute(insert(tally), [means | {"number": by}])
    return wrong


def _pairs(session: Session, wanted: Any) -> dict[int, int]:
    return {shape: int(number) for shape, number in session.execute(wanted)}


COLUMNS: tuple[tuple[Any, Any], ...] = (
    (DeviceTally, DeviceListing.shape),
    (SystemTally, DeviceListing.system),
)
"""Each tally with the column of the list that it counts."""


def _read(session: Session, column: Any, shape: int, place: int) -> dict[str, Any]:
    """Return what a shape stands for, from a device that has it."""
    one = select(DeviceListing.device_id).where(column == shape).limit(1)
    row = session.execute(_sources(session.scalars(one).all())).one()
    return listed(row).tallies[place]
