"""The works ``updates.run`` and ``updates.announce``, and the schedule that queues the first."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from contracts.agent import NewPatterns
from management.context import Context
from management.handlers import BEFORE_ACTIVATION, FROM_SOURCE, FromSource, resolve
from management.progress import said as _l
from management.relays.service import send_order
from management.updates import service
from management.updates.queries import (
    find_active_set,
    find_source,
    get_run,
    list_enrolled_after,
    list_sets,
    patterns_folder,
)
from management.updates.rules import RunState, why_not_taken
from management.work.service import enqueue
from runtime.clock import utc_now
from runtime.errors import HopelessError, NotFoundError, SekishoError
from updater.install import Installed, install, sweep
from updater.limits import Limits
from updater.lock import BusyError
from updater.trust import Offer, TrustedSource, open_source

Say = Callable[[str], None]
log = logging.getLogger(__name__)

BATCH = 50
"""Devices that are told in one transaction."""
LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class _Start:
    """What an attempt begins with."""

    address: str
    root: bytes
    active: str
    installed: list[str]
    held: str


def enqueue_due(context: Context) -> None:
    """Queue the scheduled update when its moment has come; call every few minutes."""
    seed = context.settings.public_name
    with context.database.transaction("queue scheduled update") as session:
        service.request_due(session, seed, utc_now())


def run(context: Context, payload: dict[str, Any], progress: Say) -> None:
    """Do the attempt ``run_id``, or without one queue the attempt that the schedule asks for.

    Whatever fails, the active pattern set stays as it is, and HopelessError ends the job: the next
    attempt is another run.

    Doing it again after an interruption goes on where it stood: what was downloaded and installed
    is recognised, and nothing is active before the transaction at the end.
    """
    if "run_id" not in payload:
        enqueue_due(context)
        return
    run_id = UUID(payload["run_id"])
    start = _start(context, run_id)
    if start is None:
        return
    say = _say(context, run_id, progress)
    try:
        _update(context, run_id, start, say)
    except BusyError:
        raise  # the same attempt still runs in another process: the queue tries again later
    except SekishoError as error:
        log.warning("An update failed", extra={"run_id": str(run_id), "because": str(error)})
        words = f"{error} The pattern set in use stays active."
        _end(context, run_id, RunState.FAILED, words)
        raise HopelessError(words) from error


def cancelled(session: Session, payload: dict[str, Any], by: str, now: datetime) -> None:
    """End the attempt whose work was cancelled."""
    if "run_id" in payload:
        words = f"{by} cancelled it; the pattern set in use stayed as it was."
        service.end_run(session, UUID(payload["run_id"]), RunState.FAILED, words, now)


def announce(context: Context, payload: dict[str, Any], progress: Say) -> None:
    """Tell the next devices of the new patterns, and queue the rest.

    A batch and the queueing of the next one commit together, so a repetition tells nobody twice.
    """
    version, turn = str(payload["pattern_version"]), str(payload["turn"])
    after = UUID(payload["after"]) if payload["after"] else None
    with context.database.transaction("announce patterns") as session:
        active = find_active_set(session)
        if active is None or active.version != version:
            return  # another set is active by now, and its own announcement is queued
        devices = list_enrolled_after(session, after, BATCH)
        if not devices:
            return
        following = {**payload, "after": str(devices[-1].id)}
        key = f"updates.announce:{turn}:{devices[-1].id}"
        if enqueue(session, "updates.announce", key, following) is None:
            return
        body = NewPatterns(pattern_version=version)
        for device in devices:
            send_order(session, context.keys, context.signer, device, body, utc_now())
    progress(
        _l(
            "Told %(count)s devices of pattern set %(version)s.",
            count=len(devices),
            version=version,
        )
    )


def _start(context: Context, run_id: UUID) -> _Start | None:
    """Return what the attempt begins with, None when it went well already."""
    with context.database.reading() as session:
        run = get_run(session, run_id)
        if run.state == RunState.FAILED:
            raise HopelessError(run.detail.rpartition("\n")[2])
        if run.state != RunState.RUNNING:
            return None
        source = find_source(session)
        if source is None:
            raise NotFoundError("No update source is entered.")
        active = find_active_set(session)
        return _Start(
            source.address,
            source.root.encode(),
            active.version if active else "",
            [row.version for row in list_sets(session)],
            source.held_version,
        )


def _update(context: Context, run_id: UUID, start: _Start, say: Say) -> None:
    cache = context.settings.home / "updates"
    say(f"Asking {start.address} what is new.")
    with open_source(start.address, start.root, cache, LIMITS, _counter(say)) as source:
        source.refresh()
        for part in FROM_SOURCE:
            _take_beside(part, context, source, start.address, say)
        offers = source.offers()
        reason = _why_nothing(offers, start)
        if reason is not None:
            _end(context, run_id, RunState.NOTHING_NEW, reason)
            return
        installed = _fetch(context, source, offers[-1], say)
    try_set = resolve(BEFORE_ACTIVATION)
    because = try_set(context, patterns_folder(context.settings) / installed.version, say)
    if because:
        _keep_off(context, run_id, installed, because)
    else:
        _activate(context, run_id, installed)


def _take_beside(
    part: FromSource, context: Context, source: TrustedSource, address: str, say: Say
) -> None:
    """Take what the source brings beside patterns, which come whatever becomes of it."""
    try:
        resolve(part.take)(context, source, address, say)
    except Exception as error:  # patterns matter more than why
        log.exception("Something beside patterns could not be taken", extra={"what": part.take})
        because = str(error) if isinstance(error, SekishoError) else type(error).__name__
        say(f"Something beside the patterns was not taken: {because}")


def _keep_off(context: Context, run_id: UUID, installed: Installed, because: str) -> None:
    with context.database.transaction("keep patterns off") as session:
        service.keep_off(session, context.keys, run_id, installed, because, utc_now())


def _why_nothing(offers: list[Offer], start: _Start) -> str | None:
    if not offers:
        return "The source holds no pattern set yet."
    return why_not_taken(offers[-1].version, start.installed, start.active, start.held)


def _fetch(context: Context, source: TrustedSource, offer: Offer, say: Say) -> Installed:
    """Download, try out and install what is offered; nothing is active yet."""
    say(f"Version {offer.version} is new ({_size(offer.length)}).")
    archive = context.settings.home / "updates" / "download.zip"
    try:
        source.download(offer, archive)
        say("Checking it and putting it in place.")
        return install(archive, offer.version, patterns_folder(context.settings))
    finally:
        archive.unlink(missing_ok=True)


def _activate(context: Context, run_id: UUID, installed: Installed) -> None:
    with context.database.transaction("activate patterns") as session:
        service.take_installed(session, context.keys, run_id, installed, utc_now())
        keep = {row.version for row in list_sets(session)}
    sweep(patterns_folder(context.settings), keep)


def _say(context: Context, run_id: UUID, progress: Say) -> Say:
    def say(line: str) -> None:
        progress(line)
        with context.database.transaction("note update progress") as session:
            service.note(session, run_id, line)

    return say


def _counter(say: Say) -> Callable[[str, int], None]:
    """Return what counts a download aloud, once a second at most."""
    said_at = utc_now()

    def arrived(url: str, count: int) -> None:
        nonlocal said_at
        if utc_now() - said_at >= timedelta(seconds=1):
            said_at = utc_now()
            say(f"Downloading: {_size(count)} of {url.rpartition('/')[2]}.")

    return arrived


def _end(context: Context, run_id: UUID, state: RunState, words: str) -> None:
    with context.database.transaction("end update") as session:
        service.end_run(session, run_id, state, words, utc_now())


def _size(count: int) -> str:
    return f"{count / 1_000_000:.1f} MB" if count >= 100_000 else f"{count} bytes"
