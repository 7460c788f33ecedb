"""``sekisho audit``: proves the trail on the server, also against what was handed outside."""

import sys
from contextlib import closing
from pathlib import Path

import click


@click.group()
def audit() -> None:
    """Prove the audit trail, and have its end signed."""


@audit.command()
@click.option(
    "--checkpoints",
    "files",
    multiple=True,
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A file of checkpoints from outside: audit_file, a syslog server's, a saved mail (.eml)."
    " May be repeated.",
)
def verify(files: tuple[Path, ...]) -> None:
    """Prove that nobody changed or shortened the trail; exit status 1 says what is wrong.

    What the signer remembers must be in it, and what the files say.
    """
    from management.audit import checkpoints, queries, service
    from management.cli import open_context

    context = open_context()
    with closing(context.database), context.database.reading() as session:
        problems = service.verify(session, context.keys)
        if not problems:
            marks = checkpoints.held(session, context.signer)
            outside = [checkpoints.read_file(file, context.signer) for file in files]
            marks += [mark for one in outside for mark in one.marks]
            problems = service.verify(session, context.keys, marks)
            problems += [problem for one in outside for problem in one.problems]
        last = queries.last_entry(session)
    for problem in problems:
        click.echo(problem)
    if problems:
        sys.exit(1)
    click.echo(
        f"The audit trail is whole: {last.seq if last else 0} entries, "
        f"{len(marks)} checkpoints are in it."
    )


@audit.command()
def checkpoint() -> None:
    """Have the trail's end signed now, hand it to every place outside, and print it."""
    from management.audit import checkpoints, queries
    from management.audit.looks import note_from_command_line
    from management.cli import open_context

    context = open_context()
    with closing(context.database):
        if checkpoints.is_behind(context):  # else each note would be another end to sign
            note_from_command_line(context, "audit.checkpoint", "audit trail")
        checkpoints.make(context)
        problems = checkpoints.hand_out(context)
        with context.database.reading() as session:
            last = queries.last_checkpoint(session)
    click.echo(last.token if last else "The trail is empty.")
    for problem in problems:
        click.echo(problem, err=True)
    if problems:
        sys.exit(1)


@audit.command()
@click.argument("because")
def forget(because: str) -> None:
    """After a restore from a backup: let the trail end earlier than the signer saw it end.

    Run it as the signer's user or root, and say BECAUSE of what; the signer notes both.
    """
    from management import settings
    from management.signer_client import SignerClient

    SignerClient(settings.load().home / "signer" / "signer.sock").forget_checkpoint(because)
    click.echo("The signer takes the trail's present end at the next checkpoint.")
