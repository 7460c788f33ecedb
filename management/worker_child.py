"""What runs in a worker's child process: one job at a time, with a context of its own."""

import logging
import os
import signal
from multiprocessing.connection import Connection
from typing import Any

from management.context import Context, open_context
from management.handlers import find_handler
from management.progress import Said
from management.settings import Settings
from runtime import logs
from runtime.errors import HopelessError, SekishoError
from runtime.process import die_with_parent

log = logging.getLogger(__name__)
YIELDS = 5
"""Background work gives way to pages, check-ins and other processes that start."""
_here: dict[str, Any] = {}


class Final(str):
    """Why a job failed for good."""

    __slots__ = ()


def start(settings: Settings, parent: int, reports: Connection) -> None:
    """Prepare this process; its first report is its process id."""
    die_with_parent(parent)
    os.nice(YIELDS)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides, also on Ctrl-C
    logs.start("worker", settings.log_level)
    _here["context"], _here["reports"] = open_context(settings), reports
    try:
        reports.send_bytes(str(os.getpid()).encode())
    except BrokenPipeError:  # the worker gave up on us before we stood
        os._exit(0)


def run(kind: str, payload: dict[str, Any], asked_by: str = "") -> str:
    """Do one job for *asked_by*; return an empty text, or in a sentence why it failed."""
    context: Context = _here["context"]
    context.database.behalf = asked_by
    try:
        find_handler(kind)(context, payload, _progress)
    except SekishoError as error:
        log.warning("A job failed.", extra={"kind": kind, "because": str(error)})
        return Final(error) if isinstance(error, HopelessError) else str(error)
    except Exception as error:
        log.exception("A job broke.", extra={"kind": kind})
        return f"{type(error).__name__}: {error}"
    return ""


def _progress(sentence: str) -> None:
    """Tell the parent, which writes it down: this process may hold the write lock itself."""
    line = sentence if isinstance(sentence, Said) else Said(sentence)
    _here["reports"].send_bytes(line.to_json().encode("utf-8", "replace"))
