"""What scanning an app costs, beside the bare operations that nobody can leave out.

CPU milliseconds, best of several runs, and peak memory, on real apps and one built of 200 MB. The
rounds of floor and scan take turns, as machines are noisy. The floor, with the same rules: SHA-256
of the file, inflating each entry, SHA-256 and YARA over what came out, the manifest, the DEX
tables, and the digest and signature of schemes v2 and v3. *warm* is the scan inside a warm
process, *isolated* with a process of its own, all processes together.

    SEKISHO_BENCH_ANDROGUARD=1 python -m benchmarks scan    AnalyzeAPK beside it (slow)
"""

import contextlib
import gc
import hashlib
import json
import mmap
import os
import random
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from patterns import pattern_set
from patterns.opened import OpenSet, open_set
from scanner import block_signatures, signing_block, warm_process
from scanner.child import GARBAGE
from scanner.dex import Dex
from scanner.isolation import scan_file
from scanner.limits import DEFAULT
from scanner.manifest_reader import read_manifest
from scanner.scan import scan
from scanner.zip_records import directories
from tests.scanner.corpus import real_apk, second_real_apk
from tests.scanner.honest_apps import HONEST, fetched
from tests.scanner.sign_apk import File, Signer, key

ROUNDS, MOST_ROUNDS = 8, 25
"""The smaller the app, the more rounds: what is short, other work on the machine changes most."""
SCANS_A_ROUND = 4
LARGE_BYTES = 200_000_000
ISOLATION_MS = 40
REAL_BYTES, REAL_RATIO, BUILT_RATIO = 50_000_000, 1.7, 1.3
"""Following the code of real apps costs; the built one is large by what is no code (ADR 0069)."""


def run() -> Iterator[dict[str, Any]]:
    """Yield warm and isolated costs and peak memory of each app, and what isolation costs."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        patterns = _patterns(folder)
        opened = open_set(str(patterns))
        gc.collect()
        gc.freeze()  # as warm workers do, for the floor, too
        gc.set_threshold(GARBAGE)
        nothing = folder / "nothing.txt"
        nothing.write_bytes(b"x")
        scan_file(nothing, patterns)
        started, _ = _isolated(nothing, patterns, ROUNDS)
        yield _row("scan.process_alone", started, "ms CPU")
        for apk in (*_real(folder), _large(folder / "large.apk")):
            yield from _measured(apk, patterns, opened)
        if os.environ.get("SEKISHO_BENCH_ANDROGUARD"):
            yield from _androguard(real_apk())


def _measured(apk: Path, patterns: Path, opened: OpenSet) -> Iterator[dict[str, Any]]:
    size = f"{apk.stat().st_size / 1e6:.1f} MB"
    is_real = apk.stat().st_size < REAL_BYTES
    rounds = max(ROUNDS, MOST_ROUNDS - apk.stat().st_size // 1_000_000) if is_real else 1
    without = opened._replace(data=opened.data._replace(behaviours=[]))
    floor, warm, plain = _best(
        rounds,
        lambda: _bare(apk, opened),
        lambda: _warm(apk, opened),
        lambda: _warm(apk, without),
    )
    isolated, peak = _isolated(apk, patterns, rounds)
    reach = REAL_RATIO if is_real else BUILT_RATIO
    yield _row(f"scan.floor {size}", floor, "ms CPU")
    yield _row(f"scan.warm {size}", warm, "ms CPU", floor, f"ratio<={reach}")
    yield _row(f"scan.warm_without_code_rules {size}", plain, "ms CPU", floor, "ratio<=1.3")
    most = max(2 * floor, floor + ISOLATION_MS) / floor
    yield _row(f"scan.isolated {size}", isolated, "ms CPU", floor, f"ratio<={most:.2f}")
    yield _row(f"scan.peak_memory {size}", peak, "MB", None, "value<=600")


def _real(folder: Path) -> Iterator[Path]:
    """Yield real apps: two that PyPI carries, and those of npm where that is installed."""
    yield from (real_apk(), second_real_apk())
    for app in HONEST:
        with contextlib.suppress(pytest.skip.Exception):
            path = folder / f"{app.package}.apk"
            path.write_bytes(fetched(app))
            yield path


def _patterns(folder: Path) -> Path:
    version = pattern_set.source_version(pattern_set.SHIPPED)
    pattern_set.build(pattern_set.SHIPPED, folder / "set.zip", version)
    pattern_set.unpack(folder / "set.zip", folder / "set")
    return folder / "set"


def _large(path: Path) -> Path:
    """Build an app of 200 MB out of a real one's code and much that does not compress."""
    chance = random.Random(1)
    with (
        zipfile.ZipFile(second_real_apk()) as real,
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as large,
    ):
        codes = [real.read(name) for name in real.namelist() if name.endswith(".dex")]
        large.writestr("AndroidManifest.xml", real.read("AndroidManifest.xml"))
        for number in range(39):
            name = f"classes{number + 1 if number else ''}.dex"
            large.writestr(name, codes[number % len(codes)])
        number = 0
        while path.stat().st_size < LARGE_BYTES:
            body = b"\x7fELF" + chance.randbytes(8_000_000) + b"\0" * 4_000_000
            large.writestr(f"lib/arm64-v8a/lib{number}.so", body)
            number += 1
    signer = Signer(key=key("rsa2048"))
    path.write_bytes(File.of(path.read_bytes()).signed(v2=[signer], v3=[signer]).bytes())
    return path


