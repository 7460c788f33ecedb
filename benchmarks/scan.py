"""What scanning one app costs, beside the bare operations that nobody can leave out.

CPU milliseconds of this process (warm) or of the child, best of several runs, on two real apps. The
floor: SHA-256 of the file, inflating each entry, SHA-256 of the file once more for the signature's
content digest, and YARA over what came out.
"""

import hashlib
import mmap
import resource
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from patterns import pattern_set
from patterns.opened import OpenSet, open_set
from scanner.isolation import scan_file
from scanner.limits import DEFAULT
from scanner.scan import scan
from tests.scanner.corpus import real_apk, second_real_apk

ROUNDS = 7


def run() -> Iterator[dict[str, Any]]:
    """Yield warm and isolated costs of each app, and the start of a child alone."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pattern_set.build(pattern_set.SHIPPED, folder / "set.zip", "1.0")
        pattern_set.unpack(folder / "set.zip", folder / "set")
        opened = open_set(str(folder / "set"))
        nothing = folder / "nothing.txt"
        nothing.write_bytes(b"x")
        yield _row("scan.child_start", _child(nothing, folder / "set"), None, "")
        for apk in (real_apk(), second_real_apk()):
            size = f"{apk.stat().st_size / 1e6:.1f} MB"
            floor = _best(lambda apk=apk: _bare(apk, opened))  # type: ignore[misc]
            warm = _best(lambda apk=apk: _warm(apk, opened))  # type: ignore[misc]
            yield _row(f"scan.warm {size}", warm, floor, "ratio<=1.3")
            yield _row(f"scan.isolated {size}", _child(apk, folder / "set"), floor, "ratio<=2")


def _bare(apk: Path, opened: OpenSet) -> None:
    body = apk.read_bytes()
    hashlib.sha256(body).digest()
    hashlib.sha256(body).digest()
    with zipfile.ZipFile(apk) as archive:
        for entry in archive.infolist():
            opened.yara.match(data=archive.read(entry))


def _warm(apk: Path, opened: OpenSet) -> None:
    with apk.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        hashlib.sha256(data).digest()
        scan(data, opened, DEFAULT)


def _child(apk: Path, folder: Path) -> float:
    """Return the child's and this process's CPU milliseconds together."""

    def used() -> float:
        spent = resource.getrusage(resource.RUSAGE_CHILDREN)
        return spent.ru_utime + spent.ru_stime + time.process_time()

    costs = []
    for _ in range(ROUNDS):
        before = used()
        scan_file(apk, folder)
        costs.append(used() - before)
    return min(costs) * 1000


def _best(action: Callable[[], None]) -> float:
    costs = []
    for _ in range(ROUNDS):
        before = time.process_time()
        action()
        costs.append(time.process_time() - before)
    return min(costs) * 1000


def _row(name: str, value: float, floor: float | None, reach: str) -> dict[str, Any]:
    ratio = round(value / floor, 2) if floor else None
    return {
        "name": name,
        "value": round(value, 1),
        "unit": "ms CPU",
        "floor": round(floor, 1) if floor else None,
        "ratio": ratio,
        "reach": reach,
    }
