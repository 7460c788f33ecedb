"""The connector's own log: some files in its folder, and the ZIP of them that management orders."""

from collections.abc import Collection
from pathlib import Path

from contracts.connector import LARGEST_LOG_BYTES
from runtime import log_files
from runtime.log_files import blank as blank
from runtime.log_files import name as name

FILE = "connector.log"


def keep(folder: Path) -> None:
    """Write everything that is logged from now on into *folder* too; call after `logs.start`."""
    log_files.keep(folder, FILE)


def pack(folder: Path, secrets: Collection[str]) -> bytes:
    """Return a ZIP of the log without *secrets*, as much of it as may be sent."""
    return log_files.pack(folder, FILE, secrets, LARGEST_LOG_BYTES)
