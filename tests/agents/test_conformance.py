"""The conformance kit passes against our relay and fails against one that breaks a clause."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from agents.conformance.clauses import Outcome, run
from agents.conformance.cli import conformance
from agents.conformance.probe import Probe
from agents.conformance.relay_clauses import CLAUSES
from agents.simulator.trust import read_qr
from contracts import codec
from contracts.agent import Leaving, PollAnswer, Receipt, Renewal, SealedOrders
from management import keys as management_keys
from management.keys import Keys
from runtime.clock import utc_now
from tests.agents import breaking_relay
from tests.agents import office as offices
from tests.agents.breaking_relay import Answered, Asked, Break, BreakingRelay
from tests.agents.office import Office
from tests.agents.relay_process import RelayProcess

JSON = {"content-type": "application/json"}
PROBLEM = {"content-type": "application/problem+json"}


def _always(route: str, status: int, body: bytes = b"", **headers: str) -> Break:
    """Answer every request for *route* the same."""

    def broken(asked: Asked) -> Answered:
        if asked.route != route:
            return asked.pass_on(asked)
        return Answered(status, body, headers)

    return broken


def _instead(
    wrong: int, status: int, body: bytes = b"{}", method: str = "", route: str = ""
) -> Break:
    """Answer *status* where the honest relay says *wrong*."""

    def broken(asked: Asked) -> Answered:
        honest = asked.pass_on(asked)
        meant = method in ("", asked.method) and asked.route.startswith(route)
        return Answered(status, body, JSON) if meant and honest.status == wrong else honest

    return broken


def _without(header: str, route: str) -> Break:
    def broken(asked: Asked) -> Answered:
        honest = asked.pass_on(asked)
        if asked.route.startswith(route):
            honest.headers.pop(header, None)
        return honest

    return broken


def _serves(phrase: bytes, path: str = "/orders", named: str = "") -> Break:
    """Serve orders where the honest relay refuses and says *phrase*."""

    def broken(asked: Asked) -> Answered:
        honest = asked.pass_on(asked)
        meant = asked.path == path and named in asked.headers.get("Signature-Input", "")
        if honest.status == 401 and meant and phrase in honest.body:
            return Answered(200, codec.write(SealedOrders(orders=())), JSON)
        return honest

    return broken


def _second_time(route: str) -> Break:
    """Refuse what was posted before."""
    posted: set[bytes] = set()

    def broken(asked: Asked) -> Answered:
        if (asked.method, asked.route) == ("POST", route):
            if asked.body in posted:
                return Answered(409, b"", {})
            posted.add(asked.body)
        return asked.pass_on(asked)

    return broken


def _unsigned(asked: Asked) -> Answered:
    if "Signature" not in asked.headers and asked.route == "/orders":
        return Answered(200, codec.write(SealedOrders(orders=())), JSON)
    return asked.pass_on(asked)


def _any_body(asked: Asked) -> Answered:
    honest = asked.pass_on(asked)
    if asked.body == b'{"v":1}' and asked.route == "/reports" and honest.status == 401:
        return Answered(202, b"", {})
    return honest


def _repeats() -> Break:
    """Serve a request a second time."""
    served: dict[str, Answered] = {}

    def broken(asked: Asked) -> Answered:
        name = asked.headers.get("Signature", "")
        if asked.method == "GET" and name in served:
            return served[name]
        honest = asked.pass_on(asked)
        if honest.status == 200 and name:
            served[name] = honest
        return honest

    return broken


def _skew_untold(asked: Asked) -> Answered:
    honest = asked.pass_on(asked)
    if honest.status == 401:
        honest.body = honest.body.replace(b"urn:sekisho:clock-skew", b"about:blank")
    return honest


def _strict_clock(asked: Asked) -> Answered:
    _, _, rest = asked.headers.get("Signature-Input", "").partition("created=")
    created = int(rest.partition(";")[0]) if rest else 0
    off = abs(datetime.now(UTC) - datetime.fromtimestamp(created, UTC))
    if created and timedelta(minutes=3) < off < timedelta(minutes=5):
        return Answered(401, b'{"type":"about:blank"}', PROBLEM)
    return asked.pass_on(asked)


def _stumbles(asked: Asked) -> Answered:
    if "created=" not in asked.headers.get("Signature-Input", "created="):
        return Answered(500, b"", {})
    return asked.pass_on(asked)


def _old_token(asked: Asked) -> Answered:
    honest = asked.pass_on(asked)
    if asked.route == "/token" and honest.status == 200:
        fields = json.loads(honest.body) | {"expires_at": "2020-01-01T00:00:00Z"}
        honest.body = json.dumps(fields).encode()
    return honest


def _any_token(asked: Asked) -> Answered:
    honest = asked.pass_on(asked)
    return Answered(204, b"", {}) if (asked.route, honest.status) == ("/poll", 401) else honest


def _never_empty(asked: Asked) -> Answered:
    honest = asked.pass_on(asked)
    if asked.route == "/poll" and honest.status == 204 and "wait" not in asked.path:
        return Answered(200, codec.write(PollAnswer(orders_waiting=1)), JSON)
    return honest


def _poll_after_words(asked: Asked) -> Answered:
    honest = asked.pass_on(asked)
    if asked.route == "/poll":
        honest.headers["sekisho-poll-after"] = "soon"
    return honest


def _holds_nothing(asked: Asked) -> Answered:
    asked.path = asked.path.partition("&wait")[0]
    return asked.pass_on(asked)


def _counts_wrong(asked: Asked) -> Answered:
    honest = asked.pass_on(asked)
    if asked.route == "/poll" and honest.status == 200:
        honest.body = codec.write(PollAnswer(orders_waiting=0))
    return honest


def _once_only() -> Break:
    """Give each order once, whether the device took it or not."""
    given: set[str] = set()

    def broken(asked: Asked) -> Answered:
        honest = asked.pass_on(asked)
        if asked.route != "/orders" or honest.status != 200:
            return honest
        orders = codec.read(SealedOrders, honest.body).orders
        fresh = tuple(one for one in orders if one not in given)
        given.update(orders)
        honest.body = codec.write(SealedOrders(orders=fresh))
        return honest

    return broken


def _unknown_is_served(asked: Asked) -> Answered:
    honest = asked.pass_on(asked)
    if asked.route.startswith("/enrolments/") and b"not known here" in honest.body:
        return Answered(202, b"", {"retry-after": "5"})
    return honest


def _token_after(report: int, status: int) -> Break:
    """Answer every request for a token alike once a certain report was posted."""
    posted: list[str] = []

    def broken(asked: Asked) -> Answered:
        if asked.route == "/reports" and f'"seq":{report},'.encode() in asked.body:
            posted.append(asked.route)
        if posted and asked.route == "/token":
            return Answered(status, b"{}", JSON)
        return asked.pass_on(asked)

    return broken


def _drops_reports(asked: Asked) -> Answered:
    """Say 202 to the second report and keep nothing of it."""
    if asked.route == "/reports" and b'"seq":2' in asked.body:
        return Answered(202, b"", {})
    return asked.pass_on(asked)


def _alters_answer(asked: Asked) -> Answered:
    return _altered(asked, "/enrolments")


def _alters_orders(asked: Asked) -> Answered:
    return _altered(asked, "/orders")


def _altered(asked: Asked, route: str) -> Answered:
    honest = asked.pass_on(asked)
    if asked.route.startswith(route) and asked.method == "GET" and honest.status == 200:
        orders = codec.read(SealedOrders, honest.body).orders
        altered = tuple(f"{one[:-6]}AAAAAA" for one in orders)
        honest.body = codec.write(SealedOrders(orders=altered))
    return honest


BREAKS: dict[str, Break] = {
    "2/trust": _always("/trust", 200, b"e30.e30.AAAA", **{"content-type": "text/plain"}),
    "5/enrolment": _without("retry-after", "/enrolments"),
    "5/enrolment-again": _second_time("/enrolments"),
    "5/enrolment-size": _instead(413, 202, route="/enrolments"),
    "5/enrolment-wrong": _instead(400, 202, method="POST", route="/enrolments"),
    "5/answer-signed": _instead(401, 200, method="GET", route="/enrolments"),
    "5/answer-unknown": _unknown_is_served,
    "5/answer": _alters_answer,
    "4/signed": _instead(200, 403, route="/orders"),
    "4/unsigned": _unsigned,
    "4/key": _serves(b"", named="sekisho-agent"),
    "4/device": _serves(b"not known here"),
    "4/tag": _serves(b"", named='tag="sekisho-link"'),
    "4/query": _serves(b"does not hold", "/orders?after=1&epoch=1"),
    "4/digest": _any_body,
    "4/once": _repeats(),
    "4/clock": _skew_untold,
    "4/five-minutes": _strict_clock,
    "4/garbage": _stumbles,
    "5/token": _old_token,
    "5/poll-token": _any_token,
    "5/poll": _never_empty,
    "5/poll-after": _poll_after_words,
    "5/poll-wait": _holds_nothing,
    "5/poll-wrong": _instead(400, 204, route="/poll"),
    "5/report": _instead(202, 500, route="/reports"),
    "5/report-again": _second_time("/reports"),
    "5/report-size": _instead(413, 202, route="/reports"),
    "5/report-wrong": _instead(400, 202, route="/reports"),
    "5/poll-news": _counts_wrong,
    "5/orders-stay": _once_only(),
    "7/orders": _alters_orders,
    "8/acknowledged": _drops_reports,
    "7.3/new-key": _token_after(3, 401),
    "7.3/old-key": _token_after(4, 200),
    "5/nothing-there": _always("/no-such-thing", 200),
    "8/leaving": _instead(403, 200, route="/token"),
}
"""Clause -> how a relay breaks it, and no clause before it."""
WAITS = ("8/acknowledged", "7.3/old-key", "8/leaving")
"""Broken by what never comes."""


@contextmanager
def _management_at_work(office: Office) -> Iterator[None]:
    """Admit whoever asks, acknowledge what they report, shut out who leaves."""
    done = threading.Event()

    def work() -> None:
        acknowledged: dict[object, int] = {}
        renewed: set[object] = set()
        while not done.wait(0.1):
            for request in office.requests():
                office.admit(request)
            for device in office.devices.values():
                if device.taken > acknowledged.get(device.device_id, 0):
                    acknowledged[device.device_id] = device.taken
                    office.send(device, Receipt())
                for asked in device.said(Renewal):
                    if asked.renewal_id not in renewed:
                        renewed.add(asked.renewal_id)
                        office.renew(device, asked)
                if device.said(Leaving):
                    office.let(device, active=False)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


@pytest.fixture(scope="module")
def office(relay: RelayProcess, office_keys: Keys) -> Iterator[Office]:
    with offices.opened(relay, office_keys) as opened:
        opened.drop_old()
        with _management_at_work(opened):
            yield opened


@pytest.fixture(scope="module")
def proxy(
    tmp_path_factory: pytest.TempPathFactory, relay: RelayProcess, office_keys: Keys
) -> Iterator[BreakingRelay]:
    folder = tmp_path_factory.mktemp("breaking")
    with breaking_relay.running(folder, relay, office_keys) as running:
        yield running


def _first_broken(probe: Probe) -> tuple[str, str]:
    """Return the first clause that is broken and why; empty words when all are kept."""
    try:
        for result in run(CLAUSES, probe):
            if result.outcome is Outcome.BROKEN:
                return result.clause.id, result.because
    finally:
        probe.close()
    return "", ""


def _probe(office: Office, url: str, patience: float = 120) -> Probe:
    return Probe(replace(read_qr(office.qr()), relay_url=url), patience)


def test_our_relay_keeps_every_clause(office: Office, relay: RelayProcess) -> None:
    done = CliRunner().invoke(conformance, ["--key", office.qr()])

    assert done.exit_code == 0, done.output
    assert f"All {len(CLAUSES)} clauses are kept." in done.output


def test_the_proxy_itself_breaks_nothing(office: Office, proxy: BreakingRelay) -> None:
    proxy.broken = None

    assert _first_broken(_probe(office, proxy.url)) == ("", "")


@pytest.mark.parametrize("name", [clause.id for clause in CLAUSES if clause.id != "2/tls"])
def test_a_relay_that_breaks_a_clause_is_found(
    office: Office, proxy: BreakingRelay, name: str
) -> None:
    proxy.broken = BREAKS[name]

    found, because = _first_broken(_probe(office, proxy.url, 6 if name in WAITS else 120))

    assert found == name, because
    assert because


def test_a_foreign_certificate_is_found(
    office: Office, relay: RelayProcess, tmp_path: Path
) -> None:
    strangers = management_keys.prepare(tmp_path / "keys", utc_now())
    with breaking_relay.running(tmp_path, relay, strangers) as proxy:
        found, because = _first_broken(_probe(office, proxy.url))

    assert found == "2/tls"
    assert "certificate" in because.lower()


def test_what_builds_on_a_broken_clause_is_not_tried(office: Office, proxy: BreakingRelay) -> None:
    proxy.broken = BREAKS["2/trust"]
    words = ["--server", proxy.url, "--key", office.qr(), "--json"]

    done = CliRunner().invoke(conformance, words)

    told = [json.loads(line) for line in done.output.splitlines()]
    assert done.exit_code == 1
    assert [one["outcome"] for one in told] == ["broken"] + ["not tried"] * (len(CLAUSES) - 1)
    assert told[1]["because"] == "2/trust is broken."
