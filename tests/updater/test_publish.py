"""The command line that makes an update source."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from runtime.errors import ConfigurationError, NotFoundError, RefusedError
from tests.updater import feed as feeds
from updater.cli import PASSPHRASE, update


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    with feeds.running(tmp_path / "feed") as feed:
        return feed.build("2026.12.1")


def _run(*words: object) -> Result:
    return CliRunner().invoke(update, [str(word) for word in words], catch_exceptions=False)


def test_a_source_is_made_published_and_shown(tmp_path: Path, archive: Path) -> None:
    repo = tmp_path / "repo"

    assert "Fingerprint of the root" in _run("init", repo).output
    assert "2026.12.1" in _run("publish", repo, "--patterns", archive).output
    assert "valid until" in _run("sign-timestamp", repo).output
    shown = _run("show", repo).output

    assert "pattern/2026.12.1.zip" in shown and "1 rules" in shown
    assert "root 1, valid until" in shown


def test_private_keys_lie_apart_and_only_their_owner_reads_them(tmp_path: Path) -> None:
    _run("init", tmp_path / "repo")

    keys = sorted((tmp_path / "repo-keys").iterdir())
    assert [path.name.split("-")[0] for path in keys] == [
        *["root"] * 3,
        "snapshot",
        "targets",
        "timestamp",
    ]
    assert {path.stat().st_mode & 0o777 for path in keys} == {0o600}
    assert (tmp_path / "repo-keys").stat().st_mode & 0o777 == 0o700
    published = [path for path in (tmp_path / "repo").rglob("*") if path.is_file()]
    assert not any(b"PRIVATE" in path.read_bytes() for path in published)


def test_keys_inside_the_published_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="inside the folder"):
        _run("init", tmp_path / "repo", "--keys", tmp_path / "repo" / "keys")

    assert not (tmp_path / "repo").exists()


def test_a_folder_in_use_is_not_overwritten(tmp_path: Path) -> None:
    _run("init", tmp_path / "repo")

    with pytest.raises(RefusedError, match="not empty"):
        _run("init", tmp_path / "repo", "--keys", tmp_path / "others")


def test_an_older_version_is_not_published(tmp_path: Path, archive: Path) -> None:
    _run("init", tmp_path / "repo")
    _run("publish", tmp_path / "repo", "--patterns", archive)

    with pytest.raises(RefusedError, match="not newer"):
        _run("publish", tmp_path / "repo", "--patterns", archive)


def test_encrypted_keys_want_their_passphrase(
    tmp_path: Path, archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(PASSPHRASE, "over the pass at night")
    _run("init", tmp_path / "repo")
    for path in (tmp_path / "repo-keys").iterdir():
        assert b"ENCRYPTED" in path.read_bytes()
    monkeypatch.setenv(PASSPHRASE, "another")

    with pytest.raises(ConfigurationError, match="passphrase is wrong"):
        _run("publish", tmp_path / "repo", "--patterns", archive)
    monkeypatch.setenv(PASSPHRASE, "over the pass at night")
    assert "Published" in _run("publish", tmp_path / "repo", "--patterns", archive).output


def test_publishing_works_without_the_root_keys_and_says_which_are_missing(
    tmp_path: Path, archive: Path
) -> None:
    _run("init", tmp_path / "repo")
    for path in (tmp_path / "repo-keys").glob("root-*"):
        path.unlink()

    assert "Published" in _run("publish", tmp_path / "repo", "--patterns", archive).output
    with pytest.raises(ConfigurationError, match="2 keys of the role root"):
        _run("renew-root", tmp_path / "repo")


def test_two_of_three_root_keys_replace_the_lost_one(tmp_path: Path) -> None:
    _run("init", tmp_path / "repo")
    lost = next((tmp_path / "repo-keys").glob("root-*"))
    name = lost.stem.removeprefix("root-")
    lost.unlink()

    assert "2.root.json" in _run("renew-root", tmp_path / "repo", "--replace", name).output
    assert "root 2" in _run("show", tmp_path / "repo").output


def test_a_key_that_is_not_there_cannot_be_replaced(tmp_path: Path) -> None:
    _run("init", tmp_path / "repo")

    with pytest.raises(NotFoundError, match="not one key"):
        _run("renew-root", tmp_path / "repo", "--replace", "nobody")


def test_a_folder_that_is_no_source_is_told(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="make one with 'init'"):
        _run("show", tmp_path)
