"""Every trick is seen through: found, named, within limits, never clean by being unreadable."""

import importlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from contracts.scan import ScanResult, Verdict
from scanner.container_rules import ODD
from scanner.isolation import scan_file
from scanner.limits import MEBIBYTE, Limits
from tests.scanner import hostile, marker
from tests.scanner.hostile import Variant

LIMITS = Limits(
    entry_bytes=64 * MEBIBYTE,
    total_bytes=256 * MEBIBYTE,
    ratio_free_bytes=8 * MEBIBYTE,
    memory_bytes=700 * MEBIBYTE,
    seconds=120,
    cpu_seconds=60,
)


@pytest.mark.parametrize("make", hostile.ALL, ids=[make.__name__ for make in hostile.ALL])
def test_every_trick_is_seen_through(
    make: Callable[[], Iterator[Variant]], shipped: Path, tmp_path: Path
) -> None:
    wrong = []
    folder = tmp_path / "only"
    folder.mkdir()
    path = folder / "hostile.apk"
    for variant in make():
        path.write_bytes(variant.data)
        result = scan_file(path, shipped, LIMITS)
        wrong += [f"{variant.name}: {why} {_shown(result)}" for why in _wrong(variant, result)]

    assert wrong == []
    assert [*folder.iterdir()] == [path]
    assert [*tmp_path.iterdir()] == [folder]


def _wrong(variant: Variant, result: ScanResult) -> Iterator[str]:
    rules = {finding.rule for finding in result.findings}
    if any("was not scanned" in reason for reason in result.skipped):
        yield "it was not scanned"
    if variant.has_marker and "eicar_test_file" not in rules and not _too_much(result):
        yield "the marker is not found"
    if variant.rule and variant.rule not in rules:
        yield f"nothing says {variant.rule}"
    if result.verdict is Verdict.CLEAN:
        yield "it is clean"
    if variant.package and result.package != variant.package:
        yield "the package is not read"
    if variant.package is None and not result.package and not result.skipped:
        yield "nothing says that the manifest is not read"
    if result.features["cost"]["peak_mb"] > 600:
        yield "it needs too much memory"


def _too_much(result: ScanResult) -> bool:
    """Whether the limits cut the scan off, and the result says so."""
    return any("limit" in reason or "unpacked bytes" in reason for reason in result.skipped)


def _shown(result: ScanResult) -> str:
    found = sorted({finding.rule for finding in result.findings})
    return f"({result.verdict}, {result.package!r}, {found}, {result.skipped})"


@pytest.fixture
def harmless(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The same files with nothing bad in them."""
    monkeypatch.setattr(marker, "TEXT", b"-" * len(marker.TEXT))
    importlib.reload(hostile)
    yield
    monkeypatch.undo()
    importlib.reload(hostile)


@pytest.mark.usefixtures("harmless")
@pytest.mark.parametrize("name", [make.__name__ for make in hostile.ALL[:-1]])
def test_a_trick_with_nothing_behind_it_is_no_honest_app(
    name: str, shipped: Path, tmp_path: Path
) -> None:
    """What is built to mislead is suspicious, what cannot be read is unscannable."""
    path = tmp_path / "hostile.apk"
    passed = []
    for variant in getattr(hostile, name)():
        path.write_bytes(variant.data)
        result = scan_file(path, shipped, LIMITS)
        grave = ODD.get(variant.rule, ("medium",))[0] == "medium" and variant.rule
        if result.verdict not in (Verdict.CLEAN, Verdict.UNWANTED):
            continue
        if grave or not result.package or result.skipped:
            passed.append(f"{variant.name} {_shown(result)}")

    assert passed == []


@pytest.mark.usefixtures("harmless")
def test_code_of_a_version_that_is_not_read_is_never_clean(shipped: Path, tmp_path: Path) -> None:
    (newest,) = (one for one in hostile.codes() if one.name == "code: newest version")
    path = tmp_path / "newest.apk"
    path.write_bytes(newest.data)

    result = scan_file(path, shipped, LIMITS)

    assert result.verdict is Verdict.UNSCANNABLE
    assert any("version 041" in reason for reason in result.skipped)
