"""The connector updates itself: from the signed source, through management, and back if need be."""

import json
import shutil
import signal
import socket
import threading
import zipfile
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest
from click.testing import CliRunner
from flask import Flask

from contracts.connector import ReleaseWish
from exchange_connector import loop
from exchange_connector import release_book as books
from exchange_connector.cli import exchange_connector
from exchange_connector.release_rules import (
    AGAIN_AFTER,
    ONLY_DAILY,
    RETRY_AFTER,
    in_window,
    may_look,
)
from exchange_connector.release_source import OWN_ROOT
from exchange_connector.releases import Releases
from exchange_connector.settings import Settings
from exchange_connector.sync import Look
from management.access import Role
from management.audit.models import AuditEntry
from management.mail_access import connector_releases
from management.mail_access.queries import get_connector
from management.updates import service as updates
from management.updates import work as updates_work
from management.updates.models import UpdateRun
from management.updates.queries import find_active_set
from runtime.clock import utc_now
from runtime.errors import HopelessError, MalformedMessageError, RefusedError
from tests.exchange_connector.bed import BY, Bed, wait_until
from tests.management.clients import ConsoleClient, api_client
from tests.management.conftest import console
from tests.updater import wheels
from tests.updater.feed import Feed
from updater import publish as publishing
from updater import wheel as releases

__all__ = ["console"]

pytestmark = pytest.mark.servers
BROKEN = b"raise RuntimeError('this release does not even start')\n"
DEAF = b"import time\n\n\ndef run(settings):\n    time.sleep(3600)\n"


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return wheels.build(tmp_path_factory.mktemp("wheel"))


class Updating:
    """A paired connector, and a source of releases that management takes them from."""

    def __init__(self, bed: Bed, wheel: Path, feed: Feed) -> None:
        self.bed, self.wheel, self.feed = bed, wheel, feed
        self.id: UUID = bed.pair().connector_id
        (bed.folder / OWN_ROOT).write_bytes(feed.root)
        with bed.context.database.transaction("test") as session:
            address, root = str(feed.repository.folder), feed.root
            by = updates.Actor("keeper")
            updates.save_source(session, bed.context.keys, address, root, by, utc_now())

    def publish(self, version: str, contents: dict[str, bytes] | None = None) -> None:
        """Publish a release and let management fetch it."""
        made = wheels.changed(self.wheel, version, contents)
        publishing.publish_release(self.feed.repository, made, utc_now())
        self.fetch()

    def fetch(self) -> UpdateRun:
        """Let management ask the source."""
        with self.bed.context.database.transaction("test") as session:
            run = updates.request_run(session, "keeper", utc_now())
        self.said: list[str] = []
        with suppress(HopelessError):
            updates_work.run(self.bed.context, {"run_id": str(run.id)}, self.said.append)
        with self.bed.context.database.reading() as session:
            return session.get_one(UpdateRun, run.id)

    def active(self) -> str:
        """Return the version of the active pattern set."""
        with self.bed.context.database.reading() as session:
            active = find_active_set(session)
            return active.version if active else ""

    def allow(self, hours: int = 24) -> None:
        """Let the connector update by itself for so many hours of the day."""
        with self.bed.context.database.transaction("test") as session:
            keys = self.bed.context.keys
            connector_releases.change(session, keys, self.id, 0, hours, BY, utc_now())

    def order(self) -> None:
        """Press "update now"."""
        with self.bed.context.database.transaction("test") as session:
            connector_releases.order(session, self.bed.context.keys, self.id, BY, utc_now())

    def step(self) -> bool:
        """Run one pass in this process; tell whether a release was staged for the launcher."""
        relaunched: list[bool] = []
        outcome = self.bed.run_pass(look=Look.NOT)
        assert self.bed.management and self.bed.spool
        releases = Releases(self.bed.folder, self.bed.management, lambda: relaunched.append(True))
        releases.after_pass(outcome, self.bed.spool.wanted()[0].release, True)
        return bool(relaunched)

    def fresh_trial(self, exchange_answered: bool = True) -> Releases:
        """Pretend that the release which runs is on trial."""
        book = books.Book(trial=releases.here().version, exchange_answered=exchange_answered)
        books.write(self.bed.folder, book)
        self.bed.open()
        assert self.bed.management
        return Releases(self.bed.folder, self.bed.management, lambda: None)

    def report(self) -> None:
        """Run a pass that tells management of the last attempt, too."""
        self.bed.open()
        assert self.bed.management and self.bed.spool
        releases = Releases(self.bed.folder, self.bed.management, lambda: None)
        settings, spool = Settings(folder=self.bed.folder), self.bed.spool
        sync = loop.open_sync(settings, self.bed.management, spool, releases=releases)
        sync.run_pass(Look.NOT)

    @property
    def book(self) -> books.Book:
        return books.read(self.bed.folder)

    @property
    def last(self) -> books.Attempt:
        assert self.book.last
        return self.book.last

    def reported(self) -> tuple[str, str, str]:
        """Return (running version, tried version, outcome) as management knows it."""
        with self.bed.context.database.reading() as session:
            row = get_connector(session, self.id)
            said = connector_releases.last_attempt(row)
            return row.version, said.version if said else "", said.state if said else ""


