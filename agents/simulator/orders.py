"""Which orders a device takes, which it refuses and why, and what an order does to its memory.

No I/O. Nothing that a relay hands over is believed: only management's signature counts, and only
the next number of the running epoch.
"""

import secrets
from dataclasses import replace
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Literal

from joserfc.jwk import ECKey

from agents.simulator import attesting, renewing
from agents.simulator.state import DeviceState, KnownUpload, Membership
from contracts import codec, envelope, following, keys
from contracts.agent import (
    ApplyPolicy,
    AskAttestation,
    AskTerms,
    CommandResult,
    Enrolled,
    NewAgent,
    NewPatterns,
    OfferApps,
    Order,
    OrderBody,
    RelayProblem,
    Renewal,
    RenewalRefused,
    Renewed,
    RunCommand,
    TermsAnswer,
    UploadApp,
)
from contracts.files import write_key
from runtime.errors import RefusedError, SekishoError

Problem = Literal["forged", "replayed", "gap", "foreign", "unreadable"]
MOST_PROBLEMS_WAITING = 20
"""A relay that hands over rubbish without end does not fill the phone."""
MARKS_KEPT = 500
COMMANDS_KEPT = 1000
UPLOADS_KEPT = 20


class RefusedOrderError(RefusedError):
    """An order is not taken; *problem* is what management is told."""

    def __init__(self, problem: Problem, detail: str) -> None:
        super().__init__(detail)
        self.problem: Problem = problem


def open_order(sealed: str, encryption_key: ECKey, order_key: ECKey) -> Order:
    """Return the order in *sealed*; RefusedOrderError when management did not write it for us."""
    try:
        token = envelope.decrypt(sealed, encryption_key)
    except SekishoError as error:
        raise RefusedOrderError("unreadable", str(error)) from None
    try:
        payload = envelope.verify(token, envelope.ORDER, order_key)
    except SekishoError as error:
        raise RefusedOrderError("forged", str(error)) from None
    try:
        return codec.read(Order, payload)
    except SekishoError as error:
        raise RefusedOrderError(
            "unreadable", f"Management signed an order that this agent does not know: {error}"
        ) from None


def opening_key(state: DeviceState, sealed: str) -> ECKey:
    """Return the key to open *sealed* with: the former one if it says so, else the present one."""
    if state.former_encryption_key:
        former = keys.read_private(state.former_encryption_key)
        if envelope.recipient_of(sealed) == keys.thumbprint(former):
            return former
    return keys.read_private(state.encryption_key)


def under_another_key(state: DeviceState, sealed: str) -> bool:
    """Tell whether an order claims another signer than the known one, so that trust is asked."""
    try:
        token = envelope.decrypt(sealed, opening_key(state, sealed))
        return envelope.claimed_signer(token) != keys.thumbprint(order_key(state))
    except SekishoError:
        return False


def under_former_key(state: DeviceState, sealed: str) -> bool:
    """Tell whether management wrote an order before its order-signing key changed."""
    for key in following.former_keys(state.known_trust()):
        try:
            open_order(sealed, opening_key(state, sealed), key)
        except RefusedOrderError:
            continue
        return True
    return False


def check_turn(order: Order, membership: Membership) -> None:
    """Raise RefusedOrderError unless *order* is for us and the next of its epoch.

    A new epoch begins with `Enrolled`, number 1 (contracts/agent.py).
    """
    named = f"order {order.seq} of epoch {order.epoch}"
    if order.aud != membership.device_id:
        raise RefusedOrderError("foreign", f"{named} is for {order.aud}, not for this device.")
    if _begins_epoch(order, membership):
        return
    if (order.epoch, order.seq) <= (membership.epoch, membership.order_seq):
        raise RefusedOrderError("replayed", f"{named} was taken before, or skipped an epoch ago.")
    if (order.epoch, order.seq) != (membership.epoch, membership.order_seq + 1):
        raise RefusedOrderError(
            "gap",
            f"{named} came, but order {membership.order_seq + 1} of epoch {membership.epoch} "
            "is missing.",
        )


def _begins_epoch(order: Order, membership: Membership) -> bool:
    body = order.body
    return (
        isinstance(body, Enrolled)
        and body.device_id == membership.device_id
        and order.epoch > membership.epoch
        and order.seq == 1
    )


def take(state: DeviceState, membership: Membership, order: Order, local: datetime) -> None:
    """Let *order*, which passed `check_turn`, change *state*."""
    learn_time(state, order.sent_at, local)
    if order.epoch > membership.epoch and isinstance(order.body, Enrolled):
        _begin_epoch(state, membership, order.epoch, order.body, local)
    membership.order_seq = order.seq
    body, now = order.body, management_time(state, local)
    _forget_acknowledged(state, membership, order.ack, now)
    if isinstance(body, ApplyPolicy):
        membership.policy = body.policy
        state.note(now, f"Policy {body.policy.name}, version {body.policy.version}, applied.")
    elif isinstance(body, NewPatterns):
        state.phone.posture = replace(state.phone.posture, pattern_version=body.pattern_version)
        state.note(now, f"Patterns {body.pattern_version} taken.")
    elif isinstance(body, OfferApps):
        state.offer = body
        state.note(now, f"The app store offers {len(body.apps)} apps, {len(body.links)} links.")
    elif isinstance(body, NewAgent):
        state.new_agent = body
        state.note(now, f"Agent {body.version} is announced.")
    else:
        _answer(state, membership, body, now)


