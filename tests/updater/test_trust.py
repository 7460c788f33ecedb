"""What the updater believes: every way to cheat it over real HTTP."""

import shutil
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from runtime.clock import utc_now
from runtime.errors import (
    MalformedMessageError,
    RefusedError,
    SekishoError,
    TooLargeError,
    UnavailableError,
)
from tests.updater import feed as feeds
from tests.updater.feed import Feed
from updater.limits import Limits
from updater.lock import BusyError
from updater.trust import open_source

QUICK = Limits(total_seconds=20, gap_seconds=0.5, grace_seconds=0.3, minimum_bytes_a_second=1000)


@pytest.fixture
def feed(tmp_path: Path) -> Iterator[Feed]:
    with feeds.running(tmp_path / "feed") as running:
        running.publish("2026.12.1")
        yield running


class Reader:
    """A server that takes updates."""

    def __init__(self, feed: Feed, folder: Path) -> None:
        self.address, self.root, self.folder = feed.url, feed.root, folder
        self.limits = QUICK

    def update(self) -> str:
        """Fetch the newest set whole and return its version."""
        with open_source(self.address, self.root, self.folder / "cache", self.limits) as source:
            source.refresh()
            newest = source.offers()[-1]
            source.download(newest, self.folder / f"{newest.version}.zip")
        return newest.version

    def refused(self, kind: type[SekishoError]) -> str:
        """Fail to update, as *kind*; return the sentence."""
        with pytest.raises(kind) as caught:
            self.update()
        assert type(caught.value) is kind
        return str(caught.value)


@pytest.fixture
def reader(feed: Feed, tmp_path: Path) -> Reader:
    (tmp_path / "reader").mkdir()
    return Reader(feed, tmp_path / "reader")


def test_the_newest_set_arrives_whole(feed: Feed, reader: Reader) -> None:
    feed.publish("2026.12.2")

    assert reader.update() == "2026.12.2"
    assert (reader.folder / "2026.12.2.zip").read_bytes() == feed.target("2026.12.2").read_bytes()


def test_looking_again_costs_two_requests_and_the_file(feed: Feed, reader: Reader) -> None:
    reader.update()
    feed.requests.clear()
    reader.update()

    assert feed.requests[:2] == ["/metadata/2.root.json", "/metadata/timestamp.json"]
    assert len(feed.requests) == 3


@pytest.mark.parametrize("version", ["2026.12.9", "2026.12.10"])
def test_versions_are_ordered_as_numbers(feed: Feed, reader: Reader, version: str) -> None:
    feed.publish("2026.12.9")
    if version == "2026.12.10":
        feed.publish(version)

    assert reader.update() == version


# --- attacks on what is signed ---


def test_a_frozen_source_is_refused_once_its_timestamp_expired(tmp_path: Path) -> None:
    long_ago = utc_now() - timedelta(days=30)
    with feeds.running(tmp_path / "feed", long_ago) as frozen:
        frozen.publish("2026.12.1", long_ago)
        reader = Reader(frozen, tmp_path)

        words = reader.refused(RefusedError)

        assert "expired" in words and "sign-timestamp" in words
        frozen.sign_timestamp()
        assert reader.update() == "2026.12.1"


def test_going_back_to_an_older_repository_is_refused(feed: Feed, reader: Reader) -> None:
    feed.keep("old")
    feed.publish("2026.12.2")
    reader.update()
    feed.go_back_to("old")

    assert "older files than it did before" in reader.refused(RefusedError)


def test_a_stolen_timestamp_key_cannot_bring_an_old_snapshot_back(
    feed: Feed, reader: Reader
) -> None:
    feed.keep("old")
    feed.publish("2026.12.2")
    reader.update()
    feed.go_back_to("old")
    for _ in range(3):
        feed.sign_timestamp()

    assert "older files" in reader.refused(RefusedError)


def test_a_mixture_of_old_and_new_lists_is_refused(feed: Feed, reader: Reader) -> None:
    old = (feed.repository.metadata / "2.targets.json").read_bytes()
    feed.publish("2026.12.2")
    feed.misbehave("3.targets.json", feeds.instead(old))

    assert "mixture" in reader.refused(RefusedError)


def test_a_tampered_pattern_set_is_refused(feed: Feed, reader: Reader) -> None:
    feed.misbehave(".zip", feeds.tampered)

    assert "tampered with" in reader.refused(RefusedError)
    assert not (reader.folder / "2026.12.1.zip").exists()


def test_a_truncated_pattern_set_is_refused(feed: Feed, reader: Reader) -> None:
    feed.misbehave(".zip", feeds.truncated)

    assert "cut off" in reader.refused(RefusedError)


def test_tampered_lists_are_refused(feed: Feed, reader: Reader) -> None:
    whole = (feed.repository.metadata / "2.targets.json").read_bytes()
    feed.misbehave("2.targets.json", feeds.instead(whole.replace(b"2026.12.1", b"2026.12.7")))

    assert "not signed with the keys" in reader.refused(RefusedError)


def test_a_foreign_source_at_the_same_address_is_refused(
    feed: Feed, reader: Reader, tmp_path: Path
) -> None:
    with feeds.running(tmp_path / "foreign") as foreign:
        foreign.publish("2026.12.5")
        shutil.rmtree(feed.repository.folder)
        shutil.copytree(foreign.repository.folder, feed.repository.folder)

    assert "new root.json" in reader.refused(RefusedError)


def test_a_forged_next_root_is_refused(feed: Feed, reader: Reader, tmp_path: Path) -> None:
    with feeds.running(tmp_path / "foreign") as foreign:
        foreign.rotate()
        forged = foreign.newest_root
    feed.misbehave("2.root.json", feeds.instead(forged))

    assert "not signed with the keys" in reader.refused(RefusedError)


