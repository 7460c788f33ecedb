"""What devices say of apps whose file nobody here read: kept and judged for each claim."""

from collections.abc import Sequence

from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from contracts.agent import InstalledApp
from management.apps.models import App, AppClaim
from management.apps.queries import BATCH, claim_of, list_claims
from management.apps.rejudging import Judge
from management.apps.verdicts import lock_rows


def keep_claims(session: Session, held: Sequence[InstalledApp]) -> bool:
    """Keep what a device claims; return whether somebody must judge something new."""
    known = list_claims(session, {app.sha256 for app in held})
    new = {claim_of(app): app.name for app in held if claim_of(app) not in known}
    for (sha256, package, signer), name in sorted(new.items()):
        row = AppClaim(sha256=sha256, package=package, signer_sha256=signer, name=name)
        try:
            with session.begin_nested():
                session.add(row)
        except IntegrityError:  # another device says the same at this moment
            continue
    return bool(new)


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
