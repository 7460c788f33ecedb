"""The pages of enrolment, through the console."""

import io
import re

import pytest
from flask import Flask
from sqlalchemy import select
from sqlalchemy.orm import Session

from management.access import Role
from management.allow_list import queries as allowed
from management.allow_list.rules import COLUMNS, Unlisted
from management.audit.models import AuditEntry
from management.context import Context
from management.enrolment.models import EnrolmentAttempt, Invitation
from management.enrolment_users.models import EnrolmentUser
from management.listing import plan
from management.terms import queries as terms
from tests.management.clients import ConsoleClient, signed_in_client
from tests.management.phones import Office, Phone, office

HEAD = ",".join(COLUMNS)


@pytest.fixture
def desk(context: Context) -> Office:
    return office(context)


PAGES = (
    "/invitations",
    "/invitations/new",
    "/enrolment-keys/new",
    "/registrations",
    "/registrations?which=awaited",
    "/registrations?which=failed",
    "/enrolment-users",
    "/allow-list",
    "/terms-of-use",
)


@pytest.mark.parametrize("language", ["en", "ja"])
def test_every_page_shows_itself_in_both_languages(
    console: ConsoleClient, desk: Office, language: str
) -> None:
    Phone(desk).enrol()
    desk.invite("bob@example.com")
    desk.take(Phone(desk).request("0000-0000"))
    for page in PAGES:
        answer = console.get(page, headers={"Accept-Language": language})
        assert answer.status_code == 200, answer.text
        assert f'<html lang="{language}"' in answer.text


def _key(console: ConsoleClient, **fields: str) -> str:
    form = {"purpose": "Shop tablets", "until": "2028-01-31", "count": "any", **fields}
    answer = console.post("/enrolment-keys", data=form)
    assert answer.status_code == 302, answer.text
    return str(answer.headers["Location"])


def test_a_key_is_made_shown_and_cancelled(
    console: ConsoleClient, desk: Office, session: Session
) -> None:
    place = _key(console, preset="SHINAGAWA-2026-KIOSK", count="some", devices="20")

    page = console.get(place).text
    fingerprint = desk.context.signer.status()["thumbprint"]
    assert f"key=SHINAGAWA-2026-KIOSK&amp;fp={fingerprint}" in page
    assert re.search(r'id="alone">localhost:2/SHINAGAWA-2026-KIOSK\.[0-9A-Z-]{34}<', page)
    assert "0 of at most 20" in page
    assert "Anybody who has the key" in console.get("/invitations").text

    console.post(f"{place}/cancel")
    assert "SHINAGAWA" not in console.get(place).text
    done = select(AuditEntry.action).where(AuditEntry.is_look.is_(False))
    actions = session.scalars(done.order_by(AuditEntry.seq)).all()
    assert actions[-2:] == ["enrolment_key.make", "invitation.cancel"]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"purpose": " "}, "Say what the key is for"),
        ({"until": "tomorrow"}, "Choose the last day"),
        ({"until": "2020-01-01"}, "Choose an end date"),
        ({"count": "some", "devices": "0"}, "how many devices"),
        ({"preset": "short"}, "16 to 64"),
        ({"group": "x"}, "Choose a group"),
    ],
    ids=["purpose", "word", "past", "none", "short", "group"],
)
def test_a_wrong_key_form_says_why(
    console: ConsoleClient, desk: Office, fields: dict[str, str], said: str
) -> None:
    form = {"purpose": "Shops", "until": "2028-01-31", "count": "any", **fields}
    answer = console.post("/enrolment-keys", data=form)

    assert answer.status_code == 422
    assert said in answer.text


def test_a_user_is_added_gets_a_fresh_password_and_is_disabled(
    console: ConsoleClient, session: Session, desk: Office
) -> None:
    form = {"name": "Yui", "person": "Yui", "address": "yui@example.jp"}
    console.post("/enrolment-users", data=form)
    page = console.get("/enrolment-users").text
    assert re.search(r"The password of yui is [\w-]{16} ", page)
    assert "shown only now" not in console.get("/enrolment-users").text

    user = session.query(EnrolmentUser).one()
    before = user.password_hash
    assert before.startswith("$argon2id$")
    console.post(f"/enrolment-users/{user.id}/password")
    console.post(f"/enrolment-users/{user.id}/disable", data={"disabled": "yes"})
    session.rollback()
    session.refresh(user)
    assert user.password_hash != before
    assert user.disabled_at is not None
    again = console.post("/enrolment-users", data=form)
    assert again.status_code == 422
    assert "of this name already" in again.text


def _upload(console: ConsoleClient, place: str, body: bytes, **fields: str) -> None:
    files = {"file": (io.BytesIO(body), "file")}
    answer = console.post(place, data={**fields, **files}, content_type="multipart/form-data")
    assert answer.status_code == 303, answer.text


