"""What devices say of apps whose file nobody here read: kept and judged for each claim."""

from collections.abc import Mapping, Sequence

from sqlalchemy import ColumnElement, and_, delete, exists, not_, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from contracts.agent import InstalledApp
from management.apps.models import App, AppClaim, DeviceApp
from management.apps.queries import BATCH, Claim, claim_of, list_claims
from management.apps.rejudging import Judge
from management.apps.verdicts import lock_rows


def keep_claims(session: Session, held: Sequence[InstalledApp]) -> bool:
    """Keep what a device claims; return whether somebody must judge something new.

    The caller holds the rows of the apps of which the device said something else before.
    """
    known = list_claims(session, {app.sha256 for app in held})
    new = {claim_of(app): app.name for app in held if claim_of(app) not in known}
    if new and not _insert(session, new):
        for claim in sorted(new):
            _insert(session, {claim: new[claim]})
    return bool(new)


def _insert(session: Session, new: Mapping[Claim, str]) -> bool:
    """Store claims with their names; False, and none, when another device says one just now."""
    try:
        with session.begin_nested():
            session.add_all(
                AppClaim(sha256=sha256, package=package, signer_sha256=signer, name=name)
                for (sha256, package, signer), name in sorted(new.items())
            )
    except IntegrityError:
        return False
    return True


def forget_claims(session: Session, after: Claim) -> Claim | None:
    """Remove those of the next claims behind *after* that no device makes any more.

    Return the last that was looked at; None: there were none left. Whoever begins to make one of
    them waits for the rows of its app, so that none is removed that is made at this moment.
    """
    order = (AppClaim.sha256, AppClaim.package, AppClaim.signer_sha256)
    rows = session.execute(select(*order).where(_behind(after)).order_by(*order).limit(BATCH)).all()
    if not rows:
        return None
    lock_rows(session, {row.sha256 for row in rows})
    last = (rows[-1].sha256, rows[-1].package, rows[-1].signer_sha256)
    looked_at = and_(_behind(after), not_(_behind(last)))
    session.execute(
        delete(AppClaim).where(looked_at, ~_IS_MADE).execution_options(synchronize_session=False)
    )
    return last


_IS_MADE = exists().where(
    DeviceApp.sha256 == AppClaim.sha256,
    DeviceApp.package == AppClaim.package,
    DeviceApp.signer_sha256 == AppClaim.signer_sha256,
)


def _behind(claim: Claim) -> ColumnElement[bool]:
    """Return what holds for claims that come after *claim* in their order."""
    sha256, package, signer = claim
    same_hash, same_package = AppClaim.sha256 == sha256, AppClaim.package == package
    return or_(
        AppClaim.sha256 > sha256,
        and_(same_hash, AppClaim.package > package),
        and_(same_hash, same_package, AppClaim.signer_sha256 > signer),
    )


def judge_claims(session: Session, judge: Judge, waiting: str | None = None) -> int:
    """Judge the next claims, marking apps of which something else is said now; return how many.

    *waiting*: only those that this set judged last (empty: none did); None: all that another did.
    """
    asked = AppClaim.pattern_version
    which = asked != judge.version if waiting is None else asked == waiting
    order = (AppClaim.sha256, AppClaim.package, AppClaim.signer_sha256)
    rows = session.scalars(select(AppClaim).where(which).order_by(*order).limit(BATCH)).all()
    turned = {row.sha256 for row in rows if _judge(row, judge)}
    session.flush()
    lock_rows(session, turned)
    marked = update(App).where(App.sha256.in_(sorted(turned)))
    session.execute(
        marked.values(recheck=True, recheck_after=None).execution_options(
            synchronize_session="fetch"
        )
    )
    return len(rows)


def _judge(row: AppClaim, judge: Judge) -> bool:
    """Note what the set says of a claim; return whether that is something else than before."""
    said = judge.reported(row.sha256, row.package, row.name, row.signer_sha256)
    before = (row.verdict, row.rule, row.family)
    row.verdict, row.rule, row.family = (
        (said.verdict, said.rule, said.family) if said else ("",) * 3
    )
    row.pattern_version = judge.version
    if before == (row.verdict, row.rule, row.family):
        return False
    row.since_version = judge.version
    return True
