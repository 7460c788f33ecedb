"""Reads devices in bulk and judges each twice, as things are and as they would be.

No ORM objects are made of the many rows, and no more than one chunk is ever in memory.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, cast
from uuid import UUID

from sqlalchemy import ColumnElement, Text, and_, case, or_, select, type_coerce
from sqlalchemy.orm import Session

from management.apps.models import DeviceApp
from management.compliance.judgement import Judgement, State
from management.compliance.models import DeviceJudgement
from management.devices.models import Device, DeviceFacts
from management.dry_run.rules import (
    Outcome,
    Tally,
    When,
    all_reasons,
    new_reasons,
    sooner,
    wipe_of,
)
from management.dry_run.trial import Comparison, Judged, Trial
from management.mail_access.decisions import standing
from management.mail_access.grounds import excluded_groups
from management.mail_access.matching import Match
from management.mail_access.models import Partnership
from management.mail_access.queries import read_mail_settings
from management.mail_access.rules import MailSettings, MatchedDevice, Standing, decide

HASHES = 500
"""Most values in one statement."""
MANAGED = tuple(match.value for match in Match if match.is_managed)


@dataclass(slots=True)
class Chunk:
    """What became of the devices above one id up to another."""

    last_id: UUID
    looked_at: int = 0
    tally: Tally = field(default_factory=Tally)
    rows: list[dict[str, Any]] = field(default_factory=list)
    """Of the devices that would change, for `models.DryRunDevice`."""


@dataclass(frozen=True, slots=True)
class _Phone:
    """A device at a mail server, as far as the decision about its mail depends on it."""

    standing: Standing
    excluded_by: str


def judge_chunk(session: Session, trial: Trial, after_id: UUID | None, last_id: UUID) -> Chunk:
    """Judge the devices with ids above *after_id* (None: from the first) up to *last_id*."""
    chunk, changed = Chunk(last_id), []
    comparison = Comparison(session, trial)
    held = _held(session, trial, after_id, last_id)
    for row in _rows(session, trial.at, after_id, last_id):
        chunk.looked_at += 1
        concerned = row.policy_id in trial.policy_ids if trial.policy_ids else row.id in held
        if not concerned:
            continue
        one = comparison.judge(row, held.get(row.id, ()))
        if one is None:
            chunk.tally.add_same(State.HEALTHY.value)
        elif one.is_same:
            chunk.tally.add_same(one.before.state.value)
        else:
            changed.append(one)
    for one, outcome in _outcomes(session, trial, changed):
        chunk.tally.add(outcome)
        if outcome.is_change:
            chunk.rows.append(_fields(one.row.id, outcome))
    return chunk


def _rows(session: Session, at: datetime, after_id: UUID | None, last_id: UUID) -> Iterator[Any]:
    """Yield every device of the range; by the key alone, whatever indexes there are."""
    wanted = (
        select(
            Device.id,
            Device.platform,
            Device.ownership,
            Device.enrolled_at,
            Device.policy_id,
            type_coerce(DeviceFacts.facts, Text).label("facts"),
            DeviceJudgement.policy_version,
            case((_is_well(at), 1), else_=0).label("is_well"),
        )
        .outerjoin(DeviceFacts, DeviceFacts.device_id == Device.id)
        .outerjoin(DeviceJudgement, DeviceJudgement.device_id == Device.id)
        .where(Device.id <= last_id)
    )
    if after_id is not None:
        wanted = wanted.where(Device.id > after_id)
    yield from session.execute(wanted).all()


def _is_well(at: datetime) -> ColumnElement[bool]:
    """Tell whether the stored judgement still holds at *at* and knows of nothing broken."""
    due = DeviceJudgement.next_due_at
    return and_(
        DeviceJudgement.state == State.HEALTHY.value,
        DeviceJudgement.policy_id == Device.policy_id,
        or_(due.is_(None), due > at),
    )


def _held(
    session: Session, trial: Trial, after_id: UUID | None, last_id: UUID
) -> dict[UUID, list[tuple[str, str, str]]]:
    """Return device -> those of its apps about which the set on trial says something else."""
    found: dict[UUID, list[tuple[str, str, str]]] = {}
    hashes = sorted(trial.candidates)
    for start in range(0, len(hashes), HASHES):
        wanted = select(
            DeviceApp.device_id, DeviceApp.sha256, DeviceApp.package, DeviceApp.name
        ).where(
            DeviceApp.sha256.in_(hashes[start : start + HASHES]), DeviceApp.device_id <= last_id
        )
        if after_id is not None:
            wanted = wanted.where(DeviceApp.device_id > after_id)
        for device_id, sha256, package, name in session.execute(wanted):
            found.setdefault(device_id, []).append((sha256, package, name))
    return found


def _outcomes(
    session: Session, trial: Trial, changed: Sequence[Judged]
) -> Iterator[tuple[Judged, Outcome]]:
    if not changed:
        return
    settings = read_mail_settings(session)
    excluded = excluded_groups(session, settings)
    for start in range(0, len(changed), HASHES):
        some = changed[start : start + HASHES]
        phones = _phones(session, [one.row.id for one in some], excluded)
        for one in some:
            mail = _mail(one, phones.get(one.row.id, ()), settings, trial.at)
            yield one, _outcome(one, mail, trial.at)


def _phones(
    session: Session, device_ids: Sequence[UUID], excluded: Mapping[UUID, str]
) -> dict[UUID, list[_Phone]]:
    """Return device -> its phones at mail servers, of which its judgement may decide."""
    found: dict[UUID, list[_Phone]] = {}
    wanted = (
        select(
            Partnership.device_id,
            Device.group_id,
            Partnership.match,
            Partnership.match_reason,
            Partnership.wanted,
            Partnership.exception,
            Partnership.exception_because,
            Partnership.exception_by,
            Partnership.exception_until,
            Partnership.controlled,
        )
        .join(Device, Device.id == Partnership.device_id)
        .where(
            Partnership.device_id.in_(device_ids),
            Partnership.gone_at.is_(None),
            Partnership.match.in_(MANAGED),
        )
    )
    for row in session.execute(wanted):
        one = _Phone(standing(cast(Partnership, row)), excluded.get(row.group_id, ""))
        found.setdefault(row.device_id, []).append(one)
    return found


def _outcome(one: Judged, mail: When, at: datetime) -> Outcome:
    wipe, because = wipe_of(one.before, one.after, at), new_reasons(one.before, one.after)
    if not because and (mail or wipe):
        because = all_reasons(one.after)
    return Outcome(one.before.state.value, one.after.state.value, mail, wipe, because)


def _mail(one: Judged, phones: Iterable[_Phone], settings: MailSettings, at: datetime) -> When:
    """Return when the device loses mail that it would keep (longer), by the rule that decides."""
    found = When.NEVER
    for phone in phones:
        before = _blocked(one, one.before, phone, settings, at)
        after = _blocked(one, one.after, phone, settings, at)
        found = sooner(found, sooner(before, after)) or found
    return found


def _blocked(
    one: Judged, judged: Judgement, phone: _Phone, settings: MailSettings, at: datetime
) -> When:
    device = MatchedDevice("", one.row.enrolled_at, "", judged, phone.excluded_by)
    decision = decide(phone.standing, device, settings, at, None, at)
    if decision.access == "block":
        return When.AT_ONCE
    if decision.due_at is None:
        return When.NEVER
    later = decide(phone.standing, device, settings, at, None, decision.due_at)
    return When.LATER if later.access == "block" else When.NEVER


def _fields(device_id: UUID, outcome: Outcome) -> dict[str, Any]:
    return {
        "device_id": device_id,
        "before": outcome.before,
        "after": outcome.after,
        "mail": outcome.mail.value,
        "wipe": outcome.wipe.value,
        "because": outcome.because,
    }