@pytest.fixture
def updating(bed: Bed, wheel: Path, tmp_path: Path) -> Updating:
    object.__setattr__(bed.context.settings, "connector_seconds", 1)
    bed.exchange.add_phone("ada", "ADA1")
    return Updating(bed, wheel, Feed(tmp_path / "feed", ""))


@pytest.fixture
def port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def test_a_release_comes_to_work_by_itself_and_one_that_does_not_start_goes_back(
    updating: Updating, port: int
) -> None:
    updating.publish("0.2.0")
    updating.allow()
    process = updating.bed.start_process(port)
    wait_until(lambda: updating.reported() == ("0.2.0", "0.2.0", "updated"), 120)
    assert {path.name for path in (updating.bed.folder / "releases").iterdir()} == {
        "book.json",
        "0.2.0",
    }
    assert (updating.bed.folder / "releases").stat().st_mode & 0o077 == 0

    updating.publish("0.3.0", {"exchange_connector/loop.py": BROKEN})
    wait_until(lambda: updating.reported() == ("0.2.0", "0.3.0", "refused"), 120)
    assert updating.book.current == "0.2.0"
    assert "ended with status 1" in updating.last.detail
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0


KILLED = [
    "before effect unpack a release",
    "after effect unpack a release",
    "before effect keep the book of releases",
    "after effect keep the book of releases",
    "before effect try a release",
]


def test_killed_at_any_moment_of_an_update_a_whole_release_comes_back(
    updating: Updating, port: int, tmp_path: Path
) -> None:
    updating.publish("0.2.0")
    updating.allow()
    for number, point in enumerate(KILLED):
        mark = tmp_path / f"killed{number}"
        killed = {"SEKISHO_CRASH_AT": point, "SEKISHO_CRASH_MARK": str(mark)}
        died = updating.bed.start_process(port, **killed)
        assert died.wait(120) == -signal.SIGKILL, point
        assert mark.exists()
        for path in (updating.bed.folder / "releases").glob("[0-9]*"):
            assert releases.check_folder(path) == "0.2.0"
    mark = tmp_path / "killed on trial"
    point = "before effect confirm a release"
    updating.bed.start_process(port, SEKISHO_CRASH_AT=point, SEKISHO_CRASH_MARK=str(mark))
    wait_until(lambda: updating.reported() == ("0.2.0", "0.2.0", "updated"), 120)
    assert mark.exists()


def test_a_release_that_hangs_is_ended_in_time_and_the_reason_kept(
    updating: Updating, port: int
) -> None:
    updating.publish("0.2.0", {"exchange_connector/loop.py": DEAF})
    updating.order()
    updating.bed.start_process(port, SEKISHO_CONNECTOR_RELEASE_TRIAL_SECONDS="5")
    here = releases.here().version
    wait_until(lambda: updating.reported() == (here, "0.2.0", "refused"), 120)
    assert "within 5 s" in updating.last.detail
    assert "Running again: the installed program" in updating.last.detail
    with updating.bed.context.database.reading() as session:
        assert get_connector(session, updating.id).update_order is None


