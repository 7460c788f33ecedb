"""``sekisho exchange-connector``: pair, run, look, try."""

import socket
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from contracts.connector import Door
from exchange_connector import (
    configuration,
    log_file,
    loop,
    pairing,
    release_book,
    settings,
)
from exchange_connector.backends import online, psrp
from exchange_connector.backends.cmdlets import Tally
from exchange_connector.backends.online_identity import EXCHANGE_URL, LOGIN_URL
from exchange_connector.backends.opening import Server, backend
from exchange_connector.gate.cli import gate
from exchange_connector.launcher import run
from exchange_connector.outcome import Outcome
from exchange_connector.spool import Spool
from exchange_connector.sync import Look
from runtime import logs
from runtime.errors import ConfigurationError, UnavailableError
from updater.wheel import here

LARGEST_CERTIFICATE_BYTES = 100_000


@click.group("exchange-connector")
def exchange_connector() -> None:
    """Cut and give mail at Exchange as management decides."""


exchange_connector.add_command(gate)


@exchange_connector.command()
@click.option("--management", required=True, help="https://NAME:8443 of the console.")
@click.option("--code", required=True, help="The code that the console shows.")
@click.option("--fingerprint", default="", help="Of management's CA, if not in the code.")
@click.option(
    "--management-ca",
    default="",
    help="File of the company's CA (PEM or DER), when the console shows the company's certificate.",
)
@click.option("--exchange-url", default="", help="https://NAME/PowerShell of Exchange.")
@click.option("--exchange-user", default="", help="Service account; empty with a Kerberos ticket.")
@click.option(
    "--exchange-auth",
    type=click.Choice(psrp.AUTHENTICATIONS),
    default="basic",
    show_default=True,
)
@click.option("--exchange-ca", default="", help="PEM file of the CA that certifies Exchange.")
@click.option(
    "--exchange-certificate",
    default="",
    help="PEM file of private key and certificate to sign in with; kept sealed.",
)
@click.option("--online-tenant", default="", help="Exchange Online: NAME.onmicrosoft.com or id.")
@click.option("--online-app", default="", help="Exchange Online: the application (client) id.")
@click.option("--online-login", default=LOGIN_URL, help="Sign-in address, in national clouds.")
@click.option("--password-stdin", is_flag=True, help="Read the account's password from input.")
@click.option("--name", default="", help="How the console calls this connector.")
def pair(
    management: str, code: str, fingerprint: str, management_ca: str, name: str, **exchange: Any
) -> None:
    """Pair this machine's connector with management, once.

    Tries Exchange first. The code is good for 15 minutes and one pairing; it also says which
    certificate authority management must have.
    """
    wish = pairing.Wish(
        management=management,
        code=code,
        fingerprint=fingerprint,
        management_ca=management_ca,
        name=name or socket.gethostname(),
        exchange=_server(**exchange),
    )
    paired = pairing.pair(settings.load().folder, wish)
    click.echo(f"Paired as {paired.name} ({paired.connector_id}). Start it with:")
    click.echo("  sekisho exchange-connector run     (sekisho up starts it by itself)")


def _server(
    exchange_url: str,
    exchange_user: str,
    exchange_auth: str,
    exchange_ca: str,
    exchange_certificate: str,
    online_tenant: str,
    online_app: str,
    online_login: str,
    password_stdin: bool,
) -> Server:
    ca_file = str(Path(exchange_ca).absolute()) if exchange_ca else ""
    certificate = _read(exchange_certificate) if exchange_certificate else ""
    if online_tenant:
        return online.Tenant(
            tenant=online_tenant,
            app_id=online_app,
            certificate=certificate,
            exchange_url=exchange_url or EXCHANGE_URL,
            login_url=online_login,
            ca_file=ca_file,
        )
    if not exchange_url:
        raise click.UsageError("Give --exchange-url, or --online-tenant for Exchange Online.")
    by_password = exchange_auth != "certificate"
    return psrp.Server(
        url=exchange_url,
        user=exchange_user,
        password=_password(password_stdin, exchange_user) if by_password else "",
        auth=exchange_auth,
        certificate=certificate,
        ca_file=ca_file,
    )


def _read(path: str) -> str:
    try:
        with Path(path).open("rb") as file:
            return file.read(LARGEST_CERTIFICATE_BYTES).decode("ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} cannot be read as PEM: {error}") from None


def _password(from_input: bool, user: str) -> str:
    if from_input:
        return sys.stdin.readline().rstrip("\r\n")
    return click.prompt("Password", hide_input=True, type=str) if user else ""


exchange_connector.add_command(run)


@exchange_connector.command(hidden=True)
def work() -> None:
    """Work until SIGTERM, as the process that `run` starts."""
    loaded = settings.load()
    logs.start("exchange-connector", loaded.log_level)
    if configuration.is_paired(loaded.folder):
        log_file.keep(loaded.folder)
    loop.run(loaded)


