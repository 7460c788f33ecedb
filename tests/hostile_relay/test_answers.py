"""An agent survives whatever a relay answers, and forgets nothing because of it."""

from datetime import timedelta
from typing import Any

import pytest

from agents.simulator.device import SimulatedDevice
from agents.simulator.relay_client import MAXIMUM_ANSWER_BYTES, AskLaterError
from management.devices.rules import FactKind
from runtime.errors import (
    ForbiddenError,
    MalformedMessageError,
    RefusedError,
    SekishoError,
    TooLargeError,
    UnauthenticatedError,
    UnavailableError,
)
from tests.agents.headquarters import Headquarters
from tests.hostile_relay.conftest import Enrol
from tests.hostile_relay.lying_relay import LyingRelay

pytestmark = pytest.mark.servers


def _heard_at_last(hq: Headquarters, liar: LyingRelay, device: SimulatedDevice) -> None:
    liar.be_honest()
    device.check_in()
    hq.visit()
    assert hq.fact(device.device_id, FactKind.ROOTED) is True
    assert hq.incidents(device.device_id) == []


@pytest.mark.parametrize(
    ("path", "status", "body", "kind"),
    [
        ("/agent/v1/poll", 200, b"rubbish", MalformedMessageError),
        ("/agent/v1/poll", 200, b'{"v":9,"orders_waiting":1}', MalformedMessageError),
        ("/agent/v1/poll", 500, b"<html>oops</html>", AskLaterError),
        ("/agent/v1/poll", 429, b'{"detail":"Too much."}', AskLaterError),
        ("/agent/v1/poll", 403, b'{"detail":"No."}', ForbiddenError),
        ("/agent/v1/poll", 418, b"[]", RefusedError),
        ("/agent/v1/poll", 302, b"", RefusedError),
        ("/agent/v1/poll", 401, b"", UnauthenticatedError),
        ("/agent/v1/reports", 200, b"", RefusedError),
        ("/agent/v1/reports", 507, b"", AskLaterError),
        ("/agent/v1/reports", 413, b'{"detail":5}', RefusedError),
        ("/agent/v1/reports", 401, b'{"type":"urn:sekisho:clock-skew"}', UnauthenticatedError),
    ],
)
def test_a_strange_answer_is_an_error_in_words_and_costs_nothing(
    hq: Headquarters,
    liar: LyingRelay,
    enrol: Enrol,
    path: str,
    status: int,
    body: bytes,
    kind: type[SekishoError],
) -> None:
    device = enrol()
    device.set(rooted="true")
    liar.answers[path] = (status, body, {})
    with pytest.raises(kind):
        device.check_in()

    _heard_at_last(hq, liar, device)


def test_a_relay_says_in_its_own_words_what_is_wrong(liar: LyingRelay, enrol: Enrol) -> None:
    device = enrol()
    liar.answers["/agent/v1/poll"] = (503, b'{"detail":"Tea break."}', {"Retry-After": "90"})

    with pytest.raises(AskLaterError, match="Tea break") as later:
        device.check_in()
    assert later.value.seconds == 90


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("0", 0), ("999999", 3600), ("-5", None), ("soon", None), ("9" * 400, None), ("1e3", None)],
)
def test_a_relay_may_ask_for_patience_but_not_for_ever(
    liar: LyingRelay, enrol: Enrol, value: str, seconds: float | None
) -> None:
    device = enrol()
    liar.answers["/agent/v1/poll"] = (503, b"", {"Retry-After": value})

    with pytest.raises(AskLaterError) as later:
        device.check_in()
    assert later.value.seconds == seconds


def test_retry_after_may_be_a_date(liar: LyingRelay, enrol: Enrol) -> None:
    device = enrol()
    past = {"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}
    liar.answers["/agent/v1/poll"] = (503, b"", past)

    with pytest.raises(AskLaterError) as later:
        device.check_in()
    assert later.value.seconds == 0


def test_an_answer_without_end_is_not_read(liar: LyingRelay, enrol: Enrol) -> None:
    device = enrol()
    liar.answers["/agent/v1/poll"] = (200, b"x" * (MAXIMUM_ANSWER_BYTES + 1), {})

    with pytest.raises(TooLargeError):
        device.check_in()


def test_a_relay_that_lies_about_the_time_only_harms_itself(
    hq: Headquarters, liar: LyingRelay, enrol: Enrol
) -> None:
    device = enrol()
    device.set(rooted="true")
    skew = (
        401,
        b'{"type":"urn:sekisho:clock-skew"}',
        {"Date": "Wed, 21 Oct 2015 07:28:00 GMT"},
    )
    liar.answers["/agent/v1/reports"] = skew
    with pytest.raises(UnauthenticatedError):
        device.check_in()
    assert device.state.relay_ahead_seconds < -timedelta(days=365).total_seconds()

    _heard_at_last(hq, liar, device)
    contact = hq.device(device.device_id).contact_at
    assert contact is not None
    assert contact.year > 2015


def test_a_relay_that_is_gone_is_an_error_in_words(enrol: Enrol, liar: LyingRelay) -> None:
    device = enrol()
    with device.file.changing("test") as state:
        state.relay_url = "https://localhost:9"

    with pytest.raises(UnavailableError, match="cannot be reached"):
        device.check_in()
    assert device.state.relay_url == liar.url, "the next listed relay's turn"
    device.check_in()


def _fields(device: SimulatedDevice) -> dict[str, Any]:
    return {name: getattr(device.state, name) for name in ("reports", "membership", "trust")}


def test_a_token_that_no_longer_holds_is_renewed(liar: LyingRelay, enrol: Enrol) -> None:
    device = enrol()
    with device.file.changing("test") as state:
        assert state.token is not None
        state.token = type(state.token)(token="A" * 64, expires_at=state.token.expires_at)
    before = _fields(device)
    device.check_in()

    assert _fields(device) == before
