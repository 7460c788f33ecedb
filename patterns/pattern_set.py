"""A versioned pattern set: built from sources into one file, unpacked into one folder.

The file is a ZIP archive with ``manifest.json`` (version, number of rules, SHA-256 of each other
file), ``yara/*.yar``, ``behaviours.json``, ``signers.json``, and for each language in which its
rules are told ``words_ja.json``, which no scan reads. Whoever fetched the file has verified its
origin (TUF); here only what is inside is checked. The same sources and version give the same bytes.

A version is dotted numbers, the day of release first: ``2026.11.21``, then ``2026.11.21.1``.
`version_key` orders them.
"""

import hashlib
import io
import json
import os
import re
import shutil
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from patterns import rule_source
from patterns.rule_source import SHIPPED as SHIPPED
from patterns.versions import VERSION as _VERSION
from patterns.versions import version_key as version_key
from runtime.errors import MalformedMessageError, NotFoundError, RefusedError, TooLargeError

FORMAT = 1
MANIFEST_NAME = "manifest.json"
MAXIMUM_FILES = 1000
MAXIMUM_BYTES = 256 * 1024 * 1024
MAXIMUM_MANIFEST_BYTES = 1024 * 1024
_FILE_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,99}\.(yar|json)|yara/[a-z0-9][a-z0-9_-]{0,99}\.yar")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_LONG_AGO = (1980, 1, 1, 0, 0, 0)  # so that equal content gives equal bytes


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a pattern set says of itself."""

    version: str
    rules: int
    files: Mapping[str, str]
    """Path inside the set -> SHA-256 in hexadecimal."""


def source_version(source: Path) -> str:
    """Return the version that the sources in folder *source* name in their file ``VERSION``."""
    try:
        version = (source / "VERSION").read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        raise NotFoundError(f"{source} holds no readable file VERSION.") from None
    version_key(version)
    return version


def build(source: Path, out: Path, version: str) -> Manifest:
    """Check the rules in folder *source* and write them as set *version* into file *out*.

    Raises MalformedMessageError, which names file and rule, when a rule is not in order.
    """
    version_key(version)
    checked = rule_source.read_source(source)
    manifest = Manifest(
        version,
        len(checked.rules),
        {name: hashlib.sha256(body).hexdigest() for name, body in sorted(checked.files.items())},
    )
    _write_archive(out, {MANIFEST_NAME: _manifest_json(manifest), **checked.files})
    return manifest


def unpack(archive: Path, folder: Path) -> Manifest:
    """Unpack the set in file *archive* as *folder*, wholly or not at all, and return its manifest.

    A folder that holds the very same set stays; RefusedError when it holds something else.
    Raises MalformedMessageError for anything that is not a pattern set, TooLargeError for one
    above the limits.
    """
    manifest, files = read_archive(archive)
    if folder.exists():
        return _same(folder, manifest)
    folder.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=".unpacking-", dir=folder.parent))
    try:
        for name, body in files.items():
            _write_durably(unfinished / name, body)
        unfinished.rename(folder)
    except OSError:
        shutil.rmtree(unfinished, ignore_errors=True)
        if not folder.exists():  # another process may have been faster
            raise
        return _same(folder, manifest)
    return manifest


def read_archive(archive: Path) -> tuple[Manifest, dict[str, bytes]]:
    """Return manifest and content (``manifest.json`` included) of a set, checked and bounded."""
    try:
        with zipfile.ZipFile(archive) as opened:
            _check_sizes(opened)
            body = _read(opened, MANIFEST_NAME, MAXIMUM_MANIFEST_BYTES)
            manifest = _parse_manifest(body)
            listed = sorted(info.filename for info in opened.infolist())
            if listed != sorted((MANIFEST_NAME, *manifest.files)):
                raise MalformedMessageError("The pattern set holds other files than it lists.")
            files = {name: _read(opened, name, MAXIMUM_BYTES) for name in manifest.files}
    except FileNotFoundError:
        raise NotFoundError(f"There is no file {archive}.") from None
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, KeyError, EOFError) as error:
        raise MalformedMessageError(f"{archive.name} is not a pattern set: {error}.") from None
    _check_digests(manifest, files)
    return manifest, {MANIFEST_NAME: body, **files}


def read_manifest(folder: Path) -> Manifest:
    """Return the manifest of the set unpacked in *folder*; NotFoundError when there is none."""
    try:
        body = (folder / MANIFEST_NAME).read_bytes()
    except OSError:
        raise NotFoundError(f"{folder} holds no pattern set.") from None
    return _parse_manifest(body)


def check_folder(folder: Path) -> Manifest:
    """Return the manifest of the set in *folder* after comparing each file with it."""
    manifest = read_manifest(folder)
    try:
        files = {name: (folder / name).read_bytes() for name in manifest.files}
    except OSError as error:
        raise MalformedMessageError(f"The pattern set in {folder} is damaged: {error}.") from None
    _check_digests(manifest, files)
    return manifest


def newest_folder(parent: Path) -> Path | None:
    """Return the folder of the highest version below *parent*, or None."""
    found = [
        folder
        for folder in (parent.iterdir() if parent.is_dir() else ())
        if _VERSION.fullmatch(folder.name) and (folder / MANIFEST_NAME).is_file()
    ]
    return max(found, key=lambda folder: version_key(folder.name), default=None)


def _same(folder: Path, manifest: Manifest) -> Manifest:
    if check_folder(folder) != manifest:
        raise RefusedError(f"{folder} already holds another pattern set; remove it first.")
    return manifest


def _manifest_json(manifest: Manifest) -> bytes:
    fields = {
        "format": FORMAT,
        "version": manifest.version,
        "rules": manifest.rules,
        "files": dict(manifest.files),
    }
    return json.dumps(fields, indent=1, sort_keys=True).encode()


def _parse_manifest(body: bytes) -> Manifest:
    try:
        fields: Any = json.loads(body)
        manifest = Manifest(str(fields["version"]), int(fields["rules"]), dict(fields["files"]))
        spoken = fields["format"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise MalformedMessageError("The pattern set's manifest cannot be read.") from None
    if spoken != FORMAT:
        raise MalformedMessageError(
            f"The pattern set is of format {spoken!r}, this release reads format {FORMAT}."
        )
    version_key(manifest.version)
    for name, digest in manifest.files.items():
        if not _FILE_NAME.fullmatch(name) or not _DIGEST.fullmatch(str(digest)):
            raise MalformedMessageError(f"The pattern set lists a file {name[:100]!r}.")
    return manifest


def _check_sizes(opened: zipfile.ZipFile) -> None:
    entries = opened.infolist()
    if len(entries) > MAXIMUM_FILES:
        raise TooLargeError(f"The pattern set holds more than {MAXIMUM_FILES} files.")
    if sum(entry.file_size for entry in entries) > MAXIMUM_BYTES:
        raise TooLargeError(f"The pattern set unpacks to more than {MAXIMUM_BYTES} bytes.")


def _read(opened: zipfile.ZipFile, name: str, maximum_bytes: int) -> bytes:
    with opened.open(name) as entry:
        body = entry.read(maximum_bytes + 1)
    if len(body) > maximum_bytes:
        raise TooLargeError(f"{name} in the pattern set is larger than {maximum_bytes} bytes.")
    return body


def _check_digests(manifest: Manifest, files: Mapping[str, bytes]) -> None:
    for name, digest in manifest.files.items():
        if hashlib.sha256(files[name]).hexdigest() != digest:
            raise MalformedMessageError(f"{name} in the pattern set is not what its manifest says.")


def _write_archive(out: Path, files: Mapping[str, bytes]) -> None:
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, body in sorted(files.items()):
            info = zipfile.ZipInfo(name, _LONG_AGO)
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, body)
    unfinished = out.with_name(f".{out.name}.{os.getpid()}")
    _write_durably(unfinished, whole.getvalue())
    unfinished.replace(out)


def _write_durably(path: Path, body: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write(body)
        file.flush()
        os.fsync(file.fileno())
