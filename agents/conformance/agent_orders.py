"""Which orders an agent takes, which it refuses and says so, and what it does with commands."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from functools import partial
from uuid import uuid4

from agents.conformance import clauses
from agents.conformance.clauses import Clause
from agents.conformance.probe import expect
from agents.conformance.stage import Stage
from contracts import codec, envelope, keys
from contracts.agent import (
    ApplyPolicy,
    CommandKind,
    CommandResult,
    Posture,
    Receipt,
    RelayProblem,
    RunCommand,
)
from runtime.clock import utc_now

CLAUSES: list[Clause[Stage]] = []
clause = partial(clauses.clause, CLAUSES)


def command(kind: CommandKind = CommandKind.LOCATE, hours: float = 24) -> RunCommand:
    """Return a command that expires *hours* from now."""
    expires = utc_now() + timedelta(hours=hours)
    return RunCommand(command_id=uuid4(), command=kind, arguments={}, expires_at=expires)


def results(stage: Stage, order: RunCommand) -> list[str]:
    """Return what the agent said of a command, oldest first."""
    return [one.state for one in stage.said(CommandResult) if one.command_id == order.command_id]


def done(stage: Stage, order: RunCommand) -> Callable[[], bool]:
    """Return a function that tells whether the command ended."""
    return lambda: bool({"done", "failed"} & set(results(stage, order)))


def _refused(stage: Stage, sealed: str, problem: str) -> None:
    """Show something false; BrokenError unless the agent says what it is and takes nothing."""
    before, start = stage.seq, len(stage.reports)
    stage.shown = (sealed,)

    def told() -> bool:
        return any(one.problem == problem for one in stage.said(RelayProblem, start))

    try:
        stage.until(told, f"The agent reported no {problem!r} relay problem")
        stage.after_polls()
    finally:
        stage.shown = None
    count = sum(one.problem == problem for one in stage.said(RelayProblem, start))
    expect(count == 1, f"The same thing was reported {count} times.")
    expect(stage.reports[-1].ack == before, f"It says that it holds order {stage.reports[-1].ack}.")


@clause("7/take", "An order in its turn is taken: a policy is applied, said, acknowledged.")
def _take(stage: Stage) -> None:
    seq = stage.leave(ApplyPolicy(policy=stage.policy(2)))
    stage.until(
        lambda: any(one.applied_policy_version == 2 for one in stage.said(Posture)),
        "No posture said that version 2 of the policy is applied",
    )
    expect(stage.reports[-1].ack >= seq, f"The report acknowledges order {stage.reports[-1].ack}.")


@clause("7/forged", "An order that management did not sign is refused and reported as forged.")
def _forged(stage: Stage) -> None:
    order = command()
    _refused(stage, stage.seal(stage.order(order), signer=keys.new_key()), "forged")
    expect(not results(stage, order), "The forged command was carried out.")


@clause("7/replayed", "An order that was taken is refused when it comes again: replayed.")
def _replayed(stage: Stage) -> None:
    stage.until_held(stage.leave(Receipt()))
    _refused(stage, stage.mailbox[-1][2], "replayed")


@clause("7/foreign", "An order for another device is refused: foreign.")
def _foreign(stage: Stage) -> None:
    order = command()
    _refused(stage, stage.seal(stage.order(order, aud=uuid4())), "foreign")
    expect(not results(stage, order), "The command for another device was carried out.")


@clause("7/gap", "An order that is not the next is refused, never skipped to: gap.")
def _gap(stage: Stage) -> None:
    order = command()
    _refused(stage, stage.seal(stage.order(order, seq=stage.seq + 2)), "gap")
    expect(not results(stage, order), "The command came out of its turn and was carried out.")


@clause("7/unreadable", "What cannot be opened is refused: unreadable.")
def _unreadable(stage: Stage) -> None:
    token = envelope.sign(codec.write(stage.order(Receipt())), envelope.ORDER, stage.order_key)
    _refused(stage, envelope.encrypt(token, keys.new_key()), "unreadable")


@clause("7/unknown", "An order of a kind that is not known is unreadable, and not gone past.")
def _unknown(stage: Stage) -> None:
    fields = json.loads(codec.write(stage.order(Receipt())))
    fields["body"] = {"kind": "dance"}
    _refused(stage, stage.seal(json.dumps(fields).encode()), "unreadable")


@clause("7/goes-on", "After all that was refused the next order is taken.", opens=True)
def _goes_on(stage: Stage) -> None:
    seq = stage.leave(ApplyPolicy(policy=stage.policy(3)))
    stage.until(lambda: stage.reports[-1].ack >= seq, f"Order {seq} was not acknowledged")


@clause("7/command", "A command is acknowledged, and then said to be done or failed.", opens=True)
def _command(stage: Stage) -> None:
    order = command()
    stage.leave(order)
    stage.until(done(stage, order), "The agent said nothing of the command's end")
    said = results(stage, order)
    expect(said[0] == "acknowledged", f"It said {' and '.join(said)}.")
    expect(len(said) == 2, f"It said {' and '.join(said)}.")


@clause("7/once", "The same command and attempt in another order is done once.")
def _once(stage: Stage) -> None:
    order = command()
    stage.leave(order)
    stage.until(done(stage, order), "The agent said nothing of the command's end")
    before = results(stage, order)
    seq = stage.leave(order)
    other = command()
    stage.leave(other)
    stage.until(done(stage, other), f"The agent did not go on after order {seq}")
    after = results(stage, order)
    expect(before == after, f"It was done again: {' and '.join(after)}.")


@clause("7/again", "A higher attempt of a command that failed for now is another try.")
def _again(stage: Stage) -> None:
    order = command()
    stage.leave(order)
    stage.until(done(stage, order), "The agent said nothing of the command's end")
    count = len(results(stage, order))
    stage.leave(replace(order, attempt=2))
    stage.until(lambda: len(results(stage, order)) > count + 1, "The second attempt was not tried")


@clause("7/expired", "A command that expired is answered failed, and nothing is done.")
def _expired(stage: Stage) -> None:
    order = command(CommandKind.LOCK, hours=-1)
    stage.leave(order)
    stage.until(done(stage, order), "The agent said nothing of the command's end")
    said = results(stage, order)
    expect(said == ["failed"], f"It said {' and '.join(said)}.")


@clause("9/time", "Management's time, not the device's own, says whether a command expired.")
def _time(stage: Stage) -> None:
    stage.management_ahead = timedelta(hours=5)
    stage.leave(Receipt())
    order = command(hours=2)
    stage.leave(order)
    stage.until(done(stage, order), "The agent said nothing of the command's end")
    said = results(stage, order)
    expect(said == ["failed"], f"It said {' and '.join(said)}, three hours after it expired.")
    behind = utc_now() + stage.management_ahead - stage.reports[-1].sent_at
    expect(abs(behind) < timedelta(minutes=5), f"Its reports are {behind} behind management.")
