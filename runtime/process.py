"""How a process of ours lives and dies."""

import ctypes
import os
import signal
from pathlib import Path

PR_SET_PDEATHSIG = 1  # prctl(2)


def die_with_parent() -> None:
    """Let the kernel end this process when its parent dies (Linux), so that none is left over."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() == 1:  # the parent was gone already
        os.kill(os.getpid(), signal.SIGKILL)


def crash_point(name: str) -> None:
    """Do nothing; but a test may order the process to die here, once, as if the power failed.

    ``SEKISHO_CRASH_AT`` names the point and ``SEKISHO_CRASH_MARK`` a file that is made when the
    crash happens, so that the restarted process passes. Points stand just before and just after
    every commit (``before commit NAME``) and every effect outside (``before effect NAME``).
    """
    if os.environ.get("SEKISHO_CRASH_AT") != name:
        return
    mark = Path(os.environ["SEKISHO_CRASH_MARK"])
    try:
        mark.touch(exist_ok=False)
    except FileExistsError:
        return
    os.kill(os.getpid(), signal.SIGKILL)
