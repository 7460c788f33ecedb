"""``sekisho pattern publish``: what needs both scanner and updater."""

import tempfile
from pathlib import Path

import click

from runtime.clock import utc_now
from scanner.pattern_cli import build_checked, pattern
from updater import publish as publishing
from updater.cli import open_repository


@pattern.command()
@click.argument("place", metavar="SET", type=click.Path(path_type=Path, exists=True))
@click.argument("repo", type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "--keys",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of the private keys; default: REPO-keys, beside REPO.",
)
@click.option("--version", help="Dotted numbers. Default: file VERSION of the sources.")
@click.option(
    "--good",
    multiple=True,
    type=click.Path(path_type=Path, exists=True),
    help="Known-good app, or folder of such: no rule may call it suspicious.",
)
def publish(
    place: Path, repo: Path, keys: Path | None, version: str | None, good: tuple[Path, ...]
) -> None:
    """Add a pattern set to the update source REPO, so that servers take it.

    SET is a built set, or a folder of sources, which is checked and built first.
    """
    with tempfile.TemporaryDirectory() as name:
        archive = place
        if place.is_dir():
            archive = Path(name) / "set.zip"
            build_checked(place, archive, version, good)
        elif version or good:
            raise click.UsageError("--version and --good are for sources; this set is built.")
        published = publishing.publish(open_repository(repo, keys), archive, utc_now())
    click.echo(f"Published pattern set {published}.")
