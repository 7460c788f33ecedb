"""Changes that programs make as administrators do in the console, through the front door."""

import io
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from flask import Flask
from pydantic import TypeAdapter
from sqlalchemy import select
from sqlalchemy.orm import Session

from management.access import Role
from management.administrators.models import Administrator, OneTimeLink
from management.audit.models import AuditEntry
from management.commands.models import Command
from management.commands.rules import CommandState
from management.context import Context
from management.devices.models import Device
from management.devices.rules import EnrolmentState
from management.mail_access import dry_run, trial
from management.mail_access.models import Partnership
from management.mail_access.rules import MailSettings
from management.work.models import Job
from runtime.clock import utc_now
from tests.management.clients import ConsoleClient, api_client, own_code
from tests.management.fleet import Fleet, fill

A = "/api/v1"


@pytest.fixture
def fleet(context: Context) -> Fleet:
    return fill(context, utc_now(), 8)


@pytest.fixture
def owner(app: Flask, context: Context) -> ConsoleClient:
    return api_client(app, context, "program", Role.OWNER)


def _told(session: Session) -> list[str]:
    session.rollback()
    return list(session.scalars(select(AuditEntry.action).order_by(AuditEntry.seq)))


# --- administrators: a code each time ---


def test_an_administrator_is_added_disabled_and_recovered(
    owner: ConsoleClient, context: Context, session: Session
) -> None:
    draft = {"name": "Hanako", "role": "operator"}
    refused = owner.post(f"{A}/administrators", json={**draft, "code": "000000"})
    assert refused.status_code == 403
    proved = {**draft, "code": own_code(context, "program")}
    made = owner.post(f"{A}/administrators", json=proved).get_json()
    assert made["link"].startswith("https://localhost:8443/setup?token=")
    path = f"{A}/administrators/{made['administrator']['id']}"
    off = {"enabled": False, "code": own_code(context, "program")}
    assert owner.put(f"{path}/access", json=off).get_json()["disabled_at"]
    again = owner.post(f"{path}/recover", json={"code": own_code(context, "program")})
    assert again.get_json()["administrator"]["disabled_at"] is None
    assert again.get_json()["link"] != made["link"]
    assert len(session.scalars(select(OneTimeLink)).all()) == 1, "the first link ended"
    assert _told(session) == [
        "session.not_proved",
        "administrator.add",
        "administrator.disable",
        "administrator.recover",
    ]


def test_nobody_gives_by_api_what_they_do_not_hold(
    app: Flask, context: Context, session: Session
) -> None:
    clerk = api_client(app, context, "clerk", Role.ADMINISTRATOR)
    draft = {"name": "Hanako", "role": "owner", "code": "123456"}
    assert clerk.post(f"{A}/administrators", json=draft).status_code == 403
    assert session.scalars(select(Administrator.name)).all() == ["clerk"]


# --- devices ---


def test_an_unsuccessful_command_is_queued_again(
    owner: ConsoleClient, fleet: Fleet, session: Session
) -> None:
    body = {"kind": "message", "reason": "drill", "arguments": {"text": "Come back."}}
    made = owner.post(f"{A}/devices/{fleet.devices[1]}/commands", json=body).get_json()
    path = f"{A}/commands/{made['id']}/retry"
    assert owner.post(path).status_code == 409, "it is still on its way"
    command = session.get_one(Command, UUID(made["id"]))
    command.state, command.finished_at = CommandState.FAILED, utc_now()
    session.commit()
    again = owner.post(path)
    assert again.status_code == 201
    assert (again.get_json()["state"], again.get_json()["id"] != made["id"]) == ("queued", True)


def test_an_enrolment_is_ended_by_who_proves_it(
    owner: ConsoleClient, context: Context, fleet: Fleet, session: Session
) -> None:
    device = fleet.devices[2]
    path, body = f"{A}/devices/{device}/retire", {"because": "sold", "code": "000000"}
    assert owner.post(path, json={}).status_code == 400, "no reason"
    assert owner.post(path, json=body).status_code == 403
    body["code"] = own_code(context, "program")
    assert owner.post(path, json=body).status_code == 200
    assert session.get_one(Device, device).enrolment_state == EnrolmentState.RETIRED
    assert _told(session)[-1] == "device.retire"


def test_views_are_kept_as_in_the_console(owner: ConsoleClient, fleet: Fleet) -> None:
    body = {"name": " Mine ", "query": "state=healthy&nonsense=1&after=x"}
    made = owner.post(f"{A}/device-views", json=body).get_json()
    assert (made["name"], made["query"], made["owner"]) == ("Mine", "state=healthy", "program")
    assert owner.get(f"{A}/device-views").get_json()["items"] == [made]
    assert owner.post(f"{A}/device-views/{made['id']}/delete").status_code == 200
    assert owner.get(f"{A}/device-views").get_json()["items"] == []


