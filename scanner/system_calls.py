"""A seccomp filter that leaves a process nothing but computing and the descriptors it holds.

Every other call fails with EPERM: a hostile file that took the process over can neither open files
nor reach a network, start programs, or touch other processes (seccomp(2), linux/filter.h).
"""

import ctypes
import errno
import os
import struct

PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 22, 2
_ALLOW, _KILL, _REFUSE = 0x7FFF0000, 0x80000000, 0x00050000 | errno.EPERM
_LOAD, _EQUAL, _ANY_BIT, _RETURN = 0x20, 0x15, 0x45, 0x06
_NUMBER, _ARCH, _FLAGS = 0, 4, 32
"""Offsets in struct seccomp_data: call number, architecture, low half of the third argument."""
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
_COMPUTING = """read write close fstat poll lseek mmap mprotect munmap brk rt_sigaction
    rt_sigprocmask rt_sigreturn pread64 readv writev sched_yield mremap madvise dup nanosleep getpid
    exit fcntl gettimeofday getrusage sysinfo times getuid getgid geteuid getegid sigaltstack gettid
    futex sched_getaffinity restart_syscall clock_gettime clock_getres clock_nanosleep exit_group
    newfstatat set_robust_list getrandom rseq statx pselect6 ppoll uname getcpu membarrier getcwd"""
_READING = "openat stat lstat access faccessat faccessat2 getdents64 readlink readlinkat ioctl"
_X86_64 = """read 0 write 1 close 3 stat 4 fstat 5 lstat 6 poll 7 lseek 8 mmap 9 mprotect 10
    munmap 11 brk 12 rt_sigaction 13 rt_sigprocmask 14 rt_sigreturn 15 ioctl 16 pread64 17 readv 19
    writev 20 access 21 sched_yield 24 mremap 25 madvise 28 dup 32 nanosleep 35 getpid 39 exit 60
    uname 63 fcntl 72 getcwd 79 readlink 89 gettimeofday 96 getrusage 98 sysinfo 99 times 100
    getuid 102 getgid 104 geteuid 107 getegid 108 sigaltstack 131 gettid 186 futex 202
    sched_getaffinity 204 getdents64 217 restart_syscall 219 clock_gettime 228 clock_getres 229
    clock_nanosleep 230 exit_group 231 openat 257 newfstatat 262 readlinkat 267 faccessat 269
    pselect6 270 ppoll 271 set_robust_list 273 getcpu 309 getrandom 318 membarrier 324 statx 332
    rseq 334 faccessat2 439"""
_AARCH64 = """getcwd 17 dup 23 fcntl 25 ioctl 29 faccessat 48 openat 56 close 57 getdents64 61
    lseek 62 read 63 write 64 readv 65 writev 66 pread64 67 pselect6 72 ppoll 73 readlinkat 78
    newfstatat 79 fstat 80 exit 93 exit_group 94 futex 98 set_robust_list 99 nanosleep 101
    clock_gettime 113 clock_getres 114 clock_nanosleep 115 sched_getaffinity 123 sched_yield 124
    restart_syscall 128 sigaltstack 132 rt_sigaction 134 rt_sigprocmask 135 rt_sigreturn 139
    times 153 uname 160 getrusage 165 getcpu 168 gettimeofday 169 getpid 172 getuid 174 geteuid 175
    getgid 176 getegid 177 gettid 178 sysinfo 179 brk 214 munmap 215 mremap 216 mmap 222
    mprotect 226 madvise 233 getrandom 278 membarrier 283 statx 291 rseq 293 faccessat2 439"""
_MACHINES = {"x86_64": (0xC000003E, _X86_64), "aarch64": (0xC00000B7, _AARCH64)}
"""Machine -> (AUDIT_ARCH_*, its numbers)."""


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def leave_computing(libc: ctypes.CDLL, may_read_files: bool) -> bool:
    """Install the filter for ever; False when this kernel or machine cannot.

    *may_read_files* leaves opening files for reading. The process must have no new privileges set.
    """
    known = _MACHINES.get(os.uname().machine)
    if known is None:
        return False
    code = _program(*known, may_read_files)
    buffer = ctypes.create_string_buffer(code, len(code))
    program = _Program(len(code) // 8, ctypes.addressof(buffer))
    return bool(libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0) == 0)


def _program(arch: int, numbers: str, may_read_files: bool) -> bytes:
    words = numbers.split()
    number_of = dict(zip(words[::2], map(int, words[1::2]), strict=True))
    wanted = (_COMPUTING + " " + _READING if may_read_files else _COMPUTING).split()
    opening = number_of["openat"]
    free = sorted({number_of[name] for name in wanted if name in number_of} - {opening})
    lines = [
        (_LOAD, 0, 0, _ARCH),
        (_EQUAL, 1, 0, arch),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER),
        *((_EQUAL, len(free) - index, 0, number) for index, number in enumerate(free)),
        (_EQUAL, 2 if may_read_files else 1, 1, opening),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _REFUSE),
        (_LOAD, 0, 0, _FLAGS),
        (_ANY_BIT, 0, 1, _WRITING),
        (_RETURN, 0, 0, _REFUSE),
        (_RETURN, 0, 0, _ALLOW),
    ]
    return b"".join(struct.pack("<HBBI", *line) for line in lines)
