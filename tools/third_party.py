"""Writes THIRD-PARTY.md: every package that an installation brings, with version and licence.

    python tools/third_party.py [--check]

``--check`` writes nothing and ends with status 1 when the file does not tell the truth.
"""

import re
import sys
from importlib.metadata import Distribution, distribution, distributions
from pathlib import Path

from tools.generated import ROOT, write_or_check

TARGET = ROOT / "THIRD-PARTY.md"
HEAD = """# Third-party software

Sekisho installs these packages, unchanged, from the Python package index; none of their code is in
this repository. Written by `tools/third_party.py` from the packages' own metadata.
"""
SETS = (
    ("Run time", "run.lock", None),
    ("Front-end assets", "assets.lock", ROOT / "build/assets"),
)
CLASSIFIER = "License :: OSI Approved :: "


def text() -> str:
    """Return the whole file."""
    parts = [HEAD]
    for title, lock, folder in SETS:
        parts.append(f"\n## {title}\n\n| package | version | licence |\n|---|---|---|\n")
        parts += [f"{row}\n" for row in _rows(lock, folder)]
    return "".join(parts)


def _rows(lock: str, folder: Path | None) -> list[str]:
    pinned = re.findall(
        r"^([\w.-]+)==(\S+)", (ROOT / "requirements" / lock).read_text("utf-8"), re.MULTILINE
    )
    found = [(name, version, _licence(_find(name, folder))) for name, version in pinned]
    return [f"| {name} | {version} | {licence} |" for name, version, licence in found]


def _find(name: str, folder: Path | None) -> Distribution:
    if folder is None:
        return distribution(name)
    wanted = _normal(name)
    return next(d for d in distributions(path=[str(folder)]) if _normal(d.name) == wanted)


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _licence(found: Distribution) -> str:
    metadata = found.metadata
    expression = _field(found, "License-Expression")
    classified = [
        value.removeprefix(CLASSIFIER)
        for value in metadata.get_all("Classifier") or ()
        if value.startswith(CLASSIFIER)
    ]
    stated = _field(found, "License").strip().split("\n")[0][:80]
    return expression or ", ".join(classified) or stated or "(not stated)"


def _field(found: Distribution, name: str) -> str:
    return str(found.metadata[name]) if name in found.metadata else ""


if __name__ == "__main__":
    sys.exit(write_or_check(TARGET, text()))
