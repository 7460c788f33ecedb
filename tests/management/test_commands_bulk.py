"""Many devices at once, undo windows, retries and approvals, as the console does them."""

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from threading import Thread
from uuid import UUID

import pyotp
import pytest
from flask import Flask

from contracts.agent import CommandKind, CommandResult, RunCommand
from management.access import Role
from management.commands import bulk, queries, sending, service, work
from management.commands.models import Command, CommandBatch
from management.commands.service import Wanted
from management.context import Context
from management.listing.rules import DeviceFilter
from management.safety.service import pause
from management.signer_rules import Limits
from runtime.clock import utc_now
from runtime.errors import ForbiddenError, RefusedError
from tests.management.clients import ConsoleClient, api_client, own_code, signed_in_client
from tests.management.phones import Office, Phone, office

WIPES = Limits(wipes_per_hour=1, wipes_per_day=1, selective_wipes_per_hour=1)


@pytest.fixture
def signer_limits() -> Limits:
    return WIPES


@pytest.fixture
def desk(context: Context) -> Office:
    return office(context)


@pytest.fixture
def phones(desk: Office) -> list[Phone]:
    return [Phone(desk).enrol() for _ in range(4)]


def drafted(context: Context, kind: CommandKind, phones: list[Phone]) -> CommandBatch:
    with context.database.transaction("draft") as session:
        devices = bulk.chosen(session, [phone.device_id for phone in phones])
        return bulk.draft(session, devices, Wanted(kind, {}, "keeper", "stolen van"), utc_now())


def confirmed(context: Context, batch: CommandBatch) -> None:
    with context.database.transaction("confirm") as session:
        bulk.confirm(session, batch.id, str(batch.devices), "keeper", utc_now())
    work.queue_bulk(context, {"batch_id": str(batch.id)}, print)


def rows(context: Context, batch_id: UUID) -> list[Command]:
    with context.database.reading() as session:
        return list(queries.list_commands(session, batch_id=batch_id))


def send_later(context: Context) -> None:
    """Send everything as if the undo window were over."""
    with context.database.reading() as session:
        later = utc_now() + timedelta(hours=1)
        ready = queries.list_ready(session, later, None, 100)
    sending.send(context, ready, later)


def test_a_bulk_command_has_a_fixed_list_a_preview_and_progress(
    context: Context, desk: Office, phones: list[Phone]
) -> None:
    batch = drafted(context, CommandKind.LOCK, phones)
    Phone(desk).enrol()  # comes too late
    assert (batch.devices, batch.left_out, rows(context, batch.id)) == (4, {}, [])

    confirmed(context, batch)
    assert {row.waiting_for for row in rows(context, batch.id)} == {"undo"}
    work.dispatch(context, {}, print)
    assert {row.state for row in rows(context, batch.id)} == {"queued"}
    send_later(context)

    with context.database.reading() as session:
        assert queries.count_states(session, [batch.id]) == {batch.id: {"sent": 4}}
        assert [one.id for one in queries.list_batches(session, "keeper")] == [batch.id]
        assert queries.get_batch(session, batch.id).queued_at is not None


def test_the_number_must_be_typed_by_who_drafted_it_and_once(
    context: Context, phones: list[Phone]
) -> None:
    batch = drafted(context, CommandKind.LOCK, phones)
    with context.database.transaction("confirm") as session:
        with pytest.raises(RefusedError, match="Type the number of devices, 4"):
            bulk.confirm(session, batch.id, "3", "keeper", utc_now())
        with pytest.raises(ForbiddenError):
            bulk.confirm(session, batch.id, "4", "other", utc_now())
        bulk.confirm(session, batch.id, " 4 ", "keeper", utc_now())
        with pytest.raises(RefusedError, match="confirmed already"):
            bulk.confirm(session, batch.id, "4", "keeper", utc_now())


def test_those_that_cannot_get_it_are_counted_by_reason(
    context: Context, desk: Office, phones: list[Phone]
) -> None:
    private = Phone(desk)
    private.enrol(ownership="personal")
    batch = drafted(context, CommandKind.WIPE, [*phones, private])
    assert batch.devices == 4
    assert batch.left_out == {"The device belongs to its user; only company data may be wiped.": 1}

    with context.database.transaction("lock one") as session:
        service.queue_command(
            session, phones[0].device_id, CommandKind.LOCK, {}, "other", "", utc_now()
        )
    locks = drafted(context, CommandKind.LOCK, phones)
    confirmed(context, locks)
    with context.database.reading() as session:
        after = queries.get_batch(session, locks.id)
    assert (after.devices, after.left_out) == (3, {bulk.ON_ITS_WAY: 1})


