"""Take away from this process what a scan does not need (Linux)."""

import ctypes
import os
import resource
import signal

from scanner import system_calls
from scanner.limits import Limits

PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_NO_NEW_PRIVS = 1, 4, 38  # prctl(2)
CLONE_NEWUSER, CLONE_NEWNET, CLONE_NEWIPC = 0x10000000, 0x40000000, 0x08000000  # unshare(2)
OPEN_FILES = 32

_LIBC = ctypes.CDLL(None, use_errno=True)


def hide() -> None:
    """Let no other process of this user look into this one and those it starts."""
    _LIBC.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)


def confine(limits: Limits, may_read_files: bool = False) -> list[str]:
    """Limit memory, time and files, cut the network and other processes off; return what holds.

    The limits always hold. Without seccomp (an old kernel, another machine) a network namespace of
    its own cuts the network off; where the kernel forbids that too, the answer does not name it.
    """
    hide()
    _LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    granted = ["limits"]
    if _LIBC.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0:
        granted.append("no new privileges")
    os.chdir("/")
    _limit(limits)
    if system_calls.leave_computing(_LIBC, may_read_files):
        files = "files are read only" if may_read_files else "no files"
        return [*granted, "system calls filtered", "no network", files]
    if _LIBC.unshare(CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWIPC) == 0:
        return [*granted, "network namespace", "no network"]
    return granted


def _limit(limits: Limits) -> None:
    for what, most in (
        (resource.RLIMIT_AS, limits.memory_bytes),
        (resource.RLIMIT_CPU, limits.cpu_seconds),
        (resource.RLIMIT_NOFILE, OPEN_FILES),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NPROC, 0),
    ):
        _, hard = resource.getrlimit(what)
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(what, (most, most))
