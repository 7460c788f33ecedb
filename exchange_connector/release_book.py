"""Which release of this program the connector runs, which it tries, and which it never tries again.

One small file in ``releases/`` beside the unpacked releases; it is replaced as a whole, so that
after a sudden death it says what it said before or after. While a release is on trial only the
process on trial writes it, else only one of launcher and connector lives to write.
"""

import json
import logging
import os
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from runtime.errors import MalformedMessageError
from runtime.process import crash_point
from updater.wheel import Release, check_folder, here, is_newer, lock_of

log = logging.getLogger(__name__)

FOLDER, BOOK, DAMAGED = "releases", "book.json", "book.damaged.json"
UNFINISHED = ".unfinished-"
MOST_BEGINNINGS = 3
"""So often a release is begun that ends without an answer, as when the power fails."""
MOST_REFUSED = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """The last attempt to come to a newer release, see `contracts.connector.ReleaseReport`."""

    version: str
    state: str
    at: str
    detail: str
    order: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Book:
    """What the file says."""

    current: str = ""
    """The release that works; empty: the program as it was installed."""
    trial: str = ""
    """The release that is to be tried; empty: none."""
    beginnings: int = 0
    """How often that was begun."""
    trouble: str = ""
    """What the release on trial said last."""
    unanswered: bool = False
    """Whether that was that management did not answer: nothing is known of the release then."""
    exchange_answered: bool = True
    """Whether Exchange answered before the trial: then it must answer in it."""
    order: str = ""
    """The order that asked for the trial."""
    refused: dict[str, str] = field(default_factory=dict)
    """Releases that are not tried again by themselves, and why."""
    again: dict[str, str] = field(default_factory=dict)
    """When an order last had a refused release tried again."""
    last: Attempt | None = None


_NO_BOOK, _NO_ATTEMPT = Book(), Attempt(version="", state="", at="", detail="")
Kept = TypeVar("Kept", Book, Attempt)


def folder_of(connector: Path, version: str) -> Path:
    """Return where release *version* is unpacked."""
    return connector / FOLDER / version


def read(connector: Path) -> Book:
    """Return the book, whichever release wrote it; an empty one when there is none.

    OSError when it cannot be read just now. One that makes no sense is kept aside, for a person.
    """
    path = connector / FOLDER / BOOK
    try:
        return _parsed(json.loads(path.read_text("utf-8")))
    except FileNotFoundError:
        return Book()
    except ValueError as error:
        log.error("%s is damaged (%s); it is kept beside as %s.", path, error, DAMAGED)
        path.replace(path.with_name(DAMAGED))
        return Book()


def _parsed(said: Any) -> Book:
    book = _known(_NO_BOOK, said)
    if not all(isinstance(one, str) for one in (*book.refused.values(), *book.again.values())):
        raise ValueError("a reason or moment is no text")
    for moment in book.again.values():
        datetime.fromisoformat(moment)
    if not said.get("last"):
        return book
    last = _known(_NO_ATTEMPT, said["last"])
    datetime.fromisoformat(last.at)
    return replace(book, last=last)


def _known(blank: Kept, said: Any) -> Kept:
    """Return *blank* with what of it was *said*: another release may know more or less than we."""
    if not isinstance(said, dict):
        raise ValueError("not an object")
    names = [one.name for one in fields(blank) if one.name in said and one.name != "last"]
    for name in names:
        if type(said[name]) is not type(getattr(blank, name)):
            raise ValueError(f"{name} is {said[name]!r:.50}")
    return replace(blank, **{name: said[name] for name in names})


def write(connector: Path, book: Book) -> None:
    """Replace the book, durably."""
    folder = connector / FOLDER
    folder.mkdir(mode=0o700, exist_ok=True)
    fresh = folder / f"{BOOK}.new"
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(asdict(book), file)
        file.flush()
        os.fsync(file.fileno())
    crash_point("before effect keep the book of releases")
    fresh.replace(folder / BOOK)
    sync_folder(folder)
    crash_point("after effect keep the book of releases")


