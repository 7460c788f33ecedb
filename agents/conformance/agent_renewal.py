"""How an agent gets other keys and a fresh certificate: proved by what it has, at the right time.

What it signs with is written down for each report (`Stage.signers`), so that a key used too early
or too late shows.
"""

from dataclasses import replace
from datetime import timedelta
from functools import partial
from uuid import uuid4

from agents.conformance import clauses
from agents.conformance.agent_orders import command, done
from agents.conformance.clauses import Clause
from agents.conformance.probe import expect
from agents.conformance.stage import Stage
from contracts import codec, envelope, keys
from contracts.agent import CommandKind, KeyProof, RelayProblem, Renewal, Renewed

CLAUSES: list[Clause[Stage]] = []
clause = partial(clauses.clause, CLAUSES)


def _asked(stage: Stage, start: int) -> Renewal:
    """Return the renewal that the agent asks for in a report after number *start*; prepare for it.

    BrokenError unless its new keys prove themselves and the report is signed with the present one.
    """
    stage.until(lambda: bool(stage.said(Renewal, start)), "No report asked for a renewal")
    asked = stage.said(Renewal, start)[-1]
    present = stage.asked_for()
    claimed = codec.read(KeyProof, envelope.unverified_payload(asked.proof))
    payload = envelope.verify(asked.proof, envelope.RENEWAL, keys.read_public(claimed.signing_key))
    proof = codec.read(KeyProof, payload)
    expect(proof.device_id == stage.device_id, f"The proof is of device {proof.device_id}.")
    expect(proof.renewal_id == asked.renewal_id, "The proof belongs to another renewal.")
    follows = keys.thumbprint(keys.read_public(present.signing_key))
    expect(proof.former_thumbprint == follows, "The proof does not follow the present key.")
    for name in ("signing_key", "encryption_key"):
        expect(getattr(proof, name) != getattr(present, name), f"The {name} is not a new one.")
    with stage.lock:
        stage.renewing = replace(
            present, signing_key=proof.signing_key, encryption_key=proof.encryption_key
        )
    return asked


def _told(stage: Stage) -> Renewal:
    """Tell the agent to renew its keys and return what it asks for."""
    start = len(stage.reports)
    stage.leave(command(CommandKind.RENEW_KEYS))
    return _asked(stage, start)


def _does(stage: Stage) -> None:
    """Let the agent do something, so that it signs reports and requests."""
    order = command()
    stage.leave(order)
    stage.until(done(stage, order), "The agent said nothing of the command's end")


def _expect_signer(stage: Stage, start: int, key: dict[str, str], words: str) -> None:
    thumbprint = keys.thumbprint(keys.read_public(key))
    expect(set(stage.signers[start:]) == {thumbprint}, words)


def _switch(stage: Stage, answer: Renewed) -> None:
    """Answer, and wait until the agent says that it holds the answer."""
    start, seq = len(stage.reports), stage.leave(answer)
    wanted = stage.next_keys().signing_key
    stage.until(
        lambda: any(one.ack >= seq for one in stage.reports[start:]),
        f"No report acknowledged the certificate, order {seq}",
    )
    place = next(at for at, one in enumerate(stage.reports) if at >= start and one.ack >= seq)
    signer = stage.signers[place]
    expect(
        signer == keys.thumbprint(keys.read_public(wanted)),
        "The report after the certificate is not signed with the new key.",
    )


@clause(
    "7.3/asks", "renew_keys: a report of the present key names new keys, which prove themselves."
)
def _asks(stage: Stage) -> None:
    _told(stage)


@clause("7.3/present", "Until the answer comes, the present key signs.")
def _present(stage: Stage) -> None:
    _told(stage)
    start = len(stage.reports)
    _does(stage)
    key = stage.asked_for().signing_key
    _expect_signer(stage, start, key, "A report is signed with the new key before the answer.")


@clause("7.3/other", "An answer to another renewal changes nothing.")
def _other(stage: Stage) -> None:
    asked = _told(stage)
    present, start = stage.asked_for().signing_key, len(stage.reports)
    stage.leave(replace(stage.renewed(asked), renewal_id=uuid4()))
    _does(stage)
    _expect_signer(stage, start, present, "It took the answer to another renewal for its own.")


@clause("7.3/switch", "With the answer the new key signs: a report at once, and every request.")
def _switches(stage: Stage) -> None:
    _switch(stage, stage.renewed(_told(stage)))
    faults = len(stage.faults)
    _does(stage)
    expect(len(stage.faults) == faults, " ".join(stage.faults[faults : faults + 1]))


@clause("7.3/former", "An order that is sealed to the former encryption key is still read.")
def _former(stage: Stage) -> None:
    former = stage.asked_for()
    _switch(stage, stage.renewed(_told(stage)))
    start = len(stage.reports)
    order = command()
    with stage.lock:
        seq = stage.leave(order, recipient=former)
    stage.until(
        lambda: bool(stage.said(RelayProblem, start)) or done(stage, order)(),
        f"The agent said nothing of order {seq}",
    )
    expect(done(stage, order)(), "It cannot open what was sealed before the renewal.")


@clause("7.3/in-time", "When a third of the certificate's life is left, it renews by itself.")
def _in_time(stage: Stage) -> None:
    asked = _told(stage)
    start = len(stage.reports)
    _switch(stage, stage.renewed(asked, left=timedelta(days=1) + stage.management_ahead))
    again = _asked(stage, start)
    _switch(stage, stage.renewed(again))
