"""What confines a copy on other machines and older kernels: every fallback runs for real here."""

import os
import platform
import re
import shutil
import socket
import struct
import subprocess
from pathlib import Path

import pytest

from scanner.isolation import scan_file
from scanner.system_calls import _COMPUTING, _MACHINES, _READING, _WRITING, _program
from tests.scanner.corpus import real_apk
from tests.scanner.test_isolation import CONFINED, stand_in

HEADERS = {
    "x86_64": Path("/usr/include/x86_64-linux-gnu"),
    "aarch64": Path("/usr/aarch64-linux-gnu/include"),
}
"""Machine -> the kernel's own headers: Debian's linux-libc-dev, linux-libc-dev-arm64-cross."""
ALLOW, REFUSE, KILL = 0x7FFF0000, 0x00050001, 0x80000000


def constants(machine: str) -> dict[str, int]:
    """Return the numbers of system calls and the architecture's, as the headers define them."""
    folder = HEADERS[machine]
    if not (folder / "asm" / "unistd.h").exists() or not shutil.which("gcc"):
        pytest.skip(f"no gcc, or no kernel headers in {folder}")
    known = (_COMPUTING + " " + _READING).split()
    lines = [f"{name} = __NR_{name}" for name in known] + [f"arch = AUDIT_ARCH_{machine.upper()}"]
    text = "#include <asm/unistd.h>\n#include <linux/audit.h>\n" + "\n".join(lines)
    places = ["-isystem", str(folder), "-isystem", "/usr/include"]
    done = subprocess.run(
        ["gcc", "-E", "-P", "-nostdinc", *places, "-"],
        input=text, capture_output=True, text=True, check=True,
    )  # fmt: skip
    found = re.findall(r"^(\w+) = ([\d\s()|x0-9a-fA-F]+)$", done.stdout, re.MULTILINE)
    return {name: _sum(value) for name, value in found}


def _sum(value: str) -> int:
    return sum({int(part, 0) for part in re.findall(r"0x[0-9a-fA-F]+|\d+", value)})


@pytest.mark.parametrize("machine", HEADERS)
def test_the_numbers_of_system_calls_are_the_kernels(machine: str) -> None:
    found = constants(machine)
    arch, numbers = _MACHINES[machine]
    words = numbers.split()

    assert found.pop("arch") == arch
    assert dict(zip(words[::2], map(int, words[1::2]), strict=True)) == found
    assert len(found) > 50


def judged(code: bytes, number: int, arch: int, flags: int = 0) -> int:
    """Return what a filter says of a call, as the kernel runs it (linux/bpf_common.h)."""
    seen = struct.pack("<IIQQQQ", number, arch, 0, 0, 0, flags)
    at = value = 0
    while True:
        kind, yes, no, operand = struct.unpack_from("<HBBI", code, 8 * at)
        at += 1
        if kind == 0x20:
            (value,) = struct.unpack_from("<I", seen, operand)
        elif kind == 0x06:
            return int(operand)
        else:
            holds = {0x15: value == operand, 0x45: bool(value & operand)}[kind]
            at += yes if holds else no


@pytest.mark.parametrize("machine", _MACHINES)
@pytest.mark.parametrize("may_read_files", [False, True])
def test_the_filter_lets_through_what_is_listed_and_nothing_else(
    machine: str, may_read_files: bool
) -> None:
    arch, numbers = _MACHINES[machine]
    words = numbers.split()
    named = dict(zip(map(int, words[1::2]), words[::2], strict=True))
    listed = {*_COMPUTING.split(), *(_READING.split() if may_read_files else ())}
    code = _program(arch, numbers, may_read_files)

    for number in range(1024):
        expected = ALLOW if named.get(number) in listed else REFUSE
        assert judged(code, number, arch) == expected, named.get(number, number)
        assert judged(code, number, arch ^ 1) == KILL
    opening = next(number for number, name in named.items() if name == "openat")
    for flags in (os.O_WRONLY, os.O_RDWR, os.O_CREAT, os.O_TRUNC):
        assert judged(code, opening, arch, flags) == REFUSE
    assert _WRITING & os.O_CLOEXEC == 0


