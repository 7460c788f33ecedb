"""What a source offers, as far as TUF's signatures vouch for it."""

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tuf.api.exceptions import DownloadHTTPError
from tuf.api.metadata import Metadata, TargetFile, Targets
from tuf.ngclient import Updater, UpdaterConfig

from patterns.versions import version_key
from runtime.errors import MalformedMessageError
from updater.agent_package import AgentPackage, agent_of
from updater.limits import Limits
from updater.lock import exclusive
from updater.revocations import TARGET as REVOKED
from updater.revocations import Revocations, revocations_of
from updater.source import SourceFetcher
from updater.trouble import translated
from updater.trusted_root import read_root
from updater.wheel import NAME, Release

PREFIX, SUFFIX = "pattern/", ".zip"
RELEASES = "server/"
AGENTS = "agent/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A pattern set that the source's publisher signed."""

    version: str
    target: str
    length: int
    rules: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseOffer:
    """A release of this program that the source's publisher signed."""

    release: Release
    target: str
    length: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentOffer:
    """An agent package that the source's publisher signed."""

    agent: AgentPackage
    target: str
    length: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RevocationOffer:
    """The list of revoked attestation keys that the source's publisher signed."""

    said: Revocations
    target: str
    length: int
    sha256: str


class TrustedSource:
    """One look at a source: `refresh`, then `offers`, then perhaps `download`."""

    def __init__(
        self, updater: Updater, fetcher: SourceFetcher, folder: Path, address: str, first_root: int
    ) -> None:
        """Use `open_source`, which holds the folder's lock meanwhile."""
        self._updater = updater
        self._fetcher = fetcher
        self._folder = folder
        self._address = address
        self._first_root = first_root

    def refresh(self) -> None:
        """Fetch and verify the newest metadata; `updater.trouble` tells what may be refused."""
        with translated(self._fetcher):
            self._updater.refresh()

    def offers(self) -> list[Offer]:
        """Return the pattern sets on offer, oldest first; call `refresh` before."""
        found = (_offer(target) for target in self._targets())
        return sorted(
            (offer for offer in found if offer is not None),
            key=lambda offer: version_key(offer.version),
        )

    def releases(self) -> list[ReleaseOffer]:
        """Return the releases on offer, oldest first; call `refresh` before."""
        found = (_release(target) for target in self._targets())
        return sorted(
            (offer for offer in found if offer is not None),
            key=lambda offer: version_key(offer.release.version),
        )

    def agents(self) -> list[AgentOffer]:
        """Return the agent packages on offer, oldest first; call `refresh` before."""
        found = (_agent(target) for target in self._targets())
        return sorted(
            (offer for offer in found if offer is not None),
            key=lambda offer: offer.agent.version_code,
        )

    def revocations(self) -> RevocationOffer | None:
        """Return the list of revoked attestation keys on offer; call `refresh` before."""
        found = (_revocations(target) for target in self._targets())
        return next((offer for offer in found if offer is not None), None)

    def keep_older_roots(self) -> None:
        """Fetch the roots before the one that trust begins with here, for `updater.mirror`.

        A reader that begins with an older one needs each root after it, and verifies it: nothing
        here can. So they are fetched anew each time, and a wrong one does not stay.
        """
        with translated(self._fetcher):
            for number in range(self._first_root - 1, 0, -1)[: self._fetcher.limits.root_rotations]:
                try:
                    self._keep_root(number)
                except DownloadHTTPError as error:
                    if error.status_code in (403, 404):
                        return  # the source has none so old
                    raise

    def _keep_root(self, number: int) -> None:
        url = f"{self._address}/metadata/{number}.root.json"
        content = self._fetcher.download_bytes(url, self._fetcher.limits.root_bytes)
        if read_root(content).version != number:
            raise MalformedMessageError(f"{url} is another root. Publish to the source again.")
        path = self._folder / "root_history" / f"{number}.root.json"
        fresh = path.with_suffix(".new")
        fresh.write_bytes(content)
        fresh.replace(path)

    def _targets(self) -> Iterable[TargetFile]:
        path = self._folder / "targets.json"
        return Metadata[Targets].from_file(str(path)).signed.targets.values()

    def download(
        self, offer: Offer | ReleaseOffer | AgentOffer | RevocationOffer, path: Path
    ) -> None:
        """Write the verified file of *offer* to *path*, which must not be anything in use."""
        with translated(self._fetcher):
            target = self._updater.get_targetinfo(offer.target)
            if target is None:
                raise MalformedMessageError(f"The source no longer lists {offer.target}.")
            self._updater.download_target(target, str(path))


