"""Which signatures a relay takes."""

from datetime import timedelta
from email.utils import parsedate_to_datetime
from functools import partial
from uuid import uuid4

from agents.conformance import clauses
from agents.conformance.clauses import Clause
from agents.conformance.probe import Probe, expect
from agents.conformance.relay_answers import problem_in, status
from contracts import keys
from contracts.request_signature import LINK
from runtime.clock import utc_now

CLAUSES: list[Clause[Probe]] = []
clause = partial(clauses.clause, CLAUSES)
CLOCK_SKEW = "urn:sekisho:clock-skew"


@clause("4/signed", "A rightly signed request is served.", opens=True)
def _signed(probe: Probe) -> None:
    status(probe.signed("GET", f"/orders{probe.position}"), 200)


@clause("4/unsigned", "Without a signature nothing is served.")
def _unsigned(probe: Probe) -> None:
    for method, path in (("GET", "/orders"), ("POST", "/token"), ("POST", "/reports")):
        status(probe.send(method, path), 401)


@clause("4/key", "Only the device's own key signs for it.")
def _key(probe: Probe) -> None:
    status(probe.signed("GET", "/orders", key=keys.new_key()), 401)


@clause("4/device", "A device that management did not name is not served.")
def _device(probe: Probe) -> None:
    status(probe.signed("GET", "/orders", key_id=uuid4()), 401)


@clause("4/tag", "A signature made for something else does not hold.")
def _tag(probe: Probe) -> None:
    status(probe.signed("GET", "/orders", tag=LINK), 401)


@clause("4/query", "The signature covers method, path and query.")
def _query(probe: Probe) -> None:
    headers = probe.signature("GET", "/orders?after=0&epoch=1")
    status(probe.send("GET", "/orders?after=1&epoch=1", headers=headers), 401)
    status(probe.send("POST", "/token", headers=probe.signature("GET", "/token")), 401)


@clause("4/digest", "The signature covers the body.")
def _digest(probe: Probe) -> None:
    headers = probe.signature("POST", "/reports", b"{}")
    status(probe.send("POST", "/reports", b'{"v":1}', headers), 400, 401)


@clause("4/once", "A signed request works once.")
def _once(probe: Probe) -> None:
    path = f"/orders{probe.position}"
    headers = probe.signature("GET", path)
    status(probe.send("GET", path, headers=headers), 200)
    status(probe.send("GET", path, headers=headers), 401)


@clause("4/clock", "A wrong clock is told as such, with the right time in Date.")
def _clock(probe: Probe) -> None:
    for wrong in (timedelta(minutes=-10), timedelta(minutes=10)):
        answer = probe.signed("GET", "/orders", at=utc_now() + wrong)
        status(answer, 401)
        kind = problem_in(answer).get("type")
        expect(kind == CLOCK_SKEW, f"The problem's type is {kind!r}, not {CLOCK_SKEW}.")
        try:
            parsedate_to_datetime(answer.headers.get("date", ""))
        except ValueError:
            expect(False, "The answer carries no Date that can be read.")


@clause("4/five-minutes", "A clock that is wrong by less than five minutes is good enough.")
def _five_minutes(probe: Probe) -> None:
    for wrong in (timedelta(minutes=-4), timedelta(minutes=4)):
        path = f"/orders{probe.position}"
        status(probe.signed("GET", path, at=utc_now() + wrong), 200)


@clause("4/garbage", "A signature that is no signature is refused, not stumbled over.")
def _garbage(probe: Probe) -> None:
    for text in ("sekisho=:AAAA:", "x", "sekisho=()", "sekisho=:" + "A" * 2000):
        made = probe.signature("GET", "/orders") | {"Signature": text}
        status(probe.send("GET", "/orders", headers=made), 400, 401)
        made = probe.signature("GET", "/orders") | {"Signature-Input": text}
        status(probe.send("GET", "/orders", headers=made), 400, 401)
