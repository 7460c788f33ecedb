"""Judges known apps with one pattern set, in batches: for real, or to see what it would do.

Most apps are judged from what an earlier scan kept; those whose file must be read come last.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import and_, func, select
from sqlalchemy.orm import Session, aliased

from management.apps.approvals import approved_hashes
from management.apps.models import App, AppFeatures, AppVerdict, DeviceApp
from management.apps.queries import installed_as
from management.apps.rejudging import Judge
from management.apps.rules import (
    Basis,
    Reputation,
    Turned,
    is_misleading,
    is_same_judgement,
    reputation,
)
from management.apps.verdicts import keep_judgement, lock_rows, say, still_the_same

BATCH = 500


class Known(NamedTuple):
    """What judging one app again needs; no ORM object is made of it."""

    sha256: str
    package: str
    name: str
    signer_sha256: str
    stored: bool
    published: bool
    devices: int
    verdict: str
    rule: str
    family: str
    pattern_version: str
    verdict_id: int | None
    features: Mapping[str, Any] | None
    result: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class Judged:
    """What the set says of one app; *fields* is the whole new result when its file was read once.

    *unread*: only its file can tell, so nothing is said here.
    """

    known: Known
    said: Reputation | None
    fields: dict[str, Any] | None
    unread: bool = False

    def is_same(self) -> bool:
        """Whether this is what was said before."""
        if self.fields is not None and self.known.result is not None:
            return is_same_judgement(self.known.result, self.fields)
        before = (self.known.verdict, self.known.rule, self.known.family)
        said = self.said
        return before == ((said.verdict, said.rule, said.family) if said else ("", "", ""))


def known_after(session: Session, sha256: str, limit: int = BATCH) -> list[Known]:
    """Return the next known apps above a hash."""
    wanted = _KNOWN.where(App.sha256 > sha256).order_by(App.sha256).limit(limit)
    return [Known._make(row) for row in session.execute(wanted)]


def known_of(session: Session, hashes: Sequence[str]) -> list[Known]:
    """Return what is known of these hashes."""
    return [Known._make(row) for row in session.execute(_KNOWN.where(App.sha256.in_(hashes)))]


_BASE = aliased(App)
_KNOWN = (
    select(
        App.sha256,
        App.package,
        App.name,
        App.signer_sha256,
        App.stored,
        App.published,
        (App.devices + func.coalesce(_BASE.devices, 0)).label("devices"),
        App.verdict,
        App.rule,
        App.family,
        App.pattern_version,
        App.verdict_id,
        AppFeatures.features,
        AppVerdict.result,
    )
    .outerjoin(AppFeatures, AppFeatures.sha256 == App.sha256)
    .outerjoin(AppVerdict, AppVerdict.id == App.verdict_id)
    .outerjoin(_BASE, and_(_BASE.sha256 == App.base_sha256, App.base_sha256 != ""))
)


def judge(judge: Judge, known: Known) -> Judged:
    """Return what the set says of one app, without reading its file."""
    if known.result is None:
        said = judge.reported(known.sha256, known.package, known.name, known.signer_sha256)
        return Judged(known, said, None, unread=known.stored)
    fields = judge.again(known.features, known.result)
    if fields is None:
        return Judged(known, None, None, unread=True)
    return Judged(known, reputation(known.sha256, fields), fields)


def keep(
    session: Session, judged: Sequence[Judged], version: str, now: datetime
) -> tuple[int, list[str]]:
    """Store what set *version* said of a batch; return how many verdicts changed, and what is left.

    Apps that were judged by it meanwhile, or whose file must be read, stay as they are. Those that
    somebody changes at this moment are left for later: waiting for a check-in that in turn waits
    for another row of the batch would end one of the two.
    """
    hashes = [one.known.sha256 for one in judged if not one.unread]
    ours = lock_rows(session, hashes, skip_locked=True)
    told = [one for one in judged if not one.unread and one.known.sha256 in ours]
    same = [one.known for one in told if one.is_same()]
    ids = [known.verdict_id for known in same if known.verdict_id is not None]
    still_the_same(session, [known.sha256 for known in same], ids, version, now)
    changed = sum(_keep_news(session, one, version, now) for one in told if not one.is_same())
    return changed, [sha256 for sha256 in hashes if sha256 not in ours]


def _keep_news(session: Session, one: Judged, version: str, now: datetime) -> bool:
    row = session.get(App, one.known.sha256)
    if row is None or row.pattern_version == version or row.verdict_id != one.known.verdict_id:
        return False
    if one.fields is not None:
        return keep_judgement(session, row, one.fields, now)
    changed = row.verdict != (one.said.verdict if one.said else "")
    say(row, one.said, Basis.REPORT, version, now)
    return changed


def turned(session: Session, judge_with: Judge, after: str = "") -> Iterator[Turned]:
    """Yield the known apps about which the set would say something else, by hash.

    Nothing is stored and no file is read: apps whose file must be read are left out.
    """
    while known := known_after(session, after):
        after = known[-1].sha256
        news = [one for row in known if not (one := judge(judge_with, row)).unread]
        yield from as_turned(session, [one for one in news if not one.is_same()])


def as_turned(session: Session, news: Sequence[Judged]) -> list[Turned]:
    """Return what changed for apps, with what speaks against it."""
    approved = approved_hashes(session, {one.known.sha256: _proven_signer(one) for one in news})
    found = []
    for one in news:
        known = one.known
        said = one.said or Reputation(known.sha256, "", judge_version(one), "", "")
        if said.verdict != known.verdict:
            found.append(
                Turned(
                    sha256=known.sha256,
                    package=known.package,
                    name=known.name,
                    before=known.verdict,
                    after=said,
                    devices=known.devices,
                    approved=known.sha256 in approved,
                    in_store=known.published,
                )
            )
    return found


def _proven_signer(one: Judged) -> str:
    result = one.fields or one.known.result
    return "" if result is None or is_misleading(result) else one.known.signer_sha256


def judge_version(one: Judged) -> str:
    """Return the set that judged, as far as the result says so."""
    return str(one.fields["pattern_version"]) if one.fields else ""


def unread_after(session: Session, sha256: str, version: str) -> str | None:
    """Return the next stored app above a hash that set *version* has not judged."""
    wanted = select(App.sha256).where(
        App.stored, App.sha256 > sha256, App.pattern_version != version
    )
    return session.scalars(wanted.order_by(App.sha256).limit(1)).first()


def count_unread(session: Session, version: str) -> int:
    """Return how many stored apps set *version* has not judged."""
    wanted = select(func.count()).select_from(App)
    return session.scalar(wanted.where(App.stored, App.pattern_version != version)) or 0


def holders_of(session: Session, hashes: Sequence[str]) -> set[Any]:
    """Return the devices that hold one of these apps."""
    found: set[Any] = set()
    for start in range(0, len(hashes), BATCH):
        some = installed_as(hashes[start : start + BATCH])
        found.update(session.scalars(select(DeviceApp.device_id).where(some).distinct()))
    return found
