"""Reads and unpacks a release of this program: a pure-Python wheel that names its dependencies.

Beside what every wheel holds (PyPA's binary distribution format: METADATA, RECORD with a hash for
each file) it holds ``sekisho/run.lock``, the lock of the dependencies that it was tested with. A
release runs beside the dependencies that are installed, so the locks must be the same.
"""

import base64
import csv
import hashlib
import os
import re
import sys
import zipfile
import zlib
from dataclasses import dataclass
from email import message_from_bytes
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from patterns.versions import VERSION, version_key
from runtime.errors import MalformedMessageError, RefusedError

NAME = re.compile(r"sekisho-(\d{1,6}(?:\.\d{1,6}){1,5})-py3-none-any\.whl", re.ASCII)
LOCK = "sekisho/run.lock"
MOST_FILES = 20_000
MOST_BYTES = 256 * 1024 * 1024
_PYTHON = re.compile(r">=\s*(\d+(?:\.\d+)*)", re.ASCII)
_ABSENT = "no lock of dependencies"
UNREADABLE = (zipfile.BadZipFile, zlib.error, KeyError, EOFError, NotImplementedError)


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """One version of this program."""

    version: str
    python: str
    """The oldest Python that it runs on, for example ``3.11``."""
    lock: str
    """SHA-256 of the lock of the dependencies that it needs."""

    def why_not_here(self, here: "Release") -> str:
        """Return why this release cannot run beside what *here* has installed, or nothing."""
        asked = tuple(int(part) for part in self.python.split("."))
        if sys.version_info[: len(asked)] < asked:
            return (
                f"Release {self.version} needs Python {self.python} or later. Install it by hand"
                " with such a Python, as docs/exchange.md says."
            )
        if self.lock != here.lock:
            return (
                f"Release {self.version} needs other dependencies than those that are installed"
                " here. Install it by hand once: pip install --require-hashes -r the release's"
                " run.lock, then its wheel, and start the connector again."
            )
        return ""


@cache
def here() -> Release:
    """Return the release that runs now, as its own code and metadata say."""
    try:
        ours = version("sekisho")
    except PackageNotFoundError:
        ours = "0.0"
    return Release(version=ours, python="3.11", lock=lock_of(Path(__file__).parents[1]))


def lock_of(code: Path) -> str:
    """Return the SHA-256 of the lock of the program in folder *code*: unpacked or a checkout."""
    for path in (code / LOCK, code / "requirements" / "run.lock"):
        if path.is_file():
            return hashlib.sha256(path.read_bytes()).hexdigest()
    return _ABSENT


def read_archive(archive: Path) -> Release:
    """Return which release the wheel *archive* holds; MalformedMessageError when it is none."""
    try:
        with zipfile.ZipFile(archive) as opened:
            return _read(opened)
    except (*UNREADABLE, OSError) as error:
        raise MalformedMessageError(f"{archive.name} is no wheel of Sekisho: {error}.") from None


def unpack(archive: Path, folder: Path) -> Release:
    """Write the files of wheel *archive* into the new *folder*, for its owner only, durably.

    MalformedMessageError or RefusedError for what is wrong with the archive, OSError for this disk.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            found = _read(opened)
            for member in _members(opened):
                _write(folder / member.filename, opened.read(member))
    except UNREADABLE as error:
        raise MalformedMessageError(f"{archive.name} cannot be unpacked: {error}.") from None
    if check_folder(folder) != found.version:
        raise MalformedMessageError(f"{archive.name} holds files of another release.")
    return found


def check_folder(folder: Path) -> str:
    """Return the version of the release unpacked in *folder*.

    MalformedMessageError unless every file is there as the release's RECORD says. What Python keeps
    beside them (``__pycache__``) does not count.
    """
    records = list(folder.glob("sekisho-*.dist-info/RECORD"))
    if len(records) != 1:
        raise MalformedMessageError(f"{folder} holds no whole release.")
    with records[0].open(encoding="utf-8", newline="") as file:
        listed = {row[0]: row[1] for row in csv.reader(file) if len(row) == 3}
    for name, digest in listed.items():
        path = folder / name
        if path != records[0] and not (path.is_file() and _digest(path.read_bytes()) == digest):
            raise MalformedMessageError(f"{folder} is damaged: {name} is not as it was released.")
    strange = [path for path in folder.rglob("*.py") if str(path.relative_to(folder)) not in listed]
    if strange:
        raise MalformedMessageError(
            f"{folder} is damaged: {strange[0].name} is not of the release."
        )
    return records[0].parent.name.removeprefix("sekisho-").removesuffix(".dist-info")


def is_newer(offered: str, than: str) -> bool:
    """Tell whether version *offered* is above *than*."""
    return version_key(offered) > version_key(than)


def _read(opened: zipfile.ZipFile) -> Release:
    names = {member.filename for member in _members(opened)}
    found = [name for name in names if re.fullmatch(r"sekisho-[^/]+\.dist-info/METADATA", name)]
    if len(found) != 1 or LOCK not in names:
        raise MalformedMessageError(
            f"This is no wheel of Sekisho with its lock ({LOCK}). Build it in a checkout with"
            " 'pip wheel --no-deps .'."
        )
    said = message_from_bytes(opened.read(found[0]))
    named, python = str(said["Version"]), _PYTHON.fullmatch(str(said["Requires-Python"]))
    if not VERSION.fullmatch(named) or found[0] != f"sekisho-{named}.dist-info/METADATA":
        raise MalformedMessageError("The wheel's version is not written in dotted numbers.")
    if python is None:
        raise MalformedMessageError("The wheel does not say the oldest Python (Requires-Python).")
    lock = hashlib.sha256(opened.read(LOCK)).hexdigest()
    return Release(version=named, python=python[1], lock=lock)


def _members(opened: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    """Return the files; RefusedError for names that lead elsewhere and for masses."""
    members = [member for member in opened.infolist() if not member.is_dir()]
    if len(members) > MOST_FILES or sum(member.file_size for member in members) > MOST_BYTES:
        raise RefusedError("The wheel holds more than a release may.")
    for member in members:
        parts = Path(member.filename).parts
        if member.filename.startswith("/") or "\\" in member.filename or ".." in parts:
            raise RefusedError(f"The wheel holds a file that leads elsewhere: {member.filename!r}.")
    return members


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _digest(content: bytes) -> str:
    hashed = base64.urlsafe_b64encode(hashlib.sha256(content).digest())
    return "sha256=" + hashed.decode().rstrip("=")
