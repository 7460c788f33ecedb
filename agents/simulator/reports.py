"""What a device says next, and how it is packed. No I/O."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Literal

from agents.simulator import sims
from agents.simulator.orders import management_time
from agents.simulator.policy import not_applied
from agents.simulator.state import DeviceState, KeptReport, Membership
from contracts import codec, envelope, keys
from contracts.agent import Apps, Digest, Posture, Report, ReportItem

Outcome = Literal["acknowledged", "done", "failed"]
MOST_ITEMS = 100
"""In one report (contracts/agent.py)."""


def posture(state: DeviceState, membership: Membership) -> Posture:
    """Return what the phone says of itself now."""
    about = state.phone.description
    return replace(
        state.phone.posture,
        sims=sims.said(state.phone.tray, about.platform, about.ownership),
        applied_policy_id=membership.policy.policy_id,
        applied_policy_version=membership.policy.version,
        not_applied=not_applied(state.phone, membership.policy),
    )


def pack(state: DeviceState, membership: Membership, local: datetime) -> KeptReport | None:
    """Move what is to be said into the next numbered report; None when there is nothing to say."""
    _add_changes(state, membership)
    items = state.pending[:MOST_ITEMS]
    if not items:
        if not _digest_due(state, membership, local):
            return None
        items = [Digest()]
    state.pending = state.pending[MOST_ITEMS:]
    state.reported_at = local
    membership.report_seq += 1
    report = _sealed(state, membership, items, local)
    state.reports = [*state.reports, report]
    return report


def _add_changes(state: DeviceState, membership: Membership) -> None:
    """Say posture and apps in full whenever they are not what was said last."""
    now, apps = posture(state, membership), Apps(apps=tuple(state.phone.apps))
    if now != state.posture_said:
        state.pending.append(now)
        state.posture_said = now
    if apps != state.apps_said:
        state.pending.append(apps)
        state.apps_said = apps


def _digest_due(state: DeviceState, membership: Membership, local: datetime) -> bool:
    if state.reported_at is None or local < state.reported_at:
        return True
    return local - state.reported_at >= timedelta(seconds=membership.digest_seconds)


def _sealed(
    state: DeviceState, membership: Membership, items: list[ReportItem], local: datetime
) -> KeptReport:
    report = Report(
        iss=membership.device_id,
        aud="management",
        epoch=membership.epoch,
        seq=membership.report_seq,
        ack=membership.order_seq,
        sent_at=management_time(state, local),
        items=tuple(items),
    )
    sealed = envelope.seal(
        codec.write(report),
        envelope.REPORT,
        keys.read_private(state.signing_key),
        keys.read_public(state.known_trust().encryption_key),
    )
    return KeptReport(seq=report.seq, sealed=sealed, items=items)


def due_again(state: DeviceState, local: datetime, resend_after: timedelta) -> list[KeptReport]:
    """Return the reports to send (again), in order: from the first that no relay seems to hold."""
    for place, report in enumerate(state.reports):
        if report.stored_at is None or not (timedelta() <= local - report.stored_at < resend_after):
            return state.reports[place:]
    return []
