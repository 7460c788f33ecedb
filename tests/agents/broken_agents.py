"""The simulated device with one sentence of the protocol broken, from the moment it is told to."""

import json
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from functools import wraps
from itertools import count
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from agents.simulator import (
    device,
    enrolment,
    orders,
    relay_client,
    renewing,
    reports,
    rhythm,
    sims,
    trust,
    visit,
)
from agents.simulator.relay_client import Identity, RelayClient
from contracts import codec, envelope, keys, request_signature
from contracts.agent import Apps, CommandResult, Order, Receipt, Renewal, TrustStatement

Break = Callable[[pytest.MonkeyPatch, threading.Event], None]
"""Patches the simulator so that it misbehaves once the event is set."""


def _when_armed(place: Any, name: str, wrong: Callable[..., Any]) -> Break:
    """Let *wrong* (which gets the right function first) stand in for a function."""

    def apply(patch: pytest.MonkeyPatch, armed: threading.Event) -> None:
        right = getattr(place, name)

        @wraps(right)
        def either(*given: Any, **named: Any) -> Any:
            return wrong(right, *given, **named) if armed.is_set() else right(*given, **named)

        patch.setattr(place, name, either)

    return apply


def _unverified(right: Any, sealed: str, encryption_key: Any, order_key: Any) -> Order:
    token = envelope.decrypt(sealed, encryption_key)
    return codec.read(Order, envelope.unverified_payload(token))


def _unknown_is_nothing(right: Any, sealed: str, encryption_key: Any, order_key: Any) -> Order:
    try:
        found: Order = right(sealed, encryption_key, order_key)
    except orders.RefusedOrderError:
        token = envelope.decrypt(sealed, encryption_key)
        fields = json.loads(envelope.verify(token, envelope.ORDER, order_key))
        fields["body"] = json.loads(codec.write(Receipt()))
        found = codec.read(Order, json.dumps(fields))
    return found


def _only(*problems: str) -> Callable[..., Any]:
    """Judge the turn of an order, but overlook these problems."""

    def check(right: Any, order: Order, membership: Any) -> None:
        try:
            right(order, membership)
        except orders.RefusedOrderError as error:
            if error.problem not in problems:
                raise

    return check


def _for_anybody(right: Any, order: Order, membership: Any) -> None:
    right(replace(order, aud=membership.device_id), membership)


def _never(right: Any, *given: Any) -> None:
    raise orders.RefusedOrderError("unreadable", "This agent has had enough.")


def _silent_about(problem: str) -> Callable[..., Any]:
    return lambda right, state, what, *more: False if what == problem else right(state, what, *more)


def _unasked(right: Any, state: Any, command: Any, now: datetime) -> None:
    right(state, command, now)
    said = [one for one in state.pending if not isinstance(one, CommandResult)]
    state.pending = said


def _forgetful(right: Any, state: Any, command: Any, now: datetime) -> None:
    state.commands_seen = []
    right(state, command, now)


def _once_for_all(right: Any, state: Any, command: Any, now: datetime) -> None:
    if not any(mark.startswith(str(command.command_id)) for mark in state.commands_seen):
        right(state, command, now)


def _timeless(right: Any, state: Any, command: Any, now: datetime) -> None:
    right(state, replace(command, expires_at=now + timedelta(days=1)), now)


def _only_posture(right: Any, state: Any, membership: Any) -> None:
    right(state, membership)
    state.pending = [item for item in state.pending if not isinstance(item, Apps)]


def _old_posture(right: Any, state: Any, membership: Any) -> Any:
    return replace(right(state, membership), applied_policy_version=1)


def _leaps(right: Any, state: Any, membership: Any, *given: Any) -> Any:
    membership.report_seq += 1
    return right(state, membership, *given)


def _drops(right: Any, state: Any, *given: Any) -> None:
    state.reports, state.pending = [], []
    right(state, *given)


def _first_question(right: Any, self: Any, *given: Any) -> Any:
    invitation = given[0]
    httpx.get(f"{invitation.relay_url}/agent/v1/poll", verify=False)
    return right(self, *given)


def _believes(right: Any, token: str, invitation: Any) -> Any:
    return codec.read(TrustStatement, envelope.unverified_payload(token)), invitation


def _trusting(right: Any, certificates: Any) -> Any:
    return right(None)


def _another_request(right: Any, self: Any, body: bytes) -> Any:
    return right(self, json.dumps(json.loads(body), indent=next(_COUNT)).encode())


_COUNT = count(1)


def _late(right: Any, *given: Any) -> None:
    right(*(one - timedelta(days=1) if isinstance(one, datetime) else one for one in given))


def _tells_key(right: Any, self: Any, method: str, path: str, *given: Any, **named: Any) -> Any:
    told = f"{path}?key={SECRET['key']}" if path == "/trust" else path
    return right(self, method, told, *given, **named)


SECRET = {"key": ""}
"""The enrolment key, for the agent that tells it."""


def _stranger(right: Any, self: Any, identity: Identity, *given: Any) -> Any:
    return right(self, Identity(keys.new_key(), identity.key_id), *given)


def _asks_from_zero(right: Any, self: Any, token: Any, epoch: int, after: int, *more: Any) -> Any:
    return right(self, token, epoch, max(0, after - 1), *more)


