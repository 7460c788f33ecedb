"""Devices that leave, return, or only say that they are one we know."""

from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from contracts.agent import CommandKind, Enrolled, Leaving, RunCommand
from management.access import Role
from management.commands import queries, service, work
from management.commands.models import Command
from management.commands.rules import WAIT_FOR_RETURN
from management.context import Context
from management.devices.models import Device
from management.devices.queries import list_log
from management.devices.rules import FactKind
from management.enrolment.service import retire
from management.relays.queries import list_incidents
from management.returns.queries import list_claims
from management.returns.service import decide
from runtime.clock import utc_now
from runtime.errors import RefusedError
from tests.management.clients import ConsoleClient, signed_in_client
from tests.management.phones import Office, Phone, office


@pytest.fixture
def desk(context: Context) -> Office:
    return office(context)


def wiped(context: Context, phone: Phone, send: bool = True) -> Command:
    with context.database.transaction("order") as session:
        made = service.queue_command(
            session, phone.device_id, CommandKind.WIPE, {}, "keeper", "stolen", utc_now()
        )
    if send:
        work.dispatch(context, {}, print)
    return made


def now_is(context: Context, command: Command) -> Command:
    with context.database.reading() as session:
        return queries.get_command(session, command.id)


def row(context: Context, phone: Phone) -> Device:
    with context.database.reading() as session:
        return phone.row(session)


def back(phone: Phone) -> Phone:
    """Return the same device with the same keys, about to enrol once more."""
    return Phone(phone.office, phone.signing_key, phone.encryption_key)


def commands_in(phone: Phone) -> list[str]:
    bodies = [order.body for order in phone.orders() if order.epoch == phone.epoch]
    return [body.command.value for body in bodies if isinstance(body, RunCommand)]


@pytest.mark.parametrize("reached", ["queued", "sent", "acknowledged"])
def test_leaving_is_no_way_out_of_a_wipe(context: Context, desk: Office, reached: str) -> None:
    phone = Phone(desk).enrol()
    wipe = wiped(context, phone, send=reached != "queued")
    if reached == "acknowledged":
        phone.ack = 2
    desk.take(phone.report(Leaving(reason="reset by the thief")))

    left = now_is(context, wipe)
    assert (left.state, left.waiting_for) == ("queued", "return")
    assert left.expires_at > utc_now() + WAIT_FOR_RETURN / 2
    with context.database.reading() as session:
        (incident,) = list_incidents(session, sender=phone.device_id)
    assert (incident.problem, "gets the wipe first" in incident.detail) == (
        "left_before_wipe",
        True,
    )
    work.dispatch(context, {}, print)
    assert now_is(context, wipe).state == "queued"


def test_a_stolen_device_that_returns_gets_its_wipe_first_and_nothing_before(
    context: Context, desk: Office
) -> None:
    phone = Phone(desk).enrol()
    wipe = wiped(context, phone)
    desk.take(phone.report(Leaving()))
    again = back(phone)

    again.enrol()
    with context.database.transaction("also") as session:
        service.queue_command(
            session, again.device_id, CommandKind.LOCK, {}, "keeper", "", utc_now()
        )
    work.dispatch(context, {}, print)

    body = again.answer().body
    assert isinstance(body, Enrolled)
    assert (again.device_id, again.epoch, body.policy.settings) == (phone.device_id, 2, {})
    assert commands_in(again) == ["wipe", "lock"]
    assert now_is(context, wipe).state == "sent"


def test_a_wipe_that_was_acknowledged_and_not_done_is_sent_again(
    context: Context, desk: Office
) -> None:
    phone = Phone(desk).enrol()
    wipe = wiped(context, phone)
    phone.ack = 2
    desk.take(phone.report(phone.good()))
    assert now_is(context, wipe).state == "acknowledged"

    again = back(phone).enrol()
    work.dispatch(context, {}, print)

    assert commands_in(again) == ["wipe"]


def test_a_wipe_that_is_taken_back_lets_the_returned_device_have_its_policy(
    context: Context, desk: Office
) -> None:
    phone = Phone(desk).enrol()
    wipe = wiped(context, phone, send=False)
    back(phone).enrol()
    assert row(context, phone).ordered_policy == ""
    with context.database.transaction("take back") as session:
        service.cancel_command(session, wipe.id, "keeper", utc_now())
        waiting = [job.kind for job in _jobs(session)]
    assert "policies.spread" in waiting


