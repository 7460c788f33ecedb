"""Scan a strange file in a child process, so that it can hurt nobody.

The parent computes the file's SHA-256 and reads the child's bounded answer; it never looks into
the file. Whatever happens to the child, the result is `UNSCANNABLE` with the reason, never clean.
"""

import hashlib
import json
import os
import selectors
import signal
import subprocess
import sys
import sysconfig
import time
from dataclasses import replace
from io import BufferedReader
from pathlib import Path
from typing import Any

import scanner
from contracts import codec
from contracts.scan import ScanResult, Verdict
from patterns.pattern_set import read_manifest
from runtime.errors import MalformedMessageError, NotFoundError, TooLargeError
from scanner import judgement_rules
from scanner.evidence import printable
from scanner.limits import DEFAULT, Limits

_START = (
    "import sys, json; sys.path[:0] = json.loads(sys.argv.pop(1)); "
    "from scanner.child import main; main(sys.argv[1:])"
)
"""Starts the scanner of the very code that runs here, without reading site settings."""


class _FailedError(Exception):
    """The child gave no result; the text says why."""


def scan_file(path: Path, pattern_folder: Path, limits: Limits = DEFAULT) -> ScanResult:
    """Return what the file at *path* is, judged by the set unpacked in *pattern_folder*.

    Raises NotFoundError when there is no such file or set; anything in the file only ever leads
    to a result.
    """
    began = time.monotonic()
    version = read_manifest(pattern_folder).version
    with _open(path) as file:
        size = os.fstat(file.fileno()).st_size
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        try:
            said = _ask_child(file, size, pattern_folder, limits)
        except _FailedError as error:
            said = {"skipped": [printable(f"The file was not scanned: {error}.", 2000)]}
    fields = {
        **said,
        "v": 1,
        "file": printable(str(path), 1000),
        "sha256": sha256,
        "size_bytes": size,
        "verdict": Verdict.UNSCANNABLE,
        "pattern_version": version,
        "elapsed_ms": round((time.monotonic() - began) * 1000),
    }
    return _judged(fields)


def _judged(fields: dict[str, Any]) -> ScanResult:
    try:
        said = codec.read(ScanResult, json.dumps(fields), maximum_bytes=2 * DEFAULT.answer_bytes)
    except (MalformedMessageError, TooLargeError) as error:
        kept = {name: fields[name] for name in _OURS}
        reason = printable(f"The scanner's answer cannot be used: {error}", 2000)
        said = codec.read(ScanResult, json.dumps({**kept, "skipped": [reason]}))
    return replace(
        said,
        verdict=judgement_rules.judge(said.findings, said.skipped),
        categories=judgement_rules.categories(said.findings),
    )


_OURS = ("v", "file", "sha256", "size_bytes", "verdict", "pattern_version", "elapsed_ms")


def _open(path: Path) -> BufferedReader:
    try:
        if not path.is_file():
            raise NotFoundError(f"There is no file {path}.")
        return path.open("rb")
    except (OSError, ValueError) as error:
        raise NotFoundError(f"{path} cannot be read: {error}.") from None


def _ask_child(file: BufferedReader, size: int, patterns: Path, limits: Limits) -> dict[str, Any]:
    if size == 0:
        raise _FailedError("it is empty")
    if size > limits.file_bytes:
        raise _FailedError(f"it is larger than {limits.file_bytes} bytes")
    child = subprocess.Popen(
        _command(patterns, limits),
        stdin=file,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ},
    )
    try:
        answer = _read(child, limits)
    finally:
        child.kill()
        child.wait()
        if child.stdout:
            child.stdout.close()
    return _parse(answer, child.returncode)


def _command(patterns: Path, limits: Limits) -> list[str]:
    ours = str(Path(scanner.__file__).absolute().parents[1])
    libraries = dict.fromkeys(sysconfig.get_path(name) for name in ("purelib", "platlib"))
    return [
        sys.executable,
        *("-I", "-S", "-c", _START),
        json.dumps([ours, *libraries]),
        str(patterns.absolute()),
        json.dumps(limits._asdict()),
    ]


def _read(child: subprocess.Popen[bytes], limits: Limits) -> bytes:
    """Return all that the child writes until it ends, within time and size."""
    if child.stdout is None:
        raise _FailedError("the scanner could not be started")
    end = time.monotonic() + limits.seconds
    answer = bytearray()
    with selectors.DefaultSelector() as selector:
        selector.register(child.stdout, selectors.EVENT_READ)
        while True:
            left = end - time.monotonic()
            if left <= 0 or not selector.select(left):
                raise _FailedError(f"it took more than {limits.seconds:g} s")
            piece = os.read(child.stdout.fileno(), 65_536)
            if not piece:
                break
            answer += piece
            if len(answer) > limits.answer_bytes:
                raise _FailedError("the scanner said more than the limit")
    try:
        child.wait(timeout=max(0.1, end - time.monotonic()))
    except subprocess.TimeoutExpired:
        raise _FailedError(f"it took more than {limits.seconds:g} s") from None
    return bytes(answer)


def _parse(answer: bytes, status: int) -> dict[str, Any]:
    if status == -signal.SIGXCPU or (status == -signal.SIGKILL and not answer):
        raise _FailedError("it needs more processor time or memory than the limit")
    if status < 0:
        raise _FailedError(f"the scanner was ended by {_signal_name(-status)}")
    if status > 0 or not answer:
        raise _FailedError(f"the scanner ended with status {status}")
    try:
        said = json.loads(answer)
    except (ValueError, RecursionError):
        raise _FailedError("the scanner's answer cannot be read") from None
    if not isinstance(said, dict) or "failed" in said:
        reason = said.get("failed") if isinstance(said, dict) else "the answer is no object"
        raise _FailedError(str(reason))
    return said


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
