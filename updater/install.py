"""Puts a verified pattern set on disk, wholly or not at all."""

import hashlib
import os
import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from patterns import pattern_set
from runtime.errors import MalformedMessageError, NotFoundError, RefusedError
from runtime.process import crash_point
from updater.trial import try_out

UNFINISHED = ".unfinished-"
DAY_SECONDS = 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """A pattern set that lies unpacked on disk and opens."""

    version: str
    rules: int
    sha256: str
    """Of its archive."""


def install(archive: Path, version: str, patterns: Path) -> Installed:
    """Unpack *archive* as ``patterns/version`` after trying it out, and return what it is.

    Nothing is visible under that name before all is well. Doing it again with the same archive
    changes nothing. Raises RefusedError or MalformedMessageError with the reason.
    """
    patterns.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=UNFINISHED, dir=patterns) as name:
        unpacked = Path(name) / "set"
        manifest = pattern_set.unpack(archive, unpacked)
        if manifest.version != version:
            raise RefusedError(
                f"The source calls this pattern set {version}, but it calls itself"
                f" {manifest.version}. Publish it again."
            )
        try_out(unpacked)
        _put_in_place(unpacked, patterns / version)
    return Installed(version=version, rules=manifest.rules, sha256=_sha256(archive))


def install_sources(sources: Path, version: str, patterns: Path) -> Installed:
    """Build the set in folder *sources* and install it."""
    patterns.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=UNFINISHED, dir=patterns) as name:
        archive = Path(name) / "set.zip"
        pattern_set.build(sources, archive, version)
        return install(archive, version, patterns)


def sweep(patterns: Path, keep: set[str]) -> list[str]:
    """Remove the folders below *patterns* whose names are not in *keep*; return what went.

    What another process may still be unpacking stays for a day.
    """
    gone = [
        path
        for path in patterns.iterdir()
        if path.is_dir() and path.name not in keep and not _is_fresh(path)
    ]
    for path in gone:
        shutil.rmtree(path, ignore_errors=True)
    return [path.name for path in gone]


def _is_fresh(path: Path) -> bool:
    return path.name.startswith(".") and time.time() - path.stat().st_mtime < DAY_SECONDS


def is_whole(folder: Path) -> bool:
    """Tell whether *folder* holds a pattern set of its name with every file as it should be."""
    try:
        return pattern_set.check_folder(folder).version == folder.name
    except (MalformedMessageError, NotFoundError):
        return False


def _put_in_place(unpacked: Path, folder: Path) -> None:
    if folder.exists() and _is_same(folder, unpacked):
        return
    if folder.exists():  # left damaged; rename does not replace a folder that holds files
        folder.rename(unpacked.with_name("damaged"))
    _sync_folders(unpacked)
    crash_point("before effect install patterns")
    unpacked.rename(folder)
    _sync_folders(folder.parent)
    crash_point("after effect install patterns")


def _sync_folders(top: Path) -> None:
    """Make the names below *top* last through a power failure; files were written durably."""
    for path in (top, *(path for path in top.rglob("*") if path.is_dir())):
        folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _is_same(folder: Path, unpacked: Path) -> bool:
    return is_whole(folder) and (
        pattern_set.read_manifest(folder) == pattern_set.read_manifest(unpacked)
    )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
