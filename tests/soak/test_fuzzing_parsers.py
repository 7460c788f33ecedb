"""Guided fuzzing of the scanner's parsers for a quarter of the time."""

import shutil
from pathlib import Path

import pytest

from tests.scanner.fuzzing import fuzz
from tests.soak.hours import MINUTES

pytestmark = [pytest.mark.soak, pytest.mark.timeout(0)]


def test_nothing_breaks_a_parser(tmp_path: Path) -> None:
    wrong = fuzz(tmp_path, f"-max_total_time={int(MINUTES * 60 / 4)}")
    if wrong:
        shutil.copytree(tmp_path, Path("build") / "fuzzing", dirs_exist_ok=True)

    assert wrong == "", "the inputs are in build/fuzzing"
