"""``sekisho scan``: scan files with a pattern set, without a server; ``sekisho pattern test``."""

import json
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from contracts import codec
from contracts.scan import ScanResult, Severity, Verdict
from patterns import pattern_set
from patterns.cli import pattern
from runtime.errors import RefusedError
from runtime.settings import home
from scanner.isolation import scan_file

FOUND, UNSCANNABLE = 1, 2
_COLOURS = {
    Verdict.CLEAN: "green",
    Verdict.UNWANTED: "yellow",
    Verdict.SUSPICIOUS: "yellow",
    Verdict.MALICIOUS: "red",
    Verdict.UNSCANNABLE: "magenta",
}


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Write one JSON object a line.")
@click.option(
    "--patterns",
    "folder",
    type=click.Path(path_type=Path),
    help="Folder of an unpacked pattern set, or of pattern sources. Default: the newest set in the"
    " data folder, else the one this release ships with.",
)
@click.argument(
    "files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE..."
)
def scan(as_json: bool, folder: Path | None, files: tuple[Path, ...]) -> None:
    """Scan Android packages.

    The exit status is 0 when all are clean, 1 when something was found, 2 when nothing was found
    but something could not be scanned, and 64 for wrong usage.
    """
    for path in files:
        if not path.is_file():
            why = "is a folder, no file" if path.is_dir() else "does not exist"
            raise click.UsageError(f"'{path}' {why}.")
    verdicts = set()
    with _patterns(folder) as found:
        for path in files:
            result = scan_file(path, found)
            verdicts.add(result.verdict)
            click.echo(_as_json(result) if as_json else _as_text(result))
    sys.exit(_status(verdicts))


@pattern.command("test")
@click.argument("source", type=click.Path(path_type=Path))
@click.option(
    "--hit", "hits", multiple=True, nargs=2, metavar="RULE FILE", help="RULE must match FILE."
)
@click.option(
    "--miss", "misses", multiple=True, metavar="FILE", help="Nothing grave may match FILE."
)
def test_patterns(source: Path, hits: tuple[tuple[str, str], ...], misses: tuple[str, ...]) -> None:
    """Check the rules in folder SOURCE, and try them on files."""
    wrong = []
    with _patterns(source) as folder:
        for rule, file in hits:
            if rule not in {finding.rule for finding in scan_file(Path(file), folder).findings}:
                wrong.append(f"{rule} does not match {file}.")
        for file in misses:
            result = scan_file(Path(file), folder)
            if result.verdict in (Verdict.SUSPICIOUS, Verdict.MALICIOUS):
                wrong.append(f"{file} is {result.verdict}: {result.findings[0].rule}.")
        rules = pattern_set.read_manifest(folder).rules
    if wrong:
        raise RefusedError("\n".join(wrong))
    click.echo(f"{rules} rules are in order; {len(hits) + len(misses)} files were tried.")


@contextmanager
def _patterns(folder: Path | None) -> Iterator[Path]:
    """Give the folder of an unpacked set: *folder* itself, or built from the sources in it."""
    folder = folder or pattern_set.newest_folder(home() / "patterns") or pattern_set.SHIPPED
    if (folder / pattern_set.MANIFEST_NAME).exists():
        yield folder
        return
    if not folder.is_dir():
        raise click.UsageError(f"There is no folder {folder} with patterns.")
    with tempfile.TemporaryDirectory() as name:
        built, unpacked = Path(name) / "set.zip", Path(name) / "set"
        pattern_set.build(folder, built, pattern_set.source_version(folder))
        pattern_set.unpack(built, unpacked)
        yield unpacked


def _status(verdicts: set[Verdict]) -> int:
    if verdicts & {Verdict.UNWANTED, Verdict.SUSPICIOUS, Verdict.MALICIOUS}:
        return FOUND
    return UNSCANNABLE if Verdict.UNSCANNABLE in verdicts else 0


def _as_json(result: ScanResult) -> str:
    return json.dumps(json.loads(codec.write(result)), ensure_ascii=False)


def _as_text(result: ScanResult) -> str:
    verdict = click.style(f"{result.verdict:<11}", fg=_COLOURS[result.verdict], bold=True)
    lines = [f"{verdict} {result.file}"]
    app = " ".join(part for part in (result.package, result.version_name) if part)
    if app:
        lines.append(f"    app        {app}" + (f" ({result.label})" if result.label else ""))
    lines += [f"    signed by  {s.subject} ({', '.join(s.schemes)})" for s in result.signers]
    for finding in result.findings:
        if finding.severity is not Severity.NOTE:
            lines.append(f"    {finding.severity:<10} {finding.title or finding.rule}")
            lines.append(f"               {finding.rule} in {finding.where}")
            lines.append(f"               {finding.evidence}")
    lines += [f"    skipped    {reason}" for reason in result.skipped]
    return "\n".join(lines)
