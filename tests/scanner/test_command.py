"""``sekisho scan`` and ``sekisho pattern`` as a shell sees them."""

import json
import subprocess
import sys
from pathlib import Path

from patterns import pattern_set
from tests.scanner.build_apk import App, build_apk
from tests.scanner.corpus import real_apk
from tests.scanner.test_container import EICAR, archive

KEYS = {
    "file", "sha256", "package", "verdict", "categories", "findings", "skipped",
    "pattern_version", "elapsed_ms",
}  # fmt: skip


def sekisho(*words: str, home: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "sekisho", *words],
        capture_output=True,
        text=True,
        check=False,
        env={"SEKISHO_HOME": str(home), "PATH": "/usr/bin:/bin"},
    )


def test_one_json_object_a_line_and_a_status(tmp_path: Path) -> None:
    bad, text = tmp_path / "bad.zip", tmp_path / "a.txt"
    bad.write_bytes(archive({"x": EICAR}))
    text.write_text("hello")

    done = sekisho("scan", "--json", str(real_apk()), str(bad), str(text), home=tmp_path)

    results = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 1
    assert [result["verdict"] for result in results] == ["unwanted", "malicious", "unscannable"]
    assert all(set(result) >= KEYS for result in results)
    assert set(results[1]["findings"][0]) >= {"rule", "severity", "where", "evidence"}


def test_the_status_says_clean_unscannable_or_wrong_usage(tmp_path: Path) -> None:
    clean, text = build_apk(tmp_path / "clean.apk", App()), tmp_path / "a.txt"
    text.write_text("hello")

    assert sekisho("scan", str(clean), home=tmp_path).returncode == 0
    assert sekisho("scan", str(clean), str(text), home=tmp_path).returncode == 2
    missing, folder = (sekisho("scan", str(p), home=tmp_path) for p in (tmp_path / "no", tmp_path))
    assert (missing.returncode, folder.returncode) == (64, 64)
    assert "does not exist" in missing.stderr
    assert "is a folder" in folder.stderr
    assert sekisho("scan", home=tmp_path).returncode == 64
    assert sekisho("scan", "--patterns", "none", str(clean), home=tmp_path).returncode == 64


def test_the_text_for_people_names_app_signer_and_evidence(tmp_path: Path) -> None:
    said = sekisho("scan", str(real_apk()), home=tmp_path).stdout

    assert "com.github.uiautomator 2.4.0 (ATX)" in said
    assert "CN=Android Debug" in said
    assert "debug_key in signature" in said


def test_a_set_can_be_built_and_used(tmp_path: Path) -> None:
    out = tmp_path / "set.zip"
    built = sekisho("pattern", "build", str(pattern_set.SHIPPED), str(out), home=tmp_path)
    assert built.returncode == 0, built.stderr
    pattern_set.unpack(out, tmp_path / "patterns" / "2027.1.1")

    done = sekisho("scan", "--json", str(real_apk()), home=tmp_path)

    assert (
        json.loads(done.stdout)["pattern_version"]
        == pattern_set.read_manifest(tmp_path / "patterns" / "2027.1.1").version
    )


def test_rules_are_counted_explained_and_tried(tmp_path: Path) -> None:
    bad = tmp_path / "bad.zip"
    bad.write_bytes(archive({"x": EICAR}))
    source = str(pattern_set.SHIPPED)

    assert "10 rules" in sekisho("pattern", "stats", home=tmp_path).stdout
    assert (
        "Why it is not usual" in sekisho("pattern", "show", "root_installer", home=tmp_path).stdout
    )
    tried = sekisho(
        *("pattern", "test", source, "--hit", "eicar_test_file", str(bad)),
        *("--miss", str(real_apk())),
        home=tmp_path,
    )
    assert "2 files were tried" in tried.stdout
    wrong = sekisho("pattern", "test", source, "--miss", str(bad), home=tmp_path)
    assert wrong.returncode not in (0, 64)
    assert "eicar_test_file" in wrong.stderr
