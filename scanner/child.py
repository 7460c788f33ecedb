"""The process that reads a strange file: the file is its standard input, JSON its output.

    python -I -m scanner.child PATTERN_FOLDER LIMITS_AS_JSON

It imports and opens what it needs first, gives up its rights, and only then reads the file.
"""

import json
import mmap
import os
import sys
from typing import Any

from patterns.opened import open_set
from scanner.confinement import confine
from scanner.limits import Limits
from scanner.scan import scan


def main(arguments: list[str]) -> None:
    """Scan standard input and write one JSON object, which says ``failed`` when it could not."""
    folder, limits = arguments[0], Limits(**json.loads(arguments[1]))
    patterns = open_set(folder)
    granted = confine(limits)
    try:
        with mmap.mmap(0, 0, access=mmap.ACCESS_READ) as data:
            answer = scan(data, patterns, limits)
        answer["features"]["confinement"] = granted
    except MemoryError:
        answer = {"failed": "it needs more memory than the limit"}
    except Exception as error:  # noqa: BLE001  (whatever a hostile file brought about is told)
        answer = {"failed": f"the scanner gave up: {type(error).__name__}: {error}"[:500]}
    _write(answer)


def _write(answer: dict[str, Any]) -> None:
    body = memoryview(json.dumps(answer, ensure_ascii=False).encode("utf-8", "replace"))
    while body:
        body = body[os.write(1, body) :]


if __name__ == "__main__":
    main(sys.argv[1:])
