"""Lists that have a command of their own; each is data, and `call` reaches all others."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import click

from runtime.errors import MalformedMessageError
from sekisho.remote.client import Remote
from sekisho.remote.files import download
from sekisho.remote.shown import Columns, as_json, table

PAGE = 50
LARGEST_PAGE = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """A list of the API as a command."""

    name: str
    path: str
    says: str
    columns: Columns
    options: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Option -> (parameter of the operation, what it says); others go by ``--where``."""
    file: str = ""
    """Where the same filter answers a file."""


LISTS = (
    Listing(
        name="devices",
        path="/devices",
        file="/devices/list.csv",
        says="List devices with their state and why, or store them as a CSV file.",
        columns=(
            ("name", "name"), ("owner", "owner_address"), ("model", "model"), ("state", "state"),
            ("since", "since"), ("id", "id"), ("because", "because"),
        ),
        options={
            "search": ("text", "Words of name, owner, address, model, serial number, IMEI."),
            "state": ("state", "healthy, non_compliant, out_of_sync, inactive or not_enrolled."),
            "risk": ("risk", "none, low, medium, high or critical."),
            "rule": ("rule", "A broken rule, like not_rooted."),
            "platform": ("platform", "android or ios."),
        },
    ),
    Listing(
        name="commands",
        path="/commands",
        file="/commands/list.csv",
        says="List commands, the newest first, and how far each is, or store them as a CSV file.",
        columns=(
            ("queued", "queued_at"), ("kind", "kind"), ("state", "state"),
            ("waits for", "waiting_for"), ("device", "device_id"), ("by", "requested_by"),
            ("id", "id"), ("detail", "detail"),
        ),
        options={
            "search": ("text", "Words of the device's name, owner, address, model or numbers."),
            "device-id": ("device_id", "Those of one device."),
            "kind": ("kind", "lock, wipe, message and so on."),
            "state": ("state", "queued, sent, acknowledged, done, failed, expired, cancelled."),
        },
    ),
    Listing(
        name="audit",
        path="/audit",
        says="List the audit trail, the newest entry first.",
        columns=(
            ("at", "at"), ("who", "actor"), ("did", "action"), ("to", "subject"),
            ("from", "address"), ("reason", "reason"),
        ),
        options={
            "actor": ("actor", "What this administrator did."),
            "action": ("action", "An action, or its beginning with the dot: device."),
            "subject": ("subject", "What was done with this."),
            "since": ("since", "From this instant on: 2026-01-31T12:00:00Z."),
            "until": ("until", "Before this instant."),
        },
    ),
)  # fmt: skip
APPS = Listing(
    name="apps",
    path="/apps",
    says="List known apps with their verdicts; `upload` has one scanned.",
    columns=(
        ("name", "name"), ("package", "package"), ("version", "version"), ("verdict", "verdict"),
        ("rule", "rule"), ("devices", "devices"), ("sha256", "sha256"),
    ),
    options={
        "search": ("text", "Beginning of package or name, or a whole hash."),
        "verdict": ("verdict", "unknown, clean, unwanted, suspicious, malicious, unscannable."),
    },
)  # fmt: skip
JOBS = Listing(
    name="jobs",
    path="/jobs",
    says="List background work, the newest first, or follow one until it ends.",
    columns=(
        ("queued", "queued_at"), ("kind", "kind"), ("state", "state"), ("by", "asked_by"),
        ("id", "id"), ("said", "said"), ("error", "error"),
    ),
    options={"state": ("state", "queued, running, done, failed or cancelled.")},
)  # fmt: skip


def parameters(listing: Listing) -> list[click.Parameter]:
    """Return the options of a list's command."""
    own = [
        click.Option([f"--{name}"], default="", help=says, metavar="TEXT")
        for name, (_, says) in listing.options.items()
    ]
    file = click.Option(["--output"], default="", metavar="FILE", help="Store all as CSV; - shows.")
    return [
        *own,
        click.Option(
            ["--where"], multiple=True, metavar="NAME=VALUE", help="Any filter of the API."
        ),
        click.Option(
            ["--limit"], type=click.IntRange(1), default=PAGE, show_default=True, help="At most."
        ),
        click.Option(["--all"], is_flag=True, help="All, page by page."),
        click.Option(["--json", "as_json"], is_flag=True, help="One JSON object a line."),
        *([file] if listing.file else []),
    ]


def show(remote: Remote, listing: Listing, given: dict[str, Any]) -> None:
    """Carry a list's command out."""
    query = wanted(listing, given)
    if given.get("output"):
        download(remote, listing.file, given["output"], query)
        return
    limit = None if given["all"] else given["limit"]
    page = {} if limit is None else {"limit": str(min(limit + 1, LARGEST_PAGE))}
    found = remote.items(listing.path, page | query)
    for line in _lines(listing, islice(found, limit), given["as_json"]):
        click.echo(line)
    if limit is not None and next(found, None) is not None:
        click.echo(f"There are more than {limit}: --all shows them.", err=True)


def wanted(listing: Listing, given: dict[str, Any]) -> dict[str, str]:
    """Return the query that the options of a list's command ask for."""
    named = {
        parameter: given[name.replace("-", "_")]
        for name, (parameter, _) in listing.options.items()
        if given[name.replace("-", "_")]
    }
    return named | pairs(given["where"])


def pairs(said: tuple[str, ...]) -> dict[str, str]:
    """Return NAME=VALUE words as a mapping."""
    split = [one.partition("=") for one in said]
    if wrong := [name for name, equals, _ in split if not equals or not name]:
        raise MalformedMessageError(f"Write it as NAME=VALUE: {', '.join(wrong)}")
    return {name: value for name, _, value in split}


def _lines(listing: Listing, found: Iterator[dict[str, Any]], machine: bool) -> Iterator[str]:
    """Yield lines for programs one by one; for people in tables of a page each."""
    if machine:
        yield from map(as_json, found)
        return
    shown = 0
    while page := list(islice(found, LARGEST_PAGE)):
        shown += len(page)
        yield from table(listing.columns, page)
    if not shown:
        yield "Nothing fits."
