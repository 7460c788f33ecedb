"""Hands on what was verified of a source, byte for byte; whoever reads it verifies it again."""

import json
import re
from pathlib import Path

from runtime.errors import NotFoundError

_LIST = re.compile(r"timestamp\.json|(\d{1,9})\.(root|snapshot|targets)\.json", re.ASCII)


def read_list(folder: Path, name: str) -> bytes:
    """Return the signed list *name* as the source gave it; *folder* is `trust.source_folder`.

    NotFoundError for a list of a version that is not, or no longer, the one that was verified.
    """
    named = _LIST.fullmatch(name)
    if named is None:
        raise NotFoundError("There is no such list.")
    number, role = named.groups()
    path = folder / ("root_history" if role == "root" else "") / name
    if role in ("snapshot", "targets"):
        path = folder / f"{role}.json"
    try:
        content = path.read_bytes()
    except OSError:
        raise NotFoundError(f"{name} is not here.") from None
    if number and json.loads(content)["signed"]["version"] != int(number):
        raise NotFoundError(f"{name} is not the version that is here.")
    return content
