"""Keeps what lists and counts read in step with the devices, in the same transaction."""

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Row, delete, func, insert, select, update
from sqlalchemy.orm import Session

from management.database import locked
from management.devices.models import Device, DeviceFacts, DeviceJudgement
from management.devices.queries import find_all_held
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
MOST_MEANINGS = 5_000
_MEANINGS: dict[tuple[Any, int], dict[str, Any]] = {}
"""(tally, shape) -> what it stands for, which never changes: a shape is made of it."""
_LISTED = tuple(getattr(DeviceListing, column.name) for column in DeviceListing.__table__.columns)
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


def bring_up(session: Session, device_ids: Iterable[UUID], same_words: Container[UUID] = ()) -> int:
    """List these devices as they are now; return how many were listed otherwise.

    Call it last in a transaction: it locks the rows of the list, in the order of the ids.
    *same_words* are those whose name and tokens cannot have changed since they were listed.
    """
    wanted = sorted(set(device_ids))
    changed = 0
    session.flush()
    for start in range(0, len(wanted), BATCH):
        changed += _bring_up(session, wanted[start : start + BATCH], same_words)
    return changed


def _bring_up(session: Session, device_ids: Sequence[UUID], same_words: Container[UUID]) -> int:
    wanted = (
        select(*_LISTED)
        .where(DeviceListing.device_id.in_(device_ids))
        .order_by(DeviceListing.device_id)
    )
    held = {row.device_id: row for row in session.execute(locked(wanted, DeviceListing))}
    found = [
        listed(*known, known[0].id not in held or known[0].id not in same_words)
        for known in _known_of(session, device_ids)
    ]
    fresh = [one for one in found if one.row["device_id"] not in held]
    other = [one for one in found if _differs(held.get(one.row["device_id"]), one)]
    _count(session, fresh, other, held)
    _insert(session, fresh)
    _update(session, other, held)
    return len(fresh) + len(other)


def _known_of(session: Session, device_ids: Sequence[UUID]) -> list[tuple[Any, Any, Any]]:
    """Return device, judgement and facts of each; nothing is read again of those that are held."""
    held = find_all_held(session, device_ids)
    if held:
        return [(device, judged, known.facts) for device, known, judged in held]
    return [(row, row, row.facts) for row in session.execute(_sources(device_ids))]


def _sources(device_ids: Sequence[UUID]) -> Any:
    return (
        select(*_SOURCES)
        .join(DeviceJudgement, DeviceJudgement.device_id == Device.id)
        .outerjoin(DeviceFacts, DeviceFacts.device_id == Device.id)
        .where(Device.id.in_(device_ids))
        .order_by(Device.id)
    )


def listed(
    device: Any, judged: Any, facts: Mapping[str, Any] | None, with_words: bool = True
) -> Listed:
    """Return how a device is listed, given these rows of it; all may be one of `_sources`."""
    os, patch, patterns, mail = rules.listed_facts(facts or {})
    enrolment, platform = device.enrolment_state, device.platform
    core = {
        "state": judged.state,
        "risk": judged.risk,
        "platform": platform,
        "enrolment": enrolment,
        "ownership": device.ownership,
        "group_id": device.group_id,
        "policy_id": device.policy_id,
        "mail": rules.mail_label(mail),
        "rules": rules.rules_label(judged.violations)[:500],
    }
    system = {
        "platform": platform,
        "enrolment": enrolment,
        "group_id": device.group_id,
        "os": rules.os_label(os),
        "patch": rules.patch_label(patch),
        "patterns": rules.patterns_label(patterns),
    }
    shaped = tuple({**one, "shape": rules.shape_of(one.values())} for one in (core, system))
    own = {"device_id": device.id, "shape": shaped[0]["shape"], "system": shaped[1]["shape"]}
    found = _tokens(device) if with_words else []
    if with_words:
        own |= {"name": rules.sort_name(device.name), "words": rules.search_text(found)}
    return Listed(own, (shaped[0], shaped[1]), found)


def _tokens(device: Any) -> list[str]:
    texts = (
        device.name,
        device.owner_name,
        device.owner_address,
        device.manufacturer,
        device.model,
        device.exchange_device_id,
    )
    return rules.tokens(texts, (device.serial, device.imei))


def _differs(held: Row[Any] | None, one: Listed) -> bool:
    return held is not None and any(getattr(held, name) != value for name, value in one.row.items())


def _insert(session: Session, fresh: list[Listed]) -> None:
    rows = [DeviceListing(**one.row) for one in fresh]
    session.add_all(rows)
    session.flush()
    _add_tokens(session, [(row.id, one.tokens) for row, one in zip(rows, fresh, strict=True)])


def _update(session: Session, other: list[Listed], held: dict[UUID, Row[Any]]) -> None:
    found: list[tuple[int, list[str]]] = []
    for one in other:
        row = held[one.row["device_id"]]
        if row.words != one.row.get("words", row.words):
            found.append((row.id, one.tokens))
            _drop_tokens(session, row, one.tokens)
    rows = [one.row | {"id": held[one.row["device_id"]].id} for one in other]
    if rows:
        session.execute(update(DeviceListing), rows)
    _add_tokens(session, found)


def _drop_tokens(session: Session, row: Row[Any], fresh: list[str]) -> None:
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
    session: Session, fresh: list[Listed], other: list[Listed], held: dict[UUID, Row[Any]]
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
    columns = [getattr(tally, name) for name in names]
    found = {one: _MEANINGS[tally, one] for one in shapes if (tally, one) in _MEANINGS}
    others = [one for one in shapes if one not in found]
    for start in range(0, len(others), BATCH):
        some = others[start : start + BATCH]
        wanted = select(*columns).where(tally.shape.in_(some)).distinct()
        for row in session.execute(wanted):
            if len(_MEANINGS) >= MOST_MEANINGS:
                _MEANINGS.clear()
            found[row[0]] = _MEANINGS[tally, row[0]] = dict(zip(names, row, strict=True))
    return found


def forget_meanings() -> None:
    """Read anew what shapes stand for: somebody wrote past us."""
    _MEANINGS.clear()


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
    forget_meanings()
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
    return listed(row, row, row.facts).tallies[place]
