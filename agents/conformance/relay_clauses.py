"""The clauses of `docs/agent-protocol.md` that a relay keeps, in the order in which they are tried.

Each tries one sentence with requests that a device would make, or would never make. What management
has to add (the answer to an enrolment, a receipt) is waited for.
"""

import json
from collections.abc import Callable
from datetime import timedelta
from email.utils import parsedate_to_datetime
from time import monotonic
from uuid import uuid4

import httpx

from agents.conformance.clauses import Clause
from agents.conformance.probe import PATH, Probe, expect
from agents.simulator.trust import read_statement
from contracts import codec, keys
from contracts.agent import Digest, Enrolled, Leaving, PollAnswer, PollToken, SealedOrders
from contracts.request_signature import LINK
from runtime.clock import utc_now
from runtime.errors import SekishoError

CLAUSES: list[Clause] = []
CLOCK_SKEW = "urn:sekisho:clock-skew"
ENROLMENT_BYTES = 64 * 1024
REPORT_BYTES = 3 * 1024 * 1024
HELD_SECONDS = 2
Check = Callable[[Probe], None]


def clause(name: str, sentence: str, *, opens: bool = False) -> Callable[[Check], Check]:
    """Add the function below to the list."""

    def add(check: Check) -> Check:
        CLAUSES.append(Clause(name, sentence, check, opens))
        return check

    return add


def _status(answer: httpx.Response, *wanted: int) -> None:
    names = " or ".join(map(str, wanted))
    request = answer.request
    path = request.url.raw_path.decode("ascii", "replace").removeprefix(PATH)
    expect(
        answer.status_code in wanted,
        f"{request.method} {path[:80]} was answered {answer.status_code}, not {names}.",
    )


def _asks_again(answer: httpx.Response) -> None:
    value = answer.headers.get("retry-after", "")
    expect(value.isdigit(), f"Retry-After is {value!r}, not a number of seconds.")


# --- section 2: where trust starts ---


@clause(
    "2/trust", "The trust statement is given to anybody and signed by the key of fp.", opens=True
)
def _trust(probe: Probe) -> None:
    answer = probe.send("GET", "/trust", trusting=False)
    _status(answer, 200)
    kind = answer.headers.get("content-type", "")
    expect(kind.startswith("text/plain"), f"The statement comes as {kind or 'nothing'}.")
    text = answer.content.decode("ascii", "replace").strip()
    probe.statement = read_statement(text, probe.invitation.fingerprint)


@clause("2/tls", "TLS verifies against the certificates of the trust statement.", opens=True)
def _tls(probe: Probe) -> None:
    _status(probe.send("GET", "/trust"), 200)


# --- section 5: enrolment ---


@clause("5/enrolment", "An enrolment is answered 202 with Retry-After.", opens=True)
def _enrolment(probe: Probe) -> None:
    answer = probe.send("POST", "/enrolments", probe.write_enrolment())
    _status(answer, 202)
    _asks_again(answer)


@clause("5/enrolment-again", "The same enrolment may be posted again.")
def _enrolment_again(probe: Probe) -> None:
    _status(probe.send("POST", "/enrolments", probe.enrolment), 202)


@clause("5/enrolment-size", "An enrolment above 64 KiB is answered 413.")
def _enrolment_size(probe: Probe) -> None:
    fields = json.loads(probe.enrolment) | {"sealed": "A" * ENROLMENT_BYTES}
    _status(probe.send("POST", "/enrolments", json.dumps(fields).encode()), 413)


@clause("5/enrolment-wrong", "An enrolment that cannot be read is answered 400.")
def _enrolment_wrong(probe: Probe) -> None:
    _status(probe.send("POST", "/enrolments", b'{"v":1}'), 400)


@clause("5/answer-signed", "The answer to an enrolment is only for whom signs with its key.")
def _answer_signed(probe: Probe) -> None:
    path = f"/enrolments/{probe.enrolment_id}"
    _status(probe.send("GET", path), 401)
    _status(probe.signed("GET", path, key=keys.new_key(), key_id=probe.enrolment_id), 401)


@clause("5/answer-unknown", "An unknown enrolment is answered 401 or 404.")
def _answer_unknown(probe: Probe) -> None:
    strange = uuid4()
    _status(probe.signed("GET", f"/enrolments/{strange}", key_id=strange), 401, 404)


@clause("5/answer", "The answer to an enrolment is 202 until management gave it.", opens=True)
def _answer(probe: Probe) -> None:
    def came() -> bool:
        answer = probe.signed("GET", f"/enrolments/{probe.enrolment_id}", key_id=probe.enrolment_id)
        _status(answer, 200, 202)
        if answer.status_code == 202:
            _asks_again(answer)
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


# --- section 4: signed requests ---


