"""What scanner tests share: the shipped pattern set, and a scan in this process."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from patterns import pattern_set
from patterns.opened import OpenSet, open_set
from scanner.limits import MEBIBYTE, Limits
from scanner.scan import scan

SMALL = Limits(
    entry_bytes=8 * MEBIBYTE,
    total_bytes=32 * MEBIBYTE,
    ratio_free_bytes=MEBIBYTE,
    entries=70_000,
    seconds=60,
)
Scan = Callable[..., dict[str, Any]]
Make = Callable[..., Path]


@pytest.fixture(scope="session")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped set, unpacked."""
    folder = tmp_path_factory.mktemp("patterns")
    version = pattern_set.source_version(pattern_set.SHIPPED)
    pattern_set.build(pattern_set.SHIPPED, folder / "set.zip", version)
    pattern_set.unpack(folder / "set.zip", folder / version)
    return folder / version


@pytest.fixture(scope="session")
def opened(shipped: Path) -> OpenSet:
    return open_set(str(shipped))


@pytest.fixture(scope="session")
def scan_here(opened: OpenSet) -> Scan:
    """Scan bytes in this process, within small limits."""

    def scan_bytes(data: bytes, limits: Limits = SMALL) -> dict[str, Any]:
        return scan(data, opened, limits)

    return scan_bytes


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Build a set of these source files and return its folder."""

    def build(**files: str) -> Path:
        number = len([*tmp_path.glob("source*")])
        source, out = tmp_path / f"source{number}", tmp_path / f"set{number}"
        for name, text in files.items():
            path = source / name.replace("__", "/").replace("_toml", ".toml").replace(
                "_yar", ".yar"
            )
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        pattern_set.build(source, tmp_path / "set.zip", f"1.{number}")
        pattern_set.unpack(tmp_path / "set.zip", out)
        return out

    return build


def rules_of(result: dict[str, Any]) -> set[str]:
    """Return the rules that found something."""
    return {finding["rule"] for finding in result["findings"]}
