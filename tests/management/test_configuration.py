"""The pages of certificates and settings say what holds, where it comes from, and what mends it."""

from dataclasses import fields, replace
from datetime import timedelta
from uuid import uuid4

import pytest
from flask import Flask
from sqlalchemy.orm import Session

from contracts import keys as jwk
from management.access import Role
from management.configuration.certificates import Shown, list_all
from management.configuration.settings_list import WORDS, list_settings
from management.context import Context
from management.keys import prepare
from management.mail_access.models import Connector
from management.relays.models import Relay
from management.settings import Settings
from management.signer_client import SignerClient
from runtime.clock import utc_now
from tests.management.clients import ConsoleClient, signed_in_client


@pytest.fixture
def context(context: Context) -> Context:
    prepare(context.keys.folder, utc_now(), ["localhost", "127.0.0.1"])
    return context


def _row(rows: list[Shown], begins: str) -> Shown:
    (found,) = [one for one in rows if str(one.what).startswith(begins)]
    return found


def _relay(session: Session, context: Context, days: int) -> Relay:
    chain, _ = context.keys.issue_server_certificate(["relay.example"], utc_now())
    relay = Relay(
        name="edge",
        link_url="https://relay.example:4344",
        link_certificate=chain.partition("-----END")[0] + "-----END CERTIFICATE-----\n",
        devices_url="https://relay.example:4343",
        ca_certificate=context.keys.ca_certificate(),
        paired_at=utc_now(),
        tls_shown="ab" * 32,
        tls_until=utc_now() + timedelta(days=days, hours=1),
    )
    session.add(relay)
    session.commit()
    return relay


def test_every_certificate_and_key_is_listed_with_its_end_and_what_mends_it(
    context: Context, session: Session
) -> None:
    _relay(session, context, days=20)
    key = jwk.new_key()
    connector = Connector(name="mail", key=jwk.public_jwk(key), paired_at=utc_now())
    session.add(connector)
    session.commit()
    rows = list_all(context, session, utc_now())

    assert _row(rows, "Order-signing key").fingerprint == context.signer.status()["thumbprint"]
    assert len(_row(rows, "Successor").fingerprint) > 20
    assert _row(rows, "Connector mail").fingerprint == jwk.thumbprint(key)
    assert _row(rows, "Built-in CA").finding.tone == "ok"
    console = _row(rows, "Console")
    assert (console.finding.tone, console.ends_at is None) == ("warn", False)  # of our own CA
    seen = _row(rows, "Relay edge")
    assert (seen.finding.tone, seen.fingerprint) == ("warn", "ab" * 32)
    assert seen.finding.mend is not None
    assert "CN=relay.example" in _row(rows, "Link to relay edge").subject
    connector.disabled_at = utc_now()
    assert _row(list_all(context, session, utc_now()), "Connector mail").finding.tone == "idle"


@pytest.mark.parametrize(("days", "tone"), [(-2, "bad"), (3, "bad"), (30, "warn"), (90, "ok")])
def test_a_certificate_that_ends_is_told_in_time(
    context: Context, session: Session, days: int, tone: str
) -> None:
    _relay(session, context, days)
    assert _row(list_all(context, session, utc_now()), "Relay edge").finding.tone == tone


def test_a_signer_that_is_silent_is_said_and_hides_nothing_else(
    context: Context, session: Session
) -> None:
    lonely = replace(context, signer=SignerClient(context.settings.home / "nowhere.sock"))
    rows = list_all(lonely, session, utc_now())
    assert _row(rows, "Order-signing key").finding.tone == "bad"
    assert _row(rows, "Built-in CA").finding.tone == "ok"


def test_the_page_of_certificates_leads_to_where_they_are_replaced(
    console: ConsoleClient, context: Context, session: Session
) -> None:
    relay = _relay(session, context, days=3)
    page = console.get("/certificates").text
    assert f'href="/relays/{relay.id}"' in page
    assert "PRIVATE KEY" not in page
    assert console.get("/certificates", headers={"Accept-Language": "ja"}).status_code == 200


def test_every_setting_is_said_in_words() -> None:
    assert set(WORDS) == {field.name for field in fields(Settings)} - {"home"}


def test_a_setting_says_where_it_comes_from_and_what_holds_after_a_restart(
    context: Context,
) -> None:
    loaded = replace(context.settings, workers=3, port=9443, undo_seconds=60)
    (loaded.home / "sekisho.toml").write_text("workers = 3\nundo_seconds = 20\n")
    rows, problem = list_settings(loaded, {"SEKISHO_PORT": "9443"})
    found = {row.name: row for row in rows}

    assert problem == ""
    assert (found["port"].origin, found["port"].value) == ("environment", "9443")
    assert (found["workers"].origin, found["workers"].default) == ("file", "2")
    assert found["workers"].after_restart is None
    assert (found["undo_seconds"].value, found["undo_seconds"].after_restart) == ("60", "20")
    assert found["audit_days"].origin == "default"


def test_settings_with_which_nothing_would_start_are_told_beforehand(context: Context) -> None:
    (context.settings.home / "sekisho.toml").write_text("wokers = 3\n")
    rows, problem = list_settings(context.settings, {})
    assert "wokers" in problem
    assert len(rows) == len(fields(Settings)) - 1


def test_the_databases_password_is_never_shown(context: Context) -> None:
    url = f"postgresql+psycopg://sekisho:{uuid4().hex}@db/sekisho"
    rows, _ = list_settings(replace(context.settings, database_url=url), {})
    (row,) = [one for one in rows if one.name == "database_url"]
    assert row.value == "postgresql+psycopg://sekisho:***@db/sekisho"


def test_the_page_of_settings_leads_to_what_the_console_changes(
    app: Flask, console: ConsoleClient, context: Context
) -> None:
    page = console.get("/settings").text
    for path in ("/updates/", "/relays", "/mail-access/settings", "/safety", "/administrators"):
        assert f'href="{path}"' in page
    assert "SEKISHO_AUDIT_DAYS" in page
    assert signed_in_client(app, context, "op", Role.OPERATOR).get("/settings").status_code == 403
