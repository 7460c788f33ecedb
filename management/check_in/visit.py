"""One visit to each communication server: collect, take, then leave what is new for it.

Each step is safe to repeat: the relay forgets a message only after our commit, and what it was
given is noted only after it said so. A crash anywhere costs a repetition, never a message.
(Stands here and not in `relays`, because it needs both `relays` and `check_in`.)
"""

import logging
from functools import partial
from threading import Lock
from uuid import UUID

from sqlalchemy import delete
from sqlalchemy.orm import Session

from contracts.link import BATCH, KnownDevice, KnownDevices, RelayStatus
from management.agent_packages.queries import agent_files
from management.agent_packages.work import bring_download
from management.check_in.handing_out import bring_orders
from management.check_in.passwords_ahead import compare_ahead
from management.check_in.service import take
from management.check_in.visiting import LONGEST_SECONDS, visit_each
from management.collecting.fetching import fetch_files
from management.consequences.freezes import note_contact
from management.context import Context
from management.devices.models import Device
from management.devices.polls import list_to_hurry, note_polls, note_told
from management.devices.rules import EnrolmentState
from management.relays.bringing import Greeting, bring_setup, dial
from management.relays.link_client import LinkClient
from management.relays.memory import check_memory
from management.relays.models import KnownDeviceChange, Relay, TrustIssue
from management.relays.queries import (
    find_trust,
    get_relay,
    known_changes,
    list_used,
)
from management.relays.service import note_problem
from management.relays.trust import current_trust
from management.store.delivery import bring_files
from runtime.clock import utc_now
from runtime.errors import RefusedError, SekishoError
from runtime.process import crash_point

log = logging.getLogger(__name__)
_one_signs = Lock()
"""Visits that go on at the same time must not sign two statements of the same number."""
ROUNDS = 50
"""Most batches of one kind in one visit, so that a busy relay does not keep the others waiting."""
CHUNK = 100
"""Messages taken in one transaction."""
ENDLESS = (
    "The communication server answers so slowly that a visit does not come to its end. Restart it, "
    "and look at the network on the way."
)


def visit_all(context: Context) -> None:
    """Visit every relay once; one that fails is noted with the reason and does not stop others."""
    with context.database.reading() as session:
        relays = list_used(session)
    under_way = visit_each(context, relays, _visit_and_note)
    for relay in relays:
        if under_way.get(relay.id, 0.0) > LONGEST_SECONDS:
            _note(context, relay, ENDLESS)


def _visit_and_note(context: Context, relay: Relay) -> None:
    try:
        problem = _visit(context, relay, dial(context, relay))
    except SekishoError as error:
        problem = str(error)
    except Exception:
        log.exception("The visit to a communication server failed", extra={"relay": relay.name})
        problem = "The visit failed; the log of the jobs process says why."
    _note(context, relay, problem)


def _visit(context: Context, relay: Relay, greeting: Greeting) -> str:
    with greeting.link as link:
        problems = [
            _check_memory(context, relay.id, greeting.status),
            _bring_trust(context, link, relay.id),
            bring_setup(context, greeting, relay.id),
        ]
        _collect(context, link, relay.id)
        _bring_devices(context, link, relay.id)
        _let_hurry(context, link, relay.id)
        bring_orders(context, link, relay.id)
        _hear_who_polled(context, link, relay)
        problems.insert(0, _move_files(context, link, relay.id, greeting.status.download))
        status = link.status()
    with context.database.transaction("note the visit") as session:
        known, now = get_relay(session, relay.id), utc_now()
        note_contact(session, known.id, known.name, known.contact_at, now)
        known.contact_at, known.version = now, status.version[:50]
        known.inbound_waiting = status.inbound_waiting
        known.outbound_waiting = status.outbound_waiting
    return next(filter(None, problems), "")


def _check_memory(context: Context, relay_id: UUID, status: RelayStatus) -> str:
    """Give everything again to a relay that lost it; return why not yet, or nothing."""
    with context.database.transaction("check the relay's memory") as session:
        return check_memory(session, get_relay(session, relay_id), status, utc_now())


