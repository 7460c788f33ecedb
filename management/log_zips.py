"""Logs that other processes send: how long they log more, and what may come as a log.

A ZIP of bounded size from a machine that may be in other hands: kept and handed on, never opened.
"""

import re
from datetime import datetime, timedelta
from typing import cast

from flask import Response

from contracts.connector import LARGEST_LOG_BYTES, LogLevel
from runtime.errors import MalformedMessageError, TooLargeError

LOG_LEVEL_HOLDS = timedelta(hours=1)
USUAL_LEVEL: LogLevel = "info"
VALID_FOR = timedelta(days=1)
"""So long a process may take to send its log."""
KEPT_FOR = timedelta(days=7)
_NAME = re.compile(r"[A-Za-z0-9.-]{1,63}_[A-Za-z0-9.+-]{1,30}_[0-9]{8}T[0-9]{6}Z\.zip")
_ZIP = b"PK\x03\x04"


def check(name: str, content: bytes) -> None:
    """Raise MalformedMessageError or TooLargeError unless it may be a log."""
    if not _NAME.fullmatch(name) or not content.startswith(_ZIP):
        raise MalformedMessageError("A log is a ZIP named HOST_VERSION_TIME.zip.")
    if len(content) > LARGEST_LOG_BYTES:
        raise TooLargeError("The log is larger than it may be.")


def until(level: LogLevel, now: datetime) -> datetime | None:
    """Return until when a level holds that somebody chooses now; None: it is the usual one."""
    return None if level == USUAL_LEVEL else now + LOG_LEVEL_HOLDS


def level_now(level: str, until: datetime | None, now: datetime) -> LogLevel:
    """Return the level that holds now."""
    return USUAL_LEVEL if until is None or until <= now else cast("LogLevel", level)


def download(name: str, content: bytes) -> Response:
    """Return a log as a file."""
    answer = Response(content, mimetype="application/zip")
    answer.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return answer
