"""What destroys asks again who it is: an open browser or a stolen token alone wipes nothing."""

import re
from html import unescape
from uuid import UUID, uuid4

import pytest
from flask import Flask
from sqlalchemy import select
from sqlalchemy.orm import Session

from contracts.agent import CommandKind
from management.access import Role
from management.commands import bulk, service
from management.commands.models import Command, CommandBatch
from management.commands.rules import CommandState, Waiting
from management.commands.service import Wanted
from management.context import Context
from management.devices.models import Device
from management.mail_access.models import MailWipe, Partnership
from management.returns.models import IdentityClaim
from runtime.clock import utc_now
from tests.management.clients import ConsoleClient, api_client, grow_old, own_code
from tests.management.fleet import Fleet, fill

WIPES = ("wipe", "selective_wipe")


@pytest.fixture
def fleet(context: Context) -> Fleet:
    return fill(context, utc_now(), 12)


@pytest.fixture
def names(session: Session, fleet: Fleet) -> dict[UUID, str]:
    found = {one: session.get_one(Device, one).name for one in fleet.devices}
    session.rollback()
    return found


def drafted(context: Context, fleet: Fleet, kind: CommandKind, by: str = "keeper") -> CommandBatch:
    with context.database.transaction("draft") as session:
        chosen = bulk.chosen(session, fleet.devices[:3])
        return bulk.draft(session, chosen, Wanted(kind, {}, by, "the van was stolen"), utc_now())


def restored(context: Context, fleet: Fleet, kind: CommandKind) -> UUID:
    """Return a command that waits for a person after a restore from a backup."""
    with context.database.transaction("a restore") as session:
        made = service.queue_command(
            session, fleet.devices[4], kind, {}, "keeper", "stolen", utc_now()
        )
        made.waiting_for = Waiting.PERSON.value
        return made.id


def claimed(context: Context, fleet: Fleet) -> UUID:
    with context.database.transaction("a device returns") as session:
        now, pair = utc_now(), fleet.devices[6:8]
        claim = IdentityClaim(device_id=pair[0], earlier_id=pair[1], claims="serial", made_at=now)
        session.add(claim)
        session.flush()
        return claim.id


def named_at_the_mail_server(context: Context) -> Partnership:
    with context.database.transaction("named") as session:
        row = session.scalars(select(Partnership)).first()
        assert row is not None
        row.guid = str(uuid4())
        return row


SHOWN = {"reason", "confirm", "device_id"}


def destroyed(session: Session) -> int:
    """Return how much was ordered or ended that cannot be taken back."""
    session.rollback()
    goes = (Command.kind.in_(WIPES)) & (Command.waiting_for != Waiting.PERSON)
    commands = session.scalars(select(Command).where(goes)).all()
    confirmed = session.scalars(
        select(CommandBatch).where(CommandBatch.confirmed_at.is_not(None))
    ).all()
    retired = session.scalars(select(Device).where(Device.enrolment_state == "retired")).all()
    decided = session.scalars(select(IdentityClaim).where(IdentityClaim.decision != "")).all()
    mail = session.scalars(select(MailWipe)).all()
    return sum(len(one) for one in (commands, confirmed, retired, decided, mail))


def test_a_browser_left_open_destroys_nothing(
    context: Context, session: Session, console: ConsoleClient, fleet: Fleet,
    names: dict[UUID, str],
) -> None:  # fmt: skip
    one, phone = fleet.devices[9], named_at_the_mail_server(context)
    sure = {"reason": "stolen", "confirm": names[one]}
    batch = drafted(context, fleet, CommandKind.WIPE)
    waits = restored(context, fleet, CommandKind.SELECTIVE_WIPE)
    mail = {"kind": "full", "device_id": phone.exchange_device_id, "reason": "lost"}
    doors = {
        f"/devices/{one}/wipe": {**sure, "kind": "selective_wipe"},
        f"/devices/{one}/retire": sure,
        f"/commands/bulk/{batch.id}/confirm": {"confirm": "3"},
        f"/commands/{waits}/confirm": {},
        f"/mail-access/partnerships/{phone.id}/wipe": mail,
        f"/returned/{claimed(context, fleet)}": {"decision": "same", "reason": "it is"},
    }
    before = destroyed(session)
    grow_old(context)
    for path, form in doors.items():
        answer = console.post(path, data=form)
        assert (answer.status_code, "Prove again that it is you" in answer.text) == (403, True), (
            path
        )
        assert f'action="{path}"' in answer.text
        assert re.search(r'class="h3">This [^<]+ (device|wipe|server|devices)', answer.text), path
        assert all(f"<dd>{form[one]}</dd>" in answer.text for one in SHOWN & form.keys()), path
        wrong = console.post(path, data={**form, "own_code": "000000"})
        assert wrong.status_code == 403, path
    assert destroyed(session) == before
    for page in (f"/devices/{one}", f"/commands/bulk/{batch.id}"):
        assert 'name="own_code"' in console.get(page).text, page


