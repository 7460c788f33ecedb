"""`sekisho up`, before it starts anything."""

import fcntl
from pathlib import Path

import pytest

from runtime.errors import ConfigurationError
from sekisho.cli import run_everything


def test_a_second_one_on_the_same_folder_is_told_so_and_starts_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SEKISHO_HOME", str(tmp_path))
    with (tmp_path / "up.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)

        with pytest.raises(ConfigurationError, match="running already"):
            run_everything()

    assert [path.name for path in tmp_path.iterdir()] == ["up.lock"]
    assert capsys.readouterr() == ("", "")
