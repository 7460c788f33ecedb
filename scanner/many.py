"""Scan many files: those named, and all below named folders, some at a time, in their order."""

import os
import time
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from contracts.scan import Confidence, ScanResult, Verdict
from patterns.pattern_set import read_manifest
from runtime.errors import NotFoundError
from scanner.evidence import printable
from scanner.isolation import scan_file

AHEAD = 4
"""Files that wait for each worker."""


def files_in(paths: Iterable[Path]) -> Iterator[Path]:
    """Yield *paths*, and in place of a folder every regular file below it, sorted.

    Links to folders are not followed, so that no folder is walked twice.
    """
    for path in paths:
        if not path.is_dir():
            yield path
            continue
        for folder, folders, names in os.walk(path):
            folders.sort()
            yield from (file for name in sorted(names) if (file := Path(folder, name)).is_file())


def scan_all(files: Iterable[Path], patterns: Path) -> Iterator[ScanResult]:
    """Yield a result for each of *files*; one that cannot be read is unscannable, too."""
    workers = os.cpu_count() or 1
    waiting: deque[Future[ScanResult]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        try:
            for file in files:
                waiting.append(pool.submit(_scan, file, patterns))
                if len(waiting) > AHEAD * workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _scan(file: Path, patterns: Path) -> ScanResult:
    began = time.monotonic()
    try:
        return scan_file(file, patterns)
    except NotFoundError as error:  # it went away, or nobody may read it
        return ScanResult(
            file=printable(str(file), 1000),
            sha256=None,
            size_bytes=0,
            verdict=Verdict.UNSCANNABLE,
            confidence=Confidence.LOW,
            skipped=(printable(str(error), 2000),),
            pattern_version=read_manifest(patterns).version,
            elapsed_ms=round((time.monotonic() - began) * 1000),
        )
