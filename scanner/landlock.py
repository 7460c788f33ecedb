"""Files, connections and signals taken away without a filter of system calls (landlock(7)).

The kernel knows it from 5.13 on; what a version of it does not know is not asked for.
"""

import ctypes
import os
import struct

_CREATE, _RESTRICT = 444, 446
"""System calls, with the same numbers on every machine."""
_VERSION = 1
_READING = 1 << 2 | 1 << 3
_FILES = ((1, 13), (2, 14), (3, 15), (5, 16))
"""(version, how many rights over files it knows)."""
_CONNECTING, _SCOPED = 4, 6
"""The versions that know TCP, and signals and sockets of other processes."""


def restrict(libc: ctypes.CDLL, may_read_files: bool) -> list[str]:
    """Give up for ever what the kernel can take; return what holds, nothing if it is too old.

    The process must have no new privileges set.
    """
    version = libc.syscall(_CREATE, None, ctypes.c_size_t(0), _VERSION)
    if version < 1:
        return []
    rights = (1 << max(count for least, count in _FILES if version >= least)) - 1
    if may_read_files:
        rights &= ~_READING
    connecting, scoped = 3 * (version >= _CONNECTING), 3 * (version >= _SCOPED)
    wanted = struct.pack("<QQQ", rights, connecting, scoped)
    rules = libc.syscall(_CREATE, wanted, ctypes.c_size_t(len(wanted)), 0)
    if rules < 0:
        return []
    is_held = libc.syscall(_RESTRICT, rules, 0) == 0
    os.close(rules)
    if not is_held:
        return []
    files = "files are read only" if may_read_files else "no files"
    return ["landlock", files, *(["no signals"] if scoped else [])]
