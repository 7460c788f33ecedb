"""The files of an update source: a TUF repository that any file server or share can hold.

``metadata/`` holds the signed lists, ``targets/`` the files. Everything that a reader follows is
written before ``timestamp.json``, which points at it, so a reader sees the old state or the new one
and an interrupted publication is simply done again.
"""

import hashlib
import os
import shutil
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeVar

from securesystemslib.signer import Signer
from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import Metadata, MetaFile, Root, Snapshot, Targets, Timestamp
from tuf.api.serialization.json import JSONSerializer

from runtime.errors import NotFoundError, RefusedError
from runtime.process import crash_point
from updater.publishing_keys import KeyFolder

LIFETIME = {
    Root.type: timedelta(days=365),
    Targets.type: timedelta(days=90),
    Snapshot.type: timedelta(days=7),
    Timestamp.type: timedelta(days=3),
}
"""How long each list counts as fresh. Whoever holds newer files back is noticed after the last."""

Signed = TypeVar("Signed", Root, Targets, Snapshot, Timestamp)


@dataclass(frozen=True, slots=True)
class Repository:
    """An update source in *folder* and the keys that sign for it."""

    folder: Path
    keys: KeyFolder

    @property
    def metadata(self) -> Path:
        """The folder of the signed lists."""
        return self.folder / "metadata"

    @property
    def targets(self) -> Path:
        """The folder of the files themselves."""
        return self.folder / "targets"


@dataclass(slots=True)
class Lists:
    """What a repository publishes now."""

    root: Root
    targets: Targets
    snapshot: Snapshot
    timestamp: Timestamp


def read_lists(repository: Repository) -> Lists:
    """Return timestamp.json and what it leads to; NotFoundError where no repository is."""
    root = _read(repository, newest_root(repository).name, Root)
    timestamp = _read(repository, "timestamp.json", Timestamp)
    snapshot = _read(repository, f"{timestamp.snapshot_meta.version}.snapshot.json", Snapshot)
    targets_version = snapshot.meta["targets.json"].version
    targets = _read(repository, f"{targets_version}.targets.json", Targets)
    return Lists(root, targets, snapshot, timestamp)


def newest_root(repository: Repository) -> Path:
    """Return the file of the newest root; NotFoundError where no repository is."""
    found = [
        (int(path.name.split(".")[0]), path)
        for path in repository.metadata.glob("*.root.json")
        if path.name.split(".")[0].isdigit()
    ]
    if not found:
        raise NotFoundError(f"{repository.folder} holds no update source; make one with 'init'.")
    return max(found)[1]


def write_root(repository: Repository, root: Root, signers: list[Signer], now: datetime) -> Path:
    """Sign and write a root, which every other list is checked against."""
    root.expires = expiry(Root.type, now)
    path = repository.metadata / f"{root.version}.root.json"
    _write(path, root, signers)
    return path


def write_next(repository: Repository, lists: Lists, now: datetime) -> None:
    """Sign and write the next versions of targets, snapshot and timestamp, in this order."""
    lists.targets.version += 1
    lists.targets.expires = expiry(Targets.type, now)
    name = f"{lists.targets.version}.targets.json"
    _write(repository.metadata / name, lists.targets, _signers(repository, lists.root, "targets"))
    lists.snapshot.meta["targets.json"] = MetaFile(lists.targets.version)
    write_next_snapshot(repository, lists, now)
    write_next_timestamp(repository, lists, now)


def write_next_snapshot(repository: Repository, lists: Lists, now: datetime) -> None:
    """Sign and write the next snapshot."""
    lists.snapshot.version += 1
    lists.snapshot.expires = expiry(Snapshot.type, now)
    name = f"{lists.snapshot.version}.snapshot.json"
    _write(repository.metadata / name, lists.snapshot, _signers(repository, lists.root, "snapshot"))


def write_next_timestamp(repository: Repository, lists: Lists, now: datetime) -> None:
    """Sign and write the next timestamp: from here on readers see the new state."""
    lists.timestamp.version += 1
    lists.timestamp.expires = expiry(Timestamp.type, now)
    lists.timestamp.snapshot_meta = MetaFile(lists.snapshot.version)
    signers = _signers(repository, lists.root, "timestamp")
    crash_point("before effect publish timestamp")
    _write(repository.metadata / "timestamp.json", lists.timestamp, signers)


def expiry(role: str, now: datetime) -> datetime:
    """Return until when a list of *role* that is signed *now* counts as fresh."""
    return (now + LIFETIME[role]).replace(microsecond=0)


def copy_target(archive: Path, path: Path, digest: str) -> None:
    """Put *archive* in place as *path*; RefusedError unless its SHA-256 is *digest*."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.unfinished")
    shutil.copyfile(archive, unfinished)
    with unfinished.open("rb") as file:
        copied = hashlib.file_digest(file, "sha256").hexdigest()
        os.fsync(file.fileno())
    if copied != digest:
        raise RefusedError(f"{archive} changed while it was read. Publish it again.")
    unfinished.replace(path)


def _signers(repository: Repository, root: Root, role: str) -> list[Signer]:
    asked = root.roles[role]
    return list(repository.keys.get(role, asked.keyids, asked.threshold))


def _read(repository: Repository, name: str, kind: type[Signed]) -> Signed:
    try:
        metadata = Metadata[Signed].from_bytes((repository.metadata / name).read_bytes())
    except (OSError, RepositoryError) as error:
        raise NotFoundError(f"{repository.folder} is damaged: {name}: {error}.") from None
    if not isinstance(metadata.signed, kind):
        raise NotFoundError(f"{repository.folder} is damaged: {name} is of another role.")
    return metadata.signed


def _write(path: Path, signed: Signed, signers: list[Signer]) -> None:
    metadata = Metadata(signed)
    for signer in signers:
        metadata.sign(signer, append=True)
    unfinished = path.with_name(f".{path.name}.unfinished")
    with unfinished.open("wb") as file:
        file.write(metadata.to_bytes(JSONSerializer(compact=False)))
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)