def sync_folder(folder: Path) -> None:
    """Make the names in *folder* last through a power failure, where the system can."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def refuse(book: Book, version: str, why: str, now: str) -> Book:
    """Return the book after *version* failed: it is not tried again by itself."""
    refused = dict([*book.refused.items(), (version, why[:1000])][-MOST_REFUSED:])
    last = Attempt(version=version, state="refused", at=now, detail=why[:4000], order=book.order)
    return replace(book, trial="", beginnings=0, trouble="", order="", refused=refused, last=last)


def put_off(book: Book, why: str, now: str) -> Book:
    """Return the book after a trial that showed nothing; `beginnings` goes on to count."""
    last = Attempt(version=book.trial, state="failed", at=now, detail=why[:4000], order=book.order)
    return replace(book, trial="", trouble="", unanswered=False, order="", last=last)


def stage(book: Book, version: str, exchange_answered: bool, order: str) -> Book:
    """Return the book that has the unpacked *version* tried next."""
    put_off_before = book.last is not None and book.last.version == version
    return replace(
        book,
        trial=version,
        beginnings=book.beginnings if put_off_before else 0,
        trouble="",
        unanswered=False,
        exchange_answered=exchange_answered,
        order=order,
    )


def try_again(book: Book, version: str, now: str) -> Book:
    """Return the book after an order began to have the refused *version* tried again."""
    again = {name: at for name, at in book.again.items() if name in book.refused}
    return replace(book, again=again | {version: now})


def confirm(book: Book, now: str) -> Book:
    """Return the book after the release on trial worked."""
    words = f"Release {book.trial} works."
    last = Attempt(version=book.trial, state="updated", at=now, detail=words, order=book.order)
    return replace(
        book, current=book.trial, trial="", beginnings=0, trouble="", order="", last=last
    )


def choose(connector: Path, now: Callable[[], str]) -> Book:
    """Return the book after whatever in it cannot be run was struck out.

    Then its trial, else its current release, else the installed program is the one to start.
    """
    try:
        book = read(connector)
    except OSError as error:
        log.error("The book of releases cannot be read: %s. The installed program runs.", error)
        return Book()  # not kept: what the file says may hold again at the next start
    sound = book
    if book.trial and (why := _unfit(connector, book.trial) or _begun_too_often(book)):
        sound = refuse(sound, book.trial, why, now())
    if book.current and (why := _unfit(connector, book.current)):
        words = f"Release {book.current} is not run any more: {why}"
        last = Attempt(version=book.current, state="failed", at=now(), detail=words)
        sound = replace(sound, current="", last=last)
    if sound != book:
        write(connector, sound)
    sweep(connector, sound)
    return sound


def sweep(connector: Path, book: Book) -> None:
    """Remove every unpacked release but those that the book names."""
    keep = {book.current, book.trial}
    for path in (connector / FOLDER).glob("*"):
        if path.is_dir() and path.name not in keep:
            shutil.rmtree(path, ignore_errors=True)


def _begun_too_often(book: Book) -> str:
    if book.beginnings < MOST_BEGINNINGS:
        return ""
    return (
        f"Release {book.trial} was begun {book.beginnings} times and each time its process was"
        " killed, or management did not answer it, before it worked."
    )


def _unfit(connector: Path, version: str) -> str:
    """Return why the unpacked release *version* must not be started here, or nothing."""
    folder, ours = folder_of(connector, version), here()
    try:
        if check_folder(folder) != version:
            return f"{folder} holds another release."
        if not is_newer(version, ours.version):
            return f"Release {ours.version}, which was installed by hand, is as new."
    except (MalformedMessageError, OSError, ValueError) as error:
        return str(error)
    unpacked = Release(version=version, python="3", lock=lock_of(folder))
    return unpacked.why_not_here(ours)
