"""Keeps an administrator who is limited to groups to the devices of those groups.

One place for every kind of read: the session that a request opens knows the groups, and each
statement that it runs is given the condition that belongs to each table in it (SQLAlchemy's
`with_loader_criteria`): lists, counts, exports and single rows alike. A row outside is not there:
404. Lists and counts of devices carry the groups in their plan instead (`listing.plan`).
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any
from uuid import UUID

from sqlalchemy import (
    Column,
    ColumnElement,
    Delete,
    Select,
    Update,
    event,
    or_,
    select,
)
from sqlalchemy.orm import ORMExecuteState, Session, with_loader_criteria
from sqlalchemy.sql.visitors import iterate

from management.agent_packages.models import DeviceAgent
from management.apps.models import App, DeviceApp
from management.attestation.models import AttestedCertificate, DeviceAttestation
from management.audit.models import AuditEntry
from management.canary.models import CanaryDevice
from management.collecting.models import AppRequest
from management.commands.models import Command, CommandBatch, CommandBatchDevice
from management.consequences.models import CarriedOut, HeldDevice
from management.devices.models import (
    Device,
    DeviceFacts,
    DeviceJudgement,
    DevicePoll,
    Fact,
    LiveDevice,
)
from management.dry_run.models import DryRunDevice
from management.enrolment.models import EnrolmentAttempt, Invitation
from management.enrolment_users.models import EnrolmentUser
from management.limits import LIMIT, Limit, is_one_of
from management.listing.models import DeviceTally, SystemTally
from management.mail_access.models import MailDecision, MailWipe, Partnership
from management.relays.models import KnownDeviceChange, RelayIncident
from management.returns.models import IdentityClaim
from management.store.models import DeviceOffer
from management.terms.models import DeviceTerms

OF_DEVICE: tuple[Any, ...] = (
    Command,
    CommandBatchDevice,
    DeviceFacts,
    DeviceJudgement,
    DevicePoll,
    LiveDevice,
    Fact,
    DeviceApp,
    DeviceAgent,
    AttestedCertificate,
    DeviceAttestation,
    DeviceOffer,
    DeviceTerms,
    AppRequest,
    CarriedOut,
    HeldDevice,
    DryRunDevice,
    CanaryDevice,
    IdentityClaim,
    KnownDeviceChange,
    Partnership,
)
"""Tables with a ``device_id``: a row is seen by who sees its device, one without by nobody."""
OF_GROUP: tuple[Any, ...] = (Device, Invitation, EnrolmentUser)
"""Tables with a ``group_id``."""
ONLY_READ: tuple[Any, ...] = (DeviceTally, SystemTally)
"""Of a group too; whoever writes a device must still find all rows of them."""


def begin() -> None:
    """Listen to every session of this process, once."""
    if not event.contains(Session, "do_orm_execute", _keep_to_groups):
        event.listen(Session, "do_orm_execute", _keep_to_groups)


def _keep_to_groups(state: ORMExecuteState) -> None:
    limited: Limit | None = state.session.info.get(LIMIT)
    if limited is None or state.is_column_load or state.is_relationship_load:
        return
    if state.is_select or state.is_update or state.is_delete:
        refuse_escape(state.statement)
        state.statement = state.statement.options(*_options(limited))
    elif not state.is_insert:
        raise EscapeError("A statement as text could read around the limit to groups.")


class EscapeError(RuntimeError):
    """A mistake of ours: a statement that the limit to groups does not reach."""


def refuse_escape(statement: Any) -> None:
    """Raise EscapeError when a statement names a kept table itself and not its class.

    `select(Model.__table__)` gets no condition: only classes do. Better no answer than all rows.
    """
    by_class: set[str] = set()
    itself: set[str] = set()
    beside: set[str] = set()
    """What only conditions name: harmless where the class is named too."""
    for one in iterate(statement):
        if isinstance(one, Select):
            joined = (join[0] for join in one._setup_joins)
            for named in (*one._raw_columns, *one._from_obj, *joined):
                (by_class if _has_class(named) else itself).add(_table_of(named))
        elif isinstance(one, (Update, Delete)):
            (by_class if _has_class(one.table) else itself).add(_table_of(one.table))
        elif isinstance(one, Column):
            (by_class if _has_class(one) else beside).add(_table_of(one))
    if escaped := _kept() & (itself | (beside - by_class)):
        raise EscapeError(
            f"{', '.join(sorted(escaped))} is kept to groups: name the class in the statement, "
            "not its table, or ask under `limits.seeing_all`."
        )


def _has_class(named: Any) -> bool:
    return "parententity" in named._annotations


def _table_of(named: Any) -> str:
    """Return the name of the table that a table, an alias of it or a column of it stands for."""
    table = getattr(named, "table", named)
    return str(getattr(getattr(table, "element", table), "name", ""))


@lru_cache(maxsize=1)
def _kept() -> frozenset[str]:
    """Return the names of all tables that have a condition."""
    anyone = Limit(frozenset(), "", reads_only=True)
    return frozenset(table.__tablename__ for table, _condition in _conditions(anyone))


@lru_cache(maxsize=64)
def _options(limited: Limit) -> tuple[Any, ...]:
    """Return the conditions of all tables; made once for each limit, because that is slow."""
    return tuple(
        with_loader_criteria(table, condition, include_aliases=True)
        for table, condition in _conditions(limited)
    )


def _conditions(limited: Limit) -> Iterator[tuple[Any, ColumnElement[bool]]]:
    groups = limited.groups
    for table in (*OF_GROUP, *(ONLY_READ if limited.reads_only else ())):
        yield table, is_one_of(table.group_id, groups)
    for table in OF_DEVICE:
        yield table, _sees(table.device_id, table, groups)
    yield RelayIncident, _sees(RelayIncident.sender, RelayIncident, groups)
    yield EnrolmentAttempt, _of_attempt(groups)
    for table in (MailDecision, MailWipe):
        yield table, _of_partnership(table, groups)
    yield CommandBatch, CommandBatch.requested_by == limited.name
    if limited.reads_only:  # whoever appends to the trail must find its end
        yield AuditEntry, _of_entry(groups)
        yield App, _of_app(groups)


def _sees(device_id: Any, table: Any, groups: frozenset[UUID]) -> ColumnElement[bool]:
    """Return that *device_id* is a device of the groups."""
    device = Device.__table__.alias("seen_device")
    wanted = select(device.c.id).where(
        device.c.id == device_id, is_one_of(device.c.group_id, groups)
    )
    return wanted.correlate(table).exists()


def _of_attempt(groups: frozenset[UUID]) -> ColumnElement[bool]:
    key = Invitation.__table__.alias("seen_key")
    by_key = select(key.c.id).where(
        key.c.id == EnrolmentAttempt.invitation_id, is_one_of(key.c.group_id, groups)
    )
    seen = _sees(EnrolmentAttempt.device_id, EnrolmentAttempt, groups)
    unused = EnrolmentAttempt.device_id.is_(None)
    return or_(seen, unused & by_key.correlate(EnrolmentAttempt).exists())


def _of_partnership(table: Any, groups: frozenset[UUID]) -> ColumnElement[bool]:
    phone = Partnership.__table__.alias("seen_phone")
    device = Device.__table__.alias("seen_device")
    wanted = (
        select(phone.c.id)
        .join(device, device.c.id == phone.c.device_id)
        .where(phone.c.id == table.partnership_id, is_one_of(device.c.group_id, groups))
    )
    return wanted.correlate(table).exists()


def _of_app(groups: frozenset[UUID]) -> ColumnElement[bool]:
    """Return that a device of the groups holds the app."""
    held, device = DeviceApp.__table__.alias("seen_app"), Device.__table__.alias("seen_device")
    wanted = (
        select(held.c.device_id)
        .join(device, device.c.id == held.c.device_id)
        .where(held.c.sha256 == App.sha256, is_one_of(device.c.group_id, groups))
    )
    return wanted.correlate(App).exists()


def _of_entry(groups: frozenset[UUID]) -> ColumnElement[bool]:
    """Return that an entry of the audit trail is about a device of the groups, or its command."""
    command, device = Command.__table__.alias("seen_command"), Device.__table__.alias("seen_device")
    by_command = (
        select(command.c.id)
        .join(device, device.c.id == command.c.device_id)
        .where(command.c.id == AuditEntry.subject_id, is_one_of(device.c.group_id, groups))
    )
    about = _sees(AuditEntry.subject_id, AuditEntry, groups)
    return or_(about, by_command.correlate(AuditEntry).exists())
