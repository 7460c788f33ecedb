"""Takes the agent package that the update source offers, and hands it out if the rule says so.

The rule: the newest package of the source is handed out by itself, unless an administrator chose
another one or withdrew it. What the source offers is kept here either way, so that a person can
hand it out; what is handed out changes only in the last transaction.
"""

import logging
from collections.abc import Callable
from datetime import datetime

from sqlalchemy.orm import Session

from management.agent_packages import queries, service
from management.agent_packages.models import AgentDownload, AgentPackage
from management.agent_packages.rules import BY_HAND, NOT_OLDER, SOURCE, Identity, why_not_followed
from management.apps import uploads
from management.apps.queries import find_app, get_known
from management.apps.rules import Basis
from management.apps.service import delete_app, room_for_upload
from management.apps.work import scan
from management.audit.service import record
from management.context import Context
from management.keys import Keys
from runtime.clock import utc_now
from runtime.errors import RefusedError, SekishoError
from runtime.process import crash_point
from updater.trust import AgentOffer, TrustedSource
from updater.wheel import here, is_newer

log = logging.getLogger(__name__)
KEPT = 5
"""So many packages of the source stay here, to go back to."""


def take(context: Context, source: TrustedSource, address: str, say: Callable[[str], None]) -> None:
    """Take the newest agent package on offer; whatever fails, what is handed out stays.

    Doing it again goes on where it stood. A source without a package changes nothing.
    """
    offers = source.agents()
    if not offers:
        _note(context, "", "", "")
        return
    offer = offers[-1]
    try:
        problem = _take(context, source, offer, address, say)
    except (SekishoError, OSError) as error:
        log.warning("An agent package could not be taken", extra={"because": str(error)})
        problem = str(error)
    _note(context, offer.agent.version, offer.sha256, problem)
    if problem:
        say(f"Agent package {offer.agent.version} is not handed out: {problem}")


def _note(context: Context, version: str, sha256: str, problem: str) -> None:
    """Note what the source offers now; on a server that never saw a package, nothing."""
    with context.database.transaction("note what the source offers") as session:
        if not version and session.get(AgentDownload, 1) is None:
            return
        row = service.download_settings(session)
        row.offered, row.offered_sha256 = version, sha256
        row.problem, row.looked_at = problem[:4000], utc_now()


def follow(session: Session, keys: Keys, by: str, now: datetime) -> str:
    """Follow the source from now on; return why its newest package is not handed out, or nothing.

    Call it for an administrator: what was withdrawn or chosen by hand gives way.
    """
    service.choose(session, True, by, now)
    newest = queries.newest_of_source(session)
    problem = _hand_out(session, keys, newest, None, now) if newest is not None else ""
    service.download_settings(session).problem = problem[:4000]
    return problem


def _take(
    context: Context,
    source: TrustedSource,
    offer: AgentOffer,
    address: str,
    say: Callable[[str], None],
) -> str:
    """Return why the package is not handed out; empty: it is."""
    with context.database.reading() as session:
        _check_offer(session, offer)
        is_here = _is_here(session, context, offer)
    if not is_here:
        _fetch(context, source, offer, address)
        say(f"Agent package {offer.agent.version} is here.")
    with context.database.reading() as session:
        unread = get_known(session, offer.sha256).basis != Basis.FILE
    if unread:
        scan(context, {"sha256": offer.sha256}, say)
    crash_point("before effect hand out an agent package")
    with context.database.transaction("follow the source's agent package") as session:
        row = queries.get_package(session, offer.sha256)
        was_out = row.current
        problem = _hand_out(session, context.keys, row, offer, utc_now())
    _forget_old(context, offer.sha256)
    if not problem and not was_out:
        say(f"Agent package {offer.agent.version} is handed out now.")
    return problem


def _check_offer(session: Session, offer: AgentOffer) -> None:
    """Raise RefusedError for what is not even fetched."""
    if offer.agent.server and is_newer(offer.agent.server, here().version):
        raise RefusedError(
            f"It needs release {offer.agent.server} of this server; this is {here().version}. "
            "Update the server first."
        )
    last = queries.last_released(session)
    if last is None or last.sha256 == offer.sha256:
        return
    if offer.agent.version_code < queries.identity(session, last).version_code:
        raise RefusedError(NOT_OLDER)


def _is_here(session: Session, context: Context, offer: AgentOffer) -> bool:
    row = session.get(AgentPackage, offer.sha256)
    if row is None or not row.source or find_app(session, offer.sha256) is None:
        return False
    path = uploads.file_of(context.settings.home, offer.sha256)
    return path.is_file() and path.stat().st_size == offer.length


def _fetch(context: Context, source: TrustedSource, offer: AgentOffer, address: str) -> None:
    home, agent = context.settings.home, offer.agent
    with context.database.reading() as session:
        room = room_for_upload(session, context.settings.uploads_bytes)
    if offer.length > room:
        raise RefusedError(
            f"It has {offer.length} bytes, and there is room for {room}. Delete some apps, or "
            "raise the setting uploads_bytes."
        )
    unfinished = home / "updates" / "agent.apk"
    try:
        source.download(offer, unfinished)
        with unfinished.open("rb") as file:
            received = uploads.receive(home, file, room)
    finally:
        unfinished.unlink(missing_ok=True)
    if received.sha256 != offer.sha256:
        raise RefusedError("The file changed while it was stored. Update again.")
    name, now = f"{agent.package}-{agent.version}.apk", utc_now()
    with context.database.transaction("keep an agent package") as session:
        row = service.store(session, context, received, name, SOURCE, "", now)
        row.source, row.version_code = address, agent.version_code
        details = {"source": address, "version": agent.version}
        record(
            session,
            context.keys,
            "system",
            "agent_package.fetch",
            row.sha256,
            details=details,
            now=now,
        )


def _hand_out(
    session: Session, keys: Keys, row: AgentPackage, offer: AgentOffer | None, now: datetime
) -> str:
    """Hand the package out if the rule says so; return why not. *offer*: what was promised."""
    if row.current:
        return ""
    settings = service.download_settings(session)  # whoever withdraws comes before or after this
    if not queries.standing(session).follows:
        return BY_HAND
    found, last = queries.identity(session, row), queries.last_released(session)
    before = queries.identity(session, last) if last else None
    still_out = last is not None and last.current
    promised = _promised(offer, row, found)
    if why := why_not_followed(queries.why_not(session, row), found, promised, before, still_out):
        return why
    settings.follows = True
    service.hand_out(session, row, SOURCE, now)
    details = {"source": row.source, "version": get_known(session, row.sha256).version}
    record(session, keys, "system", "agent_package.release", row.sha256, details=details, now=now)
    return ""


def _forget_old(context: Context, offered: str) -> None:
    """Forget packages of the source far behind its newest, so that no server fills up unattended.

    What is on offer, was handed out last, or was uploaded by somebody too stays.
    """
    with context.database.transaction("forget old agent packages") as session:
        old = queries.old_of_source(session, KEPT, offered)
        for row in old:
            stored = find_app(session, row.sha256)
            if stored is not None:
                delete_app(session, context.keys, row.sha256, SOURCE, "", utc_now())
            session.delete(row)
        gone = [row.sha256 for row in old]
    for sha256 in gone:
        uploads.forget(context.settings.home, sha256)


def _promised(offer: AgentOffer | None, row: AgentPackage, found: Identity) -> Identity:
    if offer is None:
        return Identity(found.package, found.signer_sha256, row.version_code)
    return Identity(offer.agent.package, offer.agent.signer_sha256, offer.agent.version_code)
