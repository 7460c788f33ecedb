"""A pattern set on disk: wholly there or not at all."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from patterns import pattern_set
from runtime.errors import MalformedMessageError, RefusedError
from tests.updater import feed as feeds
from tests.updater.feed import Feed
from updater.install import install, sweep


@pytest.fixture
def feed(tmp_path: Path) -> Iterator[Feed]:
    with feeds.running(tmp_path / "feed") as running:
        yield running


def test_a_set_is_unpacked_under_its_version(feed: Feed, tmp_path: Path) -> None:
    archive = feed.build("2026.12.1")

    installed = install(archive, "2026.12.1", tmp_path / "patterns")

    assert (installed.version, installed.rules) == ("2026.12.1", 1)
    assert installed.sha256 == hashlib.sha256(archive.read_bytes()).hexdigest()
    assert pattern_set.check_folder(tmp_path / "patterns" / "2026.12.1").rules == 1


def test_installing_again_changes_nothing(feed: Feed, tmp_path: Path) -> None:
    archive = feed.build("2026.12.1")
    first = install(archive, "2026.12.1", tmp_path / "patterns")

    assert install(archive, "2026.12.1", tmp_path / "patterns") == first


@pytest.mark.parametrize("damaged", ["manifest.json", "yara/marker.yar"])
def test_a_damaged_folder_is_replaced(feed: Feed, tmp_path: Path, damaged: str) -> None:
    archive = feed.build("2026.12.1")
    install(archive, "2026.12.1", tmp_path / "patterns")
    (tmp_path / "patterns" / "2026.12.1" / damaged).unlink()

    install(archive, "2026.12.1", tmp_path / "patterns")

    assert pattern_set.check_folder(tmp_path / "patterns" / "2026.12.1").rules == 1


@pytest.mark.parametrize(
    ("listed", "body", "kind", "words"),
    [
        (False, b"rule other { condition: false }", MalformedMessageError, "manifest says"),
        (True, b"rule broken { condition: no_such_thing }", RefusedError, "does not compile"),
        (True, b'include "/etc/passwd"', RefusedError, "does not compile"),
    ],
)
def test_a_bad_set_leaves_nothing_behind(
    feed: Feed, tmp_path: Path, listed: bool, body: bytes, kind: type[Exception], words: str
) -> None:
    bad = feeds.rewritten(feed.build("2026.12.1"), "yara/marker.yar", body, listed)

    with pytest.raises(kind, match=words):
        install(bad, "2026.12.1", tmp_path / "patterns")

    assert list((tmp_path / "patterns").iterdir()) == []


def test_a_set_under_a_foreign_name_is_refused(feed: Feed, tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match=r"calls itself 2026\.12\.1"):
        install(feed.build("2026.12.1"), "2026.12.2", tmp_path / "patterns")


def test_left_over_folders_are_swept_and_fresh_work_stays(feed: Feed, tmp_path: Path) -> None:
    patterns = tmp_path / "patterns"
    install(feed.build("2026.12.1"), "2026.12.1", patterns)
    install(feed.build("2026.12.2"), "2026.12.2", patterns)
    (patterns / ".unfinished-elsewhere").mkdir()

    assert sweep(patterns, {"2026.12.2"}) == ["2026.12.1"]
    assert sorted(path.name for path in patterns.iterdir()) == [
        ".unfinished-elsewhere",
        "2026.12.2",
    ]