def _answer(state: DeviceState, membership: Membership, body: OrderBody, now: datetime) -> None:
    """Let the next report say what an order asks for; and take what was asked for before."""
    if isinstance(body, AskTerms):
        accepted = state.phone.accepts_terms
        state.pending.append(TermsAnswer(version=body.version, accepted=accepted, at=now))
        state.note(now, f"Terms of use, version {body.version}: {_ANSWERS[accepted]}.")
    elif isinstance(body, UploadApp):
        _accept_upload(state, body)
    elif isinstance(body, Renewed):
        renewing.take_answer(state, membership, body, now)
    elif isinstance(body, RenewalRefused):
        renewing.take_refusal(state, membership, body, now)
    elif isinstance(body, AskAttestation):
        state.pending.append(attesting.answer(state.phone, body))
        state.note(now, "Asked to prove its system.")
    elif isinstance(body, RunCommand):
        _accept_command(state, body, now)


_ANSWERS = {True: "accepted", False: "refused"}


def _accept_command(state: DeviceState, command: RunCommand, now: datetime) -> None:
    """Take a command once; a higher attempt of one that failed is another try."""
    mark = f"{command.command_id}/{command.attempt}"
    if mark in state.commands_seen:
        return
    state.commands_seen = [*state.commands_seen, mark][-COMMANDS_KEPT:]
    if command.expires_at <= now:
        state.note(now, f"Command {command.command} refused: it had expired.")
        state.pending.append(
            CommandResult(
                command_id=command.command_id,
                state="failed",
                at=now,
                detail=f"The command expired at {command.expires_at.isoformat()}, before it came.",
            )
        )
        return
    state.to_run.append(command)
    state.pending.append(CommandResult(command_id=command.command_id, state="acknowledged", at=now))


def _accept_upload(state: DeviceState, asked: UploadApp) -> None:
    if asked.upload_id in {one.id for one in state.uploads}:
        return
    upload = KnownUpload(
        id=asked.upload_id,
        sha256=asked.sha256,
        largest_bytes=asked.largest_bytes,
        expires_at=asked.expires_at,
        key=write_key(secrets.token_bytes(32)),
    )
    state.uploads = [*state.uploads, upload][-UPLOADS_KEPT:]


def _begin_epoch(
    state: DeviceState, membership: Membership, epoch: int, enrolled: Enrolled, local: datetime
) -> None:
    """Count from one again and say everything anew: management may have lost what it knew."""
    membership.epoch, membership.report_seq = epoch, 0
    membership.certificate = enrolled.certificate
    membership.ca_certificate = enrolled.ca_certificate
    membership.poll_seconds = enrolled.poll_seconds
    membership.digest_seconds = enrolled.digest_seconds
    membership.policy = enrolled.policy
    said = [item for report in state.reports for item in report.items]
    state.pending = [one for one in (*said, *state.pending) if not isinstance(one, Renewal)]
    state.reports, state.posture_said, state.apps_said = [], None, None
    renewing.in_new_epoch(state, membership, management_time(state, local))


def _forget_acknowledged(
    state: DeviceState, membership: Membership, ack: int, now: datetime
) -> None:
    """Drop the reports that management holds.

    More acknowledged than written means that this device was put back to an older state, or that
    somebody speaks with a copy of it: it goes on where management stands, and says so.
    """
    state.reports = [report for report in state.reports if report.seq > ack]
    if ack > membership.report_seq:
        told = f"Management holds report {ack}; this device wrote {membership.report_seq} only."
        note_problem(state, "gap", told, told, now)
        membership.report_seq = ack


def learn_time(state: DeviceState, sent_at: datetime, local: datetime) -> None:
    """Let an order move our idea of management's clock, only forwards: a relay can delay."""
    ahead = (sent_at - local).total_seconds()
    known = state.management_ahead_seconds
    state.management_ahead_seconds = ahead if known is None else max(known, ahead)


def management_time(state: DeviceState, local: datetime) -> datetime:
    """Return management's time as far as it is known."""
    return local + timedelta(seconds=state.management_ahead_seconds or 0.0)


def note_problem(
    state: DeviceState, problem: Problem, detail: str, evidence: str, at: datetime
) -> bool:
    """Put a `RelayProblem` into the next report, once for the same *evidence*; say if it is new."""
    mark = f"{problem}:{sha256(evidence.encode()).hexdigest()[:32]}"
    waiting = sum(isinstance(item, RelayProblem) for item in state.pending)
    if mark in state.problems_seen or waiting >= MOST_PROBLEMS_WAITING:
        return False
    state.problems_seen = [*state.problems_seen, mark][-MARKS_KEPT:]
    state.pending.append(RelayProblem(problem=problem, detail=detail[:4000], at=at))
    state.note(at, f"The relay gave something {problem}: {detail}")
    return True


def order_key(state: DeviceState) -> ECKey:
    """Return the pinned key that orders must be signed with."""
    return keys.read_public(state.known_trust().order_signing_key)
