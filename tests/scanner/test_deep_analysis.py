"""A deep analysis tells who calls what, and whatever the file, it ends within its limits."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from contracts.scan import ScanResult, Severity, Verdict
from runtime.errors import NotFoundError, RefusedError
from scanner.deep_analysis import deepen
from scanner.isolation import scan_file
from scanner.limits import DEEP
from tests.scanner.build_apk import App, build_apk
from tests.scanner.hostile import CODE
from tests.scanner.test_container import archive


@pytest.fixture(scope="module")
def apk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    app = App(
        package="org.example.deep",
        calls=[
            "Ljava/lang/System;->loadLibrary(Ljava/lang/String;)V",
            "Landroid/telephony/SmsManager;->sendTextMessage()V",
        ],
        schemes=frozenset(),
    )
    return build_apk(tmp_path_factory.mktemp("deep") / "deep.apk", app)


@pytest.fixture(scope="module")
def scanned(apk: Path, shipped: Path) -> ScanResult:
    return scan_file(apk, shipped)


@pytest.fixture(scope="module")
def deepened(apk: Path, scanned: ScanResult) -> ScanResult:
    return deepen(apk, scanned)


def test_a_call_is_told_with_its_place_and_the_way_there(deepened: ScanResult) -> None:
    (sms,) = (finding for finding in deepened.findings if finding.rule == "deep_sms")

    assert sms.where.startswith("Lorg/example/deep/Main;->talk()V at 0x")
    assert "SmsManager;->sendTextMessage" in sms.evidence
    assert "reached by Lorg/example/deep/Main;->talk()V" in sms.evidence
    assert "deep_native_loading" in {finding.rule for finding in deepened.findings}


def test_notes_are_added_and_the_verdict_stays(scanned: ScanResult, deepened: ScanResult) -> None:
    added = deepened.findings[len(scanned.findings) :]

    assert {finding.severity for finding in added} == {Severity.NOTE}
    assert (deepened.verdict, deepened.skipped) == (scanned.verdict, scanned.skipped)
    assert deepened.features["deep"]["classes"] == 1
    assert "no network" in deepened.features["deep"]["confinement"]


def test_an_analysis_that_takes_too_long_is_ended_and_told(apk: Path, scanned: ScanResult) -> None:
    result = deepen(apk, scanned, DEEP._replace(seconds=0.01))

    assert result.findings[-1].rule == "deep_analysis_unfinished"
    assert "took more than 0.01 s" in result.findings[-1].evidence


def test_code_that_androguard_cannot_read_is_a_gap(shipped: Path, tmp_path: Path) -> None:
    path = tmp_path / "broken.apk"
    path.write_bytes(archive({"classes.dex": CODE[:0x38] + b"\xff" * 60, "b": b"x"}))
    result = deepen(path, scan_file(path, shipped))

    assert result.verdict is Verdict.UNSCANNABLE
    (gap,) = (finding for finding in result.findings if finding.rule.startswith("deep_"))
    assert gap.rule == "deep_analysis_gap"
    assert gap.evidence.startswith("classes.dex: ")


def test_another_file_than_the_scanned_one_is_refused(scanned: ScanResult, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "other.apk", "w") as other:
        other.writestr("a", b"b")

    with pytest.raises(RefusedError):
        deepen(tmp_path / "other.apk", scanned)
    with pytest.raises(NotFoundError):
        deepen(tmp_path / "none.apk", scanned)


def test_androguard_is_loaded_in_that_process_only() -> None:
    program = "import sys, scanner.cli; sys.exit('androguard' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
    importing = [
        path.name
        for path in Path(__file__).parents[2].joinpath("scanner").glob("*.py")
        if "import androguard" in path.read_text() or "from androguard" in path.read_text()
    ]
    assert importing == ["deep_child.py"]
