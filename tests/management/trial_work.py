"""Kinds of work that only tests queue; the worker's child imports this file."""

import os
import signal
import time
from pathlib import Path
from typing import Any

from management import worker_child
from management.context import Context
from management.handlers import HANDLERS, Progress
from management.safety import service as safety
from runtime.clock import utc_now
from runtime.errors import HopelessError, UnavailableError


def run(kind: str, payload: dict[str, Any], asked_by: str) -> str:
    """Do a job in the child as always, with the kinds below known."""
    for name in ("write", "kill_once", "kill_always", "fail", "fail_for_good", "break_", "sleep"):
        HANDLERS[f"trial.{name}"] = f"{__name__}:{name}"
    return worker_child.run(kind, payload, asked_by)


def write(context: Context, payload: dict[str, Any], progress: Progress) -> None:
    """Store a setting in the database, telling progress while the write lock is held."""
    with context.database.transaction("trial") as session:
        safety.write_setting(session, payload["name"], str(os.getpid()), "trial", utc_now())
        progress("半分")
        time.sleep(payload.get("seconds", 0))
        progress("all written")


def kill_once(context: Context, payload: dict[str, Any], progress: Progress) -> None:
    """Die as `kill -9` kills, the first time."""
    mark = Path(payload["mark"])
    if not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)


def kill_always(context: Context, payload: dict[str, Any], progress: Progress) -> None:
    """Die each time."""
    os.kill(os.getpid(), signal.SIGKILL)


def fail(context: Context, payload: dict[str, Any], progress: Progress) -> None:
    """Fail with a sentence."""
    raise UnavailableError("The other side is away.")


def fail_for_good(context: Context, payload: dict[str, Any], progress: Progress) -> None:
    """Fail so that trying again would not help."""
    raise HopelessError("Nobody holds it.")


def break_(context: Context, payload: dict[str, Any], progress: Progress) -> None:
    """Fail as a program error does."""
    raise ZeroDivisionError("nothing by nothing")


def sleep(context: Context, payload: dict[str, Any], progress: Progress) -> None:
    """Take long."""
    Path(payload["mark"]).write_text(str(os.getpid()))
    time.sleep(payload["seconds"])