@clause("4/signed", "A rightly signed request is served.", opens=True)
def _signed(probe: Probe) -> None:
    _status(probe.signed("GET", f"/orders{probe.position}"), 200)


@clause("4/unsigned", "Without a signature nothing is served.")
def _unsigned(probe: Probe) -> None:
    for method, path in (("GET", "/orders"), ("POST", "/token"), ("POST", "/reports")):
        _status(probe.send(method, path), 401)


@clause("4/key", "Only the device's own key signs for it.")
def _key(probe: Probe) -> None:
    _status(probe.signed("GET", "/orders", key=keys.new_key()), 401)


@clause("4/device", "A device that management did not name is not served.")
def _device(probe: Probe) -> None:
    _status(probe.signed("GET", "/orders", key_id=uuid4()), 401)


@clause("4/tag", "A signature made for something else does not hold.")
def _tag(probe: Probe) -> None:
    _status(probe.signed("GET", "/orders", tag=LINK), 401)


@clause("4/query", "The signature covers method, path and query.")
def _query(probe: Probe) -> None:
    headers = probe.signature("GET", "/orders?after=0&epoch=1")
    _status(probe.send("GET", "/orders?after=1&epoch=1", headers=headers), 401)
    _status(probe.send("POST", "/token", headers=probe.signature("GET", "/token")), 401)


@clause("4/digest", "The signature covers the body.")
def _digest(probe: Probe) -> None:
    headers = probe.signature("POST", "/reports", b"{}")
    _status(probe.send("POST", "/reports", b'{"v":1}', headers), 400, 401)


@clause("4/once", "A signed request works once.")
def _once(probe: Probe) -> None:
    path = f"/orders{probe.position}"
    headers = probe.signature("GET", path)
    _status(probe.send("GET", path, headers=headers), 200)
    _status(probe.send("GET", path, headers=headers), 401)


@clause("4/clock", "A wrong clock is told as such, with the right time in Date.")
def _clock(probe: Probe) -> None:
    for wrong in (timedelta(minutes=-10), timedelta(minutes=10)):
        answer = probe.signed("GET", "/orders", at=utc_now() + wrong)
        _status(answer, 401)
        kind = _problem(answer).get("type")
        expect(kind == CLOCK_SKEW, f"The problem's type is {kind!r}, not {CLOCK_SKEW}.")
        try:
            parsedate_to_datetime(answer.headers.get("date", ""))
        except ValueError:
            expect(False, "The answer carries no Date that can be read.")


@clause("4/five-minutes", "A clock that is wrong by less than five minutes is good enough.")
def _five_minutes(probe: Probe) -> None:
    for wrong in (timedelta(minutes=-4), timedelta(minutes=4)):
        path = f"/orders{probe.position}"
        _status(probe.signed("GET", path, at=utc_now() + wrong), 200)


@clause("4/garbage", "A signature that is no signature is refused, not stumbled over.")
def _garbage(probe: Probe) -> None:
    for text in ("sekisho=:AAAA:", "x", "sekisho=()", "sekisho=:" + "A" * 2000):
        made = probe.signature("GET", "/orders") | {"Signature": text}
        _status(probe.send("GET", "/orders", headers=made), 400, 401)
        made = probe.signature("GET", "/orders") | {"Signature-Input": text}
        _status(probe.send("GET", "/orders", headers=made), 400, 401)


# --- section 5: token and poll ---


@clause("5/token", "A device gets a poll token that lasts a while.", opens=True)
def _token(probe: Probe) -> None:
    answer = probe.signed("POST", "/token")
    _status(answer, 200)
    token = codec.read(PollToken, answer.content)
    expect(token.expires_at > utc_now(), f"The token ended at {token.expires_at:%H:%M:%S}.")
    probe.token = token.token


@clause("5/poll-token", "The poll asks for a token and takes no other.")
def _poll_token(probe: Probe) -> None:
    _status(probe.send("GET", "/poll"), 401)
    _status(probe.poll(token="x"), 401)  # noqa: S106  (no secret)
    _status(probe.poll(token=probe.token[:-4] + "AAAA"), 401)


@clause("5/poll", "A poll that brings nothing is answered 204 without a body.")
def _poll(probe: Probe) -> None:
    _take_all(probe)
    answer = probe.poll(probe.position)
    _status(answer, 204)
    expect(not answer.content, "A 204 came with a body.")


@clause("5/poll-after", "The poll says in whole seconds when to come again, or nothing.")
def _poll_after(probe: Probe) -> None:
    value = probe.poll(probe.position).headers.get("sekisho-poll-after")
    expect(value is None or (value.isdigit() and int(value) > 0), f"Poll-After is {value!r}.")


@clause("5/poll-wait", "With wait the answer is held back as long as nothing comes.")
def _poll_wait(probe: Probe) -> None:
    began = monotonic()
    answer = probe.poll(f"{probe.position}&wait={HELD_SECONDS}")
    _status(answer, 204)
    expect(monotonic() - began > HELD_SECONDS / 2, "It was answered at once.")


