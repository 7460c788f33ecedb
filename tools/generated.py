"""Files that are written from the code: each tool writes its own, or says that it is stale."""

import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def write_or_check(target: Path, text: str) -> int:
    """Write *text* into *target*; with ``--check`` only compare, exit status 1 when it differs."""
    if "--check" not in sys.argv[1:]:
        target.write_text(text, encoding="utf-8")
        return 0
    if target.exists() and target.read_text(encoding="utf-8") == text:
        return 0
    tool = Path(sys.argv[0]).name
    print(f"{target.relative_to(ROOT)} is stale: run PYTHONPATH=. python tools/{tool}")
    return 1