@pytest.mark.parametrize("beginnings", [0, books.MOST_BEGINNINGS - 1])
def test_a_trial_without_management_says_nothing_of_the_release_but_only_so_often(
    updating: Updating, wheel: Path, port: int, beginnings: int
) -> None:
    folder = updating.bed.folder
    deaf = wheels.changed(wheel, "0.2.0", {"exchange_connector/loop.py": DEAF})
    releases.unpack(deaf, books.folder_of(folder, "0.2.0"))
    book = books.Book(trial="0.2.0", beginnings=beginnings, unanswered=True)  # as its pass says
    books.write(folder, book)
    process = updating.bed.start_process(port, SEKISHO_CONNECTOR_RELEASE_TRIAL_SECONDS="5")
    wait_until(lambda: updating.book.last is not None, 120)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) in (0, -signal.SIGTERM)
    if beginnings:
        assert updating.last.state == "refused"
        return
    assert (updating.last.state, updating.book.trial, updating.book.refused) == ("failed", "", {})
    assert not updating.book.unanswered
    assert books.stage(updating.book, "0.2.0", True, "").beginnings == 1
    assert books.stage(updating.book, "0.3.0", True, "").beginnings == 0


def test_a_signed_archive_that_cannot_be_unpacked_is_not_fetched_again_and_again(
    updating: Updating, wheel: Path
) -> None:
    broken = wheels.changed(wheel, "0.2.0")
    with zipfile.ZipFile(broken, "a") as packed:
        packed.writestr("runtime/strange.py", "")
    publishing.publish_release(updating.feed.repository, broken, utc_now())
    updating.fetch()
    updating.allow()
    assert not updating.step()
    assert updating.last.state == "refused"
    assert "strange.py is not of the release" in updating.book.refused["0.2.0"]
    before = updating.last
    assert not updating.step()
    assert updating.last == before
    with pytest.raises(OSError):  # this disk's trouble is no fault of the release
        releases.unpack(wheel, updating.bed.folder / "connector.toml" / "x")


def test_management_in_other_hands_cannot_give_code(updating: Updating, tmp_path: Path) -> None:
    updating.publish("0.2.0")
    updating.order()
    folder = updating.bed.context.settings.home / "updates"
    (kept,) = (folder / "releases").glob("*.whl")
    kept.write_bytes(kept.read_bytes()[:-10] + bytes(10))
    assert not updating.step()
    assert "not the file that its publisher signed" in updating.last.detail

    other = Feed(tmp_path / "other", "")
    evil = wheels.changed(updating.wheel, "0.9.0", {"runtime/clock.py": BROKEN})
    publishing.publish_release(other.repository, evil, utc_now())
    (lists,) = (path for path in folder.iterdir() if (path / "timestamp.json").exists())
    for name in ("timestamp.json", "1.snapshot.json", "1.targets.json"):
        newest = sorted(other.repository.metadata.glob(f"*{name.split('.', 1)[-1]}"))[-1]
        source = other.repository.metadata / name if name == "timestamp.json" else newest
        shutil.copy(source, lists / name.removeprefix("1."))
    updating.order()
    assert not updating.step()
    assert "not signed with the keys" in updating.last.detail
    assert not updating.book.trial
    assert not list((updating.bed.folder / "releases").glob("[0-9]*"))


def test_a_connector_that_begins_with_an_older_root_than_management_follows(
    updating: Updating,
) -> None:
    feed, bed = updating.feed, updating.bed
    feed.rotate("timestamp")
    feed.rotate("targets")
    with bed.context.database.transaction("test") as session:
        address, root = str(feed.repository.folder), feed.newest_root
        by = updates.Actor("keeper")
        updates.save_source(session, bed.context.keys, address, root, by, utc_now())
    updating.publish("0.2.0")
    updating.order()
    assert updating.step(), updating.last.detail
    assert updating.book.trial == "0.2.0"

    (cache,) = (bed.context.settings.home / "updates").glob("*/root_history")
    first, second = cache / "1.root.json", cache / "2.root.json"
    kept = second.read_bytes()
    second.write_bytes(first.read_bytes())  # something wrong does not stay
    updating.fetch()
    assert second.read_bytes() == kept

    published = feed.repository.metadata / "2.root.json"
    published.write_bytes(first.read_bytes())
    updating.fetch()
    assert second.read_bytes() == kept
    published.unlink()
    updating.fetch()
    assert not [words for words in updating.said if "not fetched" in words]


def test_a_release_that_cannot_be_kept_does_not_hold_patterns_up(updating: Updating) -> None:
    kept = updating.bed.context.settings.home / "updates" / "releases"
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_text("no folder: the disk says no, as a full one does")
    updating.feed.publish("2026.12.1")
    updating.publish("0.2.0")
    assert [words for words in updating.said if "Release not fetched" in words]
    assert updating.active() == "2026.12.1"


