"""`sekisho conformance`: does a relay keep the agent protocol, clause by clause?"""

import json
import sys
from dataclasses import replace

import click

from agents.conformance.clauses import Outcome, Result, run
from agents.conformance.probe import Probe
from agents.conformance.relay_clauses import CLAUSES
from agents.simulator.trust import Invitation, read_qr
from runtime.errors import MalformedMessageError

_COLOURS = {Outcome.KEPT: "green", Outcome.BROKEN: "red", Outcome.NOT_TRIED: "yellow"}
_WIDTH = max(len(clause.id) for clause in CLAUSES)


@click.command()
@click.option("--server", default="", help="Address of the relay; else the one in the code.")
@click.option("--key", "code", required=True, help="Enrolment code: sekisho://enrol?...")
@click.option("--patience", default=120.0, show_default=True, help="Seconds management may take.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a clause.")
def conformance(server: str, code: str, patience: float, as_json: bool) -> None:
    """Check a relay clause by clause of docs/agent-protocol.md.

    Enrols one device of its own with the code and leaves at the end. Exit status 0 when every
    clause is kept, 1 otherwise.
    """
    probe = Probe(_invitation(server, code), patience)
    results = []
    try:
        for result in run(CLAUSES, probe):
            results.append(result)
            click.echo(_as_json(result) if as_json else _as_line(result))
    finally:
        probe.close()
    broken = [result for result in results if result.outcome is not Outcome.KEPT]
    if not as_json:
        click.echo(_summary(len(results), broken))
    sys.exit(1 if broken else 0)


def _invitation(server: str, code: str) -> Invitation:
    invitation = read_qr(code)
    if server and not server.startswith("https://"):
        raise MalformedMessageError("--server must be an https:// address.")
    return replace(invitation, relay_url=server.rstrip("/")) if server else invitation


def _as_line(result: Result) -> str:
    word = click.style(f"{result.outcome.value:<9}", fg=_COLOURS[result.outcome])
    line = f"{word}  {result.clause.id:<{_WIDTH}}  {result.clause.sentence}"
    return f"{line}\n{'':<{_WIDTH + 13}}{result.because}" if result.because else line


def _as_json(result: Result) -> str:
    fields = {
        "clause": result.clause.id,
        "sentence": result.clause.sentence,
        "outcome": result.outcome.value,
        "because": result.because,
    }
    return json.dumps(fields, ensure_ascii=False)


def _summary(count: int, broken: list[Result]) -> str:
    if not broken:
        return f"All {count} clauses are kept."
    names = ", ".join(result.clause.id for result in broken)
    return f"{count - len(broken)} of {count} clauses are kept. Not so: {names}."
