"""``sekisho scan``: scan files with a pattern set, without a server."""

import json
import os
import sys
import time
from collections import Counter
from pathlib import Path

import click

from contracts import codec
from contracts.scan import ScanResult, Verdict
from patterns.pattern_set import read_manifest
from scanner.deep_analysis import deepen
from scanner.many import files_in, scan_all
from scanner.open_patterns import patterns_in
from scanner.progress import Progress
from scanner.report import as_text, summary

FOUND, UNSCANNABLE = 1, 2


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Write one JSON object a line.")
@click.option(
    "--patterns",
    "place",
    type=click.Path(path_type=Path),
    metavar="SET",
    help="A built pattern set, or a folder of pattern sources. Default: the newest set in the data"
    " folder, else the one this release ships with.",
)
@click.option(
    "--deep",
    is_flag=True,
    help="Also follow every call in the code and tell who reaches what. Takes seconds to minutes"
    " and up to 60 MB of memory for each megabyte of an app; never changes the verdict.",
)
@click.argument(
    "paths", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE|FOLDER..."
)
def scan(as_json: bool, place: Path | None, deep: bool, paths: tuple[Path, ...]) -> None:
    """Scan Android packages; of a folder, every file in it and below.

    The exit status is 0 when all are clean, 1 when something was found, 2 when nothing was found
    but something could not be scanned, and 64 for wrong usage.
    """
    for path in paths:
        if not path.exists():
            raise click.UsageError(f"'{path}' does not exist.")
    files, began = [*files_in(paths)], time.monotonic()
    if not files:
        raise click.UsageError("There is no file to scan in what was named.")
    verdicts: Counter[Verdict] = Counter()
    progress = Progress(len(files))
    with patterns_in(place) as patterns:
        for file, result in zip(files, scan_all(files, patterns), strict=True):
            verdicts[result.verdict] += 1
            told = deepen(file, result) if deep and result.sha256 else result
            progress.clear()
            click.echo(_as_json(told) if as_json else as_text(told), color=_wants_colour())
            progress.step(result.file)
        progress.clear()
        if not as_json:
            version = read_manifest(patterns).version
            click.echo(summary(verdicts, time.monotonic() - began, version), err=True)
    sys.exit(_status(verdicts))


def _status(verdicts: Counter[Verdict]) -> int:
    if verdicts.keys() & {Verdict.UNWANTED, Verdict.SUSPICIOUS, Verdict.MALICIOUS}:
        return FOUND
    return UNSCANNABLE if verdicts[Verdict.UNSCANNABLE] else 0


def _wants_colour() -> bool:
    """Whether to colour standard output (https://no-color.org)."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")


def _as_json(result: ScanResult) -> str:
    return json.dumps(json.loads(codec.write(result)), ensure_ascii=False)
