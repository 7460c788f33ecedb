"""What this server writes of itself: how much, and the files that management fetches."""

import base64
import logging
import time
from pathlib import Path

from contracts.connector import LARGEST_LOG_BYTES
from contracts.link import LogWish, OwnLog
from runtime import log_files
from runtime.clock import utc_now

FILE = "communication.log"
log = logging.getLogger(__name__)


class Logging:
    """The level of the log, which management changes for a while, and the log itself."""

    def __init__(self, folder: Path, usual: str) -> None:
        self._folder, self._usual = folder, usual.upper()
        self._wished, self._until = "", 0.0

    def wish(self, wished: LogWish) -> None:
        """Log at another level for as long as is wished."""
        self._wished, self._until = wished.level, time.monotonic() + wished.seconds
        log.warning("Logging at level %s for %s seconds.", wished.level, wished.seconds)
        level = "DEBUG" if wished.level == "trace" else wished.level.upper()
        logging.getLogger().setLevel(level)

    def level(self) -> str:
        """Return the level that was wished; empty when none holds, and log as usual then."""
        if self._wished and time.monotonic() >= self._until:
            self._wished = ""
            logging.getLogger().setLevel(self._usual)
            log.info("Logging as usual again.")
        return self._wished

    def fetch(self) -> OwnLog:
        """Return the log: its newest 3 MB, without anything that looks like a secret."""
        packed = log_files.pack(self._folder, FILE, (), LARGEST_LOG_BYTES)
        return OwnLog(name=log_files.name(utc_now()), zip=base64.b64encode(packed).decode())
