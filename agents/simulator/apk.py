"""What a phone says of an APK file: read by the scanner's confined child, never here."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

from contracts.agent import InstalledApp
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
