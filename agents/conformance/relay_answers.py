"""How clauses look at what a relay answers."""

import json

import httpx

from agents.conformance.probe import PATH, Probe, expect
from contracts import codec
from contracts.agent import SealedOrders
from runtime.errors import SekishoError


def status(answer: httpx.Response, *wanted: int) -> None:
    names = " or ".join(map(str, wanted))
    request = answer.request
    path = request.url.raw_path.decode("ascii", "replace").removeprefix(PATH)
    expect(
        answer.status_code in wanted,
        f"{request.method} {path[:80]} was answered {answer.status_code}, not {names}.",
    )


def asks_again(answer: httpx.Response) -> None:
    value = answer.headers.get("retry-after", "")
    expect(value.isdigit(), f"Retry-After is {value!r}, not a number of seconds.")


def sealed(probe: Probe) -> tuple[str, ...]:
    answer = probe.signed("GET", f"/orders{probe.position}")
    status(answer, 200)
    return codec.read(SealedOrders, answer.content).orders


def take_all(probe: Probe) -> None:
    """Take what waits, and look at each order as an agent must."""
    while found := sealed(probe):
        for one in found:
            try:
                order = probe.open_order(one)
            except SekishoError as error:
                expect(False, f"An order cannot be opened: {error}")
                return
            wanted = (probe.device_id, probe.epoch, probe.taken + 1)
            seen = (order.aud, order.epoch, order.seq)
            expect(seen == wanted, f"An order for {seen} came where {wanted} was next.")
            probe.take(order)


def problem_in(answer: httpx.Response) -> dict[str, object]:
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
