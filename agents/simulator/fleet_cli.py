"""`sekisho simulate fleet`: many devices of mixed profiles at once."""

import json
import random
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from agents.simulator import outcome, shares
from agents.simulator.member import Member
from agents.simulator.running import Fleet
from agents.simulator.tally import Tally
from runtime import settings
from runtime.errors import MalformedMessageError

PLAIN_SECONDS = 5.0
"""Between two lines of progress where lines cannot be overwritten."""


@click.command("fleet")
@click.option("--devices", type=click.IntRange(1, 100_000), default=20, show_default=True)
@click.option(
    "--key", "--qr", default="", help="Enrolment code that works for all: sekisho://enrol?..."
)
@click.option(
    "--codes",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="File with one enrolment code a line, one for each device.",
)
@click.option("--profile", default=shares.DEFAULT, show_default=True, help="Shares of profiles.")
@click.option("--seconds", type=click.FloatRange(0), default=60.0, show_default=True,
              help="How long, once all are enrolled.")  # fmt: skip
@click.option("--every", type=click.FloatRange(0), default=5.0, show_default=True,
              help="Seconds between two check-ins of a device; 0: as the relay says.")  # fmt: skip
@click.option("--patience", type=click.FloatRange(1), default=600.0, show_default=True,
              help="Most seconds to wait for management.")  # fmt: skip
@click.option("--threads", type=click.IntRange(1, 256), default=8, show_default=True)
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Keeps the devices; started again with it, they go on.  [default: fleet/ in the data "
    "folder]",
)
@click.option("--seed", type=int, help="The same seed makes the same devices.")
@click.option("--leave", is_flag=True, help="In the end all devices leave management.")
@click.option("--json", "as_json", is_flag=True, help="The summary as one JSON object.")
@click.pass_context
def fleet(
    context: click.Context,
    /,
    devices: int,
    key: str,
    codes: Path | None,
    folder: Path | None,
    seed: int | None,
    profile: str,
    as_json: bool,
    leave: bool,
    **how: Any,
) -> None:
    """Run many devices: they enrol, poll, report changes and obey orders.

    Profiles: healthy, rooted, outdated, lost (silent after one report), lying-clock (recovers by
    the relay's answer), hostile (forged, replayed, foreign, oversized and garbage messages).
    Exit status 0: everything was as expected, and all that is hostile was refused; 1: not.
    """
    known = _codes(key, codes, devices)
    base = folder or settings.home() / "fleet"
    seed = random.randrange(1_000_000) if seed is None else seed  # noqa: S311
    tally, began = Tally(), time.monotonic()
    dealt = shares.deal(shares.read_shares(profile), devices)
    members = [
        Member(place, one, known[place], base / f"{place:05d}", seed, tally, how["every"])
        for place, one in enumerate(dealt)
    ]
    _run(members, tally, how["threads"], how["seconds"], how["patience"])
    for member in members:
        member.finish(leave)
    spent = time.monotonic() - began
    if as_json:
        click.echo(json.dumps(outcome.as_fields(tally, spent), ensure_ascii=False, indent=2))
    else:
        click.echo(outcome.as_text(tally, spent))
    context.exit(1 if tally.unexpected else 0)


def _codes(key: str, file: Path | None, devices: int) -> list[str]:
    if bool(key) == bool(file):
        raise click.UsageError("Say either --key, a code that works for all, or --codes FILE.")
    if file is None:
        return [key] * devices
    found = [line.strip() for line in file.read_text(encoding="utf-8").splitlines()]
    if len(found := [code for code in found if code]) < devices:
        raise MalformedMessageError(
            f"{file} has {len(found)} enrolment codes, {devices} devices need one each."
        )
    return found


def _run(
    members: list[Member], tally: Tally, threads: int, seconds: float, patience: float
) -> None:
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    progress = outcome.Progress(tally, len(members))
    told = _overwriting(progress) if sys.stderr.isatty() else _in_lines(progress)
    Fleet(members, threads).run(seconds, patience, stop, told)
    if sys.stderr.isatty():
        click.echo(err=True)


def _overwriting(progress: outcome.Progress) -> Callable[[], None]:
    return lambda: click.echo(f"\r\x1b[2K{progress.line()}", nl=False, err=True)


def _in_lines(progress: outcome.Progress) -> Callable[[], None]:
    said = [0.0]

    def tell() -> None:
        if time.monotonic() - said[0] >= PLAIN_SECONDS:
            said[0] = time.monotonic()
            click.echo(progress.line(), err=True)

    return tell