def test_claims_of_returned_devices_are_listed(owner: ConsoleClient, fleet: Fleet) -> None:
    assert owner.get(f"{A}/returned-devices").get_json() == {"items": [], "next": None}
    body = {"decision": "same", "because": "seen"}
    path = f"{A}/returned-devices/{uuid4()}/decision"
    assert owner.post(path, json=body).status_code == 404


# --- settings ---


def test_updates_are_scheduled_and_a_wrong_source_is_refused(
    owner: ConsoleClient, context: Context
) -> None:
    body = {"schedule": "weekly", "day": 7, "hour": 4, "window_minutes": 30}
    assert owner.put(f"{A}/updates/schedule", json=body).get_json() == body
    assert owner.get(f"{A}/updates/schedule").get_json() == body
    wrong = {"schedule": "weekly", "day": 8}
    assert owner.put(f"{A}/updates/schedule", json=wrong).status_code == 409
    other = {"address": "https://u.example", "root": "{}"}
    assert owner.put(f"{A}/updates/source", json=other).status_code == 400, "no code"
    assert owner.put(f"{A}/updates/source", json={**other, "code": "000000"}).status_code == 403
    proved = {**other, "code": own_code(context, "program")}
    source = owner.put(f"{A}/updates/source", json=proved)
    assert (source.status_code, owner.get(f"{A}/updates/source").get_json()["address"]) == (409, "")
    for what in ("nope/activate", "nope/discard", "roll-back"):
        refused = owner.post(f"{A}/pattern-sets/{what}", json={"because": "x"})
        assert refused.status_code in {404, 409}, what


def test_the_allow_list_is_taken_whole_or_not_at_all(owner: ConsoleClient) -> None:
    good, bad = {"serial": "ABC123"}, {"imei_or_meid": "490154203237519"}
    refused = owner.post(f"{A}/allow-list/import", json={"devices": [good, bad]})
    assert refused.status_code == 409
    assert "device 2: imei_or_meid: the check digit" in refused.get_json()["detail"]
    assert owner.get(f"{A}/allow-list").get_json()["count"] == 0
    taken = owner.post(f"{A}/allow-list/import", json={"devices": [good, good]}).get_json()
    assert taken["count"] == taken["added"]
    other = {"devices": [{"serial": "XYZ999"}], "replace": True}
    assert owner.post(f"{A}/allow-list/import", json=other).get_json()["count"] == 1


def test_terms_are_withdrawn(owner: ConsoleClient) -> None:
    assert owner.post(f"{A}/terms-of-use/withdraw").status_code in {404, 409}
    owner.post(f"{A}/terms-of-use", json={"html": "<p>Be kind.</p>"})
    assert owner.post(f"{A}/terms-of-use/withdraw").get_json()["withdrawn_at"]
    assert owner.get(f"{A}/terms-of-use").get_json()["current"] is None


def test_an_agent_package_is_uploaded_and_its_key_takes_a_code(
    owner: ConsoleClient, context: Context
) -> None:
    sent = owner.post(
        f"{A}/agent-packages?file_name=agent.apk",
        data=io.BytesIO(b"PK\x03\x04 no app"),
        content_type="application/octet-stream",
    )
    assert sent.status_code == 202, sent.text
    (package,) = sent.get_json()["items"]
    assert (package["verdict"], package["current"]) == ("", False)
    path = f"{A}/agent-packages"
    release = f"{path}/{package['sha256']}/release"
    assert owner.post(release, json={"code": "000000"}).status_code == 403
    answer = owner.post(release, json={"code": own_code(context, "program")})
    assert (answer.status_code, "not scanned" in answer.text) == (409, True)
    assert owner.post(f"{path}/withdraw").status_code in {200, 409}
    nobody = {"key_id": None, "code": "000000"}
    assert owner.post(f"{path}/key", json=nobody).status_code == 403
    proved = {"key_id": None, "code": own_code(context, "program")}
    assert owner.post(f"{path}/key", json=proved).get_json()["key_id"] is None


def test_the_audit_trail_is_verified(owner: ConsoleClient, session: Session) -> None:
    owner.post(f"{A}/device-views", json={"name": "x", "query": ""})
    answer = owner.post(f"{A}/audit/verify").get_json()
    assert answer == {"whole": True, "problems": []}
    first = session.scalars(select(AuditEntry)).first()
    assert first is not None
    first.actor = "somebody else"
    session.commit()
    assert owner.post(f"{A}/audit/verify").get_json()["whole"] is False


