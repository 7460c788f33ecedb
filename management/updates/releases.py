"""Keeps the newest release of this program for the connectors, which verify it themselves."""

import logging
import os
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from management.audit.service import record
from management.context import Context
from management.keys import Keys
from management.settings import Settings
from management.updates.models import StoredRelease
from management.updates.queries import find_last_update, find_source
from management.updates.rules import Component
from runtime.clock import utc_now
from runtime.errors import NotFoundError, SekishoError
from updater.mirror import read_list
from updater.trust import ReleaseOffer, TrustedSource, source_folder
from updater.wheel import read_archive

log = logging.getLogger(__name__)
LARGEST_BYTES = 128 * 1024 * 1024


def find_release(session: Session) -> StoredRelease | None:
    """Return the release that is here, if it came from the source that is entered now."""
    row, source = session.scalars(select(StoredRelease)).first(), find_source(session)
    return row if row and source and row.source == source.address else None


def list_file(session: Session, settings: Settings, name: str) -> bytes:
    """Return a signed list of the source as it came; NotFoundError when it is not here."""
    source = find_source(session)
    if source is None or not source.address:
        raise NotFoundError("No update source is entered.")
    cache = settings.home / "updates"
    return read_list(source_folder(source.address, source.root.encode(), cache), name)


def wheel_file(session: Session, settings: Settings, name: str) -> Path:
    """Return the wheel that the source calls ``server/<name>``; NotFoundError for any other."""
    row = find_release(session)
    if row is None or name != f"{row.sha256}.sekisho-{row.version}-py3-none-any.whl":
        raise NotFoundError("This release is not here.")
    return _path(settings, row.sha256)


def take(context: Context, source: TrustedSource, address: str, say: Callable[[str], None]) -> None:
    """Fetch a newer release for the connectors; patterns do not wait for it when it fails."""
    try:
        version = _take_newest(context, source, address)
    except (SekishoError, OSError) as error:
        log.warning("A release could not be fetched", extra={"because": str(error)})
        say(f"Release not fetched: {error}")
        return
    if version:
        say(f"Release {version} is here for the connectors.")


def component(session: Session) -> Component:
    """Return which release is here for the connectors."""
    row, run = find_release(session), find_last_update(session)
    if row is None:
        return Component(kind="release")
    return Component(
        kind="release",
        version=row.version,
        since=row.stored_at,
        source=row.source,
        looked_at=run.finished_at if run else None,
    )


def _take_newest(context: Context, source: TrustedSource, address: str) -> str:
    """Fetch the newest release on offer unless it is here; return its version if it is news."""
    offers = [offer for offer in source.releases() if offer.length <= LARGEST_BYTES]
    if not offers:
        return ""
    news = _take(context, source, address, offers[-1])
    source.keep_older_roots()  # a connector may begin with an older root than this server
    return offers[-1].release.version if news else ""


def _take(context: Context, source: TrustedSource, address: str, offer: ReleaseOffer) -> bool:
    path = _path(context.settings, offer.sha256)
    with context.database.reading() as session:
        known = find_release(session)
        if known is not None and known.sha256 == offer.sha256 and path.is_file():
            return False
    _fetch(source, offer, path)
    with context.database.transaction("keep a release") as session:
        _store(session, context.keys, offer, address, utc_now())
    for old in path.parent.glob("*.whl"):
        if old != path:
            old.unlink(missing_ok=True)
    return True


def _fetch(source: TrustedSource, offer: ReleaseOffer, path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    unfinished = path.with_suffix(".unfinished")
    source.download(offer, unfinished)
    read_archive(unfinished)
    with unfinished.open("rb") as file:
        os.fsync(file.fileno())
    unfinished.replace(path)


def _store(session: Session, keys: Keys, offer: ReleaseOffer, address: str, now: datetime) -> None:
    for row in session.scalars(select(StoredRelease)):
        session.delete(row)
    session.flush()
    release = offer.release
    session.add(
        StoredRelease(
            version=release.version,
            sha256=offer.sha256,
            length=offer.length,
            source=address,
            stored_at=now,
        )
    )
    details = {"source": address, "sha256": offer.sha256}
    record(session, keys, "system", "updates.release", release.version, details=details, now=now)


def _path(settings: Settings, sha256: str) -> Path:
    return settings.home / "updates" / "releases" / f"{sha256}.whl"
