"""`sekisho conformance`: does a relay, or an agent, keep the agent protocol, clause by clause?"""

import json
import sys
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import click

from agents.conformance.agent_clauses import CLAUSES as AGENT_CLAUSES
from agents.conformance.agent_run import opened
from agents.conformance.clauses import Outcome, Result, run
from agents.conformance.probe import Probe
from agents.conformance.relay_clauses import CLAUSES
from agents.simulator.trust import Invitation, read_qr
from runtime.errors import MalformedMessageError

_COLOURS = {Outcome.KEPT: "green", Outcome.BROKEN: "red", Outcome.NOT_TRIED: "yellow"}
_WIDTH = max(len(name) for name in [c.id for c in CLAUSES] + [c.id for c in AGENT_CLAUSES])
AnyResult = Result[Any]


@click.command()
@click.option("--server", default="", help="Address of the relay; else the one in the code.")
@click.option("--key", "code", default="", help="Enrolment code: sekisho://enrol?...")
@click.option("--agent", is_flag=True, help="Be a test relay and check the agent that enrols here.")
@click.option("--listen", default="127.0.0.1", show_default=True, help="With --agent: address.")
@click.option("--port", default=0, help="With --agent: the first of three ports; else free ones.")
@click.option("--name", default="localhost", show_default=True, help="With --agent: host name.")
@click.option("--patience", default=120.0, show_default=True, help="Seconds to wait for anything.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a clause.")
def conformance(
    server: str,
    code: str,
    agent: bool,
    listen: str,
    port: int,
    name: str,
    patience: float,
    as_json: bool,
) -> None:
    """Check a relay, or with --agent an agent, clause by clause of docs/agent-protocol.md.

    A relay: enrols one device of its own with the code and leaves at the end. An agent: prints
    three codes for it, one after the other; the first two lead into traps. Exit status 0 when every
    clause is kept, 1 otherwise.
    """
    if agent == bool(code):
        raise click.UsageError("Name a relay's enrolment code with --key, or check an --agent.")
    if agent:
        results = _check_agent(listen, port, name, patience, as_json)
    else:
        results = _check_relay(server, code, patience, as_json)
    broken = [result for result in results if result.outcome is not Outcome.KEPT]
    if not as_json:
        click.echo(_summary(len(results), broken))
    sys.exit(1 if broken else 0)


def _check_relay(server: str, code: str, patience: float, as_json: bool) -> list[AnyResult]:
    probe = Probe(_invitation(server, code), patience)
    try:
        return _told(run(CLAUSES, probe), as_json)
    finally:
        probe.close()


def _check_agent(
    listen: str, port: int, name: str, patience: float, as_json: bool
) -> list[AnyResult]:
    with opened(listen, port, name, patience) as kit:
        _tell_codes(kit.codes)
        return _told(run(kit.clauses, kit.stage), as_json)


def _tell_codes(codes: list[str]) -> None:
    """Say on the error stream what to give to the agent, so that the results stay alone."""
    click.echo(
        "Let the agent enrol with these codes, one after the other, and let it run.", err=True
    )
    for number, code in enumerate(codes, 1):
        trap = " (a trap: the agent must refuse it)" if number < len(codes) else ""
        click.echo(f"{number}. {code}{trap}", err=True)


def _told(results: Iterable[AnyResult], as_json: bool) -> list[AnyResult]:
    """Print each result as it comes and return all."""
    found = []
    for result in results:
        found.append(result)
        click.echo(_as_json(result) if as_json else _as_line(result))
    return found


def _invitation(server: str, code: str) -> Invitation:
    invitation = read_qr(code)
    if server and not server.startswith("https://"):
        raise MalformedMessageError("--server must be an https:// address.")
    return replace(invitation, relay_url=server.rstrip("/")) if server else invitation


def _as_line(result: AnyResult) -> str:
    word = click.style(f"{result.outcome.value:<9}", fg=_COLOURS[result.outcome])
    line = f"{word}  {result.clause.id:<{_WIDTH}}  {result.clause.sentence}"
    return f"{line}\n{'':<{_WIDTH + 13}}{result.because}" if result.because else line


def _as_json(result: AnyResult) -> str:
    fields = {
        "clause": result.clause.id,
        "sentence": result.clause.sentence,
        "outcome": result.outcome.value,
        "because": result.because,
    }
    return json.dumps(fields, ensure_ascii=False)


def _summary(count: int, broken: list[AnyResult]) -> str:
    if not broken:
        return f"All {count} clauses are kept."
    names = ", ".join(result.clause.id for result in broken)
    return f"{count - len(broken)} of {count} clauses are kept. Not so: {names}."