def test_a_bulk_command_is_taken_back_until_it_goes_out(
    context: Context, phones: list[Phone]
) -> None:
    batch = drafted(context, CommandKind.LOCK, phones)
    confirmed(context, batch)
    sent = rows(context, batch.id)[0]
    sending.send(context, [sent.id], utc_now() + timedelta(hours=1))
    with context.database.transaction("cancel") as session:
        assert bulk.cancel(session, batch.id, "keeper", utc_now()) == 3
    send_later(context)
    states = sorted(row.state for row in rows(context, batch.id))
    assert states == ["cancelled", "cancelled", "cancelled", "sent"]


def test_taken_back_while_it_is_queued_nothing_goes_out(
    context: Context, phones: list[Phone]
) -> None:
    batch = drafted(context, CommandKind.LOCK, phones)
    with context.database.transaction("confirm") as session:
        bulk.confirm(session, batch.id, "4", "keeper", utc_now())
    taken: list[int] = []

    def cancel() -> None:
        with context.database.transaction("cancel") as session:
            taken.append(bulk.cancel(session, batch.id, "keeper", utc_now()))

    with context.database.transaction("queue") as session:
        assert bulk.queue_some(session, batch.id, service.NO_UNDO, utc_now()) == 4
        meanwhile = Thread(target=cancel)
        meanwhile.start()
        meanwhile.join(1)
        assert taken == []
    meanwhile.join(60)

    assert taken == [4]
    assert {row.state for row in rows(context, batch.id)} == {"cancelled"}


def test_a_filter_finds_every_page(
    context: Context, phones: list[Phone], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "MOST", 3)
    with context.database.reading() as session:
        found = list(bulk.filtered(session, DeviceFilter(platform="android")))
        assert len(found) == 4
        assert list(bulk.filtered(session, DeviceFilter(platform="ios"))) == []
    monkeypatch.setattr(bulk, "MOST_DEVICES", 3)
    with pytest.raises(RefusedError, match="at most 3 devices"):
        drafted(context, CommandKind.LOCK, phones)


def test_a_wipe_can_be_taken_back_in_its_undo_window(context: Context, phones: list[Phone]) -> None:
    with context.database.transaction("wipe") as session:
        wipe = service.queue_command(
            session, phones[0].device_id, CommandKind.WIPE, {}, "keeper", "", utc_now(),
            undo=timedelta(minutes=1),
        )  # fmt: skip
    work.dispatch(context, {"command_ids": [str(wipe.id)]}, print)
    with context.database.reading() as session:
        row = queries.get_command(session, wipe.id)
        assert (row.state, row.waiting_for) == ("queued", "undo")
    with context.database.transaction("cancel") as session:
        service.cancel_command(session, wipe.id, "keeper", utc_now())
    send_later(context)
    with context.database.reading() as session:
        assert queries.get_command(session, wipe.id).state == "cancelled"


def test_a_command_is_tried_again_when_the_device_asks_for_it(
    context: Context, desk: Office, phones: list[Phone]
) -> None:
    phone, now = phones[0], utc_now()
    with context.database.transaction("install") as session:
        said = {"package": "a", "reference": "1"}
        made = service.queue_command(
            session, phone.device_id, CommandKind.INSTALL_APP, said, "keeper", "", now
        )
    work.dispatch(context, {}, print)
    failed = CommandResult(
        command_id=made.id, state="failed", at=now, detail="no room", try_again=True
    )
    desk.take(phone.report(failed))
    with context.database.reading() as session:
        row = queries.get_command(session, made.id)
    assert (row.state, row.waiting_for, row.attempt) == ("queued", "retry", 2)
    assert row.detail == "no room"
    work.dispatch(context, {}, print)
    assert attempts(phone) == [1]

    send_later(context)
    assert attempts(phone) == [1, 2]
    desk.take(phone.report(replace(failed, try_again=False, detail="never")))
    with context.database.reading() as session:
        row = queries.get_command(session, made.id)
    assert (row.state, row.detail) == ("failed", "never")


