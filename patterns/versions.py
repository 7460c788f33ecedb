"""The order of pattern set versions; pure, so that rules may ask."""

import re

from runtime.errors import MalformedMessageError

VERSION = re.compile(r"\d{1,6}(\.\d{1,6}){1,5}", re.ASCII)


def version_key(version: str) -> tuple[int, ...]:
    """Return what orders *version*; MalformedMessageError unless it is dotted numbers."""
    if not VERSION.fullmatch(version):
        raise MalformedMessageError(
            f"{version[:50]!r} is no pattern set version; write dotted numbers like 2026.11.21."
        )
    return tuple(int(part) for part in version.split("."))
