"""What a pattern set would change if it went live, and whether a person must look first."""

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from management.apps import hunting
from management.apps.models import App, SetTrial
from management.apps.rejudging import Judge
from management.apps.rules import Turned, reputation, why_wait
from management.apps.uploads import file_of
from management.context import Context
from management.devices.models import Device
from management.devices.rules import EnrolmentState
from runtime.clock import utc_now
from runtime.errors import NotFoundError
from scanner.isolation import scan_file

READ_SECONDS = 120.0
"""How long a trial reads files; the others are read after the set went live."""
MOST_READ = 1000
SHOWN = 200


def verdict_changes(session: Session, pattern_folder: Path) -> Iterator[Turned]:
    """Yield every known app about which the set unpacked in *pattern_folder* says something else.

    In the order of the hashes; judged from what scans kept and from what devices report, so it is
    quick and changes nothing. Apps whose file must be read for an answer are left out;
    `try_set` reads the most widespread of them. For dry runs over the fleet: `Turned.after` is the
    `Reputation` that would hold, `Turned.before` the verdict that holds now.
    """
    yield from hunting.turned(session, Judge(pattern_folder))


def try_set(context: Context, pattern_folder: Path, progress: Callable[[str], None]) -> str:
    """Find out and store what the set would change; return why a person must look first, or "".

    Call it before a set becomes active. What it stores is shown beside the set.
    """
    progress("Trying it on the known apps.")
    judge = Judge(pattern_folder)
    with context.database.reading() as session:
        found = list(hunting.turned(session, judge))
        unread = _unread(session, judge)
    looked_at = _read_files(context, pattern_folder, unread[:MOST_READ], found, progress)
    with context.database.transaction("store a trial") as session:
        trial = _summed_up(session, judge.version, found)
        trial.unread = len(unread) - looked_at
        session.merge(trial)
        return trial.because


def find_trial(session: Session, version: str) -> SetTrial | None:
    """Return what was found out about a set before it went live, if it was tried."""
    return session.get(SetTrial, version)


def _unread(session: Session, judge: Judge) -> list[str]:
    """Return the stored apps that the set can only judge by their files, the most held first."""
    found: list[tuple[int, str]] = []
    last = ""
    while known := hunting.known_after(session, last):
        last = known[-1].sha256
        found += [(-row.devices, row.sha256) for row in known if hunting.judge(judge, row).unread]
    return [sha256 for _, sha256 in sorted(found)]


def _read_files(
    context: Context,
    folder: Path,
    hashes: Sequence[str],
    found: list[Turned],
    progress: Callable[[str], None],
) -> int:
    """Scan files as long as there is time, add what changes to *found*; return how many."""
    end, read = time.monotonic() + READ_SECONDS, 0
    for sha256 in hashes:
        if time.monotonic() > end:
            break
        try:
            result = scan_file(file_of(context.settings.home, sha256), folder)
        except NotFoundError:
            continue
        fields = {"verdict": result.verdict.value, "pattern_version": result.pattern_version}
        findings = [
            {
                "rule": one.rule,
                "severity": one.severity.value,
                "category": one.category,
                "family": one.family,
            }
            for one in result.findings
        ]
        said = reputation(sha256, {**fields, "findings": findings})
        with context.database.reading() as session:
            (known,) = hunting.known_of(session, [sha256])
            found += hunting.as_turned(session, [hunting.Judged(known, said, None)])
        read += 1
        progress(f"Trying it: {read} of {len(hashes)} files read.")
    return read


def _summed_up(session: Session, version: str, found: list[Turned]) -> SetTrial:
    bad = sorted((app for app in found if app.is_newly_malicious), key=lambda app: -app.devices)
    devices = hunting.holders_of(session, [app.sha256 for app in bad])
    known_apps = session.scalar(select(func.count()).select_from(App)) or 0
    enrolled = select(func.count()).select_from(Device)
    enrolled = enrolled.where(Device.enrolment_state == EnrolmentState.ENROLLED)
    return SetTrial(
        version=version,
        tried_at=utc_now(),
        judged=known_apps,
        unread=0,
        malicious=len(bad),
        milder=sum(app.is_milder for app in found),
        devices=len(devices),
        because=why_wait(found, known_apps, session.scalar(enrolled) or 0)[:1000],
        apps=[
            {
                "sha256": app.sha256,
                "name": app.name or app.package,
                "before": app.before,
                "rule": app.after.rule,
                "devices": app.devices,
                "approved": app.approved,
                "in_store": app.in_store,
            }
            for app in bad[:SHOWN]
        ],
        device_ids=[str(device_id) for device_id in sorted(devices)[:SHOWN]],
    )
