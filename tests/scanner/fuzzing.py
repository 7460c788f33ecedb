"""Runs `tests.scanner.fuzz` as a process of its own, with the kept corpus as a start."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
KEPT = Path(__file__).parent / "fuzz_corpus"


def fuzz(folder: Path, *switches: str) -> str:
    """Fuzz all parsers; new inputs and crashes stay in *folder*. Return what went wrong.

    A shell starts the fuzzer: libFuzzer limits the peak of its memory as getrusage(2) tells it, and
    Linux counts into that the peak of the process that called exec, which is a test worker's here.
    """
    found = folder / "found"
    found.mkdir(exist_ok=True)
    done = subprocess.run(
        [
            *("/bin/sh", "-c", '"$@"; exit $?', "fuzz"),
            *(sys.executable, "-m", "tests.scanner.fuzz", str(found), str(KEPT)),
            *("-timeout=60", "-rss_limit_mb=1500", "-max_len=4000", "-print_final_stats=1"),
            *(f"-artifact_prefix={folder}/", *switches),
        ],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    crashed = [path.name for path in folder.glob("*-*")]
    if done.returncode or crashed or "Done " not in done.stderr:
        return f"status {done.returncode}, {crashed}: {done.stdout[-3000:]}{done.stderr[-3000:]}"
    return ""
