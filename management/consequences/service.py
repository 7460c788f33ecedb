"""Carries out what follows from violations: each once while its rule stays broken.

What is done is written in the transaction that does it, so a death at any moment repeats nothing
and forgets nothing. Mail is blocked by `mail_access`, which reads the same judgement; here it is
only told that the moment has come. Wipes pass the signer and its limits like anybody's.
"""

from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from contracts.agent import CommandKind
from management.commands.models import Command
from management.commands.queries import get_command
from management.commands.rules import AUTOMATIC, CommandState
from management.commands.service import cancel_command, queue_command
from management.compliance.judgement import (
    ConsequenceKind,
    DueConsequence,
    Judgement,
    Rule,
)
from management.compliance.models import DeviceJudgement
from management.compliance.queries import read_judgement
from management.consequences import queries
from management.consequences.freezes import freeze_after_mass_change
from management.consequences.models import CarriedOut, HeldDevice
from management.consequences.rules import (
    CUTTING,
    LOOK_AGAIN,
    MOST_MOVES,
    MOST_WAITING_WIPES,
    Key,
    Result,
    brake_limit,
    message,
    over,
    to_do,
    violation_of,
)
from management.devices.models import Device
from management.devices.queries import lock_device
from management.groups.service import lock_tree, move_device
from management.work.service import enqueue
from runtime.errors import SekishoError

DECIDE = "mail_access.decide"


def act(session: Session, device_id: UUID, devices: int, now: datetime) -> None:
    """Close what is mended and carry out what is due for one device.

    *devices* is how many there are, for the brake.
    """
    device, judged = _locked(session, device_id)
    standing = {_key(row): row for row in queries.list_standing(session, device_id)}
    for row in [standing.pop(key) for key in over(judged, standing)]:
        _end(session, row, standing.values(), now)
    for key in [key for key, row in standing.items() if row.at < device.enrolled_at]:
        standing.pop(key).ended_at = now  # of an earlier enrolment: it follows anew
    due = to_do(judged, standing, now)
    because = _held(session, device, due, devices, now) if due else ""
    if because:
        due = []
    elif _too_many_wipes(session, due):
        because = (
            f"{MOST_WAITING_WIPES} automatic wipes wait to be signed or approved; approve or take "
            "them back under Commands."
        )
        due = [one for one in due if one.kind is not ConsequenceKind.SELECTIVE_WIPE]
    _carry_out(session, device, judged, due, now)
    hold(session, device_id, because, now)


def _locked(session: Session, device_id: UUID) -> tuple[Device, Judgement]:
    """Return the device and its judgement as they are now; nobody else acts on it meanwhile.

    Who moves devices takes the tree of groups first, so do we.
    """
    peek = session.get(DeviceJudgement, device_id)
    if peek and any(one["kind"] == ConsequenceKind.MOVE_GROUP for one in peek.consequences):
        lock_tree(session)
    device = lock_device(session, device_id)
    row = session.scalars(
        select(DeviceJudgement)
        .where(DeviceJudgement.device_id == device_id)
        .execution_options(populate_existing=True)
    ).one()
    return device, read_judgement(row)


def _held(
    session: Session, device: Device, due: Sequence[DueConsequence], devices: int, now: datetime
) -> str:
    """Return why nothing may follow for the device now, or nothing."""
    if pause := queries.pause_sentence(session):
        return pause
    if (frozen := queries.holding(session, [device.id], now).get(device.id)) is not None:
        return f"{frozen.because} {frozen.mend}"
    if any(one.kind in CUTTING for one in due) and queries.room(session, devices, now) < 1:
        limit, cut = brake_limit(devices), queries.count_cut(session, now)
        return freeze_after_mass_change(session, cut, limit, now).because
    return ""


def _too_many_wipes(session: Session, due: Sequence[DueConsequence]) -> bool:
    wipes = any(one.kind is ConsequenceKind.SELECTIVE_WIPE for one in due)
    return wipes and queries.count_waiting_wipes(session) >= MOST_WAITING_WIPES


def _end(
    session: Session, row: CarriedOut, standing: Collection[CarriedOut], now: datetime
) -> None:
    """Note that the violation is mended; a wipe that is not sent yet is taken back.

    Unless another rule that stays broken asked for the same wipe, which is ordered once.
    """
    row.ended_at = now
    if row.command_id is None or row.kind != ConsequenceKind.SELECTIVE_WIPE:
        return
    if any(one.command_id == row.command_id for one in standing):
        return
    command: Command = get_command(session, row.command_id)
    if command.state == CommandState.QUEUED and command.requested_by == AUTOMATIC:
        cancel_command(session, command.id, AUTOMATIC, now)
        row.words = "It was mended in time, so the wipe was taken back."


