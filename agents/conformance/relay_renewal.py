"""How a relay lets a device in whose keys are renewed: both for a while, then the new one alone."""

from functools import partial
from uuid import uuid4

from joserfc.jwk import ECKey

from agents.conformance import clauses
from agents.conformance.clauses import Clause
from agents.conformance.probe import Probe, expect
from agents.conformance.relay_answers import status, take_all
from contracts import codec, envelope, keys
from contracts.agent import Digest, KeyProof, Renewal

CLAUSES: list[Clause[Probe]] = []
clause = partial(clauses.clause, CLAUSES)


def _request(probe: Probe, key: ECKey, box: ECKey) -> Renewal:
    proof = KeyProof(
        device_id=probe.device_id,
        renewal_id=uuid4(),
        former_thumbprint=keys.thumbprint(probe.signing_key),
        signing_key=keys.public_jwk(key),
        encryption_key=keys.public_jwk(box),
    )
    token = envelope.sign(codec.write(proof), envelope.RENEWAL, key)
    return Renewal(renewal_id=proof.renewal_id, proof=token)


@clause("7.3/new-key", "With the answer to a renewal the relay lets the new key in.", opens=True)
def _new_key(probe: Probe) -> None:
    key, box = keys.new_key(), keys.new_key()
    body = codec.write(probe.write_report(_request(probe, key, box)))
    status(probe.signed("POST", "/reports", body), 202)

    def answered() -> bool:
        take_all(probe)
        return probe.renewed

    probe.until(answered, "Management did not answer the renewal")
    status(probe.signed("POST", "/token"), 200)
    status(probe.signed("POST", "/token", key=key), 200)
    probe.former = (probe.signing_key, probe.encryption_key)
    probe.signing_key, probe.encryption_key = key, box


@clause("7.3/old-key", "After the first report of the new key, the old one is answered 401.")
def _old_key(probe: Probe) -> None:
    expect(probe.former is not None, "No renewal went before.")
    assert probe.former is not None
    old, _ = probe.former
    body = codec.write(probe.write_report(Digest()))
    status(probe.signed("POST", "/reports", body), 202)

    def shut() -> bool:
        answer = probe.signed("POST", "/token", key=old)
        status(answer, 200, 401)
        return answer.status_code == 401

    probe.until(shut, "The old key was still let in")
    status(probe.signed("POST", "/token"), 200)
