"""``sekisho update``: publish pattern sets, releases and agents to a source of one's own."""

import os
from pathlib import Path

import click

from runtime.clock import utc_now
from updater import publish as publishing
from updater.agent_package import read_package
from updater.publishing_keys import KeyFolder
from updater.repository import Repository, newest_root
from updater.trusted_root import read_root

PASSPHRASE = "SEKISHO_UPDATE_PASSPHRASE"  # noqa: S105  (the variable's name)

_repository = click.argument("repo", type=click.Path(path_type=Path, file_okay=False))
_keys = click.option(
    "--keys",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of the private keys; default: REPO-keys, beside REPO.",
)


@click.group()
def update() -> None:
    """Publish pattern sets, releases and agents to an update source, and take updates from one.

    A source is a folder of signed files that any web server or share can hold. Its private keys
    stay in a folder of their own. They are encrypted when SEKISHO_UPDATE_PASSPHRASE is set.
    """


@update.command()
@_repository
@_keys
def init(repo: Path, keys: Path | None) -> None:
    """Make the update source REPO and its keys.

    Two of the three root keys sign who may sign; put them away in different places. The keys
    targets, snapshot and timestamp are needed to publish, the last two to sign daily.
    """
    opened = open_repository(repo, keys)
    root = publishing.create(opened, utc_now())
    click.echo(f"Made {repo}. Private keys: {opened.keys.folder} (never publish them).")
    click.echo(f"Enter {root} in the console of each server.")
    click.echo(f"Fingerprint of the root: {read_root(root.read_bytes()).fingerprint}")


@update.command()
@_repository
@_keys
@click.option(
    "--patterns",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A pattern set that 'sekisho pattern build' wrote.",
)
@click.option(
    "--release",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A wheel of Sekisho that 'pip wheel --no-deps .' built.",
)
@click.option(
    "--agent",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="The Android package (APK) of an agent, signed by its maker.",
)
@click.option(
    "--agent-needs",
    default="",
    metavar="VERSION",
    help="The oldest release of the server that this agent works with.",
)
@click.option(
    "--revoked",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="The list of revoked attestation keys as Google publishes it.",
)
@click.option(
    "--fewer-revoked", is_flag=True, help="It is meant that the list takes back many keys."
)
def publish(
    repo: Path,
    keys: Path | None,
    patterns: Path | None,
    release: Path | None,
    agent: Path | None,
    agent_needs: str,
    revoked: Path | None,
    fewer_revoked: bool,
) -> None:
    """Add a pattern set, a release, an agent package or a list to REPO, so that servers take it."""
    opened = open_repository(repo, keys)
    if not any((patterns, release, agent, revoked)):
        raise click.UsageError("Give --patterns, --release, --agent, --revoked, or several.")
    if patterns is not None:
        click.echo(f"Published pattern set {publishing.publish(opened, patterns, utc_now())}.")
    if release is not None:
        click.echo(f"Published release {publishing.publish_release(opened, release, utc_now())}.")
    if agent is not None:
        read = read_package(agent, agent_needs)
        publishing.publish_agent(opened, agent, read, utc_now())
        click.echo(f"Published agent package {read.package} {read.version}.")
    if revoked is not None:
        said = publishing.publish_revocations(opened, revoked, fewer_revoked, utc_now())
        click.echo(f"Published list {said.issue} of revoked attestation keys ({said.keys}).")


@update.command("sign-timestamp")
@_repository
@_keys
def sign_timestamp(repo: Path, keys: Path | None) -> None:
    """Say anew that REPO is current; run it daily, else servers refuse it after three days."""
    until = publishing.sign_timestamp(open_repository(repo, keys), utc_now())
    click.echo(f"Signed; valid until {until:%Y-%m-%d %H:%M} UTC.")


@update.command("renew-root")
@_repository
@_keys
@click.option(
    "--replace",
    multiple=True,
    help="A role, or the first characters of a key's id: make a fresh key in its place.",
)
def renew_root(repo: Path, keys: Path | None, replace: tuple[str, ...]) -> None:
    """Sign REPO's root for another year, and replace keys that were lost or stolen."""
    path = publishing.renew_root(open_repository(repo, keys), utc_now(), replace)
    click.echo(f"Wrote {path}. Servers follow by themselves at their next update.")


@update.command()
@_repository
def show(repo: Path) -> None:
    """Show what REPO publishes and until when each list is valid."""
    opened = open_repository(repo, None)
    for line in publishing.describe(opened):
        click.echo(line)
    root = newest_root(opened)
    click.echo(f"root.json to enter: {root}")
    click.echo(f"Fingerprint of the root: {read_root(root.read_bytes()).fingerprint}")


def open_repository(repo: Path, keys: Path | None) -> Repository:
    """Return the update source *repo* with its keys, which lie beside it unless said otherwise."""
    folder = keys or repo.with_name(f"{repo.name}-keys")
    return Repository(repo, KeyFolder(folder, os.environ.get(PASSPHRASE, "")))
