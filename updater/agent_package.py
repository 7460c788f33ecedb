"""What a source says of an agent's Android package, and how its publisher gets to know it.

Whoever takes the package reads it anew and compares: what stands here is only the publisher's word.
"""

import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field, TypeAdapter, ValidationError

from contracts import codec
from contracts.scan import ScanResult, Verdict
from contracts.types import Name, Sha256
from patterns.versions import VERSION
from runtime.errors import MalformedMessageError, RefusedError, UnavailableError

SCAN_SECONDS = 900
GOOD = (Verdict.CLEAN, Verdict.UNWANTED)
"""Servers hand out nothing else unless a person approves it."""
_PACKAGE = r"^[A-Za-z][A-Za-z0-9_]*(\.[A-Za-z][A-Za-z0-9_]*)+$"


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentPackage:
    """One version of an agent."""

    package: Annotated[str, Field(max_length=200, pattern=_PACKAGE)]
    version: Name
    """For people."""
    version_code: Annotated[int, Field(ge=1, lt=2**63, strict=True)]
    """What Android orders versions by."""
    signer_sha256: Sha256
    """Of the certificate that signed it."""
    server: Annotated[str, Field(max_length=50, pattern=rf"^({VERSION.pattern})?$")] = ""
    """The oldest release of this server that it works with; empty: any."""


_AGENT = TypeAdapter(AgentPackage)


def agent_of(custom: object) -> AgentPackage | None:
    """Return what a signed list says of an agent package; None when it says too little."""
    try:
        return _AGENT.validate_python(custom)
    except ValidationError:
        return None


def read_package(file: Path, server: str = "") -> AgentPackage:
    """Return which agent package *file* is; *server*: the oldest release that it works with.

    The file is read by ``sekisho scan`` in a process of its own. RefusedError for what no server
    would hand out.
    """
    said = _scanned(file)
    if said.verdict not in GOOD:
        raise RefusedError(
            f"Its verdict is {said.verdict}, so servers would not hand it out. 'sekisho scan"
            f" {file}' says why."
        )
    if said.splits or len(said.signers) != 1:
        raise RefusedError(f"{file} is not one Android package with one signer.")
    found = {
        "package": said.package,
        "version": said.version_name,
        "version_code": int(said.version_code) if re.fullmatch(r"\d+", said.version_code) else 0,
        "signer_sha256": said.signers[0].sha256,
        "server": server,
    }
    try:
        return _AGENT.validate_python(found)
    except ValidationError as error:
        wrong = ", ".join(sorted({str(one["loc"][0]) for one in error.errors()}))
        raise MalformedMessageError(f"This cannot be read or is missing: {wrong}.") from None


def _scanned(file: Path) -> ScanResult:
    command = [sys.executable, "-m", "sekisho", "scan", "--json", str(file.absolute())]
    code = Path(__file__).parents[1]
    try:
        done = subprocess.run(
            command, cwd=code, capture_output=True, timeout=SCAN_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise UnavailableError(f"{file} was not scanned within {SCAN_SECONDS} seconds.") from None
    if done.returncode not in (0, 1, 2) or not done.stdout:
        words = done.stderr.decode("utf-8", "replace").strip()[-1000:]
        raise UnavailableError(f"{file} could not be scanned: {words}")
    return codec.read(ScanResult, done.stdout, 64 * 1024 * 1024)
