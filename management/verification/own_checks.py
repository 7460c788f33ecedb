"""Checks of this server itself: files, clock, processes, people, traces."""

import os
import shutil
import socket
import stat
from datetime import datetime, timedelta

from cryptography import x509

from management import certificates
from management.access import Role
from management.administrators import sources
from management.administrators.queries import list_administrators
from management.audit import checkpoints
from management.audit import queries as audit_queries
from management.audit import service as audit
from management.context import Context
from management.keys import CONSOLE_CERTIFICATE, CONSOLE_KEY
from management.migrations.release import require_current
from management.safety.queries import get_enforcement
from management.verification import rules
from management.verification.asking import healthz
from management.verification.rules import Finding, Sentence, Tone, ok
from management.verification.rules import sentence as _l
from management.work.queries import count_states, list_jobs
from management.work.rules import JobState
from runtime.errors import UnavailableError

DAY = timedelta(days=1)
OTHERS_MAY = stat.S_IRWXG | stat.S_IRWXO


# --- this server ---


def database(context: Context, now: datetime) -> Finding:
    require_current(context.database)
    kind = context.database.engine.dialect.name
    if kind == "sqlite":
        return ok(_l("The embedded database answers and is of this release."))
    return ok(_l("The database answers (%(kind)s) and is of this release.", kind=kind))


def room(context: Context, now: datetime) -> Finding:
    return rules.room(shutil.disk_usage(context.settings.home).free)


def secrets(context: Context, now: datetime) -> Finding:
    """Whether anybody but this server's user may read its keys."""
    folder = context.settings.home / "keys"
    wanted = [folder, *folder.glob("*.key"), *folder.glob("*.sealed")]
    read = [path.name for path in wanted if path.stat().st_mode & OTHERS_MAY]
    if not read:
        return ok(_l("Only this server's user can read the keys."))
    return Finding(
        Tone.BAD,
        _l("Others on this machine may read: %(names)s.", names=", ".join(sorted(read))),
        _l("Run `chmod -R go= keys` in the data folder, and think of the keys as known."),
    )


def console_certificate(context: Context, now: datetime) -> Finding:
    folder = context.keys.folder
    leaf = x509.load_pem_x509_certificate((folder / CONSOLE_CERTIFICATE).read_bytes())
    mend = _l(
        "Put a certificate for %(name)s and its key into the folder keys as console.pem and "
        "console.key, and start the console again.",
        name=context.settings.public_name,
    )
    if not certificates.belong(leaf, folder / CONSOLE_KEY):
        return Finding(Tone.BAD, _l("Certificate and key do not belong together."), mend)
    if not certificates.covers(leaf, [context.settings.public_name]):
        said = _l("It is not for the name %(name)s.", name=context.settings.public_name)
        return Finding(Tone.BAD, said, mend)
    found = rules.ends(leaf.not_valid_after_utc, now, mend)
    ours = x509.load_pem_x509_certificate(context.keys.ca_certificate().encode())
    if found.tone is not Tone.OK or leaf.issuer != ours.subject:
        return found
    return Finding(
        Tone.WARN,
        _l("It comes from the built-in CA, which browsers do not know, so they warn."),
        mend,
    )


def public_name(context: Context, now: datetime) -> Finding:
    name = context.settings.public_name
    try:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except OSError as error:
        return Finding(
            Tone.WARN,
            _l("The name %(name)s leads nowhere from here (%(error)s).", name=name, error=error),
            _l("Enter it in DNS, or set SEKISHO_PUBLIC_NAME to a name that browsers can find."),
        )
    return ok(_l("%(name)s leads to %(address)s.", name=name, address=found[0][4][0]))


def clock(context: Context, now: datetime) -> Finding:
    with context.database.reading() as session:
        seen = get_enforcement(session).clock_seen_at
    if seen is None or (now - seen).total_seconds() > -60:
        return ok(_l("The clock goes on from where it was."))
    return Finding(
        Tone.BAD,
        _l("The clock is behind: it was %(seen)s once.", seen=f"{seen:%Y-%m-%d %H:%M} UTC"),
        _l("Set the clock (NTP). Enforcement is frozen until somebody resumes it."),
        "safety.index",
    )


# --- its processes ---


