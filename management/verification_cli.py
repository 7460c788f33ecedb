"""``sekisho verify``: every check, live, on the server itself."""

import json
import sys

import click

MARKS = {"ok": "ok     ", "idle": "unused ", "warn": "warning", "bad": "WRONG  "}


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
def verify(as_json: bool) -> None:
    """Check every part and setting live, and say what would mend what is wrong.

    Exit status 1 when something is wrong; warnings alone leave it 0. `sekisho audit verify` proves
    the whole audit trail.
    """
    from management.cli import open_context
    from management.verification import checks, rules
    from runtime.clock import utc_now

    found = []
    for check, finding in checks.run_all(open_context(), utc_now()):
        found.append(finding)
        if as_json:
            click.echo(
                json.dumps(
                    {
                        "check": check.name,
                        "stands": finding.tone,
                        "said": str(finding.said),
                        "mend": str(finding.mend or ""),
                    }
                )
            )
            continue
        click.echo(f"{MARKS[finding.tone]} {check.title}: {finding.said}")
        if finding.mend:
            click.echo(f"        {finding.mend}")
    if rules.worst(found) is rules.Tone.BAD:
        sys.exit(1)
