"""Brings the files of the store to relays: management pushes, so nothing need reach it."""

import time
from collections.abc import Mapping
from pathlib import Path

from contracts.files import PART_BYTES
from management.apps.uploads import file_of
from management.context import Context
from management.relays.link_client import LinkClient
from management.store.queries import files_on_offer

SECONDS = 5.0
"""Of one visit; the rest follows at the next."""


def bring_files(context: Context, link: LinkClient, also: Mapping[str, int]) -> None:
    """Leave with the relay what the store offers, and *also* these files (hash -> size).

    What is no longer wanted it deletes.

    The relay says what it holds, so an interrupted file goes on where it ended, and a relay that
    lost its files gets them again.
    """
    with context.database.reading() as session:
        wanted = files_on_offer(session) | dict(also)
    held = {file.sha256: file for file in link.files().files}
    for sha256 in sorted(held.keys() - wanted.keys()):
        link.forget_file(sha256)
    end = time.monotonic() + SECONDS
    for sha256, size in sorted(wanted.items()):
        known = held.get(sha256)
        if known is not None and known.whole:
            continue
        offset = known.received_bytes if known else 0
        _push(link, file_of(context.settings.home, sha256), sha256, size, offset, end)


def _push(link: LinkClient, path: Path, sha256: str, size: int, offset: int, end: float) -> None:
    if not path.exists():
        return
    with path.open("rb") as file:
        file.seek(offset)
        while offset < size and time.monotonic() < end:
            body = file.read(PART_BYTES)
            if not body:
                return
            link.put_file(sha256, offset, size, body)
            offset += len(body)
