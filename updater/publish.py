"""Publishes patterns, releases and agents to an update source (`updater.repository`: its files)."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import Root, Snapshot, TargetFile, Targets, Timestamp

from patterns import pattern_set
from runtime.errors import NotFoundError, RefusedError
from updater.agent_package import AgentPackage, agent_of
from updater.lock import exclusive
from updater.repository import (
    LIFETIME,
    Lists,
    Repository,
    copy_target,
    read_lists,
    write_next,
    write_next_snapshot,
    write_next_timestamp,
    write_root,
)
from updater.revocations import TARGET as REVOKED
from updater.revocations import (
    Revocations,
    next_issue,
    read_revoked,
    revocations_of,
    why_not_fewer,
    written,
)
from updater.trust import AGENTS, PREFIX, RELEASES, SUFFIX, agent_target
from updater.wheel import NAME, is_newer, read_archive

ROOT_KEYS = 3
ROOT_THRESHOLD = 2
"""Two of three root keys must sign: one may be lost, one may be stolen."""
PUBLISHING = "Another publication to this source"


def create(repository: Repository, now: datetime) -> Path:
    """Make the repository and its keys; return the root.json that servers are to trust.

    RefusedError when something is there already or the keys would lie inside what is published.
    """
    _check_apart(repository)
    if repository.folder.exists() and any(repository.folder.iterdir()):
        raise RefusedError(f"{repository.folder} is not empty. Name a new folder.")
    repository.targets.mkdir(parents=True)
    repository.metadata.mkdir()
    root = Root(version=1, consistent_snapshot=True)
    signers = [repository.keys.make(Root.type) for _ in range(ROOT_KEYS)]
    for signer in signers:
        root.add_key(signer.public_key, Root.type)
    root.roles[Root.type].threshold = ROOT_THRESHOLD
    for role in (Targets.type, Snapshot.type, Timestamp.type):
        root.add_key(repository.keys.make(role).public_key, role)
    path = write_root(repository, root, list(signers), now)
    write_next(repository, _nothing_yet(root), now)
    return path


def publish(repository: Repository, archive: Path, now: datetime) -> str:
    """Add the pattern set in file *archive* and sign anew; return its version.

    RefusedError when that version or a newer one is published already.
    """
    manifest, _files = pattern_set.read_archive(archive)
    custom = {"version": manifest.version, "rules": manifest.rules}
    name = f"{PREFIX}{manifest.version}{SUFFIX}"
    with exclusive(repository.folder, PUBLISHING):
        lists = read_lists(repository)
        _check_newer(manifest.version, lists.targets)
        _add(repository, lists, name, archive, custom, now)
    return manifest.version


def publish_release(repository: Repository, archive: Path, now: datetime) -> str:
    """Add the release in the wheel *archive* and sign anew; return its version.

    RefusedError when that release or a newer one is published already.
    """
    release = read_archive(archive)
    name = f"{RELEASES}sekisho-{release.version}-py3-none-any.whl"
    with exclusive(repository.folder, PUBLISHING):
        lists = read_lists(repository)
        for target in lists.targets.targets:
            known = NAME.fullmatch(target.removeprefix(RELEASES))
            if known and not is_newer(release.version, known[1]):
                raise RefusedError(f"Release {known[1]} is published already. Raise the version.")
        _add(repository, lists, name, archive, asdict(release), now)
    return release.version


def publish_agent(
    repository: Repository, file: Path, agent: AgentPackage, now: datetime
) -> AgentPackage:
    """Add the agent package *file*, which is *agent*, and sign anew; return what it is.

    RefusedError unless it is newer than, and the same app as, what is published already.
    """
    with exclusive(repository.folder, PUBLISHING):
        lists = read_lists(repository)
        for name, target in lists.targets.targets.items():
            known = agent_of(target.custom) if name.startswith(AGENTS) else None
            if known is not None:
                _check_follows(agent, known)
        _add(repository, lists, agent_target(agent), file, asdict(agent), now)
    return agent


def _check_follows(agent: AgentPackage, known: AgentPackage) -> None:
    if agent.package != known.package:
        raise RefusedError(
            f"The source publishes {known.package}; {agent.package} is another app, which phones"
            " would not take for its update."
        )
    if agent.version_code <= known.version_code:
        raise RefusedError(
            f"Agent package {known.version} (version code {known.version_code}) is published"
            f" already, and {agent.version} ({agent.version_code}) is not newer. Raise the"
            " version code."
        )
    if agent.signer_sha256 != known.signer_sha256:
        raise RefusedError(
            f"Another key signed it than agent package {known.version}, which is published"
            " already: phones would refuse the update."
        )


def publish_revocations(
    repository: Repository, file: Path, may_be_fewer: bool, now: datetime
) -> Revocations:
    """Publish the list of revoked attestation keys in *file* and sign anew; return what is said.

    RefusedError when it takes back many keys of the list before and *may_be_fewer* does not say
    that this is meant.
    """
    after = read_revoked(file.read_bytes(), str(file))
    with exclusive(repository.folder, PUBLISHING):
        lists = read_lists(repository)
        target = lists.targets.targets.get(REVOKED)
        known = revocations_of(target.custom) if target else None
        before = _published(repository, target) if target else frozenset()
        fewer = why_not_fewer(before, after)
        if fewer and not may_be_fewer:
            raise RefusedError(f"{fewer} If that is meant, publish it with --fewer-revoked.")
        said = next_issue(known, len(after), may_be_fewer, now)
        _add(repository, lists, REVOKED, file, written(said), now)
    return said


def _published(repository: Repository, target: TargetFile) -> frozenset[str]:
    folder, _, name = target.path.rpartition("/")
    path = repository.targets / folder / f"{target.hashes['sha256']}.{name}"
    return read_revoked(path.read_bytes(), str(path))


def _add(
    repository: Repository,
    lists: Lists,
    name: str,
    archive: Path,
    custom: dict[str, Any],
    now: datetime,
) -> None:
    """Put *archive* in place as target *name* and sign the lists that name it."""
    target = TargetFile.from_file(name, str(archive), ["sha256"])
    target.unrecognized_fields["custom"] = custom
    digest = target.hashes["sha256"]
    folder, _, file = name.rpartition("/")
    copy_target(archive, repository.targets / folder / f"{digest}.{file}", digest)
    lists.targets.targets[name] = target
    write_next(repository, lists, now)


def sign_timestamp(repository: Repository, now: datetime) -> datetime:
    """Say anew that what is published is current; return until when that holds.

    The snapshot is signed anew with it when less than half of its time is left. Wants the
    timestamp and snapshot keys only; run it daily.
    """
    with exclusive(repository.folder, PUBLISHING):
        lists = read_lists(repository)
        if lists.snapshot.expires - now < LIFETIME[Snapshot.type] / 2:
            write_next_snapshot(repository, lists, now)
        write_next_timestamp(repository, lists, now)
    return lists.timestamp.expires


def renew_root(repository: Repository, now: datetime, replace: Sequence[str] = ()) -> Path:
    """Write the next root.json and sign everything anew; servers follow by themselves.

    *replace* names keys that fresh ones take the place of: a role (targets, snapshot, timestamp)
    or the first characters of a key's id, as in its file's name. At least two of the present root
    keys must be in the folder.
    """
    with exclusive(repository.folder, PUBLISHING):
        lists = read_lists(repository)
        root = lists.root
        before = root.roles[Root.type]
        signers = repository.keys.get(Root.type, before.keyids, before.threshold)
        for name in replace:
            signers += _replace_key(repository, root, name)
        root.version += 1
        path = write_root(repository, root, list(signers), now)
        write_next(repository, lists, now)
    return path


def describe(repository: Repository) -> list[str]:
    """Return what is published and until when each list holds, a line each."""
    lists = read_lists(repository)
    signed = (lists.root, lists.targets, lists.snapshot, lists.timestamp)
    until = [f"{s.type} {s.version}, valid until {s.expires:%Y-%m-%d %H:%M} UTC" for s in signed]
    sets = [_described(target) for _, target in sorted(lists.targets.targets.items())]
    return [*until, *(sets or ["no pattern set yet"])]


def _described(target: TargetFile) -> str:
    custom = target.custom or {}
    if agent := agent_of(custom):
        return f"{target.path}, {target.length} bytes, version {agent.version}"
    if listed := revocations_of(custom):
        return f"{target.path}, {target.length} bytes, issue {listed.issue}, {listed.keys} keys"
    more = f"{custom['rules']} rules" if "rules" in custom else f"Python {custom.get('python')}"
    return f"{target.path}, {target.length} bytes, {more}"


def _check_apart(repository: Repository) -> None:
    keys, folder = repository.keys.folder.resolve(), repository.folder.resolve()
    if keys == folder or folder in keys.parents:
        raise RefusedError(
            "The keys must not lie inside the folder that is published. Name another with --keys."
        )


def _nothing_yet(root: Root) -> Lists:
    """Return lists of version 0, so that the next ones are the first."""
    lists = Lists(root, Targets(), Snapshot(), Timestamp())
    for signed in (lists.targets, lists.snapshot, lists.timestamp):
        signed.version = 0
    return lists


def _check_newer(version: str, targets: Targets) -> None:
    published = [
        name.removeprefix(PREFIX).removesuffix(SUFFIX)
        for name in targets.targets
        if name.startswith(PREFIX)
    ]
    newest = max(published, key=pattern_set.version_key, default=None)
    if newest and pattern_set.version_key(version) <= pattern_set.version_key(newest):
        raise RefusedError(
            f"Version {newest} is published already, and {version} is not newer. Build the set"
            " with a higher version."
        )


def _replace_key(repository: Repository, root: Root, name: str) -> list[CryptoSigner]:
    """Put a fresh key in the place of *name* in *root*; return it if it is a root key."""
    role, key_id = _found_key(root, name)
    fresh = repository.keys.make(role)
    root.add_key(fresh.public_key, role)
    root.revoke_key(key_id, role)
    return [fresh] if role == Root.type else []


def _found_key(root: Root, name: str) -> tuple[str, str]:
    found = [
        (role, key_id)
        for role, keys in root.roles.items()
        for key_id in keys.keyids
        if role == name or (len(name) >= 4 and key_id.startswith(name))
    ]
    if len(found) != 1:
        raise NotFoundError(
            f"{name!r} is not one key of this source. Name targets, snapshot, timestamp, or the"
            " first 8 characters of a root key's id, as in its file's name."
        )
    return found[0]
