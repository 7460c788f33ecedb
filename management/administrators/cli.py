"""``sekisho admin``: gives access back from the machine itself, and makes API tokens."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

import click

from runtime.clock import utc_now
from runtime.errors import NotFoundError, RefusedError

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from management.administrators.models import Administrator
    from management.context import Context

COMMAND_LINE = "command line"
"""The actor in the audit trail."""


@click.group()
def admin() -> None:
    """Look after the administrators of this server."""


@admin.command("setup-link")
def setup_link() -> None:
    """Print a link for the first administrator; it works once, for a day."""
    from management.administrators import service

    with _opened() as context, context.database.transaction("make a set-up link") as session:
        token = service.make_setup_link(session, utc_now())
        _audit(context, session, "administrator.setup_link", "first administrator")
        link = _link(context, token)
    click.echo(link)


@admin.command()
@click.argument("name", default="")
def recover(name: str) -> None:
    """Print a link with which administrator NAME sets a new password and code.

    The old password, code, sessions and API tokens end at once. NAME may be left out when there
    is one owner.
    """
    from management.administrators import service

    with _opened() as context, context.database.transaction("recover someone") as session:
        owner = _find(session, name)
        token = service.make_recovery_link(session, context.signer, owner, utc_now())
        _audit(context, session, "administrator.recover", owner.name)
        said = f"For {owner.name}: {_link(context, token)}"
    click.echo(said)


@admin.command("list")
def list_all() -> None:
    """Print name, role and state of each administrator."""
    from management.administrators import queries, roles
    from management.administrators.models import NO_PASSWORD

    with _opened() as context, context.database.reading() as session:
        for person in queries.list_administrators(session):
            waiting = person.password_hash == NO_PASSWORD
            state = "disabled" if person.disabled_at else "has a link" if waiting else "active"
            role = roles.role_name(session, person)
            click.echo(f"{person.name}\t{role}\t{state}\t{person.created_at:%Y-%m-%d}")


@admin.command()
@click.argument("name")
@click.option("--for", "purpose", default="command line", help="What the token is for.")
@click.option("--days", default=365, type=click.IntRange(1, 3650), help="How long it holds.")
@click.option(
    "--may",
    "words",
    multiple=True,
    help="A permission that it carries, such as view; repeat for more. None: all that NAME may.",
)
def token(name: str, purpose: str, days: int, words: tuple[str, ...]) -> None:
    """Print a new API token with permissions of administrator NAME: all, or those of --may."""
    from management.administrators import service, sources

    with _opened() as context, context.database.transaction("make an API token") as session:
        owner = _find(session, name)
        sources.require_known(owner)
        if owner.disabled_at is not None:
            raise RefusedError(f"{owner.name} is disabled; enable the administrator first.")
        scope = _scope(session, owner, words)
        made = service.make_token(session, owner, purpose, utc_now(), timedelta(days=days), scope)
        _audit(context, session, "token.make", owner.name, purpose=purpose, may=scope)
    click.echo(made)


def _scope(session: "Session", owner: "Administrator", words: tuple[str, ...]) -> str:
    from management.administrators import roles, token_rules

    if not words:
        return token_rules.ALL
    chosen = token_rules.scope_of(token_rules.chosen(" ".join(words)))
    held = token_rules.scope_of(roles.identity_of(session, owner).permissions)
    if strange := set(words) - set(held.split()):
        raise RefusedError(f"{owner.name} may not: {', '.join(sorted(strange))}. May: {held}.")
    return chosen


def _find(session: "Session", name: str) -> "Administrator":
    from management.access import Role
    from management.administrators import queries

    if name:
        found = queries.find_administrator(session, name)
        if found is None:
            raise NotFoundError(f"There is no administrator {name}; see `sekisho admin list`.")
        return found
    owners = [one for one in queries.list_administrators(session) if one.role == Role.OWNER]
    if not owners:
        raise RefusedError(
            "There is no owner yet; `sekisho admin setup-link` gives the first link."
        )
    if len(owners) != 1:
        raise RefusedError(f"There are {len(owners)} owners: name one, see `sekisho admin list`.")
    return owners[0]


@contextmanager
def _opened() -> "Iterator[Context]":
    """Give the server's context; its connections end with the block."""
    from management import settings
    from management.context import open_context
    from management.migrations.release import require_current

    context = open_context(settings.load())
    try:
        require_current(context.database)
        yield context
    finally:
        context.database.close()


def _audit(
    context: "Context", session: "Session", action: str, subject: str, **details: str
) -> None:
    from management.audit.service import record

    record(session, context.keys, COMMAND_LINE, action, subject, details=dict(details))


def _link(context: "Context", token: str) -> str:
    settings = context.settings
    return f"https://{settings.public_name}:{settings.port}/setup?token={token}"