def test_what_destroys_nothing_asks_nobody_again(
    context: Context, console: ConsoleClient, fleet: Fleet
) -> None:
    batch = drafted(context, fleet, CommandKind.LOCK)
    wipe, scan = (restored(context, fleet, one) for one in (CommandKind.WIPE, CommandKind.LOCATE))
    with context.database.transaction("not yet") as session:
        session.get_one(Command, wipe).state = CommandState.QUEUED.value
    grow_old(context)
    path = f"/devices/{fleet.devices[9]}/commands"
    assert console.post(path, data={"kind": "lock", "reason": "lost"}).status_code == 302
    assert (
        console.post(f"/commands/bulk/{batch.id}/confirm", data={"confirm": "3"}).status_code == 302
    )
    assert 'name="own_code"' not in console.get(f"/commands/bulk/{batch.id}").text
    assert console.post(f"/commands/{scan}/confirm").status_code == 302
    assert console.post(f"/commands/{wipe}/cancel").status_code == 302, "taking back is urgent"
    decision = {"decision": "another", "reason": "a new phone"}
    assert console.post(f"/returned/{claimed(context, fleet)}", data=decision).status_code == 302


def test_what_was_typed_goes_on_after_the_proof(
    context: Context, session: Session, console: ConsoleClient, fleet: Fleet,
    names: dict[UUID, str],
) -> None:  # fmt: skip
    """A form that stood open for an hour loses nothing, and the proof counts for ten minutes."""
    one, other = fleet.devices[9], fleet.devices[11]
    path, before = f"/devices/{one}/wipe", destroyed(session)
    form = {"kind": "selective_wipe", "reason": 'in a taxi, "line 3" <b>', "confirm": names[one]}
    grow_old(context)
    page = console.post(path, data=form).text
    kept = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', page))
    kept = {name: unescape(said) for name, said in kept.items()}
    assert form.items() <= kept.items()

    proved = console.post(path, data={**kept, "own_code": own_code(context, "keeper")})
    again = console.post(f"/devices/{other}/wipe", data={**form, "confirm": names[other]})

    assert (proved.status_code, again.status_code) == (302, 302)
    assert destroyed(session) == before + 2
    ordered = session.scalars(select(Command.reason).where(Command.device_id == one)).all()
    assert form["reason"] in ordered


def test_secrets_are_not_handed_back_by_the_page_that_asks(
    context: Context, console: ConsoleClient
) -> None:
    grow_old(context)
    form = {"name": "robot", "mail_password": "hunter two hunter"}
    answer = console.post("/account/tokens", data=form)
    assert answer.status_code == 403
    assert "hunter" not in answer.text


def test_a_token_alone_wipes_nothing(
    app: Flask, context: Context, session: Session, fleet: Fleet
) -> None:
    program = api_client(app, context, "program", Role.OWNER)
    batch = drafted(context, fleet, CommandKind.WIPE, "program")
    waits = restored(context, fleet, CommandKind.WIPE)
    order = f"/api/v1/devices/{fleet.devices[9]}/commands"
    wipe = {"kind": "selective_wipe", "reason": "stolen"}
    before = destroyed(session)
    for body in (wipe, {**wipe, "code": "000000"}):
        assert program.post(order, json=body).status_code == 403
    assert (
        program.post(f"/api/v1/bulk-commands/{batch.id}/confirm", json={"devices": 3}).status_code
        == 403
    )
    assert program.post(f"/api/v1/commands/{waits}/confirm").status_code == 403
    same = {"decision": "same", "because": "it is"}
    claim = f"/api/v1/returned-devices/{claimed(context, fleet)}/decision"
    assert program.post(claim, json=same).status_code == 403
    assert destroyed(session) == before

    code = own_code(context, "program")
    assert program.post(order, json={**wipe, "code": code}).status_code == 201
    assert destroyed(session) == before + 1
    other = f"/api/v1/devices/{fleet.devices[11]}/commands"
    assert program.post(other, json={**wipe, "code": code}).status_code == 403, "it counts once"
    assert program.post(other, json={"kind": "lock", "reason": "lost"}).status_code == 201


def test_a_command_that_destroys_nothing_is_still_wanted_without_a_body(
    app: Flask, context: Context, fleet: Fleet
) -> None:
    program = api_client(app, context, "program", Role.OWNER)
    scan = restored(context, fleet, CommandKind.LOCATE)
    assert program.post(f"/api/v1/commands/{scan}/confirm").status_code == 200
    document = program.get("/api/v1/openapi.json").get_json()
    confirm = document["paths"]["/api/v1/commands/{command_id}/confirm"]["post"]
    assert confirm["requestBody"]["required"] is False
