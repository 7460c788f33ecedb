"""What a clause of the protocol document is, and how a run of them is told. No network."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, TypeVar

from agents.conformance.probe import BrokenError
from runtime.errors import SekishoError

T = TypeVar("T")
"""With what a clause is tried: a `Probe` at a relay, a `Stage` before an agent."""


class Outcome(StrEnum):
    """How one clause went."""

    KEPT = "kept"
    BROKEN = "broken"
    NOT_TRIED = "not tried"
    """A clause that it builds on is broken."""


@dataclass(frozen=True, slots=True)
class Clause(Generic[T]):
    """One sentence of `docs/agent-protocol.md` that a relay or an agent keeps or breaks."""

    id: str
    """Section, then a name: ``4/replay``."""
    sentence: str
    check: Callable[[T], None]
    """Raises BrokenError, which says what was seen, when the clause is broken."""
    opens: bool = False
    """Nothing after it can be tried when it is broken."""


@dataclass(frozen=True, slots=True)
class Result(Generic[T]):
    """How one clause went and, unless it is kept, why."""

    clause: Clause[T]
    outcome: Outcome
    because: str = ""


def clause(
    into: list[Clause[T]], name: str, sentence: str, *, opens: bool = False
) -> Callable[[Callable[[T], None]], Callable[[T], None]]:
    """Add the function below to a list."""

    def add(check: Callable[[T], None]) -> Callable[[T], None]:
        into.append(Clause(name, sentence, check, opens))
        return check

    return add


def run(clauses: list[Clause[T]], tried_with: T) -> Iterator[Result[T]]:
    """Try *clauses* in their order and yield how each went."""
    shut_by = ""
    for clause in clauses:
        if shut_by:
            yield Result(clause, Outcome.NOT_TRIED, f"{shut_by} is broken.")
            continue
        result = _try(clause, tried_with)
        if clause.opens and result.outcome is Outcome.BROKEN:
            shut_by = clause.id
        yield result


def _try(clause: Clause[T], tried_with: T) -> Result[T]:
    try:
        clause.check(tried_with)
    except BrokenError as error:
        return Result(clause, Outcome.BROKEN, str(error))
    except SekishoError as error:
        return Result(clause, Outcome.BROKEN, f"The answer cannot be used: {error}")
    return Result(clause, Outcome.KEPT)
