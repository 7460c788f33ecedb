"""What whoever runs the signer does on the server itself; the console can do none of it."""

import os
from pathlib import Path
from typing import Any

import click

from management import settings
from management.signer_client import SignerClient
from runtime.clock import utc_now
from runtime.errors import RefusedError


@click.group()
def approver() -> None:
    """Make and remove those who approve commands above the limits, and approve here."""
    os.umask(0o077)


@approver.command()
@click.argument("name")
def add(name: str) -> None:
    """Make NAME, an administrator of the console, an approver.

    The code for their authenticator app is shown here and nowhere else; so do this together with
    them, on the server, as the signer's user or root.
    """
    import segno

    signer = _signer()
    uri = signer.begin_approver(name)
    segno.make(uri, error="l").terminal(compact=True)
    click.echo(f"{uri}\n\nScan this with the authenticator app of {name}; it becomes an entry of ")
    click.echo("its own, which signs in nowhere. Then type the code that the app shows.")
    code = click.prompt("Code").replace(" ", "")
    if not signer.confirm_approver(name, code):
        raise RefusedError("This code is wrong or was used before. Run the same command again.")
    click.echo(f"{name} may approve now.")


@approver.command()
@click.argument("name")
def remove(name: str) -> None:
    """Let NAME approve nothing any more; approvals that were not used yet go too."""
    _signer().remove_approver(name)
    click.echo(f"{name} approves nothing any more.")


@approver.command(name="list")
def list_() -> None:
    """List the approvers."""
    for name in _signer().status()["approvers"]:
        click.echo(name)


@approver.command()
def noted() -> None:
    """Show what the signer itself noted last: who was made an approver, who approved, who paused.

    The audit trail gets the same within moments; here it stands while the database is away too.
    """
    for one in _signer().newest_notes():
        account = one["details"].get("account", "")
        told = f"{one['action']}  {one['subject']}  {one['reason']}".rstrip()
        click.echo(f"{one['at'][:19]}Z  {one['actor']} ({account})  {told}")


@approver.command()
def sets() -> None:
    """Show the sets of commands that wait, as the signer holds them."""
    found = _signer().proposals(noted=True)
    for one in found:
        click.echo(_described(one))
    if not found:
        click.echo("Nothing waits for an approval.")


@approver.command()
@click.argument("fingerprint")
@click.argument("name")
def approve(fingerprint: str, name: str) -> None:
    """Stand behind the set whose fingerprint begins with FINGERPRINT, as approver NAME.

    The console offers the same; here the signer itself shows what is approved.
    """
    signer = _signer()
    waiting = signer.proposals(noted=True)
    matching = [one for one in waiting if one["fingerprint"].startswith(fingerprint)]
    if len(matching) != 1 or len(fingerprint) < 8:
        raise RefusedError(f"{len(matching)} sets begin so; give at least 8 characters of one.")
    click.echo(_described(matching[0]))
    for recipient in matching[0]["recipients"]:
        click.echo(f"  {recipient}")
    code = click.prompt("Code").replace(" ", "")
    said = signer.approve(matching[0]["fingerprint"], name, code)
    if said["approved"]:
        click.echo("The set is approved. It goes out at the next sweep, within five minutes.")
    else:
        click.echo(f"Approved by {len(said['approved_by'])} of {said['needed']}.")


@click.group()
def trust() -> None:
    """What devices are told of management's keys and relays."""
    os.umask(0o077)


@trust.command()
def show() -> None:
    """Show the order-signing key, and what waits to be confirmed."""
    status = _signer().status()
    click.echo(f"order-signing key {status['thumbprint']}")
    click.echo(f"its successor     {status['successor_thumbprint']}")
    click.echo(f"earlier keys      {len(status['succession'])}")
    for line in status["trust_waits"].get("new", []):
        click.echo(f"waits: {line}")


@trust.command()
@click.option("--yes", is_flag=True, help="Do not ask.")
def confirm(yes: bool) -> None:
    """Let devices be told of a new encryption key or communication server."""
    signer = _signer()
    waits = signer.status()["trust_waits"]
    if not waits:
        click.echo("Nothing waits to be confirmed.")
        return
    for line in waits["new"]:
        click.echo(line)
    if yes or click.confirm("Is all of this ours?"):
        signer.confirm_trust(waits["fingerprint"])
        click.echo("Devices are told within moments.")


@trust.command(context_settings={"ignore_unknown_options": True})  # it may begin with a dash
@click.argument("fingerprint")
def succeed(fingerprint: str) -> None:
    """Let the successor follow the order-signing key FINGERPRINT (`sekisho trust show`).

    For a key that may be known to others. Devices follow by themselves; codes of invitations that
    were not used yet must be shown anew. Running it twice changes nothing.
    """
    from management.cli import open_context
    from management.enrolment import epochs
    from management.mail_access import wiping

    context = open_context()
    new = _signer().succeed(fingerprint)
    click.echo(f"The order-signing key is {new} now.")
    epochs.order_everywhere(context, f"succession:{new}")
    with context.database.transaction("sign wipes anew") as session:
        wiping.sign_anew(session, utc_now())
    click.echo("Every device begins anew under it at its next check-in.")


def _signer() -> SignerClient:
    home: Path = settings.load().home
    return SignerClient(home / "signer" / "signer.sock")


def _described(one: dict[str, Any]) -> str:
    kinds = ", ".join(f"{count} x {kind}" for kind, count in one["kinds"].items())
    approved = ", ".join(one["approved_by"]) or "nobody"
    return (
        f"{one['fingerprint'][:16]}  {kinds}  asked for by {one['requested_by']} "
        f"({one['because']}); approved by {approved}, {one['needed']} needed"
    )
