"""What a phone says of an APK file (read by the scanner's confined child), and what a download
page put into an agent package (its end only, read here as an agent reads its own package)."""

import tempfile
from collections.abc import Sequence
from os import SEEK_END
from pathlib import Path
from typing import BinaryIO

from contracts.agent import InstalledApp
from contracts.download import link_of, read_package_value
from contracts.signing_block import END_BYTES, FOOTER_BYTES, block_bytes, find_end, read_value
from patterns import pattern_set
from runtime.errors import MalformedMessageError
from scanner.isolation import scan_file


def describe(paths: Sequence[Path]) -> list[InstalledApp]:
    """Return package, name, version, hash and signer of each file.

    Raises MalformedMessageError for a file that names no package: no phone would install it.
    """
    with tempfile.TemporaryDirectory() as name:
        archive, folder = Path(name) / "set.zip", Path(name) / "set"
        version = pattern_set.source_version(pattern_set.SHIPPED)
        pattern_set.build(pattern_set.SHIPPED, archive, version)
        pattern_set.unpack(archive, folder)
        return [_described(path, folder) for path in paths]


def _described(path: Path, patterns: Path) -> InstalledApp:
    found = scan_file(path, patterns)
    if not found.package or found.sha256 is None:
        why = "; ".join(found.skipped) or "it names no package"
        raise MalformedMessageError(
            f"{path} cannot be installed: {why}. Say --package to claim it all the same."
        )
    return InstalledApp(
        package=found.package,
        name=found.label,
        version=found.version_name,
        sha256=found.sha256,
        signer_sha256=found.signers[0].sha256 if found.signers else None,
    )


def enrolment_code(path: Path) -> str:
    """Return the enrolment code that a package of the download page carries, as its QR code does.

    MalformedMessageError when it carries none, UnauthenticatedError when it was altered.
    """
    with path.open("rb") as file:
        values = read_package_value(read_value(_signing_block(file)))
    if not (link := link_of(values)):
        raise MalformedMessageError(
            f"The package brings the server {values.relay_url} but no enrolment key. Type one."
        )
    return link


def _signing_block(file: BinaryIO) -> bytes:
    size = file.seek(0, SEEK_END)
    file.seek(max(0, size - END_BYTES))
    directory = find_end(file.read(), size).directory_offset
    file.seek(max(0, directory - FOOTER_BYTES))
    length = block_bytes(file.read(FOOTER_BYTES))
    if length > directory:
        raise MalformedMessageError("The package's signing block begins before the file.")
    file.seek(directory - length)
    return file.read(length)
