"""Runs the whole suite in the order in which failures tell most, and sums up at the end.

First everything on SQLite, on both cores; then what uses the database again on PostgreSQL; last
the tests that need the machine for themselves (real processes, browser), one after the other.
"""

import os
import subprocess
import sys
import time

ALONE = "alone"
STAGES: tuple[tuple[str, dict[str, str], list[str]], ...] = (
    ("on SQLite", {}, ["-n", "2", "-m", f"not {ALONE} and not soak", "tests"]),
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


def main() -> int:
    """Run each stage; exit status 1 when one failed."""
    failed = []
    for name, environment, words in STAGES:
        started = time.monotonic()
        print(f"== {name}", flush=True)
        status = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", *words, *sys.argv[1:]],
            env={**os.environ, **environment},
            check=False,
        ).returncode
        print(f"== {name}: {time.monotonic() - started:.0f} s, exit status {status}", flush=True)
        if status:
            failed.append(name)
    print(f"failed: {', '.join(failed)}" if failed else "all stages passed", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