def test_the_signer_is_resumed_by_an_approver_only(owner: ConsoleClient) -> None:
    refused = owner.post(f"{A}/enforcement/signer/resume", json={"code": "000000"})
    assert refused.status_code in {403, 409}


# --- mail ---


def _settings(owner: ConsoleClient, **changed: Any) -> dict[str, Any]:
    return {**owner.get(f"{A}/mail-access/settings").get_json(), **changed}


def _entered(body: dict[str, Any]) -> MailSettings:
    return TypeAdapter(MailSettings).validate_python(body)


def test_mail_control_is_switched_on_only_after_a_look(
    owner: ConsoleClient, fleet: Fleet, session: Session
) -> None:
    path = f"{A}/mail-access/settings"
    on: dict[str, Any] = {"automatic": True, "when_silent": "hold"}
    body: dict[str, Any] = {"settings": _settings(owner, **on), "because": "begin"}
    refused = owner.put(path, json=body)
    assert (refused.status_code, "First look" in refused.text) == (409, True)
    looked = owner.post(f"{path}/preview", json=body["settings"]).get_json()
    other = {**body, "settings": {**body["settings"], "block_limit": 11}, "seen": looked["seen"]}
    assert owner.put(path, json=other).status_code == 409, "other settings than were looked at"
    plain = dry_run.digest(_entered(body["settings"]))
    for invented in (plain, f"{int(utc_now().timestamp())}-0-{plain}", f"9-{looked['seen']}"):
        assert owner.put(path, json={**body, "seen": invented}).status_code == 409, invented
    assert owner.put(path, json={**body, "seen": looked["seen"]}).status_code == 200
    assert _settings(owner)["automatic"] is True
    assert _told(session) != []


def test_a_look_holds_for_an_hour(owner: ConsoleClient, context: Context) -> None:
    path = f"{A}/mail-access/settings"
    on = _settings(owner, automatic=True, when_silent="hold")
    said = {"settings": on, "because": "begin"}
    entered = _entered(on)
    for minutes, status, word in ((61, 409, "More than an hour ago"), (59, 200, "")):
        at = utc_now() - timedelta(minutes=minutes)
        seen = dry_run.seen(context.keys, entered, 3, at)
        answer = owner.put(path, json={**said, "seen": seen})
        assert (answer.status_code, word in answer.text) == (status, True)


def test_a_look_at_many_phones_is_background_work_by_api_too(
    owner: ConsoleClient, context: Context, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trial, "AT_ONCE", -1)
    path = f"{A}/mail-access/settings"
    on = _settings(owner, automatic=True, when_silent="hold")
    asked = owner.post(f"{path}/preview", json=on).get_json()
    assert (asked["seen"], asked["first"]) == ("", [])
    assert owner.get(f"{path}/previews/{asked['look']}").get_json() == asked, "not looked at yet"
    job = session.scalars(select(Job).where(Job.kind == "mail_access.try")).one()
    trial.run(context, job.payload, lambda told: None)
    found = owner.get(f"{path}/previews/{asked['look']}").get_json()
    said = {"settings": on, "because": "begin", "seen": found["seen"]}
    assert owner.put(path, json=said).status_code == 200
    assert owner.get(f"{path}/previews/{'0' * 32}").status_code == 404


def test_a_connector_is_paired_by_a_code_and_unknown_ones_are_not_there(
    owner: ConsoleClient, context: Context
) -> None:
    path = f"{A}/mail-access/connectors"
    assert owner.post(f"{path}/pairing-codes", json={"code": "000000"}).status_code == 403
    proved = {"code": own_code(context, "program")}
    made = owner.post(f"{path}/pairing-codes", json=proved)
    assert made.get_json()["code"] in made.get_json()["command"]
    one = f"{path}/{uuid4()}"
    because = {"because": "x"}
    assert owner.put(f"{one}/switch", json={"enabled": False, **because}).status_code == 404
    assert owner.put(f"{one}/undo", json={"undone": True, **because}).status_code == 404
    assert owner.put(f"{one}/log-level", json={"level": "debug"}).status_code == 404
    for what in ("log", "log/cancel"):
        assert owner.post(f"{one}/{what}").status_code in {404, 409}
    assert owner.post(f"{one}/delete", json=because).status_code == 404


