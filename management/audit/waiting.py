"""Looks that the database could not take at once, in a file that outlives every process.

A page does not wait while devices check in: its look is on the disk before the answer leaves, and
in the trail as soon as the database is free. Whoever dies in between loses none; who dies just
after the commit leaves one twice.
"""

import fcntl
import json
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from management.audit.service import record
from management.context import Context
from runtime.errors import UnavailableError

log = logging.getLogger(__name__)
NAME = "looks-waiting"
MOST_BYTES = 4 * 1024 * 1024
"""Some 12,000 looks: whoever cannot note them for so long shows nothing any more."""
AT_ONCE_SECONDS = 0.02
"""So long a page waits for the database."""
BEHIND_SECONDS = 5.0
"""So long one waits who takes looks over and keeps nobody waiting."""
NOT_NOTED = (
    "This is not shown, because the look could neither be noted in the audit trail nor kept for it "
    "on the disk. Try again."
)
FIELDS = {"actor", "action", "subject", "address", "details", "now"}
Entry = dict[str, Any]


def append(context: Context, entry: Entry) -> None:
    """Have *entry* (the arguments of `service.record`, as JSON) in the trail, or on the disk for
    it; UnavailableError when neither is possible.
    """
    try:
        _record(context, [entry], AT_ONCE_SECONDS)
    except UnavailableError:
        keep(context, entry)
        return
    if _has_waiting(context):
        take_over(context, AT_ONCE_SECONDS)


def take_over(context: Context, patience: float = BEHIND_SECONDS) -> None:
    """Put what waits into the trail, unless the database is still busy or another one does."""
    try:
        with _alone(_folder(context), "taking", fcntl.LOCK_NB) as mine:
            if mine:
                _take(context, patience)
    except UnavailableError:
        log.info("Looks wait on the disk: the database is busy.")
    except OSError as error:
        log.warning("Looks that wait on the disk cannot be read (%s).", error.strerror)


def _take(context: Context, patience: float) -> None:
    if not _has_waiting(context):
        return
    folder = _folder(context)
    taken = folder / f"{NAME}.taken"
    if not taken.exists():  # else somebody died over it
        with _alone(folder, "lock"):
            (folder / NAME).rename(taken)
    _record(context, list(_read(taken, folder / f"{NAME}.odd")), patience)
    taken.unlink()


def _has_waiting(context: Context) -> bool:
    return (_folder(context) / NAME).exists() or (_folder(context) / f"{NAME}.taken").exists()


def _record(context: Context, entries: list[Entry], patience: float) -> None:
    with context.database.transaction("note a look", patience) as session:
        for entry in entries:
            at = datetime.fromisoformat(entry["now"])
            record(session, context.keys, **{**entry, "now": at})


def keep(context: Context, entry: Entry) -> None:
    """Have *entry* on the disk for the trail; UnavailableError when that is not possible."""
    folder = _folder(context)
    line = b"\n" + json.dumps(entry).encode() + b"\n"  # apart from one that was cut off before
    try:
        with _alone(folder, "lock"):
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW
            with os.fdopen(os.open(folder / NAME, flags, 0o600), "ab") as file:
                _leave_to_owner(file.fileno(), folder)
                if file.tell() > MOST_BYTES:
                    raise UnavailableError(NOT_NOTED)
                file.write(line)
                file.flush()
                os.fsync(file.fileno())
    except OSError:
        raise UnavailableError(NOT_NOTED) from None


def _read(path: Path, odd: Path) -> Iterator[Entry]:
    """Yield the entries; a line that was cut off is of an answer that never left.

    A line of another release, or of a hand that mended something, is set aside into *odd*: it must
    not keep the others waiting.
    """
    for line in path.read_bytes().splitlines():
        with suppress(ValueError):
            entry = json.loads(line)
            if _is_whole(entry):
                yield entry
                continue
            log.error("A look that waited cannot be read; its line stands in %s.", odd.name)
            with odd.open("ab") as file:
                file.write(line + b"\n")


def _is_whole(entry: Any) -> bool:
    if not isinstance(entry, dict) or entry.keys() != FIELDS:
        return False
    texts = all(isinstance(entry[name], str) for name in FIELDS - {"details"})
    if not texts or not isinstance(entry["details"], dict):
        return False
    try:
        return datetime.fromisoformat(entry["now"]).tzinfo is not None
    except ValueError:
        return False


@contextmanager
def _alone(folder: Path, name: str, how: int = 0) -> Iterator[bool]:
    """Hold the lock *name*; with ``LOCK_NB`` tell whether nobody else does."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW
    with os.fdopen(os.open(folder / f"{NAME}.{name}", flags, 0o600), "wb") as file:
        _leave_to_owner(file.fileno(), folder)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | how)
        except BlockingIOError:
            yield False
        else:
            yield True


def _leave_to_owner(file: int, folder: Path) -> None:
    """Let the data folder's owner use what root makes with a command, or no look could wait."""
    if os.geteuid() == 0:
        owner = folder.stat()
        os.fchown(file, owner.st_uid, owner.st_gid)


def _folder(context: Context) -> Path:
    return context.settings.home