@exchange_connector.command()
def status() -> None:
    """Show the pairing and what the spool holds."""
    folder = settings.load().folder
    paired, _ = configuration.load(folder)
    spool = Spool(folder / "spool.db")
    wanted, _ = spool.wanted()
    lists = spool.ours().values()
    overridden = sum(one.overridden for one in spool.known().values())
    click.echo(f"connector    {paired.name} ({paired.connector_id})")
    click.echo(f"management   {paired.management}")
    user = paired.exchange_user or paired.app_id or "this machine"
    click.echo(f"exchange     {paired.exchange_url} as {user}")
    click.echo(f"wanted       issue {wanted.issue}, {len(wanted.wanted)} partnerships")
    click.echo(f"paused       {wanted.paused_because if wanted.paused else 'no'}")
    click.echo(f"undone       {'yes' if spool.is_undone() or wanted.undo else 'no'}")
    click.echo(f"all read     {_when(spool.moment('discovered_at'))}")
    click.echo(f"new read     {_when(spool.moment('delta_at'))}")
    click.echo(
        f"our entries  {sum(len(one.allowed) for one in lists)} allowed, "
        f"{sum(len(one.blocked) for one in lists)} blocked, {overridden} overridden"
    )
    click.echo(f"unreported   {spool.count_results()}")
    _tell_release(folder)
    spool.close()


def _tell_release(folder: Path) -> None:
    book = release_book.read(folder)
    click.echo(f"release      {book.current or f'{here().version}, as installed'}")
    if book.trial:
        click.echo(f"trying       {book.trial} {book.trouble}")
    if book.last is not None:
        last = book.last
        click.echo(f"last update  {last.at}: {last.version} {last.state}. {last.detail}")


@exchange_connector.command("release-root")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
def release_root(file: Path) -> None:
    """Believe releases that FILE leads to (root.json of their publisher), and no others.

    Compare the fingerprint with the publisher by another way than this file came.
    """
    from exchange_connector.release_source import OWN_ROOT  # TUF's code is needed rarely
    from updater.trusted_root import read_root

    content = file.read_bytes()
    root, folder = read_root(content), settings.load().folder
    configuration.keep_text(folder / OWN_ROOT, content.decode("utf-8"))
    click.echo(f"Fingerprint of the root: {root.fingerprint}")


@exchange_connector.command("management-ca")
@click.option("--fingerprint", default="", help="Of management's CA, as the console shows it.")
@click.option(
    "--file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="File of the company's CA (PEM or DER).",
)
def management_ca(fingerprint: str, file: Path | None) -> None:
    """Trust management's CA of today, when it was renewed while this connector was away.

    Without options only a successor is taken that the key of the trusted one signed.
    """
    taken = pairing.trust_again(settings.load().folder, fingerprint, file)
    click.echo(f"Management is trusted under {taken.name}, valid until {taken.until:%Y-%m-%d}.")
    click.echo(f"Fingerprint: {taken.fingerprint}")


def _closed_doors(folder: Path) -> tuple[Door, ...]:
    """Return the doors that management last asked to close: they need further parameters."""
    spool = Spool(folder / "spool.db")
    doors = spool.wanted()[0].close_doors
    spool.close()
    return doors


def _when(moment: datetime | None) -> str:
    return moment.isoformat() if moment else "never"


@exchange_connector.command()
def undo() -> None:
    """Take back everything this connector did at Exchange, and do nothing more until `resume`.

    Works without management, also while enforcement is paused. Entries of others stay.
    """
    loaded = settings.load()
    spool = Spool(loaded.folder / "spool.db")
    spool.keep_undone(True)
    outcome = Outcome(unfinished=True)
    with loop.open_management(loaded) as management:
        sync = loop.open_sync(loaded, management, spool)
        while outcome.unfinished and not outcome.exchange_problem:
            outcome = sync.run_pass(Look.NOT)
    left = sum(len(one.allowed | one.blocked) for one in spool.ours().values())
    spool.close()
    if outcome.exchange_problem or left:
        raise UnavailableError(
            f"{left} entries are still at Exchange. {outcome.exchange_problem} "
            "The running connector tries on; nothing new is enforced."
        )
    click.echo("Everything that this connector did is taken back.")
    click.echo("It does nothing more until: sekisho exchange-connector resume")


@exchange_connector.command()
def resume() -> None:
    """Let a connector enforce again after `undo`."""
    spool = Spool(settings.load().folder / "spool.db")
    spool.keep_undone(False)
    spool.close()
    click.echo("The connector enforces again at its next pass.")


@exchange_connector.command()
def selftest() -> None:
    """Try Exchange and management, reading only; UnavailableError's status if one fails.

    Names for each cmdlet what this account may not do, and which role gives it.
    """
    loaded = settings.load()
    server = configuration.exchange_server(*configuration.load(loaded.folder))
    opened = backend(server, loaded.exchange_timeout_seconds)
    with opened.session(lambda name: None, Tally()) as exchange:
        rights = exchange.check_rights(_closed_doors(loaded.folder))
        for right in rights:
            click.echo(f"{right.cmdlet:28}{right.missing or 'may be used'}")
        if any(right.missing for right in rights):
            raise UnavailableError("The service account lacks rights; docs/exchange.md says how.")
        mailboxes = exchange.list_mailboxes()
        found = exchange.list_partnerships(mailboxes).partnerships
    click.echo(f"Exchange answers: {len(mailboxes)} mailboxes, {len(found)} partnerships.")
    unnamed = sum(not one.user_address for one in found)
    if unnamed:
        click.echo(f"Of these, {unnamed} have a mailbox without a mail address.")
    with loop.open_management(loaded) as management:
        answer = management.get_access("")
    if answer is None:
        raise UnavailableError("Management answered a first question with 'unchanged'.")
    click.echo(f"Management answers: {len(answer[0].wanted)} partnerships wanted.")
