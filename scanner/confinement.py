"""Take away from this process what a scan does not need (Linux)."""

import ctypes
import os
import resource
import signal
import struct

from scanner import landlock, system_calls
from scanner.limits import Limits

PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_NO_NEW_PRIVS = 1, 4, 38  # prctl(2)
CLONE_NEWUSER, CLONE_NEWNET, CLONE_NEWIPC = 0x10000000, 0x40000000, 0x08000000  # unshare(2)
OPEN_FILES = 32
NOBODY = 65_534
EMPTY = b"/proc/self/fdinfo"
"""A folder in which nobody can make anything; what it shows are descriptors of this process."""
_CAPABILITIES = struct.pack("<Ii", 0x20080522, 0)
"""Version 3 of capset(2), this process."""

_LIBC = ctypes.CDLL(None, use_errno=True)


def hide() -> None:
    """Let no other process of this user look into this one and those it starts."""
    _LIBC.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)


def confine(limits: Limits, may_read_files: bool = False) -> list[str]:
    """Limit memory, time and files, cut the network and other processes off; return what holds.

    The limits always hold. Without seccomp (an old kernel, another machine) the process becomes
    nobody if it was root; namespaces of its own, Landlock or an empty root take the rest away. The
    answer names only what the kernel granted.
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
    return granted + _without_filter(may_read_files)


def _without_filter(may_read_files: bool) -> list[str]:
    granted = ["not root"] if _become_nobody() else []
    has_own = _LIBC.unshare(CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWIPC) == 0
    if has_own:
        granted += ["network namespace", "no network"]
    held = landlock.restrict(_LIBC, may_read_files)
    if not held and has_own and not may_read_files and _LIBC.chroot(EMPTY) == 0:
        os.chdir("/")
        held = ["empty root", "no files"]
    if has_own:
        _LIBC.capset(_CAPABILITIES, bytes(24))  # rights over its own namespaces
    return granted + held


def _become_nobody() -> bool:
    """Stop being root, whom the limit of processes does not bind; True if it was."""
    if os.getuid() != 0:
        return False
    try:
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
    except OSError:
        return False
    hide()
    _LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)  # a new user unsets it
    return True


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
