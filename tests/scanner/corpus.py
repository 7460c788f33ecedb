"""A real APK, carried by the PyPI package uiautomator2, fetched once and pinned by hash."""

import fcntl
import subprocess
import sys
import zipfile
from pathlib import Path

FOLDER = Path(__file__).parents[2] / "build" / "test-assets"
PINNED = (
    "uiautomator2==3.7.1 "
    "--hash=sha256:55ccc16f7c52d3035dbc14e1400524e76510dc353f9fc4a0bfa85bf58c51cc67"
)
WHEEL = "uiautomator2-3.7.1-py3-none-any.whl"
REAL_APK = "uiautomator2/assets/app-uiautomator.apk"
REAL_SIGNER = "7aca838927a60989e47856b863e1e772f1d6974534e3241fdc09dae561300860"


def real_apk() -> Path:
    """Return the path of a real app: signed v1 and v2 with a debug key, one DEX, 470 entries."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    apk = FOLDER / "app-uiautomator.apk"
    with (FOLDER / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not apk.exists():
            _fetch()
            with zipfile.ZipFile(FOLDER / WHEEL) as wheel:
                unfinished = apk.with_suffix(".unfinished")
                unfinished.write_bytes(wheel.read(REAL_APK))
                unfinished.replace(apk)
    return apk


def _fetch() -> None:
    pinned = FOLDER / "pinned.txt"
    pinned.write_text(PINNED + "\n", encoding="ascii")
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    subprocess.run(
        [*pip, "--no-deps", "--require-hashes", "-r", str(pinned), "-d", str(FOLDER)], check=True
    )