def _carry_out(
    session: Session,
    device: Device,
    judged: Judgement,
    due: Sequence[DueConsequence],
    now: datetime,
) -> None:
    told = [one for one in due if one.kind is ConsequenceKind.TELL_USER]
    said = _tell_user(session, device, judged, told, now) if told else ("", None)
    for one in due:
        words, command_id = said
        group_before = None
        if one.kind is ConsequenceKind.TELL_ADMINISTRATORS:
            words, command_id = "", None  # the row itself is the notice
        elif one.kind is ConsequenceKind.BLOCK_MAIL:
            words, command_id = _block_mail(session, device, now), None
        elif one.kind is ConsequenceKind.SELECTIVE_WIPE:
            words, command_id = _wipe(session, device, judged, one, now)
        elif one.kind is ConsequenceKind.MOVE_GROUP:
            group_before = device.group_id
            words, command_id = _move(session, device, one, now), None
        row = _row(device, judged, one, now)
        row.words, row.command_id, row.group_before = words[:1000], command_id, group_before
        row.result = Result.REFUSED.value if words else Result.DONE.value
        session.add(row)
    session.flush()


def _row(device: Device, judged: Judgement, one: DueConsequence, now: datetime) -> CarriedOut:
    violation = violation_of(judged, one.rule)
    return CarriedOut(
        device_id=device.id,
        rule=one.rule.value,
        kind=one.kind.value,
        because=violation.because[:4000],
        broken_since=violation.since,
        due_at=one.due_at,
        at=now,
        policy_id=UUID(judged.policy_id),
        policy_version=judged.policy_version,
    )


Said = tuple[str, UUID | None]
"""Why it could not be done, or nothing; and the command that does it."""


def _tell_user(
    session: Session,
    device: Device,
    judged: Judgement,
    due: Sequence[DueConsequence],
    now: datetime,
) -> Said:
    """Tell everything that fell due in one message."""
    text = message([violation_of(judged, one.rule) for one in due])
    rules = ", ".join(one.rule.value for one in due)
    return _order(session, device, CommandKind.MESSAGE, {"text": text}, f"Rule {rules}", now)


def _wipe(
    session: Session, device: Device, judged: Judgement, one: DueConsequence, now: datetime
) -> Said:
    violation = violation_of(judged, one.rule)
    reason = f"Rule {one.rule.value}: {violation.because}"
    return _order(session, device, CommandKind.SELECTIVE_WIPE, {}, reason, now)


def _order(
    session: Session,
    device: Device,
    kind: CommandKind,
    arguments: dict[str, str],
    reason: str,
    now: datetime,
) -> Said:
    try:
        with session.begin_nested():
            command = queue_command(session, device.id, kind, arguments, AUTOMATIC, reason, now)
    except SekishoError as error:
        return str(error), None
    return "", command.id


def _block_mail(session: Session, device: Device, now: datetime) -> str:
    payload = {"device_ids": [str(device.id)]}
    enqueue(session, DECIDE, f"{DECIDE}:{uuid4()}", payload, priority=3, now=now)
    return ""


def _move(session: Session, device: Device, one: DueConsequence, now: datetime) -> str:
    assert one.group_id is not None
    if device.group_id == one.group_id:
        return ""
    if queries.count_moves(session, device.id, now) >= MOST_MOVES:
        return (
            f"It was moved {MOST_MOVES} times within a day, so it stays where it is: policies send "
            "it back and forth. Change one of them."
        )
    try:
        with session.begin_nested():
            move_device(session, device.id, one.group_id, AUTOMATIC, now)
    except SekishoError as error:
        return str(error)
    return ""


def hold(session: Session, device_id: UUID, because: str, now: datetime) -> None:
    """Look at the device again later while something waits, else forget that it did."""
    row = session.get(HeldDevice, device_id)
    if not because:
        if row is not None:
            session.delete(row)
        return
    if row is None:
        row = HeldDevice(device_id=device_id, since=now)
        session.add(row)
    row.because, row.look_at = because[:1000], now + LOOK_AGAIN


def put_off(session: Session, device_ids: Sequence[UUID], now: datetime) -> None:
    """Look at these devices again later: they are still frozen."""
    if device_ids:
        session.execute(
            update(HeldDevice)
            .where(HeldDevice.device_id.in_(list(device_ids)))
            .values(look_at=now + LOOK_AGAIN)
            .execution_options(synchronize_session=False)
        )


def put_away(session: Session, row_id: int, by: str) -> CarriedOut:
    """Note that an administrator saw a notice."""
    row = queries.get_carried_out(session, row_id)
    row.seen_by = row.seen_by or by[:255]
    return row


def _key(row: CarriedOut) -> Key:
    return Rule(row.rule), ConsequenceKind(row.kind)
