"""Checks of what this server works with: connectors, mail, patterns, the scanner."""

import tempfile
import zipfile
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
from management.updates import looking
from management.updates import queries as updates
from management.updates.rules import RunState
from management.verification import rules
from management.verification.rules import Finding, Tone, moment, ok
from management.verification.rules import sentence as _l
from runtime.errors import RefusedError, SekishoError
from scanner.isolation import scan_file
from updater.lock import BusyError

TEST_FILE = "X5O!P%@AP[4\\PZX54(P^)7CC)7}$" + "EICAR-STANDARD-ANTIVIRUS-TEST-FILE!" + "$H+H*"
"""The EICAR test string, in pieces so that no scanner takes this file for one."""

RENEW_SOON = timedelta(days=WARN_DAYS[0])


# --- what it talks with ---


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
        f"{one.name} ({moment(one.contact_at)}): {one.problem or states[one.name].value}"
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
    """Sign in at the mail server. Nobody is named to it: this is looked at again and again."""
    with context.database.reading() as session:
        row = find_outgoing_mail(session)
    if row is None:
        return Finding(Tone.IDLE, _l("No mail server is entered: no mail goes out."))
    try:
        with trying():
            smtp.greet(server_of(row, context.keys))
    except RefusedError:
        return Finding(
            Tone.WARN,
            _l("Not looked at: somebody else tries the mail server just now."),
            _l("Look again in half a minute."),
            "outgoing_mail.show",
        )
    except smtp.PostponedError as error:
        return Finding(
            Tone.WARN,
            _l("The mail server asks us to come back later: %(error)s", error=error),
            _l("Wait some minutes and look again. Mails that wait are tried again by themselves."),
            "outgoing_mail.show",
        )
    except SekishoError as error:
        return Finding(
            Tone.BAD,
            _l("Mail does not go out: %(error)s", error=error),
            _l("Mend what the sentence names, then send a test mail."),
            "outgoing_mail.show",
        )
    said = _l(
        "%(host)s answers and lets us in. A test mail tells whether one arrives.", host=row.host
    )
    return Finding(Tone.OK, said, where="outgoing_mail.show")


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
                moment=moment(oldest),
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
