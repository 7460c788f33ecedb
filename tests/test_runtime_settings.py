"""Settings from the environment: what is mistyped is named, not ignored."""

from dataclasses import dataclass, fields
from pathlib import Path

import pytest

import management.settings
from runtime import settings
from runtime.errors import ConfigurationError


@dataclass(frozen=True)
class Trial:
    """Settings of a part made up here."""

    port: int = 1
    public_name: str = "here"


def _load(part: str, home: Path, **variables: str) -> Trial:
    return settings.load(Trial, part, {"SEKISHO_HOME": str(home), **variables})


@pytest.mark.parametrize(
    ("part", "prefix"), [("", "SEKISHO_"), ("communication", "SEKISHO_COMMUNICATION_")]
)
def test_a_mistyped_variable_is_refused_with_the_likely_name(
    tmp_path: Path, part: str, prefix: str
) -> None:
    with pytest.raises(ConfigurationError) as told:
        _load(part, tmp_path, **{f"{prefix}PUBLIC_NAM": "there"})

    assert f"{prefix}PUBLIC_NAM (did you mean {prefix}PUBLIC_NAME?)" in str(told.value)


def test_settings_of_management_that_begin_like_a_part_are_known() -> None:
    begins = tuple(f"{part}_" for part in settings.PARTS)
    named = {field.name for field in fields(management.settings.Settings)}

    assert {name for name in named if name.startswith(begins)} == settings.MANAGEMENTS_OWN


def test_a_part_that_nobody_knows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="SEKISHO_COMUNICATION_PORT"):
        _load("", tmp_path, SEKISHO_COMUNICATION_PORT="2")


def test_what_other_parts_read_is_left_to_them(tmp_path: Path) -> None:
    others = {
        "SEKISHO_SIGNER_X": "1",
        "SEKISHO_CRASH_AT": "never",
        "SEKISHO_REMOTE": "elsewhere.json",
        "SEKISHO_TOKEN": "of the examples in the API reference",
        "SEKISHO_SUPERVISED": "1",
        "SEKISHO_HELD": "1",
    }

    assert _load("", tmp_path, **others) == Trial()
    assert (
        _load("communication", tmp_path, SEKISHO_PORT="9", SEKISHO_COMMUNICATION_PORT="3").port == 3
    )
