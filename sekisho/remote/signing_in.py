"""Signs in: first which certificate is trusted, then the token, then whether it holds."""

import sys
from pathlib import Path

import click

from runtime.errors import ForbiddenError, MalformedMessageError, UnavailableError
from sekisho.remote import profile, trust
from sekisho.remote.client import Remote
from sekisho.remote.profile import Profile
from sekisho.remote.shown import minute, safe

LONGEST = 200
"""Letters of a token."""


def sign_in(said: str, ca: Path | None, fingerprint: str) -> None:
    """Keep server and token, if the server shows the right certificate and takes the token."""
    url = trust.address_of(said)
    authority = _authority(url, ca, fingerprint)
    if not trust.is_trusted(url, authority):
        raise UnavailableError(
            f"{url} shows a certificate that this authority did not issue for this name; nothing"
            " was sent. If it comes from your company's own authority: --ca FILE"
        )
    found = Profile(url=url, token=_token(), authority=authority)
    with Remote(found) as remote:
        told = remote.get("/token")
    file = profile.keep(found)
    groups = "all devices" if told["group_ids"] is None else f"{len(told['group_ids'])} groups"
    click.echo(
        safe(
            f"Signed in at {url} as {told['administrator']} with the token “{told['name']}”, until"
            f" {minute(told['expires_at'])}, for {groups}.\n"
            f"It may: {', '.join(told['permissions'])}. Kept in {file}"
        )
    )


def _authority(url: str, ca: Path | None, fingerprint: str) -> str:
    """Return the certificate (PEM) that alone is trusted; empty: those that this machine trusts."""
    if ca and fingerprint:
        raise click.UsageError("Give --ca or --fingerprint.")
    if ca:
        return trust.read_authority(ca)
    if fingerprint:
        return trust.pinned(url, fingerprint)
    return "" if trust.is_trusted(url) else _confirmed(url)


def _confirmed(url: str) -> str:
    """Show the fingerprint of the server's own authority and let a person compare it."""
    found = trust.fetched(url)
    shown = trust.hexadecimal(found)
    where = "the console's page Certificates, row “Built-in CA”"
    if not sys.stdin.isatty():
        raise ForbiddenError(
            f"This machine does not trust the certificate of {url}, and nobody is here to ask."
            f" Compare with {where}, then give --fingerprint {shown}"
        )
    click.echo(f"This machine does not trust the certificate of {url}.", err=True)
    click.echo(f"The server says that its authority has the SHA-256\n  {shown}", err=True)
    click.echo(f"Compare it with {where}, by another way than this one.", err=True)
    if not click.confirm("Is it the same?", err=True):
        raise ForbiddenError("Not trusted; nothing was sent.")
    return found


def _token() -> str:
    """Return the token that somebody types, or that comes by standard input."""
    if sys.stdin.isatty():
        said = click.prompt("API token (My account in the console)", hide_input=True, err=True)
    else:
        said = sys.stdin.readline(LONGEST + 2)
    token = str(said).strip()
    if not token.isascii() or not token.isprintable() or not 0 < len(token) <= LONGEST:
        raise MalformedMessageError("That is no API token. The console shows one when it is made.")
    return token
