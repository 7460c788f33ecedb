"""Checks of what this server works with: relays, connectors, patterns, the scanner."""

import ssl
import tempfile
import zipfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path

from management.certificates import WARN_DAYS
from management.context import Context
from management.devices.queries import certificates_ending
from management.mail_access import authorities
from management.mail_access.models import Connector
from management.mail_access.queries import list_connectors
from management.mail_access.states import ConnectorState, connector_state
from management.outgoing_mail import smtp
from management.outgoing_mail.queries import find_outgoing_mail
from management.outgoing_mail.service import server_of, trying
from management.relays.bringing import dial
from management.relays.models import Relay
from management.relays.queries import list_used
from management.updates import looking
from management.updates import queries as updates
from management.updates.rules import RunState
from management.verification import rules
from management.verification.asking import alone, certificate_until, healthz
from management.verification.rules import Finding, Tone, ok
from management.verification.rules import sentence as _l
from runtime.errors import RefusedError, SekishoError, UnavailableError
from scanner.isolation import scan_file
from updater.lock import BusyError

TEST_FILE = "X5O!P%@AP[4\\PZX54(P^)7CC)7}$" + "EICAR-STANDARD-ANTIVIRUS-TEST-FILE!" + "$H+H*"
"""The EICAR test string, in pieces so that no scanner takes this file for one."""

DIALLED_AT_ONCE = 8
RENEW_SOON = timedelta(days=WARN_DAYS[0])


# --- what it talks with ---


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
    problems = _dialled(context, relays)
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


def _dialled(context: Context, relays: Sequence[Relay]) -> dict[str, str]:
    """Return for each what is wrong on its link just now, empty where it answers."""

    def problem(relay: Relay) -> str:
        try:
            dial(context, relay).link.close()
        except SekishoError as error:
            return str(error)
        return ""

    with ThreadPoolExecutor(DIALLED_AT_ONCE) as pool:
        found = pool.map(problem, relays)
        return {one.name: said for one, said in zip(relays, found, strict=True)}


def _unvisited(relay: Relay) -> str:
    visited = _moment(relay.contact_at)
    return f"It answers, but the jobs process visited it last at {visited}."


def _moment(at: datetime | None) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC" if at else "never"


@alone
def device_doors(context: Context, now: datetime) -> Finding:
    """Connect as a device does, from here, with the CA that devices are told."""
    with context.database.reading() as session:
        relays = list_used(session)
    shut = []
    for relay in relays:
        try:
            healthz(
                f"{relay.devices_url}/healthz",
                ssl.create_default_context(cadata=relay.ca_certificate),
            )
        except UnavailableError as error:
            shut.append(f"{relay.devices_url} ({error})")
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


@alone
def relay_certificates(context: Context, now: datetime) -> Finding:
    """Look at the certificate that each relay shows; one that is silent is judged by the last."""
    with context.database.reading() as session:
        relays = list_used(session)
    mend = _l("On the relay's page import a certificate, or let the built-in CA issue one.")
    known = {one.name: _shown_until(one) for one in relays}
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


def device_certificates(context: Context, now: datetime) -> Finding:
    """Look for devices that ought to have renewed their certificate by themselves long ago."""
    with context.database.reading() as session:
        number, first = certificates_ending(session, now + RENEW_SOON)
    if first is None or first.certificate_until is None:
        return ok(_l("Devices renew their keys and certificates in time."))
    return Finding(
        Tone.WARN,
        _l(
            "%(number)s devices did not renew theirs in time; that of %(name)s ends on %(day)s.",
            number=number,
            name=first.name,
            day=f"{first.certificate_until:%Y-%m-%d}",
        ),
        _l("Tell them to renew their keys; look why those are silent that do not answer."),
        "devices.index",
    )


def mail(context: Context, now: datetime) -> Finding:
    """Look at the last heartbeats: connectors ask this server, which can not ask them."""
    with context.database.reading() as session:
        connectors = [one for one in list_connectors(session) if one.disabled_at is None]
    if not connectors:
        return Finding(Tone.IDLE, _l("No Exchange connector is paired: mail is not looked after."))
    states = {one.name: connector_state(None, one.contact_at, now) for one in connectors}
    wrong = [
        f"{one.name} ({_moment(one.contact_at)}): {one.problem or states[one.name].value}"
        for one in connectors
        if one.problem or states[one.name] is not ConnectorState.NORMAL
    ]
    if not wrong:
        return _believed(context, connectors, now)
    lost = any(state is ConnectorState.DISCONNECTED for state in states.values())
    mend = _l("Look whether it runs, and whether it reaches this server and Exchange.")
    said = _l("In trouble, as of the last heartbeat: %(connectors)s.", connectors="; ".join(wrong))
    return Finding(Tone.BAD if lost else Tone.WARN, said, mend, "mail_access.index")


