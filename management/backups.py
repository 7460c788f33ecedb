"""Copies the embedded database and every key while the server runs."""

import io
import os
import sqlite3
import tarfile
import tempfile
from pathlib import Path

from runtime.errors import RefusedError

FOLDERS = ("keys", "signer", "communication", "connector")
LEFT_OUT = (".sock", ".lock", "-wal", "-shm", "-journal")


def write(home: Path, file: Path, embedded: bool) -> list[str]:
    """Write *file* (tar, 0600) with what makes this server this server; return the names in it.

    Databases are copied with SQLite's backup, so each is whole although it is in use. Pattern
    sets and uploads are left out: they can be fetched again. RefusedError when *file* exists.
    """
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise RefusedError(f"{file} exists; a backup never overwrites another.") from None
    names = [name for name in ("sekisho.db",) if embedded] + _files(home)
    with os.fdopen(descriptor, "wb") as out, tarfile.open(fileobj=out, mode="w") as archive:
        for folder in FOLDERS:
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o700
            archive.addfile(entry)
        for name in names:
            _add(archive, home / name, name)
        archive.close()
        out.flush()
        os.fsync(out.fileno())
    return names


def _files(home: Path) -> list[str]:
    found = [home / "sekisho.toml"]
    for folder in FOLDERS:
        found += sorted((home / folder).rglob("*"))
    return [
        str(path.relative_to(home))
        for path in found
        if path.is_file() and not path.name.endswith(LEFT_OUT)
    ]


def _add(archive: tarfile.TarFile, path: Path, name: str) -> None:
    content = _database_copy(path) if path.suffix == ".db" else path.read_bytes()
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode, entry.mtime = len(content), 0o600, int(path.stat().st_mtime)
    archive.addfile(entry, io.BytesIO(content))


def _database_copy(path: Path) -> bytes:
    """Return a whole copy of the SQLite file at *path*."""
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        copy = Path(folder) / "copy.db"
        source, target = sqlite3.connect(path), sqlite3.connect(copy)
        try:
            source.backup(target)
        finally:
            target.close()
            source.close()
        return copy.read_bytes()
