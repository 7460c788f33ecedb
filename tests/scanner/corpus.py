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
REAL_SIGNER = "7aca838927a60989e47856b863e1e772f1d6974534e3241fdc09dae561300860"


def real_apk() -> Path:
    """Return the path of a real app: signed v1 and v2 with a debug key, one DEX, 470 entries."""
    return _carried("uiautomator2/assets/app-uiautomator.apk")


def second_real_apk() -> Path:
    """Return another one under the name .jar: signed v1 and v2 with a person's key, seven DEX."""
    return _carried("uiautomator2/assets/u2.jar")


def _carried(name: str) -> Path:
    FOLDER.mkdir(parents=True, exist_ok=True)
    place = FOLDER / Path(name).name
    with (FOLDER / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not place.exists():
            if not (FOLDER / WHEEL).exists():
                _fetch()
            with zipfile.ZipFile(FOLDER / WHEEL) as wheel:
                unfinished = place.with_suffix(".unfinished")
                unfinished.write_bytes(wheel.read(name))
                unfinished.replace(place)
    return place


def _fetch() -> None:
    pinned = FOLDER / "pinned.txt"
    pinned.write_text(PINNED + "\n", encoding="ascii")
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    subprocess.run(
        [*pip, "--no-deps", "--require-hashes", "-r", str(pinned), "-d", str(FOLDER)], check=True
    )
