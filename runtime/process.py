"""How a process of ours lives and dies."""

import ctypes
import os
import pwd
import signal
import sys
from pathlib import Path

SUPERVISED = "SEKISHO_SUPERVISED"
"""The process id of the supervisor whose child we are."""
HELD = "SEKISHO_HELD"
"""Says that the supervisor prepares the data folder still."""
PR_SET_PDEATHSIG = 1  # prctl(2)


def account_name(user: int) -> str:
    """Return what the system calls the account *user*; without a name there, the number."""
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return str(user)


def die_with_parent(parent: int | None = None) -> None:
    """Let the kernel end this process when its parent dies (Linux), so that none is left over.

    *parent* is the parent's process id, where the caller knows it: in a container it may be 1.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    gone = os.getppid() == 1 if parent is None else os.getppid() != parent
    if gone:  # before the kernel knew
        os.kill(os.getpid(), signal.SIGKILL)


def wait_for_start() -> None:
    """Wait until the supervisor has prepared the data folder, when it started us ahead of that.

    Held processes have a pipe as standard input; the supervisor closes it.
    """
    if os.environ.pop(HELD, ""):
        sys.stdin.read()


def crash_point(name: str) -> None:
    """Do nothing; but a test may order the process to die here, once, as if the power failed.

    Points stand just before and just after every commit (``before commit NAME``) and every effect
    outside (``before effect NAME``). ``SEKISHO_CRASH_AT`` names the point, or with ``@`` a file
    that names it; ``SEKISHO_CRASH_MARK`` is a file that is made when the crash happens, and learns
    the process id, so that the restarted process passes. ``SEKISHO_CRASH_TRACE`` is a file that
    learns each point's name after the process id.
    """
    if trace := os.environ.get("SEKISHO_CRASH_TRACE"):
        with Path(trace).open("a", encoding="utf-8") as names:
            names.write(f"{os.getpid()}\t{name}\n")
    if _ordered() == name and _first(Path(os.environ["SEKISHO_CRASH_MARK"])):
        os.kill(os.getpid(), signal.SIGKILL)


def _ordered() -> str | None:
    wanted = os.environ.get("SEKISHO_CRASH_AT")
    if wanted is None or not wanted.startswith("@"):
        return wanted
    path = Path(wanted[1:])
    return path.read_text(encoding="utf-8").strip() if path.exists() else None


def _first(mark: Path) -> bool:
    try:
        with mark.open("x", encoding="ascii") as file:
            file.write(str(os.getpid()))
    except FileExistsError:
        return False
    return True
