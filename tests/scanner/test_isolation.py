"""The child cannot hurt its parent: crash, hang, hunger and noise all end as unscannable."""

import hashlib
import json
import os
import shutil
import signal
import socket
import tempfile
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from contracts.scan import ScanResult, Verdict
from patterns import pattern_set
from patterns.opened import open_data
from runtime.errors import NotFoundError
from scanner import isolation, warm_process
from scanner.again import OLDER, judge_again
from scanner.isolation import scan_file
from scanner.limits import DEFAULT, MEBIBYTE, Limits
from tests.scanner.corpus import REAL_SIGNER, real_apk
from tests.scanner.test_container import EICAR, archive


def test_a_real_app_is_read_and_nothing_above_unwanted_is_found(shipped: Path) -> None:
    result = scan_file(real_apk(), shipped)

    assert result.verdict is Verdict.UNWANTED
    rules = {finding.rule for finding in result.findings}
    assert rules == {
        *("debug_key", "debuggable_app", "okhttp_host_names_confused", "trait_reflection"),
    }
    assert (result.package, result.label) == ("com.github.uiautomator", "ATX")
    assert "android.permission.INTERNET" in result.permissions
    assert [signer.sha256 for signer in result.signers] == [REAL_SIGNER]
    assert result.sha256 == hashlib.sha256(real_apk().read_bytes()).hexdigest()
    assert result.skipped == ()
    assert result.pattern_version == shipped.name


def test_a_list_of_hashes_names_a_file_that_no_child_survives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, source = tmp_path / "file.apk", tmp_path / "source"
    file.write_bytes(archive({"assets/a": b"nothing"}))
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    (source / "lists").mkdir(parents=True)
    (source / "lists" / "known.txt").write_text(f"{sha256} Family\n")
    (source / "lists" / "known.toml").write_text(
        '[[rule]]\nid = "known_file"\ntitle = "Known"\nseverity = "high"\ncategory = "trojan"\n'
        'meaning = "It is a file that was read before."\nwhy = "No other file has this hash."\n'
        'kind = "sha256"\nvalues_file = "known.txt"\n'
    )
    pattern_set.build(source, tmp_path / "set.zip", "1.1")
    pattern_set.unpack(tmp_path / "set.zip", tmp_path / "set")

    def killed(*_: object) -> dict[str, object]:
        raise isolation.FailedError("it was killed")

    read = scan_file(file, tmp_path / "set")
    monkeypatch.setattr(isolation, "ask_child", killed)
    lost = scan_file(file, tmp_path / "set")

    for result in (read, lost):
        assert result.verdict is Verdict.MALICIOUS
        assert [(one.rule, one.where) for one in result.findings] == [("known_file", "the file")]
    assert "it was killed" in lost.skipped[0]