def _bare(apk: Path, opened: OpenSet) -> None:
    with apk.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        hashlib.sha256(data).digest()
        directory = next(directories(data, DEFAULT.entries))
        block = signing_block.find_block(data, directory)
        block_signatures.verify(data, directory, block, 24)
        with zipfile.ZipFile(file) as archive:
            for entry in archive.infolist():
                body = archive.read(entry)
                hashlib.sha256(body).digest()
                opened.yara.match(data=body)
                if entry.filename == "AndroidManifest.xml":
                    read_manifest(body)
                elif body[:4] == b"dex\n":
                    _strings(Dex(body), body)


def _strings(dex: Dex, body: bytes) -> int:
    """Walk the whole string table, as every search in it by other means does."""
    at, rows = dex.strings.at, dex.strings.rows
    offsets = memoryview(body)[at : at + 4 * rows].cast("I")
    return sum(1 for offset in offsets if body[offset])


def _warm(apk: Path, opened: OpenSet) -> None:
    with apk.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        hashlib.sha256(data).digest()
        scan(data, opened, DEFAULT)


def _isolated(apk: Path, patterns: Path, rounds: int) -> tuple[float, float]:
    """Return CPU milliseconds of this, the warm and the scanning process, and peak megabytes."""

    def used() -> float:
        warm = [psutil.Process(number).cpu_times() for number in warm_process.running()]
        return time.process_time() + sum(
            one.user + one.system + one.children_user + one.children_system for one in warm
        )

    # The kernel counts other processes' time in ticks of 10 ms, so many scans are measured at once.
    several = SCANS_A_ROUND if rounds >= ROUNDS else 1
    costs, peaks = [], [0.0]
    for _ in range(rounds):
        before = used()
        for _ in range(several):
            result = scan_file(apk, patterns)
            peaks.append(result.features.get("cost", {}).get("peak_mb", 0.0))
        costs.append((used() - before) / several)
    return min(costs) * 1000, max(peaks)


def _androguard(apk: Path) -> Iterator[dict[str, Any]]:
    program = (
        "import json, resource, sys, time; from loguru import logger; logger.remove()\n"
        "from androguard.misc import AnalyzeAPK\n"
        "began = time.process_time(); AnalyzeAPK(sys.argv[1])\n"
        "peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000\n"
        "print(json.dumps([(time.process_time() - began) * 1000, peak]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(apk)], capture_output=True, text=True, check=True
    )
    cpu, peak = json.loads(done.stdout)
    size = f"{apk.stat().st_size / 1e6:.1f} MB"
    yield _row(f"scan.androguard AnalyzeAPK {size}", cpu, "ms CPU")
    yield _row(f"scan.androguard peak_memory {size}", peak, "MB")


def _best(rounds: int, *actions: Callable[[], None]) -> list[float]:
    """Return the CPU milliseconds of the best round of each action."""
    costs: list[list[float]] = [[] for _ in actions]
    for _ in range(rounds):
        for action, known in zip(actions, costs, strict=True):
            before = time.process_time()
            action()
            known.append(time.process_time() - before)
    return [min(known) * 1000 for known in costs]


def _row(
    name: str, value: float, unit: str, floor: float | None = None, reach: str = ""
) -> dict[str, Any]:
    return {
        "name": name,
        "value": round(value, 1),
        "unit": unit,
        "floor": round(floor, 1) if floor else None,
        "ratio": round(value / floor, 2) if floor else None,
        "reach": reach,
    }