def test_older_lists_than_before_are_refused(updating: Updating) -> None:
    folder = updating.bed.context.settings.home / "updates"
    updating.publish("0.2.0")
    shutil.copytree(folder, folder.with_name("before"))
    updating.publish("0.3.0")
    updating.order()
    assert updating.step()
    assert updating.book.trial == "0.3.0"

    shutil.rmtree(folder)
    folder.with_name("before").rename(folder)
    books.write(updating.bed.folder, books.Book())
    updating.order()
    assert not updating.step()
    assert "older files than it did before" in updating.last.detail


def test_lists_that_are_held_back_too_long_are_refused(updating: Updating) -> None:
    updating.publish("0.2.0")
    publishing.sign_timestamp(updating.feed.repository, utc_now() - timedelta(days=4))
    kept = updating.bed.context.settings.home / "updates"
    (lists,) = (path for path in kept.iterdir() if (path / "timestamp.json").exists())
    shutil.copy(updating.feed.repository.metadata / "timestamp.json", lists)
    updating.order()
    assert not updating.step()
    assert "has expired" in updating.last.detail
    assert updating.last.state == "failed"  # tried again: tomorrow's lists may be in order


def test_what_needs_other_dependencies_is_refused_with_what_to_do(
    updating: Updating, monkeypatch: pytest.MonkeyPatch
) -> None:
    updating.publish("0.2.0", {"sekisho/run.lock": b"something==1.0"})
    updating.allow()
    assert not updating.step()
    assert "needs other dependencies" in updating.last.detail
    assert "pip install --require-hashes" in updating.last.detail
    assert updating.book.refused.keys() == {"0.2.0"}
    monkeypatch.setenv("SEKISHO_HOME", str(updating.bed.home))
    said = CliRunner().invoke(exchange_connector, ["status"], catch_exceptions=False).output
    assert "as installed" in said and "0.2.0 refused. Release 0.2.0 needs other" in said
    before = updating.last
    assert not updating.step()  # never again by itself
    assert updating.last == before
    updating.order()
    assert not updating.step()
    assert updating.last.at > before.at


def test_without_a_root_nothing_is_believed(
    updating: Updating, monkeypatch: pytest.MonkeyPatch
) -> None:
    updating.publish("0.2.0")
    updating.order()
    (updating.bed.folder / OWN_ROOT).unlink()
    assert not updating.step()
    assert "release-root FILE" in updating.last.detail

    monkeypatch.setenv("SEKISHO_HOME", str(updating.bed.home))
    file = updating.bed.home / "root.json"
    for content, status in ((b"{}", MalformedMessageError), (updating.feed.root, None)):
        file.write_bytes(content)
        done = CliRunner().invoke(exchange_connector, ["release-root", str(file)])
        assert type(done.exception) is (status or type(None))
    assert "Fingerprint of the root" in done.output
    updating.order()
    assert updating.step()


def test_only_in_its_window_and_only_when_it_may() -> None:
    now = utc_now().replace(hour=1)
    wish = ReleaseWish(version="0.2.0", hour=23, hours=3)
    assert may_look(wish, books.Book(), "0.1.0", now)
    assert [hour for hour in range(24) if in_window(wish, now.replace(hour=hour))] == [0, 1, 23]
    assert not may_look(wish, books.Book(), "0.1.0", now.replace(hour=2))
    assert not may_look(replace(wish, hours=0), books.Book(), "0.1.0", now)
    assert not may_look(wish, books.Book(), "0.2.0", now)
    assert not may_look(replace(wish, version="newest"), books.Book(), "0.1.0", now)
    assert not may_look(wish, books.Book(refused={"0.2.0": "broken"}), "0.1.0", now)
    failed = books.Attempt(version="0.2.0", state="failed", at=now.isoformat(), detail="")
    assert not may_look(wish, books.Book(last=failed), "0.1.0", now)
    later = (now - RETRY_AFTER).isoformat()
    assert may_look(wish, books.Book(last=replace(failed, at=later)), "0.1.0", now)


