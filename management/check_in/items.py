"""Turns the parts of a taken report into facts, results and incidents."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import datetime

from sqlalchemy.orm import Session

from contracts.agent import (
    Apps,
    AppUpload,
    Attestation,
    CommandKind,
    CommandResult,
    Digest,
    Leaving,
    Posture,
    RelayProblem,
    Renewal,
    ReportItem,
    Sim,
    TermsAnswer,
)
from management.apps.service import record_inventory
from management.collecting.service import take_word
from management.commands.service import take_result
from management.devices.models import Device
from management.devices.rules import EnrolmentState, Fact, FactKind
from management.devices.service import AGENT, record_facts
from management.enrolment.queries import enrolment_ids
from management.enrolment.service import end_enrolment
from management.relays.service import acknowledge, record_incident
from management.terms.service import take_answer

_POSTURE = (
    FactKind.OS_VERSION,
    FactKind.SECURITY_PATCH,
    FactKind.ROOTED,
    FactKind.ENCRYPTED,
    FactKind.PASSCODE_SET,
    FactKind.DEVELOPER_OPTIONS,
    FactKind.USB_DEBUGGING,
    FactKind.UNKNOWN_SOURCES,
    FactKind.ROAMING,
    FactKind.AGENT_VERSION,
    FactKind.PATTERN_VERSION,
)


def acknowledge_orders(session: Session, device: Device, ack: int, now: datetime) -> bool:
    """Note up to which order the device holds all; it never loses one that it held.

    Return whether that is news: then its orders and commands are to be acknowledged, too.
    """
    if ack > device.outbound_seq:
        record_incident(
            session,
            "gap",
            f"The device holds order {ack}, this server wrote {device.outbound_seq} only. "
            "Was it restored from a backup? Then let the device enrol again.",
            now,
            relay_id=device.relay_id,
            sender=device.id,
        )
    ack = min(ack, device.outbound_seq)
    if ack <= device.outbound_ack:
        return False
    if device.outbound_ack == 0:
        for enrolment_id in enrolment_ids(session, device.id):
            acknowledge(session, enrolment_id, device.epoch, ack, now)
    device.outbound_ack = ack
    return True


def take_items(
    session: Session, device: Device, items: Iterable[ReportItem], said_at: datetime, now: datetime
) -> None:
    """Store what a device said at *said_at*."""
    for item in items:
        match item:
            case Posture():
                said = posture_facts(item, said_at, device.ownership)
                record_facts(session, device.id, said, now)
            case Apps():
                record_inventory(session, device, item, AGENT, said_at, now)
            case CommandResult():
                _result(session, device, item, now)
            case RelayProblem():
                _problem(session, device, item, now)
            case Leaving():
                _left_by_itself(session, device, item, now)
            case AppUpload():
                take_word(session, device, item, now)
            case TermsAnswer():
                take_answer(session, device, item, said_at)
            case Digest() | Renewal() | Attestation():
                pass  # the last two are looked at once the whole report is taken


def posture_facts(
    posture: Posture, said_at: datetime, ownership: str = "company"
) -> dict[FactKind, Fact]:
    """Return the facts in a posture; what the device cannot tell is a fact without value."""
    facts = {kind: Fact(getattr(posture, kind.value), AGENT, said_at) for kind in _POSTURE}
    applied = None
    if posture.applied_policy_id is not None:
        applied = {
            "policy_id": str(posture.applied_policy_id),
            "version": posture.applied_policy_version,
        }
    missed = [asdict(one) for one in posture.not_applied]
    return {
        **facts,
        FactKind.SIMS: Fact(_sims(posture.sims, ownership), AGENT, said_at),
        FactKind.APPLIED_POLICY: Fact(applied, AGENT, said_at),
        FactKind.NOT_APPLIED: Fact(missed if applied else None, AGENT, said_at),
    }


def _sims(said: Sequence[Sim] | None, ownership: str) -> list[dict[str, str]] | None:
    """Return what is kept of the SIMs. Another order is no news; of a person's own phone nobody
    needs to know the operator, whatever its agent says."""
    if said is None:
        return None
    kept = {one.mark: one for one in said}
    named = ownership == "company"
    return [
        {"mark": mark, "operator": one.operator, "country": one.country}
        if named
        else {"mark": mark, "operator": "", "country": ""}
        for mark, one in sorted(kept.items())
    ]


def _result(session: Session, device: Device, result: CommandResult, now: datetime) -> None:
    command = take_result(session, device, result, now)
    wiped = command is not None and command.kind == CommandKind.WIPE and result.state == "done"
    if wiped and device.enrolment_state == EnrolmentState.ENROLLED:
        because = "It confirmed the wipe."
        end_enrolment(session, device, EnrolmentState.WIPED, AGENT, because, now)


def _left_by_itself(session: Session, device: Device, said: Leaving, now: datetime) -> None:
    """Retire it. An open wipe stays open, and somebody must know: leaving is no way out of it."""
    if device.enrolment_state != EnrolmentState.ENROLLED:
        return
    state = EnrolmentState.RETIRED
    waiting = end_enrolment(session, device, state, AGENT, said.reason, now, wipes_wait=True)
    for command in waiting:
        record_incident(
            session,
            "left_before_wipe",
            f"The device left although a {command.kind.replace('_', ' ')} was under way, which "
            f"{command.requested_by} asked for. It gets the wipe first when it returns; until "
            "then treat it as lost.",
            now,
            relay_id=device.relay_id,
            sender=device.id,
            reported_by="device",
        )


def _problem(session: Session, device: Device, said: RelayProblem, now: datetime) -> None:
    record_incident(
        session,
        said.problem,
        said.detail,
        now,
        relay_id=device.relay_id,
        sender=device.id,
        reported_by="device",
    )
