"""Brings what is wanted for partnerships up to date: match, decide, brake, remember.

Every function here first takes the connectors' rows, so that two processes never decide at once.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import cast
from uuid import UUID

from sqlalchemy.orm import Session

from contracts.connector import Access
from management.compliance.judgement import State
from management.consequences.queries import holding
from management.consequences.rules import Frozen
from management.limits import seeing_all
from management.mail_access import grounds, queries
from management.mail_access.matching import Claim, Match, Matched, Seen, match_device, propose
from management.mail_access.models import MailDecision, Partnership, UnmanagedGrace
from management.mail_access.rules import (
    Decision,
    Exempt,
    MailSettings,
    MatchedDevice,
    Pause,
    Standing,
    decide,
    grace_key,
    grace_start,
    room_for_blocks,
    spared,
)

SEEN_PRECISION = timedelta(hours=1)


@dataclass(slots=True)
class _Ground:
    """What the decisions of one run rest on."""

    settings: MailSettings
    pause: Pause | None
    claims: dict[str, list[Claim]]
    graces: dict[str, UnmanagedGrace]
    devices: dict[UUID, MatchedDevice]
    room: int
    """How many new blocks may still act without confirmation."""
    frozen: dict[UUID, Frozen] = field(default_factory=dict)
    """Devices whose access is not taken away now, and why."""


def decide_for_devices(session: Session, device_ids: Collection[UUID], now: datetime) -> int:
    """Decide the partnerships that these devices touch; return how many changed."""
    queries.lock_connectors(session)
    return decide_rows(session, queries.list_touched_by(session, device_ids), now)


def decide_due(session: Session, now: datetime, limit: int = 500) -> int:
    """Decide what time alone may have changed; return how many rows were looked at.

    Nothing while enforcement is paused: what fell due meanwhile waits for its end.
    """
    if queries.find_pause(session) is not None or not queries.list_due(session, now, 1):
        return 0
    queries.lock_connectors(session)
    rows = queries.list_due(session, now, limit)
    decide_rows(session, rows, now)
    return len(rows)


def decide_from(session: Session, after: int, now: datetime, limit: int = 500) -> int | None:
    """Decide the partnerships above id *after*; return the last id, or None at the end."""
    queries.lock_connectors(session)
    rows = queries.list_from(session, after, limit)
    decide_rows(session, rows, now)
    return rows[-1].id if rows else None


def confirm_held(session: Session, rows: Sequence[Partnership], by: str, now: datetime) -> int:
    """Let held blocks act because an administrator said so, who and why; return how many."""
    queries.lock_connectors(session)
    held = [row for row in rows if row.held_at is not None]
    for row in held:
        because = f"{row.held_because}\nconfirmed by {by}"[:4000]
        row.held_at, row.held_because = None, ""
        _want(session, row, "block", because, "confirmed", now)
    queries.bump(session, {row.connector_id for row in held})
    return len(held)


def decide_rows(session: Session, rows: Sequence[Partnership], now: datetime) -> int:
    """Match and decide *rows*; return for how many something changed that a connector holds.

    Whoever asks, all of what it rests on counts: whose claims there are, how many blocks act.
    """
    with seeing_all(session):
        return _decide_rows(session, rows, now)


def _decide_rows(session: Session, rows: Sequence[Partnership], now: datetime) -> int:
    ground = _ground(session, rows, now)
    for row in rows:
        _match(row, ground)
    _propose(session, [row for row in rows if row.match == Match.NONE])
    wanted_devices = {row.device_id for row in rows if row.device_id is not None}
    ground.devices = grounds.list_matched_devices(session, wanted_devices, ground.settings)
    ground.frozen = holding(session, wanted_devices, now)
    changed = [row for row in rows if _decide(session, row, ground, now)]
    queries.bump(session, {row.connector_id for row in changed})
    session.flush()
    return len(changed)


def _ground(session: Session, rows: Sequence[Partnership], now: datetime) -> _Ground:
    settings = queries.read_mail_settings(session)
    graces = _graces(session, rows)
    return _Ground(
        settings=settings,
        pause=queries.find_pause(session),
        claims=grounds.list_claims(session, {row.exchange_device_id for row in rows}),
        graces=graces,
        devices={},
        room=room_for_blocks(
            grounds.count_recent_blocks(session, now), grounds.count_live(session), settings
        ),
    )


def _graces(session: Session, rows: Sequence[Partnership]) -> dict[str, UnmanagedGrace]:
    """Return the graces of the users of *rows*; a user with a new address keeps the old one."""
    moved: dict[str, str] = {}
    for row in rows:
        key = grace_key(row.mailbox, row.user_address)
        if row.grace_key and row.grace_key != key:
            moved[key] = row.grace_key
        row.grace_key = key
    graces = grounds.list_graces(session, {row.grace_key for row in rows} | set(moved.values()))
    for key, old in moved.items():
        if key not in graces and old in graces:
            kept = graces[old]
            graces[key] = UnmanagedGrace(key=key, since=kept.since, seen_at=kept.seen_at)
            session.add(graces[key])
    return graces


def _match(row: Partnership, ground: _Ground) -> None:
    """Match *row* anew, unless an administrator did."""
    if row.match in (Match.BY_HAND, Match.UNMATCHED):
        return
    found: Matched = match_device(
        row.mailbox, row.user_address, ground.claims.get(row.exchange_device_id, ())
    )
    row.match, row.device_id, row.match_reason = found.match, found.device_id, found.because[:1000]


def _propose(session: Session, rows: Sequence[Partnership]) -> None:
    """Say of phones that nobody claims which enrolled device they look like."""
    if not rows:
        return
    devices = grounds.list_lookalikes(session, rows)
    for row in rows:
        seen = Seen(
            row.mailbox,
            row.user_address,
            row.exchange_device_id,
            row.device_model,
            row.first_sync_at,
        )
        found = propose(seen, devices.get(row.user_address.casefold(), ()))
        if found is not None:
            row.match, row.device_id, row.match_reason = found.match, found.device_id, found.because


def _decide(session: Session, row: Partnership, ground: _Ground, now: datetime) -> bool:
    device = managing(row, ground.devices)
    since = now if _is_managed(device) else _grace(session, row, ground, now)
    decision = decide(standing(row), device, ground.settings, since, ground.pause, now)
    if device is not None and (frozen := ground.frozen.get(cast(UUID, row.device_id))):
        decision = spared(standing(row), decision, frozen.because, frozen.mend, now)
    row.next_due_at = decision.due_at
    if ground.pause is not None:
        return False
    return _store(session, row, decision, ground, now)


def standing(row: Partnership) -> Standing:
    """Return the row as far as a decision depends on it."""
    exempt = None
    if row.exception and row.exception_until is not None:
        access = cast(Access, row.exception)
        exempt = Exempt(access, row.exception_because, row.exception_by, row.exception_until)
    return Standing(
        Match(row.match), row.match_reason, cast(Access, row.wanted), exempt, row.controlled
    )


def managing(row: Partnership, devices: dict[UUID, MatchedDevice]) -> MatchedDevice | None:
    """Return the device whose judgement may decide *row*."""
    if row.device_id is None or not Match(row.match).is_managed:
        return None
    return devices.get(row.device_id)


def _is_managed(device: MatchedDevice | None) -> bool:
    if device is None:
        return False
    return device.judgement is None or device.judgement.state is not State.NOT_ENROLLED


def _grace(session: Session, row: Partnership, ground: _Ground, now: datetime) -> datetime:
    """Return since when the grace of this user runs, and note that an unmanaged phone is there."""
    grace = ground.graces.get(row.grace_key)
    if row.gone_at is not None:
        return grace.since if grace else now
    since = grace_start(
        grace.since if grace else None, grace.seen_at if grace else None, ground.settings, now
    )
    if grace is None:
        grace = UnmanagedGrace(key=row.grace_key, since=since, seen_at=now)
        ground.graces[row.grace_key] = grace
        session.add(grace)
    grace.since, grace.seen_at = since, now
    return since


def _store(
    session: Session, row: Partnership, decision: Decision, ground: _Ground, now: datetime
) -> bool:
    because = "\n".join(decision.because)[:4000]
    if decision.access == "block" and row.wanted != "block":
        if row.held_at is not None or ground.room < 1:
            _hold(session, row, because, now)
            return False
        ground.room -= 1
    row.held_at, row.held_because = None, ""
    return _want(session, row, decision.access, because, "wanted", now)


def _hold(session: Session, row: Partnership, because: str, now: datetime) -> None:
    """Let the block wait for an administrator; what was wanted before stays."""
    if row.held_at is None:
        row.held_at = now
        _remember(session, row, "held", "block", because, now)
    row.held_because = because


def _want(
    session: Session, row: Partnership, access: Access, because: str, event: str, now: datetime
) -> bool:
    """Write down what is wanted; True when the connector's list changes by it."""
    listed = row.wanted != "leave" or access != "leave"
    changed = (row.wanted, row.wanted_because) != (access, because)
    if row.wanted != access:
        row.wanted, row.wanted_since = access, now
        _remember(session, row, event, access, because, now)
    row.wanted_because = because
    return listed and changed


def _remember(
    session: Session, row: Partnership, event: str, access: str, because: str, now: datetime
) -> None:
    session.add(
        MailDecision(partnership_id=row.id, at=now, event=event, access=access, because=because)
    )
