"""Checks of the communication servers, each dialled live and within a time for all of it."""

import ssl
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import TypeVar

from management.context import Context
from management.relays.bringing import dial
from management.relays.link_client import LOOK_SECONDS
from management.relays.models import Relay
from management.relays.queries import list_used
from management.verification import rules
from management.verification.asking import alone, certificate_until, healthz
from management.verification.rules import Finding, Tone, moment, ok
from management.verification.rules import sentence as _l
from runtime.errors import SekishoError, UnavailableError

T = TypeVar("T")
ASKED_AT_ONCE = 8


@alone
def relays(context: Context, now: datetime) -> Finding:
    """Dial each now, as a visit does; and look when the jobs process visited it last."""
    with context.database.reading() as session:
        relays = list_used(session)
    if not relays:
        return Finding(
            Tone.BAD,
            _l("There is none, so no device can enrol or report."),
            _l("Pair a communication server."),
            "relays.index",
        )
    problems = _of_each(relays, lambda relay: _dialled(context, relay))
    tones = {
        one.name: rules.silence(one.contact_at, problems[one.name] or one.problem, now)
        for one in relays
    }
    wrong = [one for one in relays if tones[one.name] is not Tone.OK]
    if not wrong:
        return ok(_l("%(number)s answer.", number=len(relays)))
    worst = max(tones.values(), key=list(Tone).index)
    said = "; ".join(
        f"{one.name}: {problems[one.name] or one.problem or _unvisited(one)}" for one in wrong
    )
    mend = _l("Look whether it runs and whether this server reaches its link port.")
    return Finding(
        worst, _l("Silent or in trouble: %(relays)s.", relays=said), mend, "relays.index"
    )


def _dialled(context: Context, relay: Relay) -> str:
    """Return what is wrong on its link just now, or nothing."""
    try:
        dial(context, relay, LOOK_SECONDS).link.close()
    except SekishoError as error:
        return str(error)
    return ""


def _of_each(relays: Sequence[Relay], ask: Callable[[Relay], T]) -> dict[str, T]:
    """Ask some at once, so that a silent one costs the others little; return name -> answer."""
    with ThreadPoolExecutor(ASKED_AT_ONCE) as pool:
        answers = pool.map(ask, relays)
        return {one.name: said for one, said in zip(relays, answers, strict=True)}


def _unvisited(relay: Relay) -> str:
    visited = moment(relay.contact_at)
    return f"It answers, but the jobs process visited it last at {visited}."


@alone
def device_doors(context: Context, now: datetime) -> Finding:
    """Connect as a device does, from here, with the CA that devices are told."""
    with context.database.reading() as session:
        relays = list_used(session)
    shut = [said for said in _of_each(relays, _shut).values() if said]
    if not relays:
        return Finding(Tone.IDLE, _l("There is no communication server yet."))
    if shut:
        return Finding(
            Tone.WARN,
            _l("From here devices could not connect: %(doors)s.", doors="; ".join(shut)),
            _l("Look at name, port, firewall and certificate; from outside it may still work."),
            "relays.index",
        )
    return ok(_l("Devices can connect: address and certificate are right at %(n)s.", n=len(relays)))


def _shut(relay: Relay) -> str:
    """Return why a device could not connect from here, or nothing."""
    try:
        trust = ssl.create_default_context(cadata=relay.ca_certificate)
        healthz(f"{relay.devices_url}/healthz", trust)
    except UnavailableError as error:
        return f"{relay.devices_url} ({error})"
    return ""


@alone
def relay_certificates(context: Context, now: datetime) -> Finding:
    """Look at the certificate that each relay shows; one that is silent is judged by the last."""
    with context.database.reading() as session:
        relays = list_used(session)
    mend = _l("On the relay's page import a certificate, or let the built-in CA issue one.")
    known = _of_each(relays, _shown_until)
    ends = sorted((until, name) for name, until in known.items() if until is not None)
    if not ends:
        return Finding(Tone.IDLE, _l("No communication server has shown a certificate yet."))
    until, name = ends[0]
    return rules.ends(until, now, mend, "relays.index", whose=name)


def _shown_until(relay: Relay) -> datetime | None:
    try:
        return certificate_until(relay.devices_url)
    except UnavailableError:
        return relay.tls_until
