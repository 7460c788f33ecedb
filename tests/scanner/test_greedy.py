"""A manifest that asks for too much memory or time costs little, and hides nothing."""

from pathlib import Path

from contracts.scan import Verdict
from scanner.isolation import scan_file
from tests.scanner import greedy, misread

TOLD = {
    "actions by reference": "more, or longer texts",
    "names by reference": "more, or longer texts",
    "actions of their own": "more, or longer texts",
    "shapes": "more than is kept",
    "elements that stay open": "",
    "attributes at one place": "more, or longer texts",
    "attributes of their own": "",
    "labels": "more to look up",
}
"""Of each, what is told as skipped; empty: nothing needs to be."""
MOST_MEGABYTES = 400


def test_a_greedy_manifest_costs_little_and_hides_nothing(shipped: Path, tmp_path: Path) -> None:
    path, seen = tmp_path / "greedy.apk", set()
    for one in greedy.all_of_them():
        path.write_bytes(misread.apk(one.manifest, one.resources))

        result = scan_file(path, shipped)

        assert misread.RULE in {finding.rule for finding in result.findings}, one.name
        assert result.features["cost"]["peak_mb"] < MOST_MEGABYTES, one.name
        assert TOLD[one.name] in " ".join(result.skipped), one.name
        assert result.verdict is not Verdict.CLEAN
        seen.add(one.name)

    assert seen == set(TOLD)
