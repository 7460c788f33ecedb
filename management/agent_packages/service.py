"""Stores, releases and withdraws agent packages, and says what download pages and devices hear."""

from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from contracts.agent import NewAgent
from contracts.download import Download, DownloadValues
from management.agent_packages.models import AgentDownload, AgentPackage, DeviceAgent
from management.agent_packages.queries import (
    behind,
    current_package,
    get_package,
    has_other_signer,
    is_step_back,
    newest_of_source,
    offered_key,
    offered_package,
    why_not,
)
from management.agent_packages.rules import BY_HAND, OTHER_SIGNER, tag_of
from management.apps.models import App
from management.apps.queries import get_known
from management.apps.service import store_upload
from management.apps.uploads import Received
from management.context import Context
from management.database import locked
from management.devices.models import Device
from management.devices.queries import get_facts, lock_device
from management.devices.rules import FactKind
from management.enrolment.queries import get_invitation, state_of
from management.enrolment.rules import InvitationState
from management.relays.models import Relay
from management.relays.service import send_order
from management.work.service import enqueue
from runtime.errors import RefusedError

ANNOUNCE = "agent_packages.announce"


def store(
    session: Session,
    context: Context,
    received: Received,
    file_name: str,
    by: str,
    address: str,
    now: datetime,
) -> AgentPackage:
    """Keep an uploaded package and have it scanned; the same file is kept once."""
    store_upload(session, context.keys, received, file_name, by, address, now)
    found = session.get(AgentPackage, received.sha256)
    if found is None:
        found = AgentPackage(
            sha256=received.sha256,
            size_bytes=received.size_bytes,
            file_name=file_name[:255],
            uploaded_at=now,
            uploaded_by=by,
            current=False,
        )
        session.add(found)
        session.flush()
    return found


def release(
    session: Session, sha256: str, by: str, now: datetime, other_signer: bool = False
) -> AgentPackage:
    """Hand the package out from now on and announce it; RefusedError says why it may not be.

    From now on the download page follows the update source only if this is what it offers, and no
    step back: who goes back does not want the next one by itself.
    *other_signer*: somebody means that another key signed it than the one handed out last.
    """
    row = get_package(session, sha256)
    if why := why_not(session, row):
        raise RefusedError(why)
    if not other_signer and has_other_signer(session, row):
        raise RefusedError(OTHER_SIGNER)
    offered = row is newest_of_source(session) and not is_step_back(session, row)
    choose(session, offered, by, now)
    return hand_out(session, row, by, now)


def hand_out(session: Session, row: AgentPackage, by: str, now: datetime) -> AgentPackage:
    """Hand the package out from now on and announce it, without asking whether it may be."""
    _end_current(session)
    row.current, row.released_at, row.released_by = True, now, by
    enqueue(session, ANNOUNCE, f"{ANNOUNCE}:{uuid4()}", {}, now=now)
    return row


def withdraw(session: Session, by: str, now: datetime) -> None:
    """Hand nothing out until somebody says so; RefusedError when nothing is."""
    if current_package(session) is None:
        raise RefusedError("No agent package is handed out at the moment.")
    choose(session, False, by, now)
    _end_current(session)


def download_settings(session: Session) -> AgentDownload:
    """Return the one row of settings, to be changed: nobody else does until the commit."""
    session.flush()
    row = session.scalars(locked(select(AgentDownload), AgentDownload)).one_or_none()
    if row is None:
        row = AgentDownload(id=1, chosen_by="", offered="", offered_sha256="", problem="")
        session.add(row)
        session.flush()
    return row


def choose(session: Session, follows: bool, by: str, now: datetime) -> None:
    """Let the download page follow the update source from now on, or not."""
    row = download_settings(session)
    row.follows, row.chosen_by, row.chosen_at = follows, by[:255], now
    row.problem = "" if follows or not row.offered_sha256 else BY_HAND


def choose_key(session: Session, invitation_id: UUID | None, now: datetime) -> None:
    """Set which key the download page puts into the package; None: none.

    RefusedError for one person's key: everybody who reaches the page gets it.
    """
    if invitation_id is not None:
        found = get_invitation(session, invitation_id)
        if found.address or state_of(found, now) is not InvitationState.ACTIVE:
            raise RefusedError("Choose an active key that is nobody's own.")
    download_settings(session).invitation_id = invitation_id
    session.flush()


def wanted_download(
    session: Session, context: Context, relay: Relay, now: datetime
) -> tuple[Download, DownloadValues | None]:
    """Return what a relay's page should say, not signed yet, and the values to be signed."""
    current = offered_package(session)
    if current is None:
        return Download(tag="nothing"), None
    app = get_known(session, current.sha256)
    invitation = offered_key(session)
    active = invitation is not None and state_of(invitation, now) is InvitationState.ACTIVE
    key = context.keys.unseal(invitation.key_sealed) if invitation is not None and active else ""
    values = DownloadValues(
        relay_url=relay.devices_url,
        enrolment_key=key,
        order_signing_key=context.signer.public_key(),
        agent_sha256=current.sha256,
        issued_at=now,
    )
    return _download(current, app, values), values


def tell(session: Session, context: Context, after: UUID, limit: int, now: datetime) -> UUID:
    """Announce the package to some devices behind *after*; return the last, or *after*."""
    current = offered_package(session)
    if current is None:
        return after
    app = get_known(session, current.sha256)
    order = NewAgent(
        package=app.package,
        version=app.version,
        sha256=current.sha256,
        size_bytes=current.size_bytes,
        signer_sha256=app.signer_sha256,
    )
    for found in behind(session, current.sha256, after, limit):
        device = lock_device(session, found.id)
        if not _has(session, device, app.version):
            send_order(session, context.keys, context.signer, device, order, now)
        row = session.get(DeviceAgent, device.id) or DeviceAgent(device_id=device.id)
        row.sha256, row.epoch, row.told_at = current.sha256, device.epoch, now
        session.add(row)
        after = device.id
    session.flush()
    return after


def _has(session: Session, device: Device, version: str) -> bool:
    said = get_facts(session, device.id).get(FactKind.AGENT_VERSION)
    return said is not None and said.value == version


def _download(current: AgentPackage, app: App, values: DownloadValues) -> Download:
    draft = Download(
        tag="draft",
        sha256=current.sha256,
        size_bytes=current.size_bytes,
        package=app.package,
        version=app.version,
        signer_sha256=app.signer_sha256,
    )
    tag = tag_of(draft, values.relay_url, values.enrolment_key, values.order_signing_key)
    return Download(
        tag=tag,
        sha256=draft.sha256,
        size_bytes=draft.size_bytes,
        package=draft.package,
        version=draft.version,
        signer_sha256=draft.signer_sha256,
    )


def _end_current(session: Session) -> None:
    session.execute(
        update(AgentPackage)
        .where(AgentPackage.current)
        .values(current=False)
        .execution_options(synchronize_session="fetch")
    )