def test_orders_without_end_have_a_refused_release_tried_once_a_day(updating: Updating) -> None:
    updating.publish("0.2.0")
    book = books.Book(refused={"0.2.0": "It broke."}, again={"0.1.8": utc_now().isoformat()})
    books.write(updating.bed.folder, book)
    updating.order()
    assert updating.step()
    assert updating.book.again.keys() == {"0.2.0"}
    refused = books.refuse(updating.book, "0.2.0", "It broke again.", utc_now().isoformat())
    books.write(updating.bed.folder, refused)
    for _ in range(2):
        updating.order()
        assert not updating.step()
        assert updating.last.state == "refused"
        assert updating.last.detail == "It broke again." + ONLY_DAILY
    day_ago = (utc_now() - AGAIN_AFTER).isoformat()
    books.write(updating.bed.folder, replace(updating.book, again={"0.2.0": day_ago}))
    updating.order()
    assert updating.step()


def test_a_trial_asks_for_exchange_only_when_exchange_answered_before(updating: Updating) -> None:
    trial = updating.fresh_trial()
    well = updating.bed.run_pass(look=Look.NEW)
    assert well.acted
    outcome = replace(well, exchange_problem="Exchange does not answer.")
    trial.after_pass(outcome, None, False)
    assert updating.book.trouble == outcome.exchange_problem
    assert updating.book.trial

    trial = updating.fresh_trial(exchange_answered=False)
    trial.after_pass(replace(outcome, crashed=True), None, False)
    assert updating.book.trial
    trial.after_pass(outcome, None, False)
    assert updating.book.current == releases.here().version

    updating.bed.console.stop()
    trial = updating.fresh_trial(exchange_answered=False)
    outcome = updating.bed.run_pass(look=Look.NEW)
    trial.after_pass(outcome, None, False)
    assert "Management cannot be reached" in updating.book.trouble
    assert updating.book.unanswered
    updating.bed.console.start()


def test_a_damaged_release_and_one_that_hands_outran_are_not_started(
    updating: Updating, wheel: Path
) -> None:
    folder = updating.bed.folder
    newer = wheels.changed(wheel, "0.2.0")
    releases.unpack(newer, books.folder_of(folder, "0.2.0"))
    books.write(folder, books.Book(current="0.2.0"))
    assert books.choose(folder, lambda: utc_now().isoformat()).current == "0.2.0"
    victim = books.folder_of(folder, "0.2.0") / "runtime" / "clock.py"
    victim.write_text("")
    assert books.choose(folder, lambda: utc_now().isoformat()).current == ""
    assert "clock.py is not as it was released" in updating.last.detail
    assert not books.folder_of(folder, "0.2.0").exists()  # what is not run takes no room

    books.write(folder, books.Book(trial="0.2.0", beginnings=books.MOST_BEGINNINGS))
    releases.unpack(newer, books.folder_of(folder, "0.2.0"))
    assert books.choose(folder, lambda: utc_now().isoformat()).trial == ""
    assert "was begun 3 times" in updating.last.detail

    same = wheels.changed(wheel, releases.here().version)
    releases.unpack(same, books.folder_of(folder, releases.here().version))
    books.write(folder, books.Book(current=releases.here().version))
    assert books.choose(folder, lambda: utc_now().isoformat()).current == ""
    assert "installed by hand, is as new" in updating.last.detail


def test_the_book_of_another_release_is_understood_and_a_damaged_one_kept_aside(
    tmp_path: Path,
) -> None:
    path = tmp_path / books.FOLDER / books.BOOK
    last = books.Attempt(version="0.2.0", state="updated", at=utc_now().isoformat(), detail="")
    book = books.Book(current="0.2.0", trial="0.3.0", refused={"0.1.9": "broken"}, last=last)
    books.write(tmp_path, book)
    later = json.loads(path.read_text()) | {"of a later release": 1}
    later["last"]["of a later release"] = 1
    del later["beginnings"], later["last"]["order"]
    path.write_text(json.dumps(later))
    assert books.read(tmp_path) == book

    later["last"]["state"] = "a later release's word"
    path.write_text(json.dumps(later))
    assert Releases(tmp_path, None, lambda: None).report() is None  # type: ignore[arg-type]

    path.with_name(books.DAMAGED).mkdir()  # it cannot even be put aside: nothing is overwritten
    for damaged in (
        "{",
        "[]",
        '{"current": 1}',
        '{"refused": {"0.1": 2}}',
        '{"last": {"at": "x"}}',
    ):
        path.write_text(damaged)
        assert books.choose(tmp_path, lambda: "now") == books.Book()
        assert path.read_text() == damaged
    path.with_name(books.DAMAGED).rmdir()
    assert books.choose(tmp_path, lambda: "now") == books.Book()
    assert path.with_name(books.DAMAGED).read_text() == damaged
    assert not path.exists()