def attempts(phone: Phone) -> list[int]:
    bodies = [order.body for order in phone.orders()]
    return [body.attempt for body in bodies if isinstance(body, RunCommand)]


def test_a_pause_between_signing_and_storing_holds(
    context: Context, phones: list[Phone], monkeypatch: pytest.MonkeyPatch
) -> None:
    with context.database.transaction("wipe") as session:
        wipe = service.queue_command(
            session, phones[0].device_id, CommandKind.WIPE, {}, "keeper", "", utc_now()
        )
    sign = context.signer.sign_orders

    def and_pause(orders: object) -> object:
        signed = sign(orders)  # type: ignore[arg-type]
        with context.database.transaction("pause") as session:
            pause(session, "other", "wait", utc_now())
        return signed

    monkeypatch.setattr(context.signer, "sign_orders", and_pause)
    work.dispatch(context, {"command_ids": [str(wipe.id)]}, print)
    with context.database.reading() as session:
        row = queries.get_command(session, wipe.id)
    assert (row.state, row.waiting_for) == ("queued", "enforcement")
    assert phones[0].orders() == []


def test_an_order_that_came_between_is_not_numbered_twice(
    context: Context, phones: list[Phone], monkeypatch: pytest.MonkeyPatch
) -> None:
    phone = phones[0]
    with context.database.transaction("two") as session:
        made = [
            service.queue_command(session, phone.device_id, kind, {}, "keeper", "", utc_now())
            for kind in (CommandKind.LOCK, CommandKind.LOCATE)
        ]
    sign = context.signer.sign_orders
    late = iter([made[1].id])

    def and_overtake(orders: object) -> object:
        signed = sign(orders)  # type: ignore[arg-type]
        if (other := next(late, None)) is not None:
            sending.send(context, [other], utc_now())
        return signed

    monkeypatch.setattr(context.signer, "sign_orders", and_overtake)
    sending.send(context, [made[0].id], utc_now())
    assert [(order.seq, order.body.command.value) for order in phone.orders()] == [  # type: ignore[union-attr]
        (2, "locate"),
        (3, "lock"),
    ]


# --- approvals, by the console ---


@pytest.fixture
def codes(context: Context) -> dict[str, Iterator[str]]:
    """Fresh codes of two approvers, who are administrators of the same names."""
    return {name: _codes(context, name) for name in ("ren", "sora")}


def _codes(context: Context, name: str) -> Iterator[str]:
    totp = pyotp.parse_uri(context.signer.begin_approver(name))
    assert isinstance(totp, pyotp.TOTP)
    now = int(utc_now().timestamp())
    assert context.signer.confirm_approver(name, totp.at(now - 30))
    return iter([totp.at(now), totp.at(now + 30)])


def test_a_bulk_wipe_waits_for_two_approvers_of_exactly_this_set(
    app: Flask, context: Context, phones: list[Phone], codes: dict[str, Iterator[str]]
) -> None:
    keeper, ren, sora = (
        signed_in_client(app, context, name, Role.OWNER) for name in ("keeper", "ren", "sora")
    )
    batch = drafted(context, CommandKind.WIPE, phones)
    confirmed(context, batch)
    send_later(context)
    waiting = rows(context, batch.id)
    assert {(row.state, row.waiting_for) for row in waiting} == {("queued", "approval")}
    address = f"/commands/{waiting[0].id}/approve"
    assert "sekisho approver add keeper" in keeper.get(address).text
    page = ren.get(address).text
    fingerprint = re.search(r'name="fingerprint" value="([0-9a-f]{64})"', page)
    assert fingerprint is not None
    form = {"fingerprint": fingerprint[1]}

    assert ren.post(address, data={**form, "code": "000000"}).status_code == 409
    assert ren.post(address, data={**form, "code": next(codes["ren"])}).status_code == 302
    with context.database.transaction("one less") as session:
        service.cancel_command(session, waiting[1].id, "keeper", utc_now())
    changed = sora.post(address, data={**form, "code": next(codes["sora"])})
    assert (changed.status_code, "changed since you looked" in changed.text) == (409, True)
    page = sora.get(address).text
    fingerprint = re.search(r'name="fingerprint" value="([0-9a-f]{64})"', page)
    assert fingerprint is not None
    form = {"fingerprint": fingerprint[1]}
    for browser, name in ((sora, "sora"), (ren, "ren")):
        browser.post(address, data={**form, "code": next(codes[name])})
    work.dispatch(context, {}, print)
    assert {row.waiting_for for row in rows(context, batch.id)} == {"", "undo"}
    send_later(context)

    states = sorted(row.state for row in rows(context, batch.id))
    assert states == ["cancelled", "sent", "sent", "sent"]


