"""How a relay keeps reports and orders."""

import json
from functools import partial

from agents.conformance import clauses
from agents.conformance.clauses import Clause
from agents.conformance.probe import Probe, expect
from agents.conformance.relay_answers import problem_in, sealed, status, take_all
from contracts import codec
from contracts.agent import Digest, Leaving, PollAnswer

CLAUSES: list[Clause[Probe]] = []
clause = partial(clauses.clause, CLAUSES)
HELD_SECONDS = 2
REPORT_BYTES = 3 * 1024 * 1024


@clause("5/report", "A report is answered 202.", opens=True)
def _report(probe: Probe) -> None:
    body = codec.write(probe.write_report(probe.posture()))
    status(probe.signed("POST", "/reports", body), 202)


@clause("5/report-again", "The same report may be posted again.")
def _report_again(probe: Probe) -> None:
    assert probe.report is not None
    status(probe.signed("POST", "/reports", codec.write(probe.report)), 202)


@clause("5/report-size", "A report above 3 MiB is answered 413.")
def _report_size(probe: Probe) -> None:
    assert probe.report is not None
    fields = json.loads(codec.write(probe.report)) | {"sealed": "A" * REPORT_BYTES}
    status(probe.signed("POST", "/reports", json.dumps(fields).encode()), 413)


@clause("5/report-wrong", "A report that cannot be read is answered 400.")
def _report_wrong(probe: Probe) -> None:
    status(probe.signed("POST", "/reports", b'{"v":1}'), 400)


@clause("5/poll-news", "A poll is answered 200 with the number of orders that wait.", opens=True)
def _poll_news(probe: Probe) -> None:
    def came() -> bool:
        answer = probe.poll(f"{probe.position}&wait={HELD_SECONDS}")
        status(answer, 200, 204)
        if answer.status_code == 204:
            return False
        waiting = codec.read(PollAnswer, answer.content).orders_waiting
        expect(waiting > 0, "The poll was answered 200, but says that no order waits.")
        return True

    probe.until(came, "Management left no receipt for the report")


@clause("5/orders-stay", "An order stays until the device says that it holds it.")
def _orders_stay(probe: Probe) -> None:
    first, second = (sealed(probe) for _ in range(2))
    expect(bool(first), "The poll told of orders, but there is none.")
    expect(second[:1] == first[:1], "The oldest order was another one at the second request.")


@clause("7/orders", "Orders come oldest first, none again, and are management's to this device.")
def _orders(probe: Probe) -> None:
    take_all(probe)


@clause("8/acknowledged", "What was answered 202 reaches management, whose orders say so.")
def _acknowledged(probe: Probe) -> None:
    body = codec.write(probe.write_report(probe.posture(), Digest()))
    status(probe.signed("POST", "/reports", body), 202)

    def covered() -> bool:
        take_all(probe)
        return probe.acknowledged >= probe.written

    probe.until(covered, f"No order acknowledged report {probe.written}")


@clause("5/nothing-there", "What does not exist is answered 404 with a problem document.")
def _nothing_there(probe: Probe) -> None:
    answer = probe.signed("GET", "/no-such-thing")
    status(answer, 404)
    expect(bool(problem_in(answer).get("detail")), "The problem document says nothing in detail.")


@clause("8/leaving", "A device that left is answered 403 before long.")
def _leaving(probe: Probe) -> None:
    body = codec.write(probe.write_report(Leaving(reason="The conformance kit is done.")))
    status(probe.signed("POST", "/reports", body), 202)

    def shut() -> bool:
        answer = probe.signed("POST", "/token")
        status(answer, 200, 403)
        return answer.status_code == 403

    probe.until(shut, "The device that left was still served")
