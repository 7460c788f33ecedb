"""``sekisho remote``: administers a server from another machine, over its documented API."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import click

from contracts.orders import CommandKind
from runtime.errors import (
    ConfigurationError,
    MalformedMessageError,
    RefusedError,
    SekishoError,
    UnavailableError,
)
from sekisho.remote import calls, files, following, lists, orders, profile, signing_in
from sekisho.remote.client import Remote
from sekisho.remote.explaining import as_text
from sekisho.remote.shown import as_json, fields, minute, safe

WRONG_USE = 2
EXIT_CODE_OF = {
    MalformedMessageError: WRONG_USE,
    ConfigurationError: WRONG_USE,
    UnavailableError: 3,
}
REFUSED = 1


@contextmanager
def _exit_codes() -> Iterator[None]:
    """Turn errors into the exit codes of this command, which differ from those on the server."""
    try:
        yield
    except click.UsageError as error:
        error.show()
        sys.exit(WRONG_USE)
    except SekishoError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(EXIT_CODE_OF.get(type(error), REFUSED))


class RemoteGroup(click.Group):
    """A group with exit codes of its own."""

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        with _exit_codes():
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> Any:
        with _exit_codes():
            return super().invoke(ctx)


@click.group(cls=RemoteGroup)
def remote() -> None:
    """Administer a server from another machine, with an API token.

    Exit status: 0 done, 1 refused or failed, 2 wrong use, 3 not reachable, 130 broken off.
    SEKISHO_REMOTE names another file than ~/.config/sekisho/remote.json: one for each server.
    """


@remote.command()
@click.argument("url")
@click.option("--ca", type=click.Path(path_type=Path), help="Trust only certificates of this file.")
@click.option("--fingerprint", default="", help="SHA-256 of the server's authority.")
def login(url: str, ca: Path | None, fingerprint: str) -> None:
    """Sign in at URL with a token from the console, My account.

    The token is asked for, or read from standard input; never give it as an argument. A certificate
    that this machine does not trust is shown by its fingerprint and asked about.
    """
    signing_in.sign_in(url, ca, fingerprint)


@remote.command()
def logout() -> None:
    """Forget the server and the token here; the token itself is revoked in the console."""
    file = profile.forget()
    click.echo(f"{file} is gone. Revoke the token in the console, My account." if file else
               "Nobody was signed in here.")  # fmt: skip


@remote.command()
def whoami() -> None:
    """Say which server this is, who asks, and what the token may."""
    with _server() as server:
        click.echo(f"server  {server.url}")
        for line in fields(server.get("/token")):
            click.echo(line)


@remote.command()
@click.argument("device")
@click.option("--json", "as_objects", is_flag=True, help="Write one JSON object.")
def device(device: str, as_objects: bool) -> None:
    """Show one DEVICE: its id, or words that fit no other."""
    with _server() as server:
        found = orders.find_device(server, device)
    for line in [as_json(found, indent=2)] if as_objects else fields(found):
        click.echo(line)


@remote.command()
@click.argument("device")
@click.option("--at", default="", metavar="TIME", help="A past instant: 2026-01-31T12:00:00Z.")
@click.option("--json", "as_objects", is_flag=True, help="Write one JSON object.")
def explain(device: str, at: str, as_objects: bool) -> None:
    """Say how DEVICE stands, or stood, and why: rules, reasons, facts, and what mends it."""
    with _server() as server:
        found = orders.find_device(server, device)
        path, query = f"/devices/{found['id']}/explanation", {"at": at} if at else {}
        told = server.get(path, query)
    click.echo(as_json(told, indent=2) if as_objects else safe(as_text(found, told)))


@remote.group(
    name="apps",
    help=lists.APPS.says,
    params=lists.parameters(lists.APPS),
    invoke_without_command=True,
)
@click.pass_context
def apps(ctx: click.Context, /, **given: Any) -> None:
    if ctx.invoked_subcommand is None:
        with _server() as server:
            lists.show(server, lists.APPS, given)


@apps.command()
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--wait", is_flag=True, help="Wait for the verdict.")
def upload(file: Path, wait: bool) -> None:
    """Upload the FILE of an app; it is scanned there."""
    with _server() as server:
        stored = files.upload(server, "/apps", file, {"file_name": file.name})
        path = f"/apps/{stored['sha256']}"
        click.echo(f"{safe(stored['file_name'])} is stored and will be scanned: {stored['sha256']}")
        if not wait:
            return
        *_, scan = following.until_end(server, f"{path}/scan", following.JOB_ENDS)
        if scan["state"] != "done":
            raise RefusedError(safe(f"The scan {scan['state']}: {scan['error']}"))
        found = server.get(path)
        click.echo(safe(f"{found['verdict']}  {found['rule']}".rstrip()))


@remote.command(
    name="jobs",
    help=lists.JOBS.says,
    params=[
        click.Argument(["job"], required=False),
        click.Option(["--follow"], is_flag=True, help="Until the end: JOB, or your newest one."),
        *lists.parameters(lists.JOBS),
    ],
)
def jobs(job: str | None, follow: bool, **given: Any) -> None:
    with _server() as server:
        if follow:
            sys.exit(_follow(server, job))
        if job is None:
            lists.show(server, lists.JOBS, given)
            return
        for line in fields(server.get(f"/jobs/{job}")):
            click.echo(line)


@remote.command()
@click.argument("method", type=click.Choice(calls.METHODS, case_sensitive=False), required=False)
@click.argument("path", required=False)
@click.option("--list", "words", flag_value="", is_flag=False, help="List operations with WORDS.")
@click.option("--data", default="", metavar="FILE", help="JSON to send; - reads standard input.")
@click.option("--file", default="", metavar="FILE", help="A file to send as it is, by POST.")
@click.option("--where", multiple=True, metavar="NAME=VALUE", help="A parameter of the query.")
@click.option("--all", "every", is_flag=True, help="Every page of a list, one JSON object a line.")
@click.option("--output", default="", metavar="FILE", help="Store the answer; - writes it out.")
@click.option("--code", is_flag=True, help="Ask for the code of your authenticator app.")
@click.option("--include", is_flag=True, help="Show status and ETag on standard error.")
@click.option("--if-match", default="", metavar="ETAG", help="Only if it is still so.")
@click.option("--key", default="", help="Idempotency-Key of a POST; by itself a new one.")
def call(method: str | None, path: str | None, words: str | None, **given: Any) -> None:
    """Call any operation of the API: METHOD and PATH, like GET /devices.

    `--list` shows all of them; the console explains each under API reference.
    """
    with _server() as server:
        if words is not None:
            for line in calls.listed(server, words):
                click.echo(line)
        elif method is None or path is None:
            raise click.UsageError("Name METHOD and PATH, or --list.")
        else:
            _call(server, method, path, given)


def _call(server: Remote, method: str, path: str, given: dict[str, Any]) -> None:
    query = lists.pairs(given["where"])
    if given["every"]:
        if method != "GET":
            raise click.UsageError("--all is for lists, which GET answers.")
        for item in server.items(path, query):
            click.echo(as_json(item))
        return
    if given["file"]:
        if method != "POST" or given["data"]:
            raise click.UsageError("--file is for POST, without --data.")
        click.echo(as_json(files.upload(server, path, Path(given["file"]), query), indent=2))
        return
    body = calls.body_of(given["data"]) if given["data"] else None
    if given["code"]:
        body = calls.with_proof(server, method, path, body)
    headers = {"If-Match": given["if_match"], "Idempotency-Key": given["key"]}
    asked = calls.Call(
        method=method,
        path=path,
        query=query,
        body=body,
        headers={name: value for name, value in headers.items() if value},
    )
    calls.carry_out(server, asked, given["output"], given["include"])


def _follow(server: Remote, job: str | None) -> int:
    if job is None:
        mine = {"asked_by": server.get("/token")["administrator"], "limit": "1"}
        newest = server.get("/jobs", mine)["items"]
        if not newest:
            click.echo("You asked for no work yet.")
            return 0
        job = str(newest[0]["id"])
    end = following.follow_job(
        server, job, lambda line: click.echo(safe(f"{minute(line['at'])}  {line['text']}"))
    )
    click.echo(safe(f"{end['kind']}: {end['state']} {end['error']}".rstrip()))
    return 0 if end["state"] == "done" else REFUSED


def _server() -> Remote:
    return Remote(profile.load())


def _show(listing: lists.Listing, **given: Any) -> None:
    with _server() as server:
        lists.show(server, listing, given)


def _order(kind: CommandKind, **given: Any) -> None:
    with _server() as server:
        sys.exit(orders.order(server, kind, given))


for _listing in lists.LISTS:
    remote.add_command(
        click.Command(
            _listing.name,
            params=lists.parameters(_listing),
            callback=partial(_show, _listing),
            help=_listing.says,
        )
    )
for _kind in CommandKind:
    remote.add_command(
        click.Command(
            _kind.value.replace("_", "-"),
            params=orders.parameters(_kind),
            callback=partial(_order, _kind),
            help=orders.SAYS[_kind],
        )
    )