def test_a_list_signed_by_another_roles_key_is_refused(feed: Feed, reader: Reader) -> None:
    snapshot = (feed.repository.metadata / "2.snapshot.json").read_bytes()
    feed.misbehave("timestamp.json", feeds.instead(snapshot))

    reader.refused(RefusedError)


# --- attacks on the transport ---


@pytest.mark.parametrize(
    "ending", ["timestamp.json", "2.snapshot.json", "2.targets.json", "2.root.json", ".zip"]
)
def test_a_file_without_end_is_stopped_at_its_limit(
    feed: Feed, reader: Reader, ending: str
) -> None:
    feed.misbehave(ending, feeds.endless)

    assert "longer than" in reader.refused(TooLargeError)


@pytest.mark.parametrize("ending", ["timestamp.json", "2.snapshot.json", "2.targets.json", ".zip"])
def test_a_connection_that_breaks_off_is_tried_again_later(
    feed: Feed, reader: Reader, ending: str
) -> None:
    feed.misbehave(ending, feeds.cut_off)
    assert "broke off" in reader.refused(UnavailableError)

    feed.behave()
    assert reader.update() == "2026.12.1"


@pytest.mark.parametrize("ending", ["timestamp.json", "2.snapshot.json", "2.targets.json"])
def test_half_a_list_is_no_list(feed: Feed, reader: Reader, ending: str) -> None:
    feed.misbehave(ending, feeds.truncated)
    assert "cut off" in reader.refused(MalformedMessageError)

    feed.behave()
    assert reader.update() == "2026.12.1"


@pytest.mark.parametrize("ending", ["2.snapshot.json", "2.targets.json", ".zip"])
def test_a_missing_file_is_named_and_found_when_it_is_there_again(
    feed: Feed, reader: Reader, ending: str
) -> None:
    feed.misbehave(ending, feeds.status(404))
    assert ending.removeprefix("2") in reader.refused(UnavailableError)

    feed.behave()
    assert reader.update() == "2026.12.1"


def test_an_address_without_a_source_is_told_apart(feed: Feed, reader: Reader) -> None:
    reader.address += "/elsewhere"

    assert "No update repository is at this address" in reader.refused(UnavailableError)


@pytest.mark.parametrize("ending", ["2.root.json", "timestamp.json", ".zip"])
def test_a_server_in_trouble_is_named_with_its_status(
    feed: Feed, reader: Reader, ending: str
) -> None:
    feed.misbehave(ending, feeds.status(500))

    assert "HTTP status 500" in reader.refused(UnavailableError)


def test_a_moved_source_is_not_followed_but_told(feed: Feed, reader: Reader) -> None:
    feed.misbehave("timestamp.json", feeds.status(302, "http://127.0.0.1:1/elsewhere"))

    assert "moved to http://127.0.0.1:1/elsewhere" in reader.refused(UnavailableError)


@pytest.mark.parametrize("ending", ["timestamp.json", ".zip"])
def test_a_stalling_server_is_given_up(feed: Feed, reader: Reader, ending: str) -> None:
    feed.misbehave(ending, feeds.stall(3))

    assert "did not answer in time" in reader.refused(UnavailableError)


@pytest.mark.parametrize("answer", [feeds.drip(0.05, 60), feeds.drip_headers(0.05, 60)])
def test_dripping_does_not_keep_an_update_open(
    feed: Feed, reader: Reader, answer: feeds.Answer
) -> None:
    reader.limits = Limits(
        total_seconds=1.5, gap_seconds=1, grace_seconds=0.5, minimum_bytes_a_second=1000
    )
    feed.misbehave("timestamp.json", answer)
    started = time.monotonic()

    assert "too slow" in reader.refused(UnavailableError)
    assert time.monotonic() - started < 50


def test_a_server_that_is_down_is_named(feed: Feed, reader: Reader) -> None:
    reader.address = "http://127.0.0.1:1"

    assert "cannot be reached" in reader.refused(UnavailableError)


# --- what must work ---


def test_new_root_keys_are_followed(feed: Feed, reader: Reader) -> None:
    reader.update()
    first = next(feed.repository.keys.folder.glob("root-*.pem")).stem.removeprefix("root-")
    feed.rotate(first, "targets", "snapshot", "timestamp")
    feed.publish("2026.12.2")

    assert reader.update() == "2026.12.2"


def test_a_reader_that_slept_through_many_roots_catches_up(feed: Feed, reader: Reader) -> None:
    for _ in range(5):
        feed.rotate("timestamp")

    assert reader.update() == "2026.12.1"


@pytest.mark.parametrize("written", ["url", "path"])
def test_a_folder_is_a_source_as_good_as_any(feed: Feed, reader: Reader, written: str) -> None:
    from updater.source import read_address

    folder = feed.repository.folder
    reader.address = read_address(folder.as_uri() if written == "url" else f"{folder}/")

    assert reader.update() == "2026.12.1"
    feed.target("2026.12.1").unlink()
    assert "does not hold it" in reader.refused(UnavailableError)


def test_two_updates_of_one_source_do_not_run_at_once(feed: Feed, reader: Reader) -> None:
    with (
        open_source(reader.address, reader.root, reader.folder / "cache", QUICK),
        pytest.raises(BusyError, match="going on already"),
    ):
        reader.update()

    assert reader.update() == "2026.12.1"


def test_an_interrupted_publication_is_invisible_and_done_again(feed: Feed, reader: Reader) -> None:
    before = (feed.repository.metadata / "timestamp.json").read_bytes()
    feed.publish("2026.12.2")
    (feed.repository.metadata / "timestamp.json").write_bytes(before)

    assert reader.update() == "2026.12.1"
    feed.publish("2026.12.3")
    assert reader.update() == "2026.12.3"
