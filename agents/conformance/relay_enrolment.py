"""How a relay hands out trust and takes enrolments."""

import json
from functools import partial
from uuid import uuid4

from agents.conformance import clauses
from agents.conformance.clauses import Clause
from agents.conformance.probe import Probe, expect
from agents.conformance.relay_answers import asks_again, status
from contracts import codec, keys
from contracts.agent import Enrolled, SealedOrders
from contracts.following import read_statement

CLAUSES: list[Clause[Probe]] = []
clause = partial(clauses.clause, CLAUSES)
ENROLMENT_BYTES = 64 * 1024


@clause(
    "2/trust", "The trust statement is given to anybody and signed by the key of fp.", opens=True
)
def _trust(probe: Probe) -> None:
    answer = probe.send("GET", "/trust", trusting=False)
    status(answer, 200)
    kind = answer.headers.get("content-type", "")
    expect(kind.startswith("text/plain"), f"The statement comes as {kind or 'nothing'}.")
    text = answer.content.decode("ascii", "replace").strip()
    probe.statement = read_statement(text, probe.invitation.fingerprint)


@clause("2/tls", "TLS verifies against the certificates of the trust statement.", opens=True)
def _tls(probe: Probe) -> None:
    status(probe.send("GET", "/trust"), 200)


@clause("5/enrolment", "An enrolment is answered 202 with Retry-After.", opens=True)
def _enrolment(probe: Probe) -> None:
    answer = probe.send("POST", "/enrolments", probe.write_enrolment())
    status(answer, 202)
    asks_again(answer)


@clause("5/enrolment-again", "The same enrolment may be posted again.")
def _enrolment_again(probe: Probe) -> None:
    status(probe.send("POST", "/enrolments", probe.enrolment), 202)


@clause("5/enrolment-size", "An enrolment above 64 KiB is answered 413.")
def _enrolment_size(probe: Probe) -> None:
    fields = json.loads(probe.enrolment) | {"sealed": "A" * ENROLMENT_BYTES}
    status(probe.send("POST", "/enrolments", json.dumps(fields).encode()), 413)


@clause("5/enrolment-wrong", "An enrolment that cannot be read is answered 400.")
def _enrolment_wrong(probe: Probe) -> None:
    status(probe.send("POST", "/enrolments", b'{"v":1}'), 400)


@clause("5/answer-signed", "The answer to an enrolment is only for whom signs with its key.")
def _answer_signed(probe: Probe) -> None:
    path = f"/enrolments/{probe.enrolment_id}"
    status(probe.send("GET", path), 401)
    status(probe.signed("GET", path, key=keys.new_key(), key_id=probe.enrolment_id), 401)


@clause("5/answer-unknown", "An unknown enrolment is answered 401 or 404.")
def _answer_unknown(probe: Probe) -> None:
    strange = uuid4()
    status(probe.signed("GET", f"/enrolments/{strange}", key_id=strange), 401, 404)


@clause("5/answer", "The answer to an enrolment is 202 until management gave it.", opens=True)
def _answer(probe: Probe) -> None:
    def came() -> bool:
        answer = probe.signed("GET", f"/enrolments/{probe.enrolment_id}", key_id=probe.enrolment_id)
        status(answer, 200, 202)
        if answer.status_code == 202:
            asks_again(answer)
            return False
        for sealed in codec.read(SealedOrders, answer.content).orders:
            _join(probe, sealed)
        return probe.taken > 0

    probe.until(came, "Management did not grant the enrolment")


def _join(probe: Probe, sealed: str) -> None:
    order = probe.open_order(sealed)
    body = order.body
    said = f"The answer to the enrolment is an order {body.kind!r}"
    said += f" ({body.reason})." if hasattr(body, "reason") else "."
    expect(isinstance(body, Enrolled), said)
    assert isinstance(body, Enrolled)
    probe.device_id, probe.epoch = body.device_id, order.epoch
    probe.take(order)
