"""Reads what the dashboard and a device's page bring together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy.orm import Session

from management.audit.models import AuditEntry
from management.audit.queries import list_about
from management.commands.models import Command
from management.commands.queries import count_open, list_commands
from management.compliance.explaining import Explanation, explain
from management.compliance.judgement import Judgement
from management.compliance.queries import get_judgement
from management.devices.models import Device
from management.devices.polls import find_polled_at
from management.devices.queries import get_device
from management.enrolment.queries import count_invitations
from management.enrolment.rules import InvitationState
from management.groups.queries import read_tree, shown_tree
from management.groups.rules import full_name, ordered
from management.listing.queries import Numbers, count_fleet
from management.listing.rules import Count
from management.mail_access.models import Partnership
from management.mail_access.queries import (
    count_held,
    list_connectors,
    list_device_partnerships,
)
from management.policies.models import Policy
from management.policies.queries import list_policies
from management.relays.models import Relay, RelayIncident
from management.relays.queries import count_incidents, list_incidents, list_relays
from management.updates.models import InstalledPatternSet, UpdateRun
from management.updates.queries import find_active_set, find_last_update, list_runs
from management.work.queries import count_states as count_jobs
from runtime.clock import utc_now
from runtime.errors import NotFoundError

Names = dict[str, str]
RECENT = timedelta(days=7)
ACTIVITY = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Dashboard:
    """How the fleet and this server stand."""

    numbers: Numbers
    read_at: datetime
    open_commands: Mapping[str, int]
    waiting_for_approval: Count
    failed_commands: Sequence[Command]
    invitations: Mapping[InvitationState, int]
    mail_held: int
    connectors: int
    relays: Sequence[Relay]
    incidents: int
    pattern_set: InstalledPatternSet | None
    last_update: UpdateRun | None
    last_run: UpdateRun | None
    failed_jobs: int

    @property
    def total(self) -> int:
        """All devices ever enrolled."""
        return sum(self.numbers.states.values())


def read_dashboard(session: Session, now: datetime) -> Dashboard:
    """Return everything the dashboard shows."""
    runs = list_runs(session, limit=1)
    return Dashboard(
        numbers=count_fleet(session),
        read_at=now,
        open_commands=count_open(session),
        waiting_for_approval=_at_most(list_commands(session, waiting_for="approval", limit=101)),
        failed_commands=list_commands(session, state="failed", limit=5),
        invitations=count_invitations(session, now),
        mail_held=count_held(session),
        connectors=len(list_connectors(session)),
        relays=list_relays(session),
        incidents=count_incidents(session, now - RECENT),
        pattern_set=find_active_set(session),
        last_update=find_last_update(session),
        last_run=runs[0] if runs else None,
        failed_jobs=count_jobs(session).get("failed", 0),
    )


def _at_most(found: Sequence[Command], most: int = 100) -> Count:
    return Count(min(len(found), most), more=len(found) > most)


@dataclass(frozen=True, slots=True, kw_only=True)
class DevicePage:
    """One device with everything that explains it."""

    device: Device
    polled_at: datetime | None
    judgement: Judgement | None
    why: Explanation
    commands: Sequence[Command]
    partnerships: Sequence[Partnership]
    incidents: Sequence[RelayIncident]
    activity: Sequence[AuditEntry]
    policies: Sequence[Policy]


def read_device_page(session: Session, device_id: UUID) -> DevicePage:
    """Return what a device's page shows; NotFoundError when there is none."""
    device = get_device(session, device_id)
    return DevicePage(
        device=device,
        polled_at=find_polled_at(session, device_id),
        judgement=_judgement(session, device_id),
        why=explain(session, device_id, None, utc_now()),
        commands=list_commands(session, device_id=device_id, limit=ACTIVITY),
        partnerships=list_device_partnerships(session, device_id),
        incidents=list_incidents(session, sender=device_id, limit=ACTIVITY),
        activity=list_about(session, str(device_id), (), ACTIVITY),
        policies=list_policies(session),
    )


def _judgement(session: Session, device_id: UUID) -> Judgement | None:
    try:
        return get_judgement(session, device_id)
    except NotFoundError:
        return None


def name_groups(session: Session) -> Names:
    """Return id -> full name of every group that who asks sees, in the order of the tree."""
    tree = read_tree(session)
    return {
        str(node.id): full_name(tree, node.id) for _, node in ordered(shown_tree(session, tree))
    }


def name_policies(session: Session) -> Names:
    """Return id -> name of every policy that who asks sees."""
    return {str(policy.id): policy.name for policy in list_policies(session)}