@contextmanager
def open_source(
    address: str,
    root: bytes,
    cache: Path,
    limits: Limits,
    arrived: Callable[[str, int], None] | None = None,
) -> Iterator[TrustedSource]:
    """Yield the source at *address* (`updater.source.read_address`), trusted through *root*.

    What was verified before is kept below *cache*, apart for each source and root, so that the
    source cannot go back behind it. UnavailableError when another process is reading this source.
    """
    fetcher = SourceFetcher(limits, arrived)
    with open_with(fetcher, address, root, source_folder(address, root, cache)) as source:
        yield source


@contextmanager
def open_with(
    fetcher: SourceFetcher, address: str, root: bytes, folder: Path
) -> Iterator[TrustedSource]:
    """Yield the source that *fetcher* reads; what was verified before is kept in *folder*."""
    with (
        exclusive(folder, "Another update from this source"),
        closing(fetcher),
        translated(fetcher),
    ):
        updater = Updater(
            metadata_dir=str(folder),
            metadata_base_url=f"{address}/metadata/",
            target_base_url=f"{address}/targets/",
            fetcher=fetcher,
            config=_config(fetcher.limits),
            bootstrap=root,
        )
        yield TrustedSource(updater, fetcher, folder, address, read_root(root).version)


def source_folder(address: str, root: bytes, cache: Path) -> Path:
    """Return where below *cache* lies what was verified of the source at *address*."""
    named = f"{address}\n{read_root(root).fingerprint}".encode()
    return cache / hashlib.sha256(named).hexdigest()[:32]


def _config(limits: Limits) -> UpdaterConfig:
    return UpdaterConfig(
        max_root_rotations=limits.root_rotations,
        max_delegations=8,
        root_max_length=limits.root_bytes,
        snapshot_max_length=limits.metadata_bytes,
        targets_max_length=limits.metadata_bytes,
    )


def _offer(target: TargetFile) -> Offer | None:
    """Return what *target* offers, None when it is something else than a pattern set."""
    version = target.path.removeprefix(PREFIX).removesuffix(SUFFIX)
    if target.path != f"{PREFIX}{version}{SUFFIX}":
        return None
    try:
        version_key(version)
    except MalformedMessageError:
        return None
    rules = (target.custom or {}).get("rules")
    return Offer(
        version=version,
        target=target.path,
        length=target.length,
        rules=rules if isinstance(rules, int) else 0,
    )


def _release(target: TargetFile) -> ReleaseOffer | None:
    """Return which release *target* is, None when it is something else or says too little."""
    named = NAME.fullmatch(target.path.removeprefix(RELEASES))
    custom = target.custom or {}
    python, lock = custom.get("python"), custom.get("lock")
    if named is None or not target.path.startswith(RELEASES):
        return None
    if not isinstance(python, str) or not re.fullmatch(
        r"\d{1,3}(\.\d{1,3}){0,2}", python, re.ASCII
    ):
        return None
    if not isinstance(lock, str) or "sha256" not in target.hashes:
        return None
    return ReleaseOffer(
        release=Release(version=named[1], python=python, lock=lock),
        target=target.path,
        length=target.length,
        sha256=target.hashes["sha256"],
    )


def agent_target(agent: AgentPackage) -> str:
    """Return under which name a source lists *agent*."""
    return f"{AGENTS}{agent.package}-{agent.version_code}.apk"


def _agent(target: TargetFile) -> AgentOffer | None:
    """Return which agent package *target* is, None when it is something else or says too little."""
    agent = agent_of(target.custom) if target.path.startswith(AGENTS) else None
    if agent is None or target.path != agent_target(agent) or "sha256" not in target.hashes:
        return None
    return AgentOffer(
        agent=agent, target=target.path, length=target.length, sha256=target.hashes["sha256"]
    )


def _revocations(target: TargetFile) -> RevocationOffer | None:
    """Return which list *target* is, None when it is something else or says too little."""
    said = revocations_of(target.custom) if target.path == REVOKED else None
    if said is None or "sha256" not in target.hashes:
        return None
    return RevocationOffer(
        said=said, target=target.path, length=target.length, sha256=target.hashes["sha256"]
    )
