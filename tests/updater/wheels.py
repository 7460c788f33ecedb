"""Wheels of this checkout: built once for real, then given other versions and contents."""

import base64
import csv
import hashlib
import io
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
NEEDED = ("setup.py", "pyproject.toml", "README.md", "LICENSE")


def build(folder: Path) -> Path:
    """Return the wheel that ``pip wheel`` builds of this checkout."""
    source = folder / "source"
    source.mkdir()
    packages = [path.parent for path in ROOT.glob("*/__init__.py")]
    for path in (*packages, ROOT / "requirements"):
        shutil.copytree(
            path, source / path.name, ignore=shutil.ignore_patterns("__pycache__", "tests")
        )
    for name in NEEDED:
        shutil.copy(ROOT / name, source / name)
    words = ["wheel", "-q", "--no-deps", "--no-build-isolation", "--no-index", "-w", str(folder)]
    subprocess.run([sys.executable, "-m", "pip", *words, str(source)], check=True)
    shutil.rmtree(source)
    return next(folder.glob("*.whl"))


def changed(wheel: Path, version: str, contents: dict[str, bytes] | None = None) -> Path:
    """Return *wheel* as another *version*, with other *contents* of files and sound hashes."""
    before = wheel.name.split("-")[1]
    files = {}
    with zipfile.ZipFile(wheel) as opened:
        for name in opened.namelist():
            renamed = name.replace(f"sekisho-{before}.dist-info", f"sekisho-{version}.dist-info")
            files[renamed] = opened.read(name)
    info = f"sekisho-{version}.dist-info"
    metadata = files[f"{info}/METADATA"].decode()
    files[f"{info}/METADATA"] = metadata.replace(
        f"Version: {before}", f"Version: {version}", 1
    ).encode()
    files.update(contents or {})
    files[f"{info}/RECORD"] = record(files, f"{info}/RECORD")
    made = wheel.with_name(f"sekisho-{version}-py3-none-any.whl")
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as packed:
        for name, content in files.items():
            packed.writestr(name, content)
    return made


def record(files: dict[str, bytes], own: str) -> bytes:
    """Return the RECORD of *files*."""
    made = io.StringIO()
    rows = csv.writer(made, lineterminator="\n")
    for name, content in files.items():
        if name != own:
            digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode()
            rows.writerow((name, "sha256=" + digest.rstrip("="), len(content)))
    rows.writerow((own, "", ""))
    return made.getvalue().encode()