def _token_each_time(right: Any, self: Any) -> Any:
    return self._new_token()


def _proves_nothing(right: Any, state: Any, member: Any, renewal: Any) -> None:
    right(state, member, renewal)
    said = state.pending[-1]
    payload = envelope.unverified_payload(said.proof)
    token = envelope.sign(payload, envelope.RENEWAL, keys.read_private(state.signing_key))
    state.pending[-1] = replace(said, proof=token)


def _hasty(right: Any, state: Any, membership: Any, items: Any, *given: Any) -> Any:
    if state.renewal is None or any(isinstance(item, Renewal) for item in items):
        return right(state, membership, items, *given)
    present, state.signing_key = state.signing_key, state.renewal.signing_key
    report = right(state, membership, items, *given)
    state.signing_key = present
    return report


def _any_answer(right: Any, state: Any, member: Any, said: Any, now: datetime) -> None:
    right(state, member, replace(said, renewal_id=state.renewal.id), now)


def _goes_back(right: Any, state: Any, *given: Any) -> None:
    right(state, *given)
    state.signing_key = state.former_signing_key


def _follows(right: Any, self: Any, *given: Any, **named: Any) -> Any:
    self._http.follow_redirects = True
    return right(self, *given, **named)


def _same_nonce(patch: pytest.MonkeyPatch, armed: threading.Event) -> None:
    patch.setattr(request_signature, "secrets", SimpleNamespace(token_urlsafe=lambda size: "same"))


def _knows_no_skew(patch: pytest.MonkeyPatch, armed: threading.Event) -> None:
    patch.setattr(relay_client, "CLOCK_SKEW", "urn:something-else")


def _in_the_drive(patch: pytest.MonkeyPatch, armed: threading.Event) -> None:
    """How the device is driven breaks it (see the test)."""


BREAKS: dict[str, Break] = {
    "2/fingerprint": _when_armed(trust, "read_first", _believes),
    "2/tls": _when_armed(relay_client, "tls", _trusting),
    "2/trust": _when_armed(device.SimulatedDevice, "_first_trust", _first_question),
    "6/again": _when_armed(RelayClient, "post_enrolment", _another_request),
    "6/enrolment": _when_armed(enrolment, "ask", _late),
    "6/secret": _when_armed(RelayClient, "_send", _tells_key),
    "6/answer-signed": _when_armed(RelayClient, "fetch_enrolment", _stranger),
    "6/retry-after": _in_the_drive,
    "6/forged": _when_armed(enrolment, "open_order", _unverified),
    "6/enrolled": _in_the_drive,
    "8/sims": _when_armed(sims, "mark", lambda right, key, number: right(b"another", number)),
    "8/first": _when_armed(reports, "_add_changes", _only_posture),
    "4/signed": _when_armed(RelayClient, "post_report", _stranger),
    "5/position": _when_armed(RelayClient, "poll", _asks_from_zero),
    "5/token": _when_armed(visit.Visit, "_token", _token_each_time),
    "5/rhythm": _in_the_drive,
    "5/retry-after": _when_armed(rhythm, "later", lambda right, asked, backoff: 1.0),
    "5/back-off": _when_armed(rhythm, "later", lambda right, asked, backoff: asked or 1.0),
    "5/redirect": _when_armed(RelayClient, "_send", _follows),
    "4/clock": _knows_no_skew,
    "4/nonce": _same_nonce,
    "7/take": _when_armed(reports, "posture", _old_posture),
    "7/forged": _when_armed(orders, "open_order", _unverified),
    "7/replayed": _when_armed(orders, "check_turn", _only("replayed")),
    "7/foreign": _when_armed(orders, "check_turn", _for_anybody),
    "7/gap": _when_armed(orders, "check_turn", _only("gap")),
    "7/unreadable": _when_armed(orders, "note_problem", _silent_about("unreadable")),
    "7/unknown": _when_armed(orders, "open_order", _unknown_is_nothing),
    "7/goes-on": _when_armed(orders, "check_turn", _never),
    "7/command": _when_armed(orders, "_accept_command", _unasked),
    "7/once": _when_armed(orders, "_accept_command", _forgetful),
    "7/again": _when_armed(orders, "_accept_command", _once_for_all),
    "7/expired": _when_armed(orders, "_accept_command", _timeless),
    "9/time": _when_armed(orders, "management_time", lambda right, state, local: local),
    "7.3/asks": _when_armed(renewing, "_say", _proves_nothing),
    "7.3/present": _when_armed(reports, "_sealed", _hasty),
    "7.3/other": _when_armed(renewing, "take_answer", _any_answer),
    "7.3/switch": _when_armed(renewing, "take_answer", _goes_back),
    "7.3/former": _when_armed(
        orders, "opening_key", lambda right, state, sealed: keys.read_private(state.encryption_key)
    ),
    "7.3/in-time": _when_armed(renewing, "is_due", lambda right, *given: False),
    "8/kept": _when_armed(reports, "due_again", lambda right, *given: []),
    "8/numbers": _when_armed(reports, "_sealed", _leaps),
    "8/digest": _when_armed(reports, "_digest_due", lambda right, *given: False),
    "8/epoch": _when_armed(orders, "_begin_epoch", _drops),
}
"""Clause -> how an agent breaks it, and nothing before it."""
