"""Takes newer releases: when to look, what to fetch, and what a release on trial must show."""

import logging
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import cast, get_args
from uuid import UUID

from contracts.connector import ReleaseReport, ReleaseState, ReleaseWish
from exchange_connector import release_book as books
from exchange_connector.management_client import ManagementClient
from exchange_connector.outcome import Outcome
from exchange_connector.release_rules import may_look, why_still_refused
from runtime.clock import utc_now
from runtime.errors import RefusedError, SekishoError
from runtime.process import crash_point
from updater.wheel import Release, here, is_newer, unpack

log = logging.getLogger(__name__)


class Releases:
    """The releases of one connector, as the process that works sees them."""

    def __init__(
        self, folder: Path, management: ManagementClient, relaunch: Callable[[], None]
    ) -> None:
        """Look in the connector's *folder*; *relaunch* ends this process in favour of another."""
        self._folder, self._management, self._relaunch = folder, management, relaunch
        self._crash: ReleaseReport | None = None
        """What nobody thought of, when looking last ended with it."""

    @property
    def on_trial(self) -> bool:
        """Whether this process is the release on trial; not while nobody can read the book."""
        book = self._book()
        return bool(book.trial) and book.trial == here().version

    def _book(self) -> books.Book:
        try:
            return books.read(self._folder)
        except OSError as error:
            log.warning("The book of releases cannot be read: %s", error)
            return books.Book()

    def report(self) -> ReleaseReport | None:
        """Return what became of the last attempt, for management."""
        last, crash = self._book().last, self._crash
        if last is None or last.state not in get_args(ReleaseState):  # a later release's word
            return crash
        if crash is not None and crash.at > datetime.fromisoformat(last.at):
            return crash
        return ReleaseReport(
            version=last.version,
            state=cast(ReleaseState, last.state),
            at=datetime.fromisoformat(last.at),
            detail=last.detail,
            order=UUID(last.order) if last.order else None,
        )

    def after_pass(
        self, outcome: Outcome, wish: ReleaseWish | None, exchange_answers: bool
    ) -> None:
        """Confirm the release on trial once a pass went well; else look for a newer one."""
        if self.on_trial:
            self._judge_trial(outcome)
        elif wish is not None and not outcome.management_problem and outcome.may_act:
            self._look(wish, exchange_answers)

    def crashed(self, error: Exception, wish: ReleaseWish | None) -> None:
        """Keep that an attempt ended with what nobody thought of, so that management is told.

        In the book too, as far as that can be written: then the next attempt waits its hour.
        """
        words = f"Looking for a newer release failed: {type(error).__name__}: {error}"[:4000]
        version, order = (wish.version, wish.order) if wish else ("", None)
        self._crash = ReleaseReport(
            version=version, state="failed", at=utc_now(), detail=words, order=order
        )
        with suppress(Exception):
            self._note(version, "failed", words, str(order) if order else "")

    def _judge_trial(self, outcome: Outcome) -> None:
        book = books.read(self._folder)
        trouble = outcome.management_problem
        if book.exchange_answered or outcome.exchange_refuses_us or outcome.crashed:
            trouble = trouble or outcome.exchange_problem
        if trouble:
            unanswered = bool(outcome.management_problem)
            books.write(self._folder, replace(book, trouble=trouble[:1000], unanswered=unanswered))
            return
        crash_point("before effect confirm a release")
        confirmed = books.confirm(book, utc_now().isoformat())
        books.write(self._folder, confirmed)
        books.sweep(self._folder, confirmed)
        log.info("Release %s works.", confirmed.current)

    def _look(self, wish: ReleaseWish, answers: bool) -> None:
        """Take a newer release if it is time; whatever fails, what runs goes on."""
        book = books.read(self._folder)
        if not may_look(wish, book, here().version, utc_now()):
            return
        order = str(wish.order) if wish.order else ""
        try:
            version = self._take(book, bool(order))
        except (SekishoError, OSError) as error:
            state = "refused" if isinstance(error, NotHereError) else "failed"
            self._note(wish.version, state, str(error), order)
            return
        if not version:
            words = f"Release {here().version} is the newest that is signed."
            self._note(wish.version, "failed", words, order)
            return
        fresh = books.stage(books.read(self._folder), version, answers, order)
        books.write(self._folder, fresh)
        log.info("Release %s is unpacked and is tried now.", version)
        self._relaunch()

    def _take(self, book: books.Book, ordered: bool) -> str:
        """Fetch, check and unpack the newest release; return its version, empty when none is new.

        Raises NotHereError when it cannot run here or did not work before.
        """
        from exchange_connector import release_source  # TUF's client is needed rarely

        with release_source.open_releases(self._management, self._folder) as source:
            offer = release_source.newest(source)
            version = offer.release.version
            if not is_newer(version, here().version):
                return ""
            refused = why_still_refused(book, version, ordered, utc_now())
            if why := offer.release.why_not_here(here()) or refused:
                raise NotHereError(why)
            target = books.folder_of(self._folder, version)
            target.parent.mkdir(mode=0o700, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix=books.UNFINISHED, dir=target.parent) as name:
                archive, unpacked = Path(name) / "release.whl", Path(name) / "code"
                source.download(offer, archive)
                if version in book.refused:
                    again = books.try_again(book, version, utc_now().isoformat())
                    books.write(self._folder, again)
                if _unpacked(archive, unpacked) != offer.release:
                    raise NotHereError(f"Release {version} is not what its signed list says.")
                self._put_in_place(unpacked, target)
        return version

    def _put_in_place(self, unpacked: Path, target: Path) -> None:
        for folder in (*(path for path in unpacked.rglob("*") if path.is_dir()), unpacked):
            books.sync_folder(folder)
        crash_point("before effect unpack a release")
        if target.exists():  # of an attempt before; nobody runs it, else it would not be newer
            target.rename(unpacked.with_name("before"))
        unpacked.rename(target)
        books.sync_folder(target.parent)
        crash_point("after effect unpack a release")

    def _note(self, version: str, state: str, why: str, order: str) -> None:
        log.warning("Release %s was not taken: %s", version, why)
        now, book = utc_now().isoformat(), books.read(self._folder)
        if state == "refused":
            books.write(self._folder, books.refuse(replace(book, order=order), version, why, now))
            return
        last = books.Attempt(version=version, state=state, at=now, detail=why[:4000], order=order)
        books.write(self._folder, replace(book, last=last))


def _unpacked(archive: Path, folder: Path) -> Release:
    try:
        return unpack(archive, folder)
    except (OSError, MemoryError):
        raise  # this machine's trouble, and perhaps over the next time
    except Exception as error:  # its publisher signed it so, and it is the same the next time
        raise NotHereError(f"The signed archive cannot be unpacked: {error}") from error


class NotHereError(RefusedError):
    """This release is not tried again by itself."""