def test_the_child_works_from_any_folder_with_any_environment(
    shipped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", "/nowhere")
    (tmp_path / "yara.py").write_text("raise SystemExit(3)")

    assert scan_file(real_apk(), shipped).verdict is Verdict.UNWANTED


def test_the_child_says_which_rights_it_gave_up(shipped: Path) -> None:
    granted = scan_file(real_apk(), shipped).features["confinement"]

    assert {"limits", "no new privileges"} <= set(granted)
    assert "no network" in granted


def test_the_cost_of_a_scan_is_told(shipped: Path) -> None:
    cost = scan_file(real_apk(), shipped).features["cost"]

    assert cost["cpu_ms"] > 0
    assert 10 < cost["peak_mb"] < 600


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


def test_a_scan_short_of_memory_ends_with_what_it_has_found(shipped: Path, tmp_path: Path) -> None:
    path = tmp_path / "big.zip"
    path.write_bytes(archive({"0": EICAR, "zeros": b"\0" * 300 * MEBIBYTE}))
    limits = DEFAULT._replace(memory_bytes=300 * MEBIBYTE, ratio=10_000, entry_bytes=1 << 30)

    result = scan_file(path, shipped, limits)

    assert "needs more memory" in " ".join(result.skipped)
    assert result.verdict is Verdict.MALICIOUS
    assert judge_again(result.features, open_data(str(shipped))).needs_file == (OLDER,)


def test_a_scan_short_of_processor_time_ends_with_what_it_has_found(
    shipped: Path, tmp_path: Path
) -> None:
    path = tmp_path / "many.zip"
    entries = {"0": EICAR} | {f"{number}": os.urandom(3000) for number in range(1, 60_000)}
    path.write_bytes(archive(entries))

    result = scan_file(path, shipped, DEFAULT._replace(cpu_seconds=1))

    assert "the rest, because the time was over" in " ".join(result.skipped)
    assert result.verdict is Verdict.MALICIOUS


STAND_IN = """
import json, sys
sys.path[:0] = json.loads(sys.argv.pop(1))
import os, signal, socket, time
from scanner import child, confinement
from scanner.limits import DEFAULT
def say(text):
    os.write(1, text.encode())
def work(limits):
    {work}
child.Server(socket.socket(fileno=0), work).run()
"""


def stand_in(monkeypatch: pytest.MonkeyPatch, work: str) -> None:
    """Let the copies do *work* in place of a scan, as if a file had taken them over."""
    text = "\n    ".join(work.splitlines())
    monkeypatch.setattr(isolation, "_START", STAND_IN.replace("{work}", text))


@pytest.mark.parametrize(
    ("work", "reason"),
    [
        ("os.abort()", "SIGABRT"),
        ("os.kill(os.getpid(), 11)", "SIGSEGV"),
        ("os._exit(3)", "status 3"),
        ("os._exit(0)", "status 0"),
        ("say('{'); os._exit(0)", "cannot be read"),
        ("return [1]", "no object"),
        ("say('[' * 60000); os._exit(0)", "cannot be read"),
        ("while True: say('x' * 65536)", "said more than the limit"),
        ("return {'findings': 5}", "answer cannot be used"),
        ("return {'verdict': 'clean', 'file': 'other', 'findings': [{}]}", "cannot be used"),
        ("raise RuntimeError('oh')", "gave up: RuntimeError: oh"),
        ("raise MemoryError", "more memory"),
        ("raise SystemExit(4)", "status 70"),
        ("time.sleep(60)", "took more than 2 s"),
        ("os.close(1); time.sleep(60)", "took more than 2 s"),
    ],
)
def test_a_child_gone_wrong_is_told(
    work: str, reason: str, shipped: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(monkeypatch, work)

    assert reason in why(scan_file(real_apk(), shipped, DEFAULT._replace(seconds=2.0)))


HUNGRY = """
class Hungry(dict):
    def items(self):
        raise MemoryError
circle = []
circle.append(circle)
found = [{"rule": "a", "severity": "low", "where": "b", "evidence": "c"}]
said = {"v": 1, "confinement": ["limits"], "large": WHAT}
return {"findings": found, "skipped": ["early"], "features": said}
"""


@pytest.mark.parametrize("what", ["Hungry(a=1)", "circle", "chr(0x1f600) * 1_000_000"])
def test_an_answer_that_cannot_be_written_keeps_what_was_found(
    what: str, shipped: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(monkeypatch, HUNGRY.replace("WHAT", what))

    result = scan_file(real_apk(), shipped)

    assert [finding.rule for finding in result.findings] == ["a"]
    assert "more than is kept" in result.skipped[0]
    assert result.skipped[1:] == ("early",)
    assert result.features["v"] == 0


def test_a_child_that_needs_too_much_processor_time_is_ended(
    shipped: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(monkeypatch, "confinement.confine(limits)\nwhile True: pass")

    assert "processor time" in why(scan_file(real_apk(), shipped, DEFAULT._replace(cpu_seconds=1)))


def test_a_child_cannot_call_its_own_file_clean(
    shipped: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(monkeypatch, "return {'verdict': 'clean', 'sha256': 'x', 'skipped': ['all of it']}")

    result = scan_file(real_apk(), shipped)

    assert why(result) == "all of it"
    assert result.sha256 == hashlib.sha256(real_apk().read_bytes()).hexdigest()


def test_a_crash_costs_no_other_scan(shipped: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(
        monkeypatch,
        "if os.fstat(0).st_size < 5: os.abort()\ntime.sleep(1)\nreturn {'skipped': ['still here']}",
    )
    small = tempfile.NamedTemporaryFile()  # noqa: SIM115
    with small, ThreadPoolExecutor(4) as threads:
        small.write(b"x")
        small.flush()
        jobs = [
            threads.submit(scan_file, path, shipped)
            for path in (real_apk(), Path(small.name), real_apk(), Path(small.name))
        ]
        said = [why(job.result()) for job in jobs]

    assert ["still here" in text for text in said] == [True, False, True, False]
    assert "SIGABRT" in said[1]


def test_scanning_goes_on_after_the_warm_process_was_killed(shipped: Path) -> None:
    scan_file(real_apk(), shipped)
    for warm in warm_process.running():
        os.kill(warm, signal.SIGKILL)

    assert scan_file(real_apk(), shipped).verdict is Verdict.UNWANTED


CONFINED = """
granted, tried = confinement.confine(DEFAULT), []
def attempt(name, action):
    try:
        action()
        tried.append(name)
    except OSError:
        pass
attempt("write", lambda: os.write(os.open("/tmp/written", os.O_CREAT | os.O_WRONLY), b"x"))
attempt("remove", lambda: os.unlink("%(file)s"))
attempt("read", lambda: open("%(file)s").read())
attempt("connect", lambda: socket.create_connection(("127.0.0.1", %(port)s), timeout=2))
attempt("fork", os.fork)
attempt("run", lambda: os.execv("/bin/true", ["true"]))
attempt("kill", lambda: os.kill(os.getppid(), 0))
attempt("descriptors", lambda: [os.fstat(n) for n in range(2, 64) if n != 2])
return {"skipped": [*granted, "then", *tried]}
"""


def test_a_confined_child_touches_nothing_and_reaches_nobody(
    shipped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "there"
    file.write_text("x")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        stand_in(monkeypatch, CONFINED % {"port": port, "file": file})
        said = scan_file(real_apk(), shipped).skipped

    done = said[said.index("then") + 1 :]
    assert "write" not in done
    if "no network" in said:
        assert "connect" not in done
    if "system calls filtered" in said:
        assert done == ()
    assert file.exists()


def test_a_child_holds_no_descriptor_but_file_and_answer(
    shipped: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(monkeypatch, "return {'skipped': [os.listdir('/proc/self/fd').__str__()]}")

    (said,) = scan_file(real_apk(), shipped).skipped
    # 2 leads to the null device; one more is the listing's own.
    assert len(json.loads(said.replace("'", '"'))) == 4


def test_no_secret_of_the_environment_reaches_the_child(
    shipped: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEKISHO_SECRET", "hidden")
    stand_in(monkeypatch, "return {'skipped': [*os.environ, 'no more']}")

    assert "SEKISHO_SECRET" not in scan_file(real_apk(), shipped).skipped


def test_no_copy_is_left_over_and_the_warm_process_ends_when_told(shipped: Path) -> None:
    us = psutil.Process()
    threads = {thread.id for thread in us.threads()}

    scan_file(real_apk(), shipped, Limits(seconds=0.01))

    assert {thread.id for thread in us.threads()} <= threads
    ours = [psutil.Process(number) for number in warm_process.running()]
    assert ours
    _, left = psutil.wait_procs([copy for warm in ours for copy in warm.children()], timeout=60)
    assert left == []
    warm_process.close()
    assert warm_process.running() == []
    assert not any(warm.is_running() for warm in ours)


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
    next(broken.glob("yara/*.yar")).write_text("rule broken {")

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
