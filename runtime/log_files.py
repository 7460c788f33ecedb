"""A process's own log: some files in its folder, and the ZIP of them that management orders.

The relay and the connector keep theirs so; each says what its file is called and what is secret.
"""

import base64
import io
import json
import logging
import platform
import re
import socket
import zipfile
from collections.abc import Collection
from datetime import datetime
from importlib.metadata import version
from logging.handlers import RotatingFileHandler
from pathlib import Path

FILE_BYTES, OLD_FILES = 2 * 1024 * 1024, 4
HIDDEN = b"[not logged]"
_SECRETS = re.compile(
    rb"(?is)(\b(?:basic|bearer|negotiate)\s+)[A-Za-z0-9+/=._~-]{8,}"
    rb"|(-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----)(?:[^-]|-(?!----)){0,20000}"
)
"""A key ends at its END line, or where the file was cut. Nothing of it is read twice, so that
whoever gets words into a log cannot make this slow."""


def keep(folder: Path, file: str) -> None:
    """Write everything that is logged from now on into *folder* too; call after `logs.start`."""
    root = logging.getLogger()
    where = folder / "log"
    where.mkdir(mode=0o700, exist_ok=True)
    writer = RotatingFileHandler(
        where / file, maxBytes=FILE_BYTES, backupCount=OLD_FILES, encoding="utf-8"
    )
    (where / file).chmod(0o600)
    for other in root.handlers:
        writer.setFormatter(other.formatter)
        for blanking in other.filters:
            writer.addFilter(blanking)
    root.addHandler(writer)


def name(at: datetime) -> str:
    """Return ``<host>_<version>_<timestamp>.zip``."""
    host = re.sub(r"[^A-Za-z0-9.-]", "-", socket.gethostname())[:63] or "host"
    return f"{host}_{version('sekisho')}_{at:%Y%m%dT%H%M%SZ}.zip"


def pack(folder: Path, file: str, secrets: Collection[str], most_bytes: int) -> bytes:
    """Return a ZIP of the log, the newest first and as much of it as *most_bytes* hold.

    Whatever stands in it of *secrets*, plain or in Base64, and what looks like one, is blanked.
    """
    files = [folder / "log" / file]
    files += [folder / "log" / f"{file}.{number}" for number in range(1, OLD_FILES + 1)]
    held = [path for path in files if path.exists()]
    while True:
        packed = _zip(held, secrets)
        if len(packed) <= most_bytes or not held:
            return packed
        held.pop()


def blank(text: bytes, secrets: Collection[str]) -> bytes:
    """Return *text* without secrets."""
    for secret in secrets:
        plain = secret.encode()
        for said in (plain, json.dumps(secret)[1:-1].encode(), base64.b64encode(plain)):
            text = text.replace(said, HIDDEN) if len(said) > 3 else text
    return _SECRETS.sub(lambda found: (found[1] or found[2]) + HIDDEN, text)


def _zip(files: list[Path], secrets: Collection[str]) -> bytes:
    made = io.BytesIO()
    about = {
        "version": version("sekisho"),
        "python": platform.python_version(),
        "system": platform.platform(),
    }
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("about.json", json.dumps(about, indent=1))
        for path in files:
            packed.writestr(path.name, blank(path.read_bytes(), secrets))
    return made.getvalue()
