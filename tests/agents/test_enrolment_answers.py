"""Signed by management is not enough: the answer must be the answer to this device's request."""

from dataclasses import replace
from uuid import uuid4

import pytest

from agents.simulator.device import SimulatedDevice
from contracts.agent import EnrolmentRequest, Order, Receipt, RelayProblem
from contracts.link import Outbound, OutboundBatch
from runtime.clock import utc_now
from runtime.errors import MalformedMessageError
from tests.agents.conftest import DESCRIPTION
from tests.agents.office import Admitted, Office

pytestmark = pytest.mark.servers


@pytest.fixture
def request_(office: Office, phone: SimulatedDevice) -> EnrolmentRequest:
    phone.begin_enrolment(office.qr(), DESCRIPTION)
    (request,) = office.requests()
    return request


@pytest.fixture
def granted(office: Office, request_: EnrolmentRequest) -> tuple[Admitted, Order]:
    """The device and the right answer to it, which is not sent."""
    device = office.known(request_)
    return device, office.order(device, office.enrolled(device), seq=1)


def _send(office: Office, device: Admitted, order: Order) -> None:
    """Let the relay hand *order* to the enrolment, in place of an earlier answer."""
    sealed = office.seal(order, device.encryption_key)
    item = Outbound(
        kind="enrolment_answer",
        recipient=device.request.enrolment_id,
        epoch=1,
        seq=1,
        sealed=sealed,
    )
    office._link("POST", "/outbound", OutboundBatch(items=(item,)))


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        ({"seq": 2}, "gap"),
        ({"aud": uuid4()}, "foreign"),
        ({"body": Receipt()}, "gap"),
    ],
)
def test_an_order_that_is_no_answer_is_ignored_and_reported(
    office: Office,
    phone: SimulatedDevice,
    granted: tuple[Admitted, Order],
    wrong: dict[str, object],
    problem: str,
) -> None:
    device, right = granted
    _send(office, device, replace(right, **wrong))  # type: ignore[arg-type]
    assert phone.finish_enrolment() is not None
    assert phone.state.membership is None

    _send(office, device, right)
    assert phone.finish_enrolment() is None
    phone.check_in()
    office.collect()
    assert [said.problem for said in device.said(RelayProblem)] == [problem]


def test_the_answer_to_another_request_is_ignored(
    office: Office, phone: SimulatedDevice, granted: tuple[Admitted, Order]
) -> None:
    device, _ = granted
    other = office.enrolled(device, enrolment_id=uuid4())
    _send(office, device, office.order(device, other, seq=1))

    assert phone.finish_enrolment() is not None
    assert phone.state.membership is None


@pytest.mark.parametrize("kind", ["another key", "rubbish"])
def test_a_certificate_that_is_not_for_this_device_is_refused(
    office: Office, phone: SimulatedDevice, granted: tuple[Admitted, Order], kind: str
) -> None:
    device, _ = granted
    another = office.own.issue_device_certificate(device.device_id, office.order_key, utc_now()).pem
    certificate = another if kind == "another key" else "no certificate"
    body = office.enrolled(device, certificate=certificate)
    _send(office, device, office.order(device, body, seq=1))

    with pytest.raises(MalformedMessageError, match="certificate"):
        phone.finish_enrolment()
    assert phone.state.membership is None