def test_bulk_pages_lead_from_the_list_to_the_progress(
    context: Context, desk: Office, phones: list[Phone], console: ConsoleClient
) -> None:
    assert console.get("/commands/bulk/new").status_code == 302
    ticked = [("device", str(phone.device_id)) for phone in phones[:2]]
    assert "What 2 devices get" in console.get("/commands/bulk/new", query_string=ticked).text
    everybody = console.get("/commands/bulk/new?all=yes&platform=android").text
    assert "What 4 devices get" in everybody
    form = {"kind": "message", "text": "hello", "platform": "android"}
    assert console.post("/commands/bulk", data=form).status_code == 400
    drafted = console.post("/commands/bulk", data={**form, "reason": "news"})
    address = drafted.headers["Location"]
    assert "4 devices get it." in console.get(address).text
    wrong = console.post(f"{address}/confirm", data={"confirm": "5"})
    assert (wrong.status_code, "Type the number" in wrong.text) == (409, True)
    console.post(f"{address}/confirm", data={"confirm": "4"})
    assert "No command is here." in console.get(address).text, "not one is queued yet"
    work.queue_bulk(context, {"batch_id": address.rpartition("/")[2]}, print)

    assert "Take back what is not sent" in console.get(address).text
    mine = console.get("/commands?by=me").text
    assert "news" in mine
    assert "news" not in console.get("/commands?by=somebody").text
    assert console.post(f"{address}/cancel").status_code == 302
    assert "Waiting for people" in console.get("/commands/waiting").text


def test_an_operator_orders_no_bulk_wipe(app: Flask, context: Context, phones: list[Phone]) -> None:
    operator = signed_in_client(app, context, "operator", Role.OPERATOR)
    form = {"kind": "wipe", "reason": "x", "device": str(phones[0].device_id)}
    assert operator.post("/commands/bulk", data=form).status_code == 403
    batch = drafted(context, CommandKind.WIPE, phones)
    assert operator.post(f"/commands/bulk/{batch.id}/confirm").status_code == 403
    assert operator.post(f"/commands/bulk/{batch.id}/cancel").status_code == 403


def test_a_program_drafts_confirms_and_approves_a_bulk_wipe(
    app: Flask, context: Context, phones: list[Phone], codes: dict[str, Iterator[str]]
) -> None:
    owner = api_client(app, context, "program", Role.OWNER)
    operator = api_client(app, context, "helper", Role.OPERATOR)
    body = {"kind": "wipe", "reason": "van", "device_ids": [str(p.device_id) for p in phones]}
    assert operator.post("/api/v1/bulk-commands", json=body).status_code == 403
    made = owner.post("/api/v1/bulk-commands", json=body).json
    assert made is not None
    address = f"/api/v1/bulk-commands/{made['id']}"
    assert (made["devices"], made["confirmed_at"]) == (4, None)
    assert owner.post(f"{address}/confirm", json={"devices": 4}).status_code == 403, "no proof"
    for number, status in ((3, 409), (4, 200)):
        proved = {"devices": number, "code": own_code(context, "program")}
        assert owner.post(f"{address}/confirm", json=proved).status_code == status
    work.queue_bulk(context, {"batch_id": made["id"]}, print)
    shown = owner.get(address).json
    assert shown is not None
    assert (shown["states"], shown["waiting_for_approval"]) == ({"queued": 4}, 4)

    with context.database.reading() as session:
        one = queries.list_commands(session, batch_id=UUID(made["id"]))[0].id
    approval = f"/api/v1/commands/{one}/approval"
    asked = owner.get(approval).json
    assert asked is not None
    assert (len(asked["commands"]), asked["approved_by"]) == (4, [])
    said = None
    for name in ("ren", "sora"):
        person = api_client(app, context, name, Role.ADMINISTRATOR)
        proof = {"fingerprint": asked["fingerprint"], "code": next(codes[name])}
        said = person.post(approval, json=proof).json
    assert said is not None
    assert said["approved"]
    send_later(context)
    done = owner.post(f"{address}/cancel").json
    assert done is not None
    assert done["states"] == {"sent": 4}
