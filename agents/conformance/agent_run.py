"""A test relay and its traps, open for one agent."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from agents.conformance import agent_enrolment
from agents.conformance.agent_clauses import CLAUSES
from agents.conformance.clauses import Clause
from agents.conformance.listening import listening
from agents.conformance.stage import Stage
from contracts import keys


@dataclass(frozen=True, slots=True)
class Open:
    """What listens, and what is tried with it."""

    stage: Stage
    codes: list[str]
    """For the agent, one after the other; only the last leads to management."""
    clauses: list[Clause[Stage]]


@contextmanager
def opened(listen: str, port: int, name: str, patience: float) -> Iterator[Open]:
    """Listen on *port* and the two after it (0: on free ones) until the block ends."""
    stage = Stage(patience_seconds=patience)
    traps, codes = agent_enrolment.traps(stage), []
    with ExitStack() as open_:
        for place, (clause, (trap, authority)) in enumerate(traps.items(), 1):
            at = (listen, port + place if port else 0, name, authority, trap.answer)
            url = open_.enter_context(listening(*at))
            stranger = keys.new_key() if clause == "2/fingerprint" else None
            trap.statement = stage.statement(url, signer=stranger)
            codes.append(stage.code(url))
        at = (listen, port, name, stage.authority, stage.answer)
        stage.url = open_.enter_context(listening(*at))
        agent_enrolment.refuse_first_post(stage)
        tried = [*agent_enrolment.trap_clauses(traps), *CLAUSES]
        yield Open(stage, [*codes, stage.code()], tried)
