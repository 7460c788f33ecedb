"""What a clause of the protocol document is, and how a run of them is told. No network."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from agents.conformance.probe import BrokenError, Probe
from runtime.errors import SekishoError


class Outcome(StrEnum):
    """How one clause went."""

    KEPT = "kept"
    BROKEN = "broken"
    NOT_TRIED = "not tried"
    """A clause that it builds on is broken."""


@dataclass(frozen=True, slots=True)
class Clause:
    """One sentence of `docs/agent-protocol.md` that a relay keeps or breaks."""

    id: str
    """Section, then a name: ``4/replay``."""
    sentence: str
    check: Callable[[Probe], None]
    """Raises BrokenError, which says what was seen, when the clause is broken."""
    opens: bool = False
    """Nothing after it can be tried when it is broken."""


@dataclass(frozen=True, slots=True)
class Result:
    """How one clause went and, unless it is kept, why."""

    clause: Clause
    outcome: Outcome
    because: str = ""


def run(clauses: list[Clause], probe: Probe) -> Iterator[Result]:
    """Try *clauses* in their order and yield how each went."""
    shut_by = ""
    for clause in clauses:
        if shut_by:
            yield Result(clause, Outcome.NOT_TRIED, f"{shut_by} is broken.")
            continue
        result = _try(clause, probe)
        if clause.opens and result.outcome is Outcome.BROKEN:
            shut_by = clause.id
        yield result


def _try(clause: Clause, probe: Probe) -> Result:
    try:
        clause.check(probe)
    except BrokenError as error:
        return Result(clause, Outcome.BROKEN, str(error))
    except SekishoError as error:
        return Result(clause, Outcome.BROKEN, f"The answer cannot be used: {error}")
    return Result(clause, Outcome.KEPT)
