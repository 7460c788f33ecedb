"""Which agent package may be handed out, by whom, and what the download page is told. Pure."""

import json
from dataclasses import dataclass
from hashlib import sha256

from contracts.download import Download

SOURCE = "update source"
"""Who brings and hands out a package, when no person does."""
OTHER_SIGNER = (
    "Another key signed it than the package that was handed out last. Phones that have that one "
    "refuse it as an update. Say that another signer is meant, or choose another package."
)


OTHER_APP = (
    "It is another app than the package that is handed out now, so phones would not take it for "
    "its update. Withdraw the old one first if that is meant."
)
BY_HAND = (
    "An administrator chose what is handed out, so it is kept here and not handed out by itself. "
    "Hand it out below, or let the download page follow the update source."
)
NOT_OLDER = (
    "It is not newer than the package that is handed out. Only an administrator goes back: hand an "
    "older one out by hand."
)


@dataclass(frozen=True, slots=True)
class Identity:
    """What makes one agent package another phone's update."""

    package: str
    signer_sha256: str
    version_code: int


def why_not_released(why: str, found: Identity, before: Identity | None) -> str:
    """Return why a package may not be handed out in the place of *before*.

    *why*: what the app store would say of it.
    """
    if why or before is None:
        return why
    if before.signer_sha256 and found.signer_sha256 != before.signer_sha256:
        return (
            "Another key signed it than the package that is handed out now: phones would refuse "
            "the update. Withdraw the old one first if that is meant."
        )
    return OTHER_APP if before.package and found.package != before.package else ""


def follows_source(said: bool | None, ever_released: bool) -> bool:
    """Tell whether the newest package of the source is handed out by itself.

    As an administrator said; where nobody said anything, as long as nobody handed one out.
    """
    return not ever_released if said is None else said


def why_not_followed(
    why: str, found: Identity, promised: Identity, last: Identity | None, still_out: bool
) -> str:
    """Return why a package of the source is not handed out by itself.

    *why*: why nobody may hand it out; *found*: what it is; *promised*: what the source calls it;
    *last*: what was handed out last; *still_out*: that is not withdrawn.
    """
    if found != promised:
        return (
            "It is not what the source's signed list says of it (package, signer or version code). "
            "Publish it again."
        )
    if why:
        return why
    if last is not None and found.signer_sha256 != last.signer_sha256:
        return OTHER_SIGNER
    if last is not None and found.package != last.package:
        return OTHER_APP
    if last is not None and found.version_code < last.version_code + still_out:
        return NOT_OLDER
    return ""


def tag_of(download: Download, relay_url: str, key: str, order_key: dict[str, str]) -> str:
    """Return what stands for all that a page says: the same as long as nothing changes."""
    said = [relay_url, key, order_key, download.sha256, download.size_bytes, download.version]
    said += [download.package, download.signer_sha256]
    return sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()