@clause("5/poll-wrong", "A poll whose numbers are none is answered 400.")
def _poll_wrong(probe: Probe) -> None:
    _status(probe.poll("?after=x&epoch=1"), 400)


# --- section 5: reports and orders ---


@clause("5/report", "A report is answered 202.", opens=True)
def _report(probe: Probe) -> None:
    body = codec.write(probe.write_report(probe.posture()))
    _status(probe.signed("POST", "/reports", body), 202)


@clause("5/report-again", "The same report may be posted again.")
def _report_again(probe: Probe) -> None:
    assert probe.report is not None
    _status(probe.signed("POST", "/reports", codec.write(probe.report)), 202)


@clause("5/report-size", "A report above 3 MiB is answered 413.")
def _report_size(probe: Probe) -> None:
    assert probe.report is not None
    fields = json.loads(codec.write(probe.report)) | {"sealed": "A" * REPORT_BYTES}
    _status(probe.signed("POST", "/reports", json.dumps(fields).encode()), 413)


@clause("5/report-wrong", "A report that cannot be read is answered 400.")
def _report_wrong(probe: Probe) -> None:
    _status(probe.signed("POST", "/reports", b'{"v":1}'), 400)


@clause("5/poll-news", "A poll is answered 200 with the number of orders that wait.", opens=True)
def _poll_news(probe: Probe) -> None:
    def came() -> bool:
        answer = probe.poll(f"{probe.position}&wait={HELD_SECONDS}")
        _status(answer, 200, 204)
        if answer.status_code == 204:
            return False
        waiting = codec.read(PollAnswer, answer.content).orders_waiting
        expect(waiting > 0, "The poll was answered 200, but says that no order waits.")
        return True

    probe.until(came, "Management left no receipt for the report")


@clause("5/orders-stay", "An order stays until the device says that it holds it.")
def _orders_stay(probe: Probe) -> None:
    first, second = (_sealed(probe) for _ in range(2))
    expect(bool(first), "The poll told of orders, but there is none.")
    expect(second[:1] == first[:1], "The oldest order was another one at the second request.")


@clause("7/orders", "Orders come oldest first, none again, and are management's to this device.")
def _orders(probe: Probe) -> None:
    _take_all(probe)


@clause("8/acknowledged", "What was answered 202 reaches management, whose orders say so.")
def _acknowledged(probe: Probe) -> None:
    body = codec.write(probe.write_report(probe.posture(), Digest()))
    _status(probe.signed("POST", "/reports", body), 202)

    def covered() -> bool:
        _take_all(probe)
        return probe.acknowledged >= probe.written

    probe.until(covered, f"No order acknowledged report {probe.written}")


@clause("5/nothing-there", "What does not exist is answered 404 with a problem document.")
def _nothing_there(probe: Probe) -> None:
    answer = probe.signed("GET", "/no-such-thing")
    _status(answer, 404)
    expect(bool(_problem(answer).get("detail")), "The problem document says nothing in detail.")


@clause("8/leaving", "A device that left is answered 403 before long.")
def _leaving(probe: Probe) -> None:
    body = codec.write(probe.write_report(Leaving(reason="The conformance kit is done.")))
    _status(probe.signed("POST", "/reports", body), 202)

    def shut() -> bool:
        answer = probe.signed("POST", "/token")
        _status(answer, 200, 403)
        return answer.status_code == 403

    probe.until(shut, "The device that left was still served")


# --- shared ---


def _sealed(probe: Probe) -> tuple[str, ...]:
    answer = probe.signed("GET", f"/orders{probe.position}")
    _status(answer, 200)
    return codec.read(SealedOrders, answer.content).orders


def _take_all(probe: Probe) -> None:
    """Take what waits, and look at each order as an agent must."""
    while found := _sealed(probe):
        for sealed in found:
            try:
                order = probe.open_order(sealed)
            except SekishoError as error:
                expect(False, f"An order cannot be opened: {error}")
                return
            wanted = (probe.device_id, probe.epoch, probe.taken + 1)
            seen = (order.aud, order.epoch, order.seq)
            expect(seen == wanted, f"An order for {seen} came where {wanted} was next.")
            probe.take(order)


def _problem(answer: httpx.Response) -> dict[str, object]:
    """Return the RFC 9457 document in *answer*."""
    kind = answer.headers.get("content-type", "")
    expect(kind.startswith("application/problem+json"), f"The error comes as {kind or 'nothing'}.")
    try:
        fields = json.loads(answer.content)
    except ValueError:
        fields = None
    expect(isinstance(fields, dict), "The problem document is no JSON object.")
    assert isinstance(fields, dict)
    return fields