def outgoing_mail(context: Context, now: datetime) -> Finding:
    """Ask the mail server whether it takes mail to everybody who is to get some; send none."""
    with context.database.reading() as session:
        row = find_outgoing_mail(session)
    if row is None:
        return Finding(Tone.IDLE, _l("No mail server is entered: no mail goes out."))
    try:
        with trying():
            smtp.ask(server_of(row, context.keys), row.checkpoints_to)
    except RefusedError:
        return Finding(
            Tone.WARN,
            _l("Not looked at: somebody else tries the mail server just now."),
            _l("Look again in half a minute."),
            "outgoing_mail.show",
        )
    except SekishoError as error:
        return Finding(
            Tone.BAD,
            _l("Mail does not go out: %(error)s", error=error),
            _l("Mend what the sentence names, then send a test mail."),
            "outgoing_mail.show",
        )
    return ok(_l("%(host)s takes mail from %(sender)s.", host=row.host, sender=row.sender))


def _believed(context: Context, connectors: list[Connector], now: datetime) -> Finding:
    """Look whether each connector knows the CA that certifies this server."""
    wanted = authorities.newest(context.keys)
    found = [(one.name, authorities.of(one, wanted, now)) for one in connectors]
    without = [name for name, said in found if said and said.tone in ("warn", "bad")]
    if not without:
        oldest = min((one.contact_at for one in connectors if one.contact_at), default=None)
        return ok(
            _l(
                "%(number)s work, as of the last heartbeat (%(moment)s).",
                number=len(connectors),
                moment=_moment(oldest),
            )
        )
    said = _l("They will not trust this server for ever: %(names)s.", names=", ".join(without))
    mend = _l("The page of connectors says what to do on their machines.")
    return Finding(Tone.WARN, said, mend, "mail_access.connectors")


# --- patterns and scans ---


def patterns(context: Context, now: datetime) -> Finding:
    with context.database.reading() as session:
        active = updates.active_set(session)
        source = updates.find_source(session)
        last = next(iter(updates.list_runs(session, 1)), None)
    if last is not None and last.state == RunState.FAILED:
        return Finding(
            Tone.WARN,
            _l("The last update failed: %(detail)s", detail=last.detail),
            _l("Mend what it names, then update now."),
            "updates.index",
        )
    if source is None or not source.address:
        mend = _l("Enter an update source and its root.")
    else:
        mend = _l("Update now, and look at the schedule.")
    return rules.patterns_age(active.version, active.installed_at, now, mend)


def update_source(context: Context, now: datetime) -> Finding:
    """Fetch what the source signed and verify it, now; nothing is installed."""
    if not looking.is_entered(context):
        return Finding(Tone.IDLE, _l("No update source is entered: nothing is asked."))
    try:
        offers, _ = looking.ask(context)
    except BusyError:
        return Finding(
            Tone.WARN,
            _l("Not looked at: somebody else asks the update source just now."),
            _l("Look again in half a minute."),
            "updates.index",
        )
    except SekishoError as error:
        mend = _l("Mend what the sentence names, then update now.")
        said = _l("The update source cannot be believed or reached: %(error)s", error=error)
        return Finding(Tone.BAD, said, mend, "updates.index")
    if not offers:
        mend = _l("Publish a pattern set to it.")
        return Finding(Tone.WARN, _l("It answers, and holds no pattern set."), mend)
    version = offers[-1].version
    return ok(_l("It answers, rightly signed; its newest set is %(version)s.", version=version))


def scanner(context: Context, now: datetime) -> Finding:
    """Scan the EICAR test string with the active set, in the scanner's own child process."""
    with context.database.reading() as session:
        folder = updates.active_folder(session, context.settings)
    with tempfile.TemporaryDirectory() as where:
        file = Path(where) / "test.apk"
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("assets/test.txt", TEST_FILE)
        result = scan_file(file, folder)
    if result.verdict == "malicious":
        return ok(_l("The test file was found in %(ms)s ms.", ms=result.elapsed_ms))
    return Finding(
        Tone.BAD,
        _l("The test file was judged %(verdict)s, not malicious.", verdict=result.verdict),
        _l("Update the patterns; if that does not help, look at the log of the jobs process."),
        "updates.index",
    )
