"""What an agent says, in which order, how long it keeps it, and how it begins anew."""

from functools import partial

from agents.conformance import clauses
from agents.conformance.agent_enrolment import DIGEST_SECONDS
from agents.conformance.agent_orders import command, done
from agents.conformance.clauses import Clause
from agents.conformance.listening import Answered, Asked
from agents.conformance.probe import expect
from agents.conformance.stage import PREFIX, Stage
from contracts import codec
from contracts.agent import (
    ApplyPolicy,
    Apps,
    CommandResult,
    Digest,
    Posture,
    Report,
    ReportPost,
    Sim,
)

CLAUSES: list[Clause[Stage]] = []
clause = partial(clauses.clause, CLAUSES)
_POSTS = f"{PREFIX}/reports"


@clause("8/first", "The first report says posture and apps.", opens=True)
def _first(stage: Stage) -> None:
    stage.until(lambda: bool(stage.reports), f"No report came ({stage.faults[-1:]})")
    kinds = {type(item) for item in stage.reports[0].items}
    missing = [kind.__name__.lower() for kind in (Posture, Apps) if kind not in kinds]
    expect(not missing, f"It lacks {' and '.join(missing)}.")


@clause("8/kept", "A report that no relay stored comes again, byte for byte the same.")
def _kept(stage: Stage) -> None:
    refused: list[bytes] = []

    def refuse(asked: Asked) -> Answered | None:
        if asked.path != _POSTS or refused:
            return None
        refused.append(asked.body)
        return Answered(503, b"", {"Retry-After": "1"})

    stage.hook = refuse
    start = len(stage.seen)
    stage.leave(command())
    stage.until(
        lambda: bool(refused) and len(stage.to("/reports", start)) >= 2, "It came no second time"
    )
    stage.hook = None
    bodies = [one.asked.body for one in stage.to("/reports", start)]
    first, second = (codec.read(ReportPost, body) for body in bodies[:2])
    expect(first == second, f"After report {first.seq} came another, {second.seq}, or a new one.")


@clause("8/numbers", "Reports are numbered without a gap and sealed as section 3 says.")
def _numbers(stage: Stage) -> None:
    order = command()
    stage.leave(order)
    ended = done(stage, order)
    stage.until(lambda: ended() or bool(stage.faults), "No report came")
    expect(not stage.faults, " ".join(stage.faults[:1]))


@clause("8/digest", "When nothing else is said for digest_seconds, a digest is, alone.")
def _digest(stage: Stage) -> None:
    start = len(stage.reports)
    stage.until(
        lambda: bool(stage.said(Digest, start)),
        f"No digest came, although digest_seconds is {DIGEST_SECONDS}",
    )
    alone = next(one for one in stage.reports[start:] if Digest() in one.items)
    expect(len(alone.items) == 1, "The digest came together with something else.")


@clause("8/epoch", "A new epoch counts from 1, says all anew and what nobody acknowledged.")
def _epoch(stage: Stage) -> None:
    stage.acknowledges = False
    order = command()
    stage.leave(order)
    stage.until(done(stage, order), "The agent said nothing of the command's end")
    with stage.lock:
        old = len(stage.reports)
        stage.epoch, stage.seq, stage.taken, stage.acknowledges = stage.epoch + 1, 0, 0, True
        stage.mailbox.clear()
        stage.leave(stage.enrolled(DIGEST_SECONDS))
    stage.until(lambda: len(stage.reports) > old, "No report of the new epoch came")
    stage.until(lambda: _complete(stage.reports[old:]), "Posture and apps were not said anew")
    again = [one for one in stage.said(CommandResult, old) if one.command_id == order.command_id]
    expect(bool(again), "What was not acknowledged was not said again.")


@clause("8/sims", "A SIM has the same mark in each posture.")
def _sims(stage: Stage) -> None:
    known = stage.said(Posture)[-1].sims
    start = len(stage.reports)
    stage.leave(ApplyPolicy(policy=stage.policy(4)))
    stage.until(lambda: bool(stage.said(Posture, start)), "The policy was not said to be applied")
    now = stage.said(Posture, start)[-1].sims
    expect(_marks(known) == _marks(now), "The marks are others than in the posture before.")


def _marks(sims: tuple[Sim, ...] | None) -> set[str]:
    return {one.mark for one in sims or ()}


def _complete(reports: list[Report]) -> bool:
    kinds = {type(item) for report in reports for item in report.items}
    return {Posture, Apps} <= kinds