def _jobs(session: Any) -> list[Any]:
    from management.work.models import Job

    return list(session.scalars(select(Job)))


def test_an_administrator_who_retires_a_device_ends_its_wipe(
    context: Context, desk: Office
) -> None:
    phone = Phone(desk).enrol()
    wipe = wiped(context, phone)
    with context.database.transaction("retire") as session:
        retire(session, phone.device_id, "keeper", "sold", utc_now())
    assert now_is(context, wipe).state == "failed"


# --- claims ---


def claimed(context: Context, desk: Office) -> tuple[Phone, Phone, Command]:
    old = Phone(desk).enrol(serial="R58N123", imei="490154203237518")
    made = wiped(context, old, send=False)
    new = Phone(desk).enrol(desk.invite("thief@example.com"), serial="R58N123")
    return old, new, made


def test_a_claimed_serial_number_takes_over_nothing(context: Context, desk: Office) -> None:
    old, new, _wipe = claimed(context, desk)
    work.dispatch(context, {}, print)

    assert new.device_id != old.device_id
    assert commands_in(new) == []
    assert commands_in(old) == ["wipe"]
    assert row(context, old).enrolment_state == "enrolled"
    with context.database.reading() as session:
        (claim,) = list_claims(session, "")
        problems = [one.problem for one in list_incidents(session, sender=new.device_id)]
    assert (claim.earlier.id, claim.claim.claims) == (old.device_id, "serial")
    assert problems == ["claims_identity"]


def test_devices_without_a_number_claim_nothing(context: Context, desk: Office) -> None:
    for _ in range(2):
        Phone(desk).enrol()
    Phone(desk).enrol(serial="A")
    Phone(desk).enrol(serial="B", imei="")
    with context.database.reading() as session:
        assert list_claims(session) == []


def test_the_same_device_keeps_its_history_and_gets_the_pending_wipe(
    context: Context, desk: Office
) -> None:
    old, new, wipe = claimed(context, desk)
    with context.database.transaction("decide") as session:
        (claim,) = list_claims(session, "")
        decide(session, claim.claim.id, True, "keeper", "the seal matches", utc_now())
        with pytest.raises(RefusedError, match="keeper has decided"):
            decide(session, claim.claim.id, False, "other", "no", utc_now())
    work.dispatch(context, {}, print)

    assert now_is(context, wipe).state == "cancelled"
    assert row(context, old).enrolment_state == "reset"
    assert commands_in(new) == ["wipe"]
    with context.database.reading() as session:
        said = list_log(session, old.device_id, FactKind.ENROLMENT)
    assert [one.value["value"] for one in said] == ["reset", "enrolled"]


def test_another_device_changes_nothing(context: Context, desk: Office) -> None:
    old, new, wipe = claimed(context, desk)
    with context.database.transaction("decide") as session:
        (claim,) = list_claims(session, "")
        decide(session, claim.claim.id, False, "keeper", "a copied label", utc_now())
    work.dispatch(context, {}, print)

    assert now_is(context, wipe).state == "sent"
    assert commands_in(new) == []
    assert row(context, old).enrolment_state == row(context, new).enrolment_state == "enrolled"


def test_the_page_decides_with_a_reason_and_only_who_may_wipe(
    app: Flask, context: Context, desk: Office, console: ConsoleClient
) -> None:
    old, new, _ = claimed(context, desk)
    with context.database.reading() as session:
        (claim,) = list_claims(session, "")
    address, form = f"/returned/{claim.claim.id}", {"decision": "same", "reason": "seal"}
    page = console.get("/returned").text
    assert "It is to be wiped." in page
    assert "Nobody decided yet" in console.get(f"/devices/{new.device_id}/records").text
    operator = signed_in_client(app, context, "operator", Role.OPERATOR)
    assert operator.post(address, data=form).status_code == 403
    assert console.post(address, data={**form, "reason": ""}).status_code == 400
    assert console.post(address, data=form).status_code == 302
    assert "seal" in console.get("/returned").text
    assert row(context, old).enrolment_state == "reset"
