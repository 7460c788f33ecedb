"""The child cannot hurt its parent: crash, hang, hunger and noise all end as unscannable."""

import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import psutil
import pytest

from contracts.scan import ScanResult, Verdict
from runtime.errors import NotFoundError
from scanner import isolation
from scanner.isolation import scan_file
from scanner.limits import DEFAULT, MEBIBYTE, Limits
from tests.scanner.corpus import REAL_SIGNER, real_apk
from tests.scanner.test_container import EICAR, archive


def test_a_real_app_is_read_and_nothing_above_unwanted_is_found(shipped: Path) -> None:
    result = scan_file(real_apk(), shipped)

    assert result.verdict is Verdict.UNWANTED
    assert {finding.rule for finding in result.findings} == {"debug_key", "debuggable_app"}
    assert (result.package, result.label) == ("com.github.uiautomator", "ATX")
    assert "android.permission.INTERNET" in result.permissions
    assert [signer.sha256 for signer in result.signers] == [REAL_SIGNER]
    assert result.sha256 == hashlib.sha256(real_apk().read_bytes()).hexdigest()
    assert result.skipped == ()
    assert result.pattern_version == shipped.name


def test_the_child_works_from_any_folder_with_any_environment(
    shipped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", "/nowhere")
    (tmp_path / "yara.py").write_text("raise SystemExit(3)")

    assert scan_file(real_apk(), shipped).verdict is Verdict.UNWANTED


def test_the_documented_way_to_start_the_child_works(shipped: Path) -> None:
    with real_apk().open("rb") as file:
        done = subprocess.run(
            [sys.executable, "-I", "-m", "scanner.child", str(shipped), "{}"],
            stdin=file,
            capture_output=True,
            check=True,
        )

    assert b'"com.github.uiautomator"' in done.stdout


def test_the_child_says_which_rights_it_gave_up(shipped: Path) -> None:
    granted = scan_file(real_apk(), shipped).features["confinement"]

    assert {"limits", "no new privileges"} <= set(granted)


def why(result: ScanResult) -> str:
    assert result.verdict is Verdict.UNSCANNABLE
    assert result.sha256 is not None
    return " ".join(result.skipped)


def test_a_scan_that_takes_too_long_is_ended(shipped: Path) -> None:
    assert "took more than 0.01 s" in why(scan_file(real_apk(), shipped, Limits(seconds=0.01)))


def test_a_scan_that_needs_too_much_memory_is_ended(shipped: Path, tmp_path: Path) -> None:
    path = tmp_path / "big.zip"
    path.write_bytes(archive({"zeros": b"\0" * 300 * MEBIBYTE}))
    limits = DEFAULT._replace(memory_bytes=200 * MEBIBYTE, ratio=10_000, entry_bytes=1 << 30)

    assert "memory" in why(scan_file(path, shipped, limits))


def test_a_scan_that_needs_too_much_processor_time_is_ended(shipped: Path, tmp_path: Path) -> None:
    path = tmp_path / "many.zip"
    path.write_bytes(archive({f"{number}": os.urandom(3000) for number in range(60_000)}))

    assert "processor time" in why(scan_file(path, shipped, DEFAULT._replace(cpu_seconds=1)))


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        ("import os; os.abort()", "SIGABRT"),
        ("import os; os.kill(os.getpid(), 11)", "SIGSEGV"),
        ("raise SystemExit(3)", "status 3"),
        ("pass", "status 0"),
        ("print('{')", "cannot be read"),
        ("print('[1]')", "no object"),
        ("print('[' * 200000)", "cannot be read"),
        ("import sys\nwhile True: sys.stdout.write('x' * 65536)", "said more than the limit"),
        ("""print('{"findings": 5}')""", "answer cannot be used"),
        ("""print('{"verdict": "clean", "file": "other", "findings": [{}]}')""", "cannot be used"),
        ("import time; time.sleep(60)", "took more than 2 s"),
        ("import os, time; os.close(1); time.sleep(60)", "took more than 2 s"),
    ],
)
def test_a_child_gone_wrong_is_told(
    program: str, reason: str, shipped: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(isolation, "_START", program)

    assert reason in why(scan_file(real_apk(), shipped, DEFAULT._replace(seconds=2.0)))


def test_a_child_cannot_call_its_own_file_clean(
    shipped: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lie = """print('{"verdict": "clean", "sha256": "x", "skipped": ["all of it"]}')"""
    monkeypatch.setattr(isolation, "_START", lie)

    result = scan_file(real_apk(), shipped)

    assert why(result) == "all of it"
    assert result.sha256 == hashlib.sha256(real_apk().read_bytes()).hexdigest()


CONFINED = """
import json, os, socket, sys
sys.path[:0] = json.loads(sys.argv.pop(1))
from scanner.confinement import confine
from scanner.limits import DEFAULT
granted, tried = confine(DEFAULT), []
def attempt(name, action):
    try:
        action()
        tried.append(name)
    except OSError:
        pass
attempt("write", lambda: os.write(os.open("written", os.O_CREAT | os.O_WRONLY), b"x"))
attempt("connect", lambda: socket.create_connection(("127.0.0.1", int(sys.argv[3])), timeout=2))
print(json.dumps({"skipped": [*granted, "then", *tried]}))
"""


def test_a_confined_child_writes_no_file_and_reaches_nobody(
    shipped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import socket

    monkeypatch.chdir(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        monkeypatch.setattr(isolation, "_START", CONFINED.replace("sys.argv[3]", str(port)))
        said = scan_file(real_apk(), shipped).skipped

    done = said[said.index("then") + 1 :]
    assert "write" not in done
    if "no network" in said:
        assert "connect" not in done


def test_no_child_is_left_over(shipped: Path) -> None:
    us = psutil.Process()
    # This process may have children and threads of other tests; ours must not join them.
    threads = {thread.id for thread in us.threads()}
    children = {child.pid for child in us.children()}

    scan_file(real_apk(), shipped, Limits(seconds=0.01))

    assert {thread.id for thread in us.threads()} <= threads
    assert {child.pid for child in us.children()} <= children


def test_an_empty_or_missing_file_is_told(shipped: Path, tmp_path: Path) -> None:
    (tmp_path / "empty.apk").touch()

    assert "it is empty" in why(scan_file(tmp_path / "empty.apk", shipped))
    with pytest.raises(NotFoundError):
        scan_file(tmp_path / "none.apk", shipped)
    with pytest.raises(NotFoundError):
        scan_file(tmp_path, shipped)
    with pytest.raises(NotFoundError):
        scan_file(real_apk(), tmp_path)


def test_a_file_above_the_limit_is_not_read(shipped: Path) -> None:
    assert "larger than 1000 bytes" in why(
        scan_file(real_apk(), shipped, DEFAULT._replace(file_bytes=1000))
    )


def test_a_damaged_pattern_set_never_makes_a_file_clean(shipped: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(shipped, broken)
    (broken / "yara" / "rooting.yar").write_text("rule broken {")

    assert "status 1" in why(scan_file(real_apk(), broken))


def test_findings_survive_what_is_skipped(shipped: Path, tmp_path: Path) -> None:
    path = tmp_path / "both.zip"
    path.write_bytes(archive({"a": EICAR, "zeros": b"\0" * 50 * MEBIBYTE}))

    result = scan_file(path, shipped)

    assert result.verdict is Verdict.MALICIOUS
    assert result.skipped
    assert result.categories[0] == "test-file"


def test_a_name_with_odd_characters_is_shown_safely(shipped: Path, tmp_path: Path) -> None:
    path = tmp_path / "odd\n\udcff\x1b[31m.zip"
    with zipfile.ZipFile(path, "w") as opened:
        opened.writestr("AndroidManifest.xml\x1b", b"x")

    assert scan_file(path, shipped).file.isprintable()