def test_words_about_phones_need_an_end(
    owner: ConsoleClient, fleet: Fleet, session: Session
) -> None:
    found = owner.get(f"{A}/mail-access/partnerships").get_json()["items"]
    ids, later = [one["id"] for one in found[:2]], utc_now() + timedelta(days=3)
    assert len(ids) == 2
    word: dict[str, Any] = {"partnership_ids": ids, "word": "allow", "because": "travels"}
    assert owner.post(f"{A}/mail-access/words", json=word).status_code == 409, "no end"
    said = owner.post(f"{A}/mail-access/words", json={**word, "until": later.isoformat()})
    assert said.get_json() == {"phones": len(ids)}
    for one in ids:
        shown = owner.get(f"{A}/mail-access/partnerships/{one}").get_json()
        assert (shown["exception"], shown["exception_because"]) == ("allow", "travels")
    end = {"partnership_ids": ids, "word": "end", "because": "is back"}
    assert owner.post(f"{A}/mail-access/words", json=end).get_json() == {"phones": len(ids)}
    held: dict[str, Any] = {"partnership_ids": ids, "because": "seen"}
    assert owner.post(f"{A}/mail-access/held/confirm", json=held).status_code == 409, "none is"
    session.get_one(Partnership, ids[0]).held_at = utc_now()
    session.commit()
    confirmed = owner.post(
        f"{A}/mail-access/held/confirm", json=held | {"partnership_ids": ids[:1]}
    )
    assert confirmed.get_json() == {"phones": 1}


def test_a_wipe_through_the_mail_server_names_its_phone(
    owner: ConsoleClient, context: Context, fleet: Fleet, session: Session
) -> None:
    phone = owner.get(f"{A}/mail-access/partnerships").get_json()["items"][0]
    path = f"{A}/mail-access/partnerships/{phone['id']}/wipes"
    body = {"exchange_device_id": "ANOTHER", "account_only": True, "because": "lost"}
    assert owner.post(path, json={**body, "code": "000000"}).status_code == 403, "no proof"
    body["code"] = own_code(context, "program")
    assert owner.post(path, json=body).status_code == 409
    assert owner.get(path).get_json()["items"] == []
    session.get_one(Partnership, phone["id"]).guid = "6f9d1c1e-0000-4000-8000-000000000001"
    session.commit()
    body |= {"exchange_device_id": phone["exchange_device_id"]}
    made = owner.post(path, json={**body, "code": own_code(context, "program")})
    assert made.status_code == 201, made.text
    wipe = f"{A}/mail-access/wipes/{made.get_json()['id']}"
    assert owner.get(f"{wipe}/approval").status_code == 409, "it waits for no approval"
    assert owner.post(f"{wipe}/cancel").get_json()["state"] == "cancelled"
    assert [one["state"] for one in owner.get(path).get_json()["items"]] == ["cancelled"]


def test_a_phone_is_matched_by_hand_and_by_itself_again(owner: ConsoleClient, fleet: Fleet) -> None:
    phone = owner.get(f"{A}/mail-access/partnerships").get_json()["items"][0]
    path = f"{A}/mail-access/partnerships/{phone['id']}"
    mine = {"device_id": str(fleet.devices[3]), "because": "asked the user"}
    assert owner.post(f"{path}/match", json=mine).get_json()["device_id"] == mine["device_id"]
    both = {**mine, "automatic": True}
    assert owner.post(f"{path}/match", json=both).status_code == 409
    none = {"device_id": None, "because": "sold"}
    assert owner.post(f"{path}/match", json=none).get_json()["match"] == "unmatched"
    again = {**none, "automatic": True}
    assert owner.post(f"{path}/match", json=again).get_json()["match"] != "unmatched"


def test_a_paired_connector_is_looked_after(owner: ConsoleClient, fleet: Fleet) -> None:
    (connector,) = owner.get(f"{A}/mail-access/connectors").get_json()["items"]
    path = f"{A}/mail-access/connectors/{connector['id']}"
    assert owner.put(f"{path}/log-level", json={"level": "debug"}).get_json()["log_level"] == (
        "debug"
    )
    assert owner.post(f"{path}/log").status_code == 202
    assert owner.post(f"{path}/log/cancel").status_code == 200
    assert owner.post(f"{path}/log/cancel").status_code == 409
    undo = {"undone": True, "because": "a test"}
    assert owner.put(f"{path}/undo", json=undo).get_json()["undone"] is True
    off = {"enabled": False, "because": "moved"}
    assert owner.put(f"{path}/switch", json=off).get_json()["state"] == "disabled"
    version = owner.get(path).headers["ETag"]
    on = {"enabled": True, "because": "back"}
    assert owner.get(f"{path}/deletion").get_json()["phones"] > 0
    stale = owner.put(f"{path}/switch", json=on, headers={"If-Match": '"x"'})
    assert stale.status_code == 412
    assert owner.put(f"{path}/switch", json=on, headers={"If-Match": version}).status_code == 200
