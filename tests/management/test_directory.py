"""A directory's list says how the accounts of device owners stand, and a rule judges it."""

import io
import json
import re
from contextlib import suppress
from html import unescape
from pathlib import Path

import pytest
from click.testing import CliRunner
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st

from management.access import Role
from management.compliance.judgement import Rule
from management.compliance.queries import get_judgement
from management.context import Context
from management.devices.queries import get_device, get_facts
from management.devices.replay import rebuild_facts
from management.devices.rules import FactKind
from management.directory.cli import directory
from management.directory.queries import CHUNK, find_devices
from management.directory.rules import Account, AccountState, read_file
from management.policies.rules import Requirements
from management.policies.service import change_policy
from runtime.clock import utc_now
from runtime.errors import MalformedMessageError, SekishoError
from tests.management.clients import ConsoleClient, api_client
from tests.management.phones import Phone, office

ADDRESS = "/api/v1/directory-accounts"
LEFT = {"items": [{"address": "Ada@Example.com", "state": "left"}]}


@pytest.fixture
def owner(app: Flask, context: Context) -> ConsoleClient:
    return api_client(app, context, "program", Role.OWNER)


@pytest.fixture
def phone(context: Context) -> Phone:
    """Ada's phone, under a policy that asks for an active account."""
    desk = office(context)
    with context.database.transaction("ask") as session:
        asked = Requirements(owner_active=True)
        change_policy(session, desk.policy_id, asked, {}, "keeper", "test", utc_now())
    phone = Phone(desk).enrol(desk.invite("ada@example.com"))
    desk.take(phone.report(phone.good()))
    return phone


def broken(context: Context, phone: Phone) -> dict[Rule, str]:
    with context.database.reading() as session:
        found = get_judgement(session, phone.device_id).violations
        return {one.rule: one.because for one in found}


def test_who_is_in_no_list_is_borne(context: Context, phone: Phone) -> None:
    assert Rule.OWNER_ACTIVE not in broken(context, phone)


def test_a_disabled_owner_breaks_the_rule_until_the_list_says_otherwise(
    context: Context, owner: ConsoleClient, phone: Phone
) -> None:
    first = owner.post(ADDRESS, json=LEFT).get_json()
    assert first == {"accounts": 1, "changed": 1, "devices": 1}
    assert broken(context, phone)[Rule.OWNER_ACTIVE] == "its owner has left (directory)"
    with context.database.reading() as session:
        facts = get_facts(session, phone.device_id)
        said = facts[FactKind.OWNER_ACCOUNT]
        assert (said.value, said.source) == (
            {"account": "ada@example.com", "state": "left"},
            "directory",
        )
        assert rebuild_facts(session, get_device(session, phone.device_id)) == facts
    assert owner.post(ADDRESS, json=LEFT).get_json()["changed"] == 0

    active = {"items": [{"address": "ada@example.com", "state": "active"}]}
    owner.post(ADDRESS, json=active)

    assert Rule.OWNER_ACTIVE not in broken(context, phone)
    (kept,) = owner.get(ADDRESS).get_json()["items"]
    assert (kept["address"], kept["state"], kept["said_by"]) == (
        "ada@example.com",
        "active",
        "program",
    )


def test_a_device_that_enrols_later_is_told_what_is_known(
    context: Context, owner: ConsoleClient, phone: Phone
) -> None:
    owner.post(ADDRESS, json=LEFT)
    another = Phone(phone.office).enrol(phone.office.invite("ada@example.com"))
    assert Rule.OWNER_ACTIVE in broken(context, another)


def test_the_command_takes_a_file(
    context: Context, phone: Phone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEKISHO_HOME", str(context.settings.home))
    monkeypatch.setenv("SEKISHO_DATABASE_URL", context.settings.database_url)
    file = tmp_path / "people.csv"
    file.write_text("Name,Address,State\nAda,ada@example.com,disabled\n")

    done = CliRunner().invoke(directory, ["import", str(file)], catch_exceptions=False)

    assert done.output == "1 accounts read, 1 changed, 1 devices concerned.\n"
    assert "disabled" in broken(context, phone)[Rule.OWNER_ACTIVE]


def test_csv_and_json_say_the_same() -> None:
    rows = [{"address": "a@x.org", "state": "active"}, {"address": "B@x.org", "state": "Left"}]
    lines = "address,state\n" + "".join(f"{row['address']},{row['state']}\n" for row in rows)
    wanted = [Account("a@x.org", AccountState.ACTIVE), Account("b@x.org", AccountState.LEFT)]
    assert read_file(lines.encode()) == read_file(json.dumps(rows).encode()) == wanted


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"name\nAda\n", "first line"),
        (b"address,state\nada,active\n", "Entry 1: the address"),
        (b"address,state\nada@x.org,gone\n", "Entry 1: the state"),
        (b"[1]", "list of objects"),
        (b"\xff\xfe", "neither CSV nor JSON"),
    ],
    ids=["columns", "address", "state", "json", "bytes"],
)
def test_a_wrong_file_is_refused_and_the_place_named(body: bytes, why: str) -> None:
    with pytest.raises(MalformedMessageError, match=why):
        read_file(body)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    with suppress(SekishoError):
        read_file(body)


def test_the_console_shows_what_a_list_would_change_before_it_is_taken(
    context: Context, console: ConsoleClient, phone: Phone
) -> None:
    file = (io.BytesIO(b"address,state\nADA@example.com,left\nnew@x.org,active\n"), "people.csv")
    page = console.post("/directory/preview", data={"file": file}).text
    assert page.count('class="nav-link active"') == 1

    assert "1 devices are judged anew; the owner of 1 of them has an account" in page
    assert Rule.OWNER_ACTIVE not in broken(context, phone)
    (text,) = re.findall(r'<textarea name="list"[^>]*>([^<]*)<', page)
    said = {"list": unescape(text), "name": "people.csv"}
    assert console.post("/directory/take", data=said).status_code == 303
    assert Rule.OWNER_ACTIVE in broken(context, phone)
    shown = console.get("/directory?q=ADA&state=left").text
    assert "ada@example.com" in shown
    assert "new@x.org" not in shown
    assert "has left" in shown


def test_a_wrong_list_is_told_on_the_page(console: ConsoleClient) -> None:
    file = (io.BytesIO(b"address,state\nada@x.org,gone\n"), "people.csv")

    answer = console.post("/directory/preview", data={"file": file})

    assert answer.status_code == 422
    assert "Entry 1: the state is" in answer.text


def test_many_accounts_find_their_devices_in_any_case_of_letters(
    context: Context, phone: Phone
) -> None:
    addresses = [f"nobody{number}@x.org" for number in range(CHUNK)]
    with context.database.reading() as session:
        found = find_devices(session, [*addresses, "ada@example.com"])
        few = find_devices(session, ["ada@example.com"])
    assert found == few == {"ada@example.com": [phone.device_id]}
