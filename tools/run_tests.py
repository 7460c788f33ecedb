"""Runs the whole suite in the order in which failures tell most, and sums up at the end.

First everything on SQLite, on both cores; then what uses the database again on PostgreSQL; last
the tests that need the machine for themselves (real processes, browser), one after the other.
"""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

ALONE = "alone"
STAGES: tuple[tuple[str, dict[str, str], list[str]], ...] = (
    # Three at once on two cores: many of these tests wait for processes and agents.
    ("on SQLite", {}, ["-n", "3", "-m", f"not {ALONE} and not soak", "tests"]),
    (
        "on PostgreSQL",
        {"TEST_DATABASE_URL": "postgresql"},
        [
            "-n",
            "2",
            "-m",
            f"not {ALONE} and not soak and not browser",
            "tests/management",
            "tests/test_database.py",
        ],
    ),
    ("end to end", {}, ["-m", f"{ALONE} and not soak", "tests"]),
)


MEMORY_FOLDER = Path("/dev/shm")  # noqa: S108  (a folder of our own is made in it)
ENOUGH_BYTES = 4 * 1024**3


@contextmanager
def temporary_files() -> Iterator[dict[str, str]]:
    """Yield the environment that keeps the tests' files in memory, where there is enough.

    Thousands of small databases are synchronised to disk otherwise, which takes most of the time.
    """
    in_memory = MEMORY_FOLDER.is_dir() and shutil.disk_usage(MEMORY_FOLDER).free > ENOUGH_BYTES
    with TemporaryDirectory(prefix="sekisho-", dir=MEMORY_FOLDER if in_memory else None) as folder:
        # PostgreSQL runs as another user and must get through to its own folder.
        Path(folder).chmod(0o711)
        yield {"TMPDIR": folder}


def main() -> int:
    """Run each stage; exit status 1 when one failed."""
    with temporary_files() as files:
        return _run({**os.environ, **files})


def _run(inherited: dict[str, str]) -> int:
    failed = []
    for name, environment, words in STAGES:
        started = time.monotonic()
        print(f"== {name}", flush=True)
        status = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", *words, *sys.argv[1:]],
            env={**inherited, **environment},
            check=False,
        ).returncode
        print(f"== {name}: {time.monotonic() - started:.0f} s, exit status {status}", flush=True)
        if status:
            failed.append(name)
    print(f"failed: {', '.join(failed)}" if failed else "all stages passed", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
