"""How an agent asks: signed, with a token, at the times it is told, and whatever its clock says."""

import re
from datetime import timedelta
from functools import partial

from agents.conformance import clauses
from agents.conformance.clauses import Clause
from agents.conformance.listening import Answered, Asked
from agents.conformance.probe import expect
from agents.conformance.stage import PREFIX, Stage
from contracts.agent import Receipt

CLAUSES: list[Clause[Stage]] = []
clause = partial(clauses.clause, CLAUSES)
TOLD_SECONDS = 4
FIRST_BACKOFF_SECONDS = 5
SLACK_SECONDS = 0.5
ELSEWHERE = "/agent/v1/elsewhere"
_NONCE = re.compile(r'nonce="([^"]*)"')


@clause("4/signed", "Requests are signed as section 4 says.", opens=True)
def _signed(stage: Stage) -> None:
    stage.until(lambda: bool(stage.reports or stage.faults), "No report came")
    expect(not stage.faults, f"It was refused: {stage.faults[:1]}.")


@clause("5/position", "A poll names the highest order that the device holds.")
def _position(stage: Stage) -> None:
    stage.until_held(stage.leave(Receipt()))


@clause("5/token", "A token that no longer holds is replaced, once.")
def _token(stage: Stage) -> None:
    start = len(stage.seen)
    stage.tokens.clear()
    stage.until(lambda: stage.count("/token", start) > 0, "The agent asked for no new token")
    stage.after_polls()
    count = stage.count("/token", start)
    expect(count == 1, f"It asked for {count} tokens.")
    expect(stage.to("/poll")[-1].status in (200, 204), "It does not poll with the new token.")


@clause("5/rhythm", "The next poll comes when Sekisho-Poll-After says, not sooner.")
def _rhythm(stage: Stage) -> None:
    stage.poll_after = TOLD_SECONDS
    start = len(stage.seen)
    stage.until(lambda: stage.count("/poll", start) >= 3, "The agent did not poll")
    stage.poll_after = 1
    first, second = stage.to("/poll", start)[1:3]
    pause = second.at - first.at
    expect(pause > TOLD_SECONDS - SLACK_SECONDS, f"It polled again after {pause:.1f} s.")


@clause("5/retry-after", "A relay that says 503 is left alone as long as Retry-After says.")
def _retry_after(stage: Stage) -> None:
    answer = Answered(503, b"", {"Retry-After": str(TOLD_SECONDS)})
    pause = _pause_after(stage, answer)
    expect(pause > TOLD_SECONDS - SLACK_SECONDS, f"It came again after {pause:.1f} s.")


@clause("5/back-off", "A relay that does not answer is asked again after five seconds or more.")
def _back_off(stage: Stage) -> None:
    pause = _pause_after(stage, Answered(0))
    expect(pause > FIRST_BACKOFF_SECONDS - SLACK_SECONDS, f"It came again after {pause:.1f} s.")


def _pause_after(stage: Stage, answer: Answered) -> float:
    """Answer the next poll so, and return the seconds to the request after it."""
    path = f"{PREFIX}/poll"
    place: list[int] = []

    def once(asked: Asked) -> Answered | None:
        if asked.path != path or place:
            return None
        place.append(len(stage.seen))
        return answer

    stage.hook = once
    stage.until(lambda: bool(place) and len(stage.seen) > place[0] + 1, "The agent came no more")
    stage.hook = None
    return stage.seen[place[0] + 1].at - stage.seen[place[0]].at


@clause("5/redirect", "An agent follows no redirect.")
def _redirect(stage: Stage) -> None:
    told: list[int] = []

    def lead_away(asked: Asked) -> Answered | None:
        if asked.path == ELSEWHERE or len(told) >= 1:
            return None
        told.append(1)
        return Answered(307, b"", {"Location": ELSEWHERE})

    start = len(stage.seen)
    stage.hook = lead_away
    stage.until(lambda: bool(told), "The agent asked nothing")
    stage.after_polls()
    stage.hook = None
    followed = [one for one in stage.seen[start:] if one.asked.path == ELSEWHERE]
    expect(not followed, "The agent went where the relay sent it.")


@clause("4/clock", "When only the clock differs, requests follow the relay's clock.")
def _clock(stage: Stage) -> None:
    for ahead in (timedelta(hours=1), timedelta()):
        stage.clock_ahead = ahead
        stage.until_held(stage.leave(Receipt()))


@clause("4/nonce", "Each signature has a nonce of its own.")
def _nonce(stage: Stage) -> None:
    texts = [one.asked.headers.get("signature-input", "") for one in stage.seen]
    nonces = [found[1] for text in texts if (found := _NONCE.search(text))]
    again = len(nonces) - len(set(nonces))
    expect(not again, f"{again} nonces were used twice.")
