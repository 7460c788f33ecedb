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


def rules_of(result: dict[str, Any]) -> set[str]:
    """Return the rules that found something."""
    return {finding["rule"] for finding in result["findings"]}
