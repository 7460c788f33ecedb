"""Reads devices in bulk and judges each twice, as things are and as they would be.

No ORM objects are made of the many rows, and no more than one chunk is ever in memory.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, cast
from uuid import UUID

from pydantic_core import from_json
from sqlalchemy import Text, select, type_coerce
from sqlalchemy.orm import Session

from contracts.connector import Access
from management.apps.models import DeviceApp
from management.apps.rules import BLAMELESS
from management.compliance.judgement import AskedPolicy, Judgement, State
from management.compliance.models import DeviceJudgement
from management.compliance.queries import for_device, wish_of
from management.compliance.rules import judge
from management.devices.models import Device, DeviceFacts
from management.devices.rules import Fact, FactKind, read_facts
from management.dry_run.rules import (
    Candidate,
    Outcome,
    Tally,
    When,
    all_reasons,
    new_reasons,
    sooner,
    wipe_of,
    with_verdicts,
)
from management.mail_access.matching import Match
from management.mail_access.models import Partnership
from management.mail_access.queries import read_mail_settings
from management.mail_access.rules import MailSettings, MatchedDevice, Standing, decide
from management.policies.rules import Requirements, wishes_in

HASHES = 500
"""Most values in one statement."""
MANAGED = tuple(match.value for match in Match if match.is_managed)


@dataclass(frozen=True, slots=True)
class Trial:
    """What is tried, for every chunk the same."""

    at: datetime
    policy_ids: frozenset[UUID]
    """Whose devices are judged; empty: whoever holds an app that the set on trial judges
    otherwise."""
    requirements: Requirements | None
    candidates: Mapping[str, Candidate]
    """Hash -> what the pattern set on trial says."""


@dataclass(slots=True)
class Chunk:
    """What became of the devices above one id up to another."""

    last_id: UUID
    looked_at: int = 0
    tally: Tally = field(default_factory=Tally)
    rows: list[dict[str, Any]] = field(default_factory=list)
    """Of the devices that would change, for `models.DryRunDevice`."""


@dataclass(frozen=True, slots=True)
class _Judged:
    """A device and how it stands in both cases."""

    row: Any
    before: Judgement
    after: Judgement


def judge_chunk(session: Session, trial: Trial, after_id: UUID | None, last_id: UUID) -> Chunk:
    """Judge the devices with ids above *after_id* (None: from the first) up to *last_id*."""
    chunk, changed = Chunk(last_id), []
    wishes: dict[UUID, tuple[AskedPolicy, AskedPolicy]] = {}
    held = _held(session, trial, after_id, last_id)
    for row in _rows(session, after_id, last_id):
        chunk.looked_at += 1
        concerned = row.policy_id in trial.policy_ids if trial.policy_ids else row.id in held
        if not concerned:
            continue
        one = _judge(session, trial, row, held.get(row.id, ()), wishes)
        if _is_same(one):
            state = one.before.state.value
            chunk.tally.add(Outcome(state, state, When.NEVER, When.NEVER, ""))
        else:
            changed.append(one)
    for one, outcome in _outcomes(session, trial, changed):
        chunk.tally.add(outcome)
        if outcome.is_change:
            chunk.rows.append(_fields(one.row.id, outcome))
    return chunk


def _rows(session: Session, after_id: UUID | None, last_id: UUID) -> Iterator[Any]:
    """Yield every device of the range; by the key alone, whatever indexes there are."""
    wanted = (
        select(
            Device.id,
            Device.platform,
            Device.ownership,
            Device.enrolled_at,
            Device.enrolment_state,
            Device.policy_id,
            type_coerce(DeviceFacts.facts, Text).label("facts"),
            DeviceJudgement.state,
            DeviceJudgement.policy_id.label("judged_by"),
            DeviceJudgement.policy_version,
            DeviceJudgement.next_due_at,
            type_coerce(DeviceJudgement.violations, Text).label("violations"),
        )
        .outerjoin(DeviceFacts, DeviceFacts.device_id == Device.id)
        .outerjoin(DeviceJudgement, DeviceJudgement.device_id == Device.id)
        .where(Device.id <= last_id)
    )
    if after_id is not None:
        wanted = wanted.where(Device.id > after_id)
    yield from session.execute(wanted).all()


def _facts(stored: Any) -> dict[FactKind, Fact]:
    """Return the facts of a row; the driver of PostgreSQL decodes JSON itself."""
    if stored is None:
        return {}
    return read_facts(stored if isinstance(stored, dict) else from_json(stored))


def _judge(
    session: Session,
    trial: Trial,
    row: Any,
    held: Iterable[tuple[str, str, str]],
    wishes: dict[UUID, tuple[AskedPolicy, AskedPolicy]],
) -> _Judged:
    if row.policy_id not in wishes:
        wishes[row.policy_id] = _wishes(session, trial, row.policy_id)
    now, then = wishes[row.policy_id]
    known = _facts(row.facts)
    facts = {**known, FactKind.BAD_APPS: _bad_apps(known, held, trial)} if held else known
    after = judge(facts, for_device(then, cast(Device, row), facts), trial.at)
    if not after.violations and _is_well(row, now, trial.at):
        return _Judged(row, after, after)
    before = judge(known, for_device(now, cast(Device, row), known), trial.at)
    return _Judged(row, before, after)


def _is_well(row: Any, now: AskedPolicy, at: datetime) -> bool:
    """Tell whether the stored judgement holds at *at* and knows of nothing broken.

    It is what `judge` said, so judging again would only say the same; most devices are well.
    """
    return (
        row.violations in ("[]", [])
        and row.state == State.HEALTHY
        and row.judged_by == row.policy_id
        and row.policy_version == now.version
        and (row.next_due_at is None or row.next_due_at > at)
    )


def _wishes(session: Session, trial: Trial, policy_id: UUID) -> tuple[AskedPolicy, AskedPolicy]:
    """Return what the policy asks now, and what it would ask.

    The version stays: that a device has yet to apply the new one is no news about the device.
    """
    now = wish_of(session, policy_id)
    if trial.requirements is None or policy_id not in trial.policy_ids:
        return now, now
    known, asked = wishes_in(now.requirements), wishes_in(trial.requirements)
    since = {
        name: now.asked_since.get(name, now.since) if known.get(name, asked) == wish else trial.at
        for name, wish in asked.items()
    }
    return now, replace(now, requirements=trial.requirements, asked_since=since)


def _bad_apps(
    facts: Mapping[FactKind, Fact], held: Iterable[tuple[str, str, str]], trial: Trial
) -> Fact:
    known = facts.get(FactKind.BAD_APPS)
    value = with_verdicts(known.value if known else None, held, trial.candidates, BLAMELESS)
    if known is not None and known.value == value:
        return known
    return Fact(value, "scanner", trial.at)


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


def _is_same(one: _Judged) -> bool:
    before, after = one.before, one.after
    return before is after or (before.state, before.violations, before.consequences) == (
        after.state,
        after.violations,
        after.consequences,
    )


def _outcomes(
    session: Session, trial: Trial, changed: Sequence[_Judged]
) -> Iterator[tuple[_Judged, Outcome]]:
    if not changed:
        return
    settings = read_mail_settings(session)
    for start in range(0, len(changed), HASHES):
        some = changed[start : start + HASHES]
        standings = _standings(session, [one.row.id for one in some])
        for one in some:
            mail = _mail(one, standings.get(one.row.id, ()), settings, trial.at)
            yield one, _outcome(one, mail, trial.at)


def _standings(session: Session, device_ids: Sequence[UUID]) -> dict[UUID, list[Standing]]:
    """Return device -> its partnerships, of which its judgement decides."""
    found: dict[UUID, list[Standing]] = {}
    wanted = select(
        Partnership.device_id, Partnership.match, Partnership.match_reason, Partnership.wanted
    ).where(
        Partnership.device_id.in_(device_ids),
        Partnership.gone_at.is_(None),
        Partnership.match.in_(MANAGED),
    )
    for device_id, match, because, access in session.execute(wanted):
        standing = Standing(Match(match), because, cast(Access, access))
        found.setdefault(cast(UUID, device_id), []).append(standing)
    return found


def _outcome(one: _Judged, mail: When, at: datetime) -> Outcome:
    wipe, because = wipe_of(one.before, one.after, at), new_reasons(one.before, one.after)
    if not because and (mail or wipe):
        because = all_reasons(one.after)
    return Outcome(one.before.state.value, one.after.state.value, mail, wipe, because)


def _mail(
    one: _Judged, standings: Iterable[Standing], settings: MailSettings, at: datetime
) -> When:
    """Return when the device loses mail that it would keep (longer), by the rule that decides."""
    found = When.NEVER
    for standing in standings:
        before = _blocked(one, one.before, standing, settings, at)
        after = _blocked(one, one.after, standing, settings, at)
        found = sooner(found, sooner(before, after)) or found
    return found


def _blocked(
    one: _Judged, judged: Judgement, standing: Standing, settings: MailSettings, at: datetime
) -> When:
    device = MatchedDevice("", one.row.enrolled_at, "", judged)
    decision = decide(standing, device, settings, at, None, at)
    if decision.access == "block":
        return When.AT_ONCE
    if decision.due_at is None:
        return When.NEVER
    later = decide(standing, device, settings, at, None, decision.due_at)
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