def signer(context: Context, now: datetime) -> Finding:
    status = context.signer.status()
    if because := status["paused_because"]:
        return Finding(
            Tone.WARN,
            _l("The signer signs no wipes: %(because)s", because=because),
            _l("Resume enforcement when the reason is over."),
            "safety.index",
        )
    if not status["approvers"]:
        return Finding(
            Tone.WARN,
            _l("It answers, but nobody is an approver: nothing above the limits can be signed."),
            _l("Run `sekisho approver add NAME` on the server for two people."),
        )
    if context.signer.socket_path.stat().st_uid == os.geteuid():
        return Finding(
            Tone.WARN,
            _l("It answers, but runs as the same user as the console."),
            _l("In production give it a user of its own: README says how."),
        )
    return ok(_l("It answers, runs as a user of its own, and has approvers."))


def jobs(context: Context, now: datetime) -> Finding:
    mend = _l("Start `sekisho management jobs`; its log says why it ended.")
    try:
        said = healthz(f"http://127.0.0.1:{context.settings.jobs_health_port}/healthz")
    except UnavailableError as error:
        return Finding(
            Tone.BAD, _l("The jobs process does not answer: %(error)s", error=error), mend
        )
    if said["wrong"]:
        wrong = " ".join(map(str, said["wrong"].values()))
        return Finding(Tone.BAD, _l("The jobs process says: %(wrong)s", wrong=wrong), mend)
    return ok(_l("The jobs process answers; all its loops turn."))


def work(context: Context, now: datetime) -> Finding:
    with context.database.reading() as session:
        counted = count_states(session)
        failed = list_jobs(session, JobState.FAILED, limit=1)
    if not failed:
        return ok(_l("%(queued)s wait, %(running)s run, none was given up.", **counted))
    return Finding(
        Tone.WARN,
        _l(
            "%(number)s were given up, last %(kind)s: %(error)s",
            number=counted["failed"],
            kind=failed[0].kind,
            error=failed[0].error[:300],
        ),
        _l("Mend what it names; the jobs process's log says more."),
    )


# --- people and traces ---


def enforcement(context: Context, now: datetime) -> Finding:
    with context.database.reading() as session:
        row = get_enforcement(session)
    if row.paused_at is None:
        return ok(_l("It acts: mail is blocked and wipes go out as policies say."))
    return Finding(
        Tone.WARN,
        _l(
            "Paused since %(since)s by %(by)s: %(because)s",
            since=f"{row.paused_at:%Y-%m-%d %H:%M} UTC",
            by=row.paused_by,
            because=row.paused_because,
        ),
        _l("Resume it when the reason is over."),
        "safety.index",
    )


def administrators(context: Context, now: datetime) -> Finding:
    with context.database.reading() as session:
        enabled = [one for one in list_administrators(session) if one.disabled_at is None]
    owners = [one for one in enabled if one.role == Role.OWNER and sources.is_open(one)]
    for one in enabled:
        sources.require_known(one)
    if len(owners) > 1:
        return ok(_l("%(number)s owners can give each other access back.", number=len(owners)))
    mend = _l("Add a second owner. Without one, only `sekisho admin recover` helps.")
    said = _l("There is only one owner.") if owners else _l("There is no owner.")
    return Finding(Tone.WARN if owners else Tone.BAD, said, mend, "administrators.index")


def trail(context: Context, now: datetime) -> Finding:
    """Whether the trail of the last day is whole; `sekisho audit verify` proves all of it."""
    with context.database.reading() as session:
        marks = checkpoints.held(session, context.signer, 2 * 24)
        yesterday = max((m for m in marks if now - m.at > DAY), key=lambda m: m.seq, default=None)
        problems = audit.verify(session, context.keys, marks, yesterday)
        last = audit_queries.last_checkpoint(session)
    if problems:
        mend = _l("Find out who changed it: compare with a backup and with what is kept outside.")
        return Finding(Tone.BAD, Sentence("%(text)s", {"text": problems[0]}), mend, "audit.index")
    if not checkpoints.places_outside(context):
        return Finding(
            Tone.WARN,
            _l("It is whole, but nothing outside this server keeps its checkpoints."),
            _l("Enter addresses that get them, or set SEKISHO_AUDIT_FILE or SEKISHO_AUDIT_SYSLOG."),
            "outgoing_mail.show",
        )
    if last is not None and last.problem:
        return Finding(
            Tone.WARN,
            _l("It is whole, but a place outside was not told: %(problem)s", problem=last.problem),
            _l("Mend what the sentence names; it is told within the hour."),
            "audit.index",
        )
    return ok(_l("It is whole, and its checkpoints are kept outside."))
