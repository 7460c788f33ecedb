"""Notes who claims to be a device that we knew, and does what an administrator decides.

The old signing key proves that a device is the same (`enrolment.granting`). Without it a record,
its grace periods and its pending wipe stay where they are, until a person decides.
"""

from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Session

from contracts.agent import CommandKind
from management.commands.rules import CommandState
from management.commands.service import end_open, queue_command
from management.commands.steps import step
from management.compliance.service import rejudge
from management.devices import service as devices
from management.devices.models import Device
from management.devices.queries import lock_device
from management.devices.rules import EnrolmentState
from management.relays.service import acknowledge, announce_device, record_incident
from management.returns.models import IdentityClaim
from management.returns.queries import get_claim, list_earlier, open_wipes
from runtime.errors import RefusedError

SAME, ANOTHER = "same", "another"


def note_claims(session: Session, device: Device, now: datetime) -> int:
    """Note which earlier records a device with new keys claims to be; return how many."""
    found = list_earlier(session, device)
    for earlier in found:
        common = [
            name for name in ("serial", "imei") if getattr(device, name) == getattr(earlier, name)
        ]
        words = ", ".join(name for name in common if getattr(device, name))
        session.add(
            IdentityClaim(device_id=device.id, earlier_id=earlier.id, claims=words, made_at=now)
        )
        if open_wipes(session, earlier.id):
            _alert(session, device, earlier, words, now)
    session.flush()
    return len(found)


def decide(
    session: Session, claim_id: UUID, same: bool, by: str, because: str, now: datetime
) -> IdentityClaim:
    """Decide whether the newer record is the earlier device; RefusedError when that is decided.

    If it is, the earlier record ends (only the newest is enrolled), keeps its history, and hands
    its pending wipes on: the device gets them first.
    """
    claim = get_claim(session, claim_id)
    if claim.decision:
        raise RefusedError(f"{claim.decided_by} has decided this already.")
    claim.decision = SAME if same else ANOTHER
    claim.decided_at, claim.decided_by, claim.because = now, by[:255], because[:1000]
    if same:
        _unite(session, claim, now)
    return claim


def _unite(session: Session, claim: IdentityClaim, now: datetime) -> None:
    earlier = lock_device(session, claim.earlier_id)
    wipes = open_wipes(session, earlier.id)
    for wipe in wipes:
        step(wipe, CommandState.CANCELLED, now, "Handed on to the device's newer record.")
    if earlier.enrolment_state == EnrolmentState.ENROLLED:
        because = "It came back with new keys."
        devices.end_enrolment(session, earlier, EnrolmentState.RESET, claim.decided_by, now)
        acknowledge(session, earlier.id, earlier.epoch + 1, 0, now)
        end_open(session, earlier, f"The device is reset. {because}", now)
        announce_device(session, earlier.id, now)
        rejudge(session, [earlier.id], now)
    newer = lock_device(session, claim.device_id)
    if newer.enrolment_state != EnrolmentState.ENROLLED:
        return
    for wipe in wipes:
        kind = CommandKind(wipe.kind)
        queue_command(session, newer.id, kind, {}, wipe.requested_by, wipe.reason, now)


def _alert(session: Session, device: Device, earlier: Device, words: str, now: datetime) -> None:
    record_incident(
        session,
        "claims_identity",
        f"It names the {words} of {earlier.name}, which is to be wiped, but proves it with no key. "
        "Decide under Returned devices whether it is the same.",
        now,
        relay_id=device.relay_id,
        sender=device.id,
    )
