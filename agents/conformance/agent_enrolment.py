"""What an agent does before it is enrolled: whom it believes, what it sends, when it asks again."""

from dataclasses import dataclass, field
from functools import partial

from agents.conformance import clauses
from agents.conformance.clauses import Clause
from agents.conformance.listening import Answered, Asked, Authority
from agents.conformance.probe import expect
from agents.conformance.stage import PREFIX, Seen, Stage, near
from contracts import keys
from runtime.clock import utc_now

CLAUSES: list[Clause[Stage]] = []
clause = partial(clauses.clause, CLAUSES)
RETRY_SECONDS = 3
SLACK_SECONDS = 0.5
DIGEST_SECONDS = 20


@dataclass
class Trap:
    """A relay that is not management's; nothing but the question for trust may come to it."""

    statement: str = ""
    seen: list[Asked] = field(default_factory=list)

    def answer(self, asked: Asked) -> Answered:
        """Answer as a relay that wants to be believed."""
        self.seen.append(asked)
        if asked.path == f"{PREFIX}/trust":
            return Answered(200, self.statement.encode(), {"Content-Type": "text/plain"})
        return Answered(202, b"", {"Retry-After": "1"})

    def check(self, stage: Stage) -> None:
        """BrokenError unless the agent asked for trust, sent nothing else, and went on."""
        trust = f"{PREFIX}/trust"
        stage.until(
            lambda: any(one.path == trust for one in self.seen),
            "The agent did not try the code of the trap",
        )
        stage.until(lambda: bool(stage.seen), "The agent did not go on to the last code")
        more = [f"{one.method} {one.path}" for one in self.seen if one.path != trust]
        expect(not more, f"The agent sent {more[0] if more else ''} to a relay that is a trap.")


def traps(stage: Stage) -> dict[str, tuple[Trap, Authority]]:
    """Return the traps by the clause that they try, with whose certificates they listen."""
    return {
        "2/fingerprint": (Trap(), stage.authority),
        "2/tls": (Trap(), Authority()),
    }


def trap_clauses(made: dict[str, tuple[Trap, Authority]]) -> list[Clause[Stage]]:
    """Return the clauses that the traps try."""
    sentences = {
        "2/fingerprint": "A statement whose key has not the fingerprint of the code is refused.",
        "2/tls": "After the first question TLS is verified against the statement's certificates.",
    }
    return [Clause(name, sentences[name], trap.check) for name, (trap, _) in made.items()]


def refuse_first_post(stage: Stage) -> None:
    """Let the first enrolment be answered 503, so that it has to come again."""

    def hook(asked: Asked) -> Answered | None:
        if (asked.method, asked.path) != ("POST", f"{PREFIX}/enrolments"):
            return None
        stage.hook = None
        return Answered(503, b"", {"Retry-After": "1"})

    stage.hook = hook


@clause("2/trust", "The first question to a relay is the one for its trust statement.", opens=True)
def _trust(stage: Stage) -> None:
    stage.until(lambda: bool(stage.seen), "The agent asked nothing")
    first = stage.seen[0].asked
    expect(first.path == f"{PREFIX}/trust", f"The first request was {first.method} {first.path}.")


@clause("6/again", "Without an answer the same enrolment is posted again, unchanged.", opens=True)
def _again(stage: Stage) -> None:
    stage.until(lambda: stage.count("/enrolments") >= 2, "The enrolment did not come again")
    bodies = {one.asked.body for one in stage.to("/enrolments")}
    expect(len(bodies) == 1, "The enrolment that came again was another one.")


@clause("6/enrolment", "The enrolment says what section 6 asks for.", opens=True)
def _enrolment(stage: Stage) -> None:
    stage.until(lambda: bool(stage.posts), f"No enrolment that can be opened ({stage.faults[-1:]})")
    post, asked = stage.posts[-1], stage.asked_for()
    expect(post.enrolment_id == asked.enrolment_id, "The ids outside and inside differ.")
    outside = keys.thumbprint(keys.read_public(post.signing_key))
    inside = keys.thumbprint(keys.read_public(asked.signing_key))
    expect(outside == inside, "The signing keys outside and inside differ.")
    expect(near(asked.sent_at, utc_now(), 600), f"sent_at is {asked.sent_at}.")
    expect(asked.enrolment_key == stage.enrolment_key, "The enrolment key is not the code's.")
    other = keys.thumbprint(keys.read_public(asked.encryption_key))
    expect(inside != other, "One key signs and opens; there must be two.")


@clause("6/secret", "The enrolment key travels nowhere but inside the sealed request.")
def _secret(stage: Stage) -> None:
    for one in stage.seen:
        asked = one.asked
        texts = (asked.target.encode(), asked.body, *(v.encode() for v in asked.headers.values()))
        told = any(stage.enrolment_key.encode() in text for text in texts)
        expect(not told, f"{asked.method} {asked.path} carries the key in the clear.")


@clause("6/answer-signed", "The question for the answer is signed with the enrolment's key.")
def _answer_signed(stage: Stage) -> None:
    stage.until(lambda: bool(_questions(stage)), "The agent did not ask for the answer")
    statuses = {one.status for one in _questions(stage)}
    expect(statuses <= {200, 202}, f"It was refused: {stage.faults[-1:]}.")


@clause("6/retry-after", "The answer is asked for again when Retry-After says so, not sooner.")
def _retry_after(stage: Stage) -> None:
    path = f"{PREFIX}/enrolments/{stage.asked_for().enrolment_id}"

    def slow(asked: Asked) -> Answered | None:
        again = Answered(202, b"", {"Retry-After": str(RETRY_SECONDS)})
        return again if (asked.method, asked.path) == ("GET", path) else None

    start = len(stage.seen)
    stage.hook = slow
    stage.until(lambda: len(_questions(stage, start)) >= 2, "The agent asked no second time")
    stage.hook = None
    first, second = _questions(stage, start)[:2]
    pause = second.at - first.at
    expect(pause > RETRY_SECONDS - SLACK_SECONDS, f"It asked again after {pause:.1f} s.")


@clause("6/forged", "An answer that management did not sign enrols nobody.")
def _forged(stage: Stage) -> None:
    body = stage.enrolled(DIGEST_SECONDS)
    stage.answers = (stage.seal(stage.order(body, seq=1), signer=keys.new_key()),)
    start = len(stage.seen)
    stage.until(lambda: len(_questions(stage, start)) >= 2, "The agent asked no more for an answer")
    expect(not stage.count("/token", start), "The agent took it and went on as enrolled.")


@clause("6/enrolled", "The answer is taken and the device begins to poll.", opens=True)
def _enrolled(stage: Stage) -> None:
    stage.answers = (stage.seal(stage.order(stage.enrolled(DIGEST_SECONDS), seq=1)),)
    stage.until(lambda: stage.count("/token") > 0, "The agent asked for no poll token")
    stage.until(lambda: stage.count("/poll") > 0, "The agent did not poll")


def _questions(stage: Stage, start: int = 0) -> list[Seen]:
    return stage.to(f"/enrolments/{stage.asked_for().enrolment_id}", start)
