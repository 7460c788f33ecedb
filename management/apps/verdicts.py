"""Keeps what is said of apps, and marks those whose devices must be looked at again."""

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from contracts import codec
from contracts.scan import ScanResult
from management.apps.models import App, AppFeatures, AppVerdict
from management.apps.queries import BATCH, known_rows
from management.apps.rules import (
    Basis,
    Reputation,
    is_misleading,
    is_same_judgement,
    reputation,
)
from management.database import locked


def know(session: Session, seen: Mapping[str, Mapping[str, str]], now: datetime) -> dict[str, App]:
    """Return the rows of these hashes, made where there was none (hash -> first fields).

    Another process may make the same row at the same moment; both go on with the one that stays.
    """
    rows = {row.sha256: row for row in known_rows(session, seen)}
    new = [
        App(sha256=sha256, first_seen_at=now, **fields)
        for sha256, fields in sorted(seen.items())
        if sha256 not in rows
    ]
    if not new:
        return rows
    try:
        with session.begin_nested():
            session.add_all(new)
        made = {row.sha256: row for row in new}
    except IntegrityError:
        made = {row.sha256: _made(session, row) for row in new}
    return rows | made


def _made(session: Session, row: App) -> App:
    try:
        with session.begin_nested():
            session.add(row)
    except IntegrityError:
        return session.scalars(select(App).where(App.sha256 == row.sha256)).one()
    return row


def keep_result(session: Session, sha256: str, result: ScanResult, now: datetime) -> bool:
    """Store what a scan of the file found; return whether the verdict is another than before."""
    fields = json.loads(codec.write(result))
    features = fields.pop("features")
    kept = session.get(AppFeatures, sha256) or AppFeatures(sha256=sha256)
    kept.features, kept.pattern_version, kept.kept_at = features, result.pattern_version, now
    session.add(kept)
    row = know(session, {sha256: {}}, now)[sha256]
    row.package, row.version = fields["package"] or row.package, fields["version_name"]
    row.base_sha256 = fields["base_sha256"] or ""
    if fields["label"] and not fields["label"].startswith("@"):  # a reference that led nowhere
        row.name = fields["label"]
    if fields["signers"]:
        row.signer_sha256 = fields["signers"][0]["sha256"]
    else:
        row.signer_sha256 = ""  # what a device claimed is not proven
    return keep_judgement(session, row, fields, now)


def keep_judgement(session: Session, row: App, fields: dict[str, Any], now: datetime) -> bool:
    """Make *fields* (a `ScanResult` as JSON) the current word about the app.

    A set that says the same as the one before only moves the end of that verdict's reign.
    """
    before = session.get(AppVerdict, row.verdict_id) if row.verdict_id else None
    version = fields["pattern_version"]
    changed = bool(row.verdict != fields["verdict"])
    if before is None or not is_same_judgement(before.result, fields):
        if before is None or before.last_version != version:
            before = AppVerdict(sha256=row.sha256, pattern_version=version)
            session.add(before)
        before.result, before.judged_at = fields, now
        before.verdict, before.package = fields["verdict"], fields["package"]
    before.last_version = version
    session.flush()
    row.verdict_id, row.misleading = before.id, is_misleading(fields)
    say(row, reputation(row.sha256, fields), Basis.FILE, version, now)
    return changed


def say(
    row: App, said: Reputation | None, basis: Basis, pattern_version: str, now: datetime
) -> None:
    """Note the current word about an app; when it is another one, its devices must be judged."""
    before = (row.verdict, row.rule, row.family)
    row.pattern_version, row.judged_at = pattern_version, now
    row.verdict, row.rule, row.family = (
        (said.verdict, said.rule, said.family) if said else ("",) * 3
    )
    row.basis = basis.value if said else ""
    if (row.verdict, row.rule, row.family) != before:
        row.since_version = pattern_version
        look_again(row)


def look_again(row: App) -> None:
    """Have the devices that hold the app looked at again (`work.recheck`)."""
    row.recheck, row.recheck_after = True, None


def still_the_same(
    session: Session, hashes: Iterable[str], verdict_ids: Iterable[int], version: str, now: datetime
) -> None:
    """Note that set *version* says of these apps what was said before."""
    unjudged = App.sha256.in_(list(hashes)) & (App.pattern_version != version)
    session.execute(
        update(App)
        .where(unjudged)
        .values(pattern_version=version, judged_at=now)
        .execution_options(synchronize_session=False)
    )
    session.execute(
        update(AppVerdict)
        .where(AppVerdict.id.in_(list(verdict_ids)))
        .values(last_version=version)
        .execution_options(synchronize_session=False)
    )


def lock_rows(session: Session, hashes: Iterable[str], **how: Any) -> set[str]:
    """Let nobody else change the rows of these apps until the commit; return the hashes got.

    Always in the order of the hashes, so that two who do this never wait for each other;
    *how* is for `locked` (``skip_locked``: leave out what somebody else changes now).
    """
    wanted = sorted({*hashes})
    found: set[str] = set()
    for start in range(0, len(wanted), BATCH):
        some = select(App.sha256).where(App.sha256.in_(wanted[start : start + BATCH]))
        found.update(session.scalars(locked(some.order_by(App.sha256), App, **how)))
    return found


def next_recheck(session: Session) -> App | None:
    """Return an app whose devices must be looked at again; nobody else may change it meanwhile."""
    wanted = select(App).where(App.recheck).order_by(App.sha256).limit(1)
    return session.scalars(locked(wanted, App)).first()