def test_a_book_that_cannot_be_read_just_now_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / books.FOLDER / books.BOOK
    path.mkdir(parents=True)  # reading it fails, as it may for a moment under Windows
    with pytest.raises(OSError):
        books.read(tmp_path)
    assert books.choose(tmp_path, lambda: "now") == books.Book()
    assert not Releases(tmp_path, None, lambda: None).on_trial  # type: ignore[arg-type]
    assert path.is_dir()


def test_only_wheels_of_ours_are_published_and_unpacked(wheel: Path, tmp_path: Path) -> None:
    feed = Feed(tmp_path / "feed", "")
    found = releases.read_archive(wheel)
    assert found.lock == releases.lock_of(wheels.ROOT)
    assert publishing.publish_release(feed.repository, wheel, utc_now()) == found.version
    with pytest.raises(RefusedError, match="published already"):
        publishing.publish_release(feed.repository, wheel, utc_now())
    for name in ("../outside.py", "/etc/outside.py", "a\\b.py"):
        bad = wheels.changed(wheel, "0.8.0", {name: b""})
        with pytest.raises(RefusedError, match="leads elsewhere"):
            releases.unpack(bad, tmp_path / "out")
    alien = tmp_path / "alien.whl"
    with zipfile.ZipFile(alien, "w") as packed:
        packed.writestr("x.py", "")
    for content in (alien.read_bytes(), b"no archive", b""):
        alien.write_bytes(content)
        with pytest.raises(MalformedMessageError):
            releases.read_archive(alien)


def test_the_console_and_the_api_say_when_and_what(
    updating: Updating, console: ConsoleClient, app: Flask
) -> None:
    program = api_client(app, updating.bed.context, "robot", Role.OWNER)
    updating.publish("0.2.0", {"sekisho/run.lock": b"something==1.0"})
    updating.bed.run_pass()
    page = console.get("/mail-access/connectors").get_data(as_text=True)
    assert "Release 0.2.0 is here" in page
    assert "0.2.0" in console.get("/updates/").get_data(as_text=True)

    form = f"/mail-access/connectors/{updating.id}/release"
    assert console.post(form, data={"hour": "4", "hours": "0"}).status_code == 302
    assert console.post(form, data={"hour": "24", "hours": "1"}).status_code == 400
    assert console.post(form, data={"now": "yes"}).status_code == 302
    assert "Told to update" in console.get("/mail-access/connectors").get_data(as_text=True)
    api = f"/api/v1/mail-access/connectors/{updating.id}/release"
    found = program.get(api).get_json()
    assert (found["hour"], found["hours"], found["ordered"]) == (4, 0, True)

    assert not updating.step()
    updating.report()
    found = program.get(api).get_json()
    assert (found["tried"], found["state"], found["ordered"]) == ("0.2.0", "refused", False)
    page = console.get("/mail-access/connectors").get_data(as_text=True)
    assert "Release refused" in page and "needs other dependencies" in page
    with updating.bed.context.database.reading() as session:
        actions = [row.action for row in session.query(AuditEntry)]
    assert {"updates.release", "connector.updates", "connector.update"} <= set(actions)


def test_a_crash_on_the_way_to_a_release_is_told_and_mail_is_looked_after(
    updating: Updating,
) -> None:
    updating.publish("0.2.0")
    updating.order()
    updating.bed.open()
    assert updating.bed.management and updating.bed.spool
    taking = Releases(updating.bed.folder, updating.bed.management, lambda: None)
    settings, spool = Settings(folder=updating.bed.folder), updating.bed.spool
    sync = loop.open_sync(settings, updating.bed.management, spool, releases=taking)
    works = loop.Loop(sync, spool, settings, threading.Event(), taking)
    in_the_way = updating.bed.folder / "releases" / books.BOOK
    (in_the_way / "x").mkdir(parents=True)  # no file can be read there or put there

    works.step()
    works.step()

    assert updating.reported() == (releases.here().version, "0.2.0", "failed")
    with updating.bed.context.database.reading() as session:
        said = connector_releases.last_attempt(get_connector(session, updating.id))
    assert said is not None
    assert said.detail.startswith("Looking for a newer release failed: IsADirectoryError: ")
    shutil.rmtree(in_the_way)
    updating.order()
    works.step()
    assert updating.book.trial == "0.2.0"
