"""How a relay gives tokens and answers polls."""

from functools import partial
from time import monotonic

from agents.conformance import clauses
from agents.conformance.clauses import Clause
from agents.conformance.probe import Probe, expect
from agents.conformance.relay_answers import status, take_all
from contracts import codec
from contracts.agent import PollToken
from runtime.clock import utc_now

CLAUSES: list[Clause[Probe]] = []
clause = partial(clauses.clause, CLAUSES)
HELD_SECONDS = 2


@clause("5/token", "A device gets a poll token that lasts a while.", opens=True)
def _token(probe: Probe) -> None:
    answer = probe.signed("POST", "/token")
    status(answer, 200)
    token = codec.read(PollToken, answer.content)
    expect(token.expires_at > utc_now(), f"The token ended at {token.expires_at:%H:%M:%S}.")
    probe.token = token.token


@clause("5/poll-token", "The poll asks for a token and takes no other.")
def _poll_token(probe: Probe) -> None:
    status(probe.send("GET", "/poll"), 401)
    status(probe.poll(token="x"), 401)  # noqa: S106  (no secret)
    status(probe.poll(token=probe.token[:-4] + "AAAA"), 401)


@clause("5/poll", "A poll that brings nothing is answered 204 without a body.")
def _poll(probe: Probe) -> None:
    take_all(probe)
    answer = probe.poll(probe.position)
    status(answer, 204)
    expect(not answer.content, "A 204 came with a body.")


@clause("5/poll-after", "The poll says in whole seconds when to come again, or nothing.")
def _poll_after(probe: Probe) -> None:
    value = probe.poll(probe.position).headers.get("sekisho-poll-after")
    expect(value is None or (value.isdigit() and int(value) > 0), f"Poll-After is {value!r}.")


@clause("5/poll-wait", "With wait the answer is held back as long as nothing comes.")
def _poll_wait(probe: Probe) -> None:
    began = monotonic()
    answer = probe.poll(f"{probe.position}&wait={HELD_SECONDS}")
    status(answer, 204)
    expect(monotonic() - began > HELD_SECONDS / 2, "It was answered at once.")


@clause("5/poll-wrong", "A poll whose numbers are none is answered 400.")
def _poll_wrong(probe: Probe) -> None:
    status(probe.poll("?after=x&epoch=1"), 400)