def test_a_list_is_imported_whole_or_not_at_all(
    console: ConsoleClient, context: Context, desk: Office
) -> None:
    bad = f"{HEAD}\n490154203237518,,,,one\n490154203237519,,,,two\n,zz,,,three\n"
    answer = console.post(
        "/allow-list/import",
        data={"file": (io.BytesIO(bad.encode()), "a.csv")},
        content_type="multipart/form-data",
    )
    assert answer.status_code == 422
    assert "Line 3" in answer.text
    assert "Line 4" in answer.text
    with context.database.reading() as session:
        assert allowed.count_listed(session) == 0

    good = f"{HEAD}\n490154203237518,,,,受付\n,00:1A:2B:3C:4D:5E,R58N123,,\n"
    _upload(console, "/allow-list/import", good.encode("cp932"))
    _upload(console, "/allow-list/import", good.encode("cp932"))
    with context.database.reading() as session:
        assert allowed.count_listed(session) == 2
    listed = console.get("/allow-list/list.csv").data.decode("utf-8-sig")
    assert listed.splitlines()[0] == HEAD
    assert "490154203237518,,,,受付" in listed
    _upload(console, "/allow-list/import", f"{HEAD}\n,,S1,,\n".encode(), replace="yes")
    assert "490154203237518" not in console.get("/allow-list").text
    template = console.get("/allow-list/template.csv").data
    assert template == b"\xef\xbb\xbf" + f"{HEAD}\r\n".encode()


def test_one_device_is_added_and_removed_and_the_setting_kept(
    console: ConsoleClient, context: Context, desk: Office
) -> None:
    assert console.post("/allow-list", data={"imei_or_meid": "1"}).status_code == 422
    assert console.post("/allow-list", data={}).status_code == 422
    console.post("/allow-list", data={"imei_or_meid": "490154203237518"})
    assert console.post("/allow-list", data={"imei_or_meid": "490154203237518"}).status_code == 422
    console.post("/allow-list/setting", data={"unlisted": "refused"})
    assert console.post("/allow-list/setting", data={"unlisted": "x"}).status_code == 409
    with context.database.reading() as session:
        (row,) = allowed.list_allowed(session)
        assert allowed.unlisted_setting(session) is Unlisted.REFUSED
    console.post(f"/allow-list/{row.id}/remove")
    assert "counts as unlisted" in console.get("/allow-list").text


def test_terms_are_published_shown_in_a_dead_frame_and_withdrawn(
    console: ConsoleClient, context: Context, desk: Office
) -> None:
    sample = console.get("/terms-of-use/sample.html").data
    _upload(console, "/terms-of-use", sample + b"<script>alert(1)</script><img src=//x>")

    with context.database.reading() as session:
        held = terms.current_terms(session)
    assert held is not None
    assert held.title == "Terms of use for managed devices"
    frame = console.get(f"/terms-of-use/{held.version}/shown")
    assert "script" not in frame.text.replace("scripts,", "")
    assert "<img" not in frame.text
    assert frame.headers["Content-Security-Policy"].startswith("sandbox; default-src 'none'")
    assert '<iframe class="sk-frame" sandbox src' in console.get("/terms-of-use").text
    again = console.post(
        "/terms-of-use",
        data={"file": (io.BytesIO(sample), "terms.html")},
        content_type="multipart/form-data",
    )
    assert again.status_code == 422
    console.post("/terms-of-use/withdraw")
    assert "No terms of use hold" in console.get("/terms-of-use").text
    assert console.get("/terms-of-use/99/shown").status_code == 404


def test_who_is_registered_awaited_and_failed_is_told_apart(
    console: ConsoleClient, desk: Office, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    Phone(desk).enrol(desk.invite("ada@example.com"))
    desk.invite("bob@example.com")
    Phone(desk).office.take(Phone(desk).request("0000-0000", serial="R58N123"))

    registered = console.get("/registrations").text
    assert "ada@example.com" in registered
    assert "Operating" in registered
    assert "bob@example.com" not in registered
    assert "ada@example.com" in console.get("/registrations?q=ada").text
    assert "Nothing matches." in console.get("/registrations?q=zoe").text
    monkeypatch.setattr(plan, "FEW", 0)
    monkeypatch.setattr(plan, "CUT", 1)
    assert "Very many devices match" in console.get("/registrations?q=example").text
    awaited = console.get("/registrations?which=awaited").text
    assert "bob@example.com" in awaited
    assert "ada@example.com" not in awaited
    failed = console.get("/registrations?which=failed").text
    assert "Pixel R58N123" in failed
    assert "not known here" in failed
    assert "R58N123" not in console.get("/registrations?which=failed&q=nothing").text
    assert session.query(Invitation).count() == 2
    assert session.query(EnrolmentAttempt).filter_by(refused_because="").count() == 1


def test_who_may_only_look_changes_nothing(app: Flask, context: Context, desk: Office) -> None:
    reader = signed_in_client(app, context, "reader", Role.READ_ONLY)
    operator = signed_in_client(app, context, "operator", Role.OPERATOR)

    for place in ("/enrolment-keys", "/enrolment-users", "/allow-list", "/allow-list/import"):
        assert reader.post(place).status_code == 403
    for place in ("/allow-list/setting", "/terms-of-use", "/terms-of-use/withdraw"):
        assert operator.post(place).status_code == 403