REFUSED = """
import ctypes, struct, encodings.idna
libc = ctypes.CDLL(None, use_errno=True)
lines, refused = [(0x20, 0, 0, 0)], {refused}
for number in refused:
    lines += [(0x15, 0, 1, number), (0x06, 0, 0, 0x50026)]
lines += [(0x15, 0, 3, {prctl}), (0x20, 0, 0, 16), (0x15, 0, 1, 22), (0x06, 0, 0, 0x50016)]
lines += [(0x06, 0, 0, 0x7FFF0000)]
code = b"".join(struct.pack("<HBBI", *line) for line in lines)
held = ctypes.create_string_buffer(code, len(code))
program = struct.pack("<HxxxxxxQ", len(lines), ctypes.addressof(held))
assert libc.prctl(38, 1, 0, 0, 0) == 0
assert libc.prctl(22, 2, program, 0, 0) == 0
"""
"""A kernel without filters of system calls, as far as those that follow can tell."""
SECCOMP, UNSHARE, LANDLOCK = "seccomp", "unshare", "landlock"


def numbers_of(names: set[str]) -> tuple[list[int], int]:
    machine = platform.machine()
    own = {"x86_64": (317, 272, 157), "aarch64": (277, 97, 167)}
    if machine not in own:
        pytest.skip("the numbers of this machine are not known")
    seccomp, unshare, prctl = own[machine]
    of = {SECCOMP: [seccomp], UNSHARE: [unshare], LANDLOCK: [444, 445, 446]}
    return [number for name in sorted(names) for number in of[name]], prctl


def confined(
    missing: set[str], shipped: Path, file: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[list[str], list[str]]:
    """Return (what was granted, what an attacker could do) on a kernel without *missing*."""
    refused, prctl = numbers_of(missing)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        before = REFUSED.format(refused=refused, prctl=prctl)
        work = CONFINED % {"port": port, "file": file}
        if UNSHARE in missing:  # nothing keeps it from becoming another program
            work = work.replace('attempt("run"', '0 and attempt("run"')
        stand_in(monkeypatch, before + work)
        said = [*scan_file(real_apk(), shipped).skipped]
    assert "then" in said, said
    return said[: said.index("then")], said[said.index("then") + 1 :]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    place = tmp_path / "there"
    place.write_text("x")
    return place


def test_without_filters_landlock_and_namespaces_leave_nothing(
    shipped: Path, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    granted, done = confined({SECCOMP}, shipped, file, monkeypatch)

    assert "system calls filtered" not in granted
    if not {"landlock", "no network"} <= {*granted}:
        pytest.skip("this kernel knows no Landlock, or gives no namespaces")
    assert "no files" in granted
    assert done == ([] if "no signals" in granted or "not root" in granted else ["kill"])
    assert file.exists()


def test_without_landlock_too_an_empty_root_hides_all_files(
    shipped: Path, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    granted, done = confined({SECCOMP, LANDLOCK}, shipped, file, monkeypatch)

    if "network namespace" not in granted:
        pytest.skip("this kernel gives no namespaces")
    assert {"empty root", "no files", "no network"} <= {*granted}
    assert "landlock" not in granted
    assert done == ([] if "not root" in granted else ["kill"])
    assert file.exists()


def test_what_no_kernel_granted_is_not_claimed(
    shipped: Path, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    granted, done = confined({SECCOMP, LANDLOCK, UNSHARE}, shipped, file, monkeypatch)

    assert {*granted} <= {"limits", "no new privileges", "not root"}
    assert "connect" in done  # the attempts are real ones
    assert "fork" not in done


def test_a_scan_without_filters_finds_the_same(
    shipped: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused, prctl = numbers_of({SECCOMP})
    stand_in(
        monkeypatch,
        REFUSED.format(refused=refused, prctl=prctl)
        + f"from patterns.opened import open_set\npatterns = open_set({str(shipped)!r})\n"
        "child.warm_up(patterns)\nreturn child.scan_input(patterns, limits)",
    )

    weak = scan_file(real_apk(), shipped)
    monkeypatch.undo()
    whole = scan_file(real_apk(), shipped)

    assert weak.findings == whole.findings
    assert weak.skipped == whole.skipped == ()
    assert "system calls filtered" not in weak.features["confinement"]
