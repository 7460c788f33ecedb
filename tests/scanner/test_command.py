"""``sekisho scan`` as a shell sees it."""

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from patterns import pattern_set
from tests.scanner.build_apk import App, build_apk
from tests.scanner.corpus import real_apk
from tests.scanner.test_container import EICAR, archive

KEYS = {
    "file", "sha256", "package", "verdict", "categories", "findings", "skipped",
    "pattern_version", "elapsed_ms", "family", "techniques", "confidence",
}  # fmt: skip


def sekisho(*words: str | Path, home: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "sekisho", *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
        env={"SEKISHO_HOME": str(home), "PATH": "/usr/bin:/bin"},
    )


def test_one_json_object_a_line_and_a_status(tmp_path: Path) -> None:
    bad, text = tmp_path / "bad.zip", tmp_path / "a.txt"
    bad.write_bytes(archive({"x": EICAR}))
    text.write_text("hello")

    done = sekisho("scan", "--json", real_apk(), bad, text, home=tmp_path)

    results = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 1
    assert [result["verdict"] for result in results] == ["unwanted", "malicious", "unscannable"]
    assert all(set(result) >= KEYS for result in results)
    assert set(results[1]["findings"][0]) >= {"rule", "severity", "where", "evidence"}
    assert (results[1]["family"], results[1]["categories"]) == ("EICAR-Test-File", ["test-file"])
    assert done.stderr == ""


def test_the_status_says_clean_unscannable_or_wrong_usage(tmp_path: Path) -> None:
    clean, text = build_apk(tmp_path / "clean.apk", App()), tmp_path / "a.txt"
    text.write_text("hello")
    (tmp_path / "empty").mkdir()

    assert sekisho("scan", clean, home=tmp_path).returncode == 0
    assert sekisho("scan", clean, text, home=tmp_path).returncode == 2
    missing, empty = (sekisho("scan", tmp_path / name, home=tmp_path) for name in ("no", "empty"))
    assert (missing.returncode, empty.returncode) == (64, 64)
    assert "does not exist" in missing.stderr
    assert "no file to scan" in empty.stderr
    assert sekisho("scan", home=tmp_path).returncode == 64
    assert sekisho("scan", "--patterns", "none", clean, home=tmp_path).returncode == 64


def test_a_folder_is_scanned_with_all_below_it_in_order(tmp_path: Path) -> None:
    folder = tmp_path / "apps"
    for name in ("b/deep/er", "a"):
        (folder / name).mkdir(parents=True)
        (folder / name / "x.zip").write_bytes(archive({"x": EICAR}))
    (folder / "b" / "again").symlink_to(folder)
    (folder / "hidden.txt").write_bytes(EICAR)

    done = sekisho("scan", "--json", folder, home=tmp_path)

    found = [(r["file"], r["verdict"]) for r in map(json.loads, done.stdout.splitlines())]
    names = ("hidden.txt", "a/x.zip", "b/deep/er/x.zip")
    assert found == [(str(folder / name), "malicious") for name in names]
    assert done.returncode == 1


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_nobody_may_read_does_not_end_the_scan(tmp_path: Path) -> None:
    folder = tmp_path / "apps"
    folder.mkdir()
    (folder / "a.zip").write_bytes(archive({"x": EICAR}))
    (folder / "b.zip").write_bytes(b"secret")
    (folder / "b.zip").chmod(0)

    done = sekisho("scan", "--json", folder, home=tmp_path)

    first, second = map(json.loads, done.stdout.splitlines())
    assert (first["verdict"], second["verdict"]) == ("malicious", "unscannable")
    assert "cannot be read" in second["skipped"][0]
    assert second["sha256"] is None


def test_the_text_for_people_says_what_why_and_where(tmp_path: Path) -> None:
    bad = tmp_path / "bad.zip"
    bad.write_bytes(archive({"deep/x": EICAR}))

    done = sekisho("scan", real_apk(), bad, home=tmp_path)

    assert "com.github.uiautomator 2.4.0 (ATX)" in done.stdout
    assert "CN=Android Debug" in done.stdout
    assert "EICAR anti-virus test file" in done.stdout
    assert "deep/x at 0x0" in done.stdout
    text = " ".join(done.stdout.split())
    assert "to know Calls methods by their names: classes.dex at 0x" in text
    assert "uses Ljava/lang/reflect/Method;->invoke, and 4 more" in text
    assert "\x1b" not in done.stdout + done.stderr
    assert "2 files" in done.stderr
    assert "1 malicious, 1 unwanted" in done.stderr or "1 unwanted, 1 malicious" in done.stderr


def test_a_terminal_gets_a_progress_bar_and_colours_unless_it_wants_none(tmp_path: Path) -> None:
    for name in ("a.zip", "b.zip"):
        (tmp_path / name).write_bytes(archive({"x": EICAR}))
    command = [sys.executable, "-m", "sekisho", "scan", *map(str, tmp_path.glob("*.zip"))]
    environment = {"SEKISHO_HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "TERM": "xterm"}

    shown = in_terminal(command, environment)
    plain = in_terminal(command, {**environment, "NO_COLOR": "1"})

    assert "2/2" in shown
    assert "\x1b[31m" in shown
    assert "2/2" in plain
    assert "\x1b[31m" not in plain


def in_terminal(command: list[str], environment: dict[str, str]) -> str:
    """Run *command* at a terminal of its own and return all that it shows."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(command, stdout=theirs, stderr=theirs, env=environment)
    os.close(theirs)
    shown = b""
    with os.fdopen(ours, "rb", buffering=0) as terminal:
        while True:
            try:
                piece = terminal.read(65_536)
            except OSError:  # Linux says so when the other side is closed
                break
            if not piece:
                break
            shown += piece
    assert process.wait() == 1
    return shown.decode()


def test_a_built_set_a_folder_of_sources_and_the_newest_set_can_be_used(tmp_path: Path) -> None:
    out, bad = tmp_path / "set.zip", tmp_path / "bad.zip"
    pattern_set.build(pattern_set.SHIPPED, out, "2027.1.1")
    pattern_set.unpack(out, tmp_path / "patterns" / "2027.1.1")
    bad.write_bytes(archive({"x": EICAR}))
    shipped = pattern_set.source_version(pattern_set.SHIPPED)

    def version(*words: str | Path) -> str:
        done = sekisho("scan", "--json", *words, bad, home=tmp_path)
        assert done.returncode == 1, done.stderr
        return str(json.loads(done.stdout)["pattern_version"])

    assert version() == "2027.1.1"
    assert version("--patterns", pattern_set.SHIPPED) == shipped
    assert version("--patterns", out) == "2027.1.1"
    assert version("--patterns", tmp_path / "patterns" / "2027.1.1") == "2027.1.1"
    broken = tmp_path / "broken.zip"
    broken.write_bytes(b"no set")
    done = sekisho("scan", "--patterns", broken, bad, home=tmp_path)
    assert done.returncode not in (0, 1, 2)
    assert "broken.zip is not a pattern set" in done.stderr