def _bring_trust(context: Context, link: LinkClient, relay_id: UUID) -> str:
    """Give the relay the newest statement; return why the signer signs no newer one, or nothing."""
    problem = ""
    with _one_signs, context.database.transaction("sign the trust statement") as session:
        try:
            trust: TrustIssue = current_trust(session, context.keys, context.signer, utc_now())
        except RefusedError as error:
            before = find_trust(session)
            if before is None:
                raise
            trust, problem = before, str(error)
        held = get_relay(session, relay_id).trust_issue
    if held >= trust.issue:
        return problem
    link.put_trust(trust.statement)
    with context.database.transaction("note the trust statement") as session:
        get_relay(session, relay_id).trust_issue = trust.issue
    return problem


def _move_files(context: Context, link: LinkClient, relay_id: UUID, download: str) -> str:
    """Move files both ways, last: what goes wrong with them holds up no order or report.

    A relay without room for the store still gives what devices sent.
    """
    problems = []
    with context.database.reading() as session:
        agent = agent_files(session)
    moves = (
        partial(bring_files, context, link, agent),
        partial(fetch_files, context, link, relay_id),
        partial(bring_download, context, link, relay_id, download),
    )
    for move in moves:
        try:
            move()
        except SekishoError as error:
            problems.append(str(error))
    return problems[0] if problems else ""


def _collect(context: Context, link: LinkClient, relay_id: UUID) -> None:
    for _ in range(ROUNDS):
        items = link.inbound().items
        for start in range(0, len(items), CHUNK):
            chunk = items[start : start + CHUNK]
            compare_ahead(context, chunk, utc_now())
            with context.database.transaction("take reports") as session:
                take(session, context, relay_id, chunk, utc_now())
            crash_point("before effect taken")
            link.taken([item.id for item in chunk])
        if len(items) < BATCH:
            return


def _bring_devices(context: Context, link: LinkClient, relay_id: UUID) -> None:
    for _ in range(ROUNDS):
        with context.database.reading() as session:
            changes = known_changes(session, relay_id)
        if not changes:
            return
        as_of = utc_now()
        with context.database.transaction("say which list comes") as session:
            get_relay(session, relay_id).devices_as_of_next = as_of
        link.put_devices(
            KnownDevices(devices=tuple(_known(device) for _, device in changes), as_of=as_of)
        )
        crash_point("after effect devices")
        with context.database.transaction("note the devices") as session:
            get_relay(session, relay_id).devices_as_of = as_of
            for change, _ in changes:
                _forget_change(session, change)


def _known(device: Device) -> KnownDevice:
    return KnownDevice(
        device_id=device.id,
        signing_key=device.signing_key,
        active=device.enrolment_state == EnrolmentState.ENROLLED,
        next_signing_key=device.renewal.get("signing_key"),
    )


def _forget_change(session: Session, change: KnownDeviceChange) -> None:
    """Forget the change unless the device changed once more meanwhile."""
    session.execute(
        delete(KnownDeviceChange).where(
            KnownDeviceChange.relay_id == change.relay_id,
            KnownDeviceChange.device_id == change.device_id,
            KnownDeviceChange.changed_at == change.changed_at,
        )
    )


def _hear_who_polled(context: Context, link: LinkClient, relay: Relay) -> None:
    """Keep when devices polled, as the relay says: a hint for people, never proof of contact."""
    since = relay.seen_until or relay.paired_at
    seen = link.seen(since).devices
    if not seen:
        return
    now = utc_now()
    with context.database.transaction("note who polled") as session:
        get_relay(session, relay.id).seen_until = max(min(one.polled_at, now) for one in seen)
        note_polls(session, ((one.device_id, min(one.polled_at, now)) for one in seen))


def _let_hurry(context: Context, link: LinkClient, relay_id: UUID) -> None:
    """Let devices poll quickly for which somebody waits."""
    with context.database.reading() as session:
        live = list_to_hurry(session, relay_id, utc_now(), BATCH)
    if not live:
        return
    now = utc_now()
    seconds = max(1, int((max(one.until for one in live) - now).total_seconds()))
    link.let_hurry([one.device_id for one in live], seconds)
    with context.database.transaction("note who hurries") as session:
        note_told(session, live, now)


def _note(context: Context, relay: Relay, problem: str) -> None:
    """Keep the problem and when it began, or that it is gone; log only what is new."""
    if relay.problem == problem[:1000]:
        return
    with context.database.transaction("note the relay's problem") as session:
        known = session.get(Relay, relay.id)
        if known is None:  # deleted meanwhile
            return
        news = note_problem(known, problem, utc_now())
    if news and problem:
        log.warning(problem, extra={"relay": relay.name})
    elif news:
        log.info("The communication server answers again", extra={"relay": relay.name})
