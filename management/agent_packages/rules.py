"""Which agent package may be handed out, and what the download page is told. Pure."""

import json
from hashlib import sha256

from contracts.download import Download

OTHER_SIGNER = (
    "Another key signed it than the package that was handed out last. Phones that have that one "
    "refuse it as an update. Say that another signer is meant, or choose another package."
)


def why_not_released(why: str, signer: str, signer_before: str) -> str:
    """Return why a package may not be handed out; *why*: what the app store would say of it."""
    if why:
        return why
    if signer_before and signer != signer_before:
        return (
            "Another key signed it than the package that is handed out now: phones would refuse "
            "the update. Withdraw the old one first if that is meant."
        )
    return ""


def tag_of(download: Download, relay_url: str, key: str, order_key: dict[str, str]) -> str:
    """Return what stands for all that a page says: the same as long as nothing changes."""
    said = [relay_url, key, order_key, download.sha256, download.size_bytes, download.version]
    said += [download.package, download.signer_sha256]
    return sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()
