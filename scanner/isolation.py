"""Scan a strange file in a process of its own, so that it can hurt nobody.

A warm process that reads no strange file (`scanner.warm_process`) forks for each. The parent
computes the file's SHA-256 and reads the bounded answer; it never looks into the file. Whatever
happens to the child, the result is `UNSCANNABLE` with the reason, never clean.
"""

import hashlib
import json
import os
import signal
import sys
import sysconfig
import time
from dataclasses import replace
from io import BufferedReader
from pathlib import Path
from typing import Any

import scanner
from contracts import codec
from contracts.scan import Finding, ScanResult, Verdict
from patterns.opened import open_data
from patterns.pattern_set import read_manifest
from runtime.errors import MalformedMessageError, NotFoundError, TooLargeError
from scanner import judgement_rules, warm_process
from scanner.evidence import printable
from scanner.features import HASH_LENGTH
from scanner.known_rules import listed
from scanner.limits import DEFAULT, Limits
from scanner.warm_process import WarmProcessError

_START = (
    "import sys, json; sys.path[:0] = json.loads(sys.argv.pop(1)); "
    "from importlib import import_module; import_module(sys.argv.pop(1)).main(sys.argv[1:])"
)
"""Starts the scanner of the very code that runs here, without reading site settings."""


class FailedError(Exception):
    """The child gave no result; the text says why."""


def scan_file(path: Path, pattern_folder: Path, limits: Limits = DEFAULT) -> ScanResult:
    """Return what the file at *path* is, judged by the set unpacked in *pattern_folder*.

    Raises NotFoundError when there is no such file or set; anything in the file only ever leads
    to a result.
    """
    began = time.monotonic()
    version = read_manifest(pattern_folder).version
    with open_file(path) as file:
        size = os.fstat(file.fileno()).st_size
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        try:
            said = ask_child(file, limits, "scanner.child", pattern_folder)
        except FailedError as error:
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
    return _judged(fields, pattern_folder)


def _judged(fields: dict[str, Any], pattern_folder: Path) -> ScanResult:
    try:
        said = codec.read(ScanResult, json.dumps(fields), maximum_bytes=2 * DEFAULT.answer_bytes)
    except (MalformedMessageError, TooLargeError) as error:
        kept = {name: fields[name] for name in _OURS}
        reason = printable(f"The scanner's answer cannot be used: {error}", 2000)
        said = codec.read(ScanResult, json.dumps({**kept, "skipped": [reason]}))
    said = _compared(said, fields["sha256"], pattern_folder)
    return replace(said, **judgement_rules.conclude(said.findings, said.skipped)._asdict())


def _compared(said: ScanResult, sha256: str, pattern_folder: Path) -> ScanResult:
    """Add what lists say of the file's own hash: no child must survive the file for that."""
    own = {"hashes": {sha256[:HASH_LENGTH]: "the file"}}
    lists = [rule for rule in open_data(str(pattern_folder)).lists if rule["kind"] == "sha256"]
    found = [Finding(**fields._asdict()) for fields in listed(own, lists)]
    if not found:
        return said
    return replace(said, findings=tuple(judgement_rules.sorted_findings([*found, *said.findings])))


_OURS = ("v", "file", "sha256", "size_bytes", "verdict", "pattern_version", "elapsed_ms")


def open_file(path: Path) -> BufferedReader:
    """Return the open file; NotFoundError when there is none that can be read."""
    try:
        if not path.is_file():
            raise NotFoundError(f"There is no file {path}.")
        return path.open("rb")
    except (OSError, ValueError) as error:
        raise NotFoundError(f"{path} cannot be read: {error}.") from None


def ask_child(
    file: BufferedReader, limits: Limits, program: str, folder: Path | None = None
) -> dict[str, Any]:
    """Return what a process of its own that runs module *program* says of *file*.

    Raises FailedError when it says nothing that can be used.
    """
    size = os.fstat(file.fileno()).st_size
    if size == 0:
        raise FailedError("it is empty")
    if size > limits.file_bytes:
        raise FailedError(f"it is larger than {limits.file_bytes} bytes")
    try:
        answer, cost = warm_process.ask(_command(program, folder), folder, file, limits)
    except WarmProcessError as error:
        raise FailedError(str(error)) from None
    said = _parse(answer, cost.pop("exit"))
    if isinstance(features := said.setdefault("features", {}), dict):
        features["cost"] = cost
    return said


def _command(program: str, folder: Path | None) -> list[str]:
    ours = str(Path(scanner.__file__).absolute().parents[1])
    libraries = dict.fromkeys(sysconfig.get_path(name) for name in ("purelib", "platlib"))
    return [
        sys.executable,
        *("-I", "-S", "-c", _START),
        json.dumps([ours, *libraries]),
        program,
        *([str(folder.absolute())] if folder else []),
    ]


def _parse(answer: bytes, status: int) -> dict[str, Any]:
    if status == -signal.SIGXCPU or (status == -signal.SIGKILL and not answer):
        raise FailedError("it needs more processor time or memory than the limit")
    if status < 0:
        raise FailedError(f"the scanner was ended by {_signal_name(-status)}")
    if status > 0 or not answer:
        raise FailedError(f"the scanner ended with status {status}")
    try:
        said = json.loads(answer)
    except (ValueError, RecursionError):
        raise FailedError("the scanner's answer cannot be read") from None
    if not isinstance(said, dict) or "failed" in said:
        reason = said.get("failed") if isinstance(said, dict) else "the answer is no object"
        raise FailedError(str(reason))
    return said


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
