"""Takes the list of revoked attestation keys that the update source offers.

Only a younger one is taken, and one that takes back many keys only when its publisher says that
this is meant. It counts from the next proof on; proofs that rest on a revoked key are taken back.
"""

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path
from uuid import uuid4

from sqlalchemy import delete, insert
from sqlalchemy.orm import Session

from management.attestation.models import RevocationList, RevokedKey
from management.attestation.queries import all_revoked, concerned, find_list
from management.audit.service import record
from management.context import Context
from management.keys import Keys
from management.work.service import enqueue
from runtime.clock import utc_now
from runtime.errors import MalformedMessageError, RefusedError, SekishoError
from updater.revocations import MOST_BYTES, read_revoked, why_not_fewer
from updater.trust import RevocationOffer, TrustedSource

log = logging.getLogger(__name__)
AHEAD = timedelta(days=1)
"""So far a publisher's clock may be ahead of this server's."""
BATCH = 500
Say = Callable[[str], None]


def take(context: Context, source: TrustedSource, address: str, say: Say) -> None:
    """Take the list on offer if it is news; whatever fails, the one in use stays in use.

    A source without a list changes nothing. Doing it again goes on where it stood.
    """
    offer = source.revocations()
    if offer is None:
        return
    problem = ""
    try:
        _take(context, source, offer, address, say)
    except (SekishoError, OSError) as error:
        log.warning("A list of revoked keys was not taken", extra={"because": str(error)})
        problem = str(error)
        say(f"List of revoked attestation keys not taken: {problem}")
    with context.database.transaction("note what the source offers") as session:
        row = _row(session)
        row.looked_at, row.offered, row.problem = utc_now(), offer.said.issue, problem[:4000]
        if concerned(session, 1):
            key = f"attestation.take_back:{uuid4()}"
            enqueue(session, "attestation.take_back", key, {}, now=utc_now())


def _take(
    context: Context, source: TrustedSource, offer: RevocationOffer, address: str, say: Say
) -> None:
    with context.database.reading() as session:
        known = find_list(session)
        before = all_revoked(session)
    if known is not None and known.issue and known.sha256 == offer.sha256:
        return
    check_younger(offer, known, address, utc_now())
    after = _fetch(source, offer, context.settings.home / "updates" / "revoked.json")
    fewer = why_not_fewer(before, after)
    than = known.issue if known is not None and known.source == address else 0
    if fewer and not offer.said.may_be_fewer(than):
        raise RefusedError(
            f"{fewer} Its publisher does not say that this is meant, so the list before it stays "
            "in use. If it is meant, publish it with --fewer-revoked."
        )
    with context.database.transaction("take a list of revoked keys") as session:
        _store(session, context.keys, offer, address, before, after, utc_now())
    said = f"List {offer.said.issue} of revoked attestation keys is in use: {len(after)} keys, "
    say(f"{said}{len(after - before)} new, {len(before - after)} taken back.")


def check_younger(
    offer: RevocationOffer, known: RevocationList | None, address: str, now: datetime
) -> None:
    """Raise RefusedError unless the list on offer is younger than the *known* one."""
    if offer.said.published_at > now + AHEAD:
        raise RefusedError(
            f"It says that it was published on {_minute(offer.said.published_at)}, which is not "
            "yet. Check the publisher's clock and this server's."
        )
    if known is None or known.published_at is None:
        return
    is_older = offer.said.published_at < known.published_at
    if is_older or (known.source == address and offer.said.issue <= known.issue):
        raise RefusedError(
            f"The source offers list {offer.said.issue} of {_minute(offer.said.published_at)}; "
            f"list {known.issue} of {_minute(known.published_at)} is in use and younger. Publish "
            "the list again."
        )


def _fetch(source: TrustedSource, offer: RevocationOffer, path: Path) -> frozenset[str]:
    if offer.length > MOST_BYTES:
        raise RefusedError(f"It has {offer.length} bytes, more than {MOST_BYTES}.")
    try:
        source.download(offer, path)
        content = path.read_bytes()
    finally:
        path.unlink(missing_ok=True)
    if sha256(content).hexdigest() != offer.sha256:
        raise RefusedError("The file changed while it was stored. Update again.")
    found = read_revoked(content, "The list")
    if len(found) != offer.said.keys:
        raise MalformedMessageError(
            f"It names {len(found)} keys, and the source says {offer.said.keys}. Publish it again."
        )
    return found


def _store(
    session: Session,
    keys: Keys,
    offer: RevocationOffer,
    address: str,
    before: frozenset[str],
    after: frozenset[str],
    now: datetime,
) -> None:
    gone, fresh = sorted(before - after), sorted(after - before)
    for start in range(0, len(gone), BATCH):
        some = gone[start : start + BATCH]
        session.execute(delete(RevokedKey).where(RevokedKey.serial.in_(some)))
    if fresh:
        session.execute(insert(RevokedKey), [{"serial": serial} for serial in fresh])
    row = _row(session)
    row.issue, row.keys, row.sha256 = offer.said.issue, len(after), offer.sha256
    row.source, row.published_at, row.taken_at = address[:1000], offer.said.published_at, now
    details = {
        "source": address,
        "sha256": offer.sha256,
        "keys": len(after),
        "new": len(fresh),
        "taken_back": len(gone),
    }
    subject = str(offer.said.issue)
    record(session, keys, "system", "updates.revocations", subject, details=details, now=now)


def _row(session: Session) -> RevocationList:
    row = find_list(session)
    if row is None:
        row = RevocationList(id=1)
        session.add(row)
        session.flush()
    return row


def _minute(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"
