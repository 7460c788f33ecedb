"""The pages of mail access."""

import html
import re
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from flask import Flask
from sqlalchemy import select
from sqlalchemy.orm import Session

from contracts import connector as messages
from contracts import keys as jwk
from contracts.certificates import fingerprint
from management.access import Role
from management.audit.models import AuditEntry
from management.commands.models import Command
from management.context import Context
from management.devices.models import Device
from management.devices.queries import get_facts
from management.devices.rules import EnrolmentState, FactKind
from management.mail_access import connectors, listing, logs, queries, service, wiping
from management.mail_access.decisions import decide_for_devices
from management.mail_access.matching import Match
from management.mail_access.models import Connector, MailWipe, Partnership
from management.mail_access.rules import AllowedStates, MailSettings
from management.mail_access.work import say
from management.policies.service import ensure_default_policy
from management.safety import service as safety
from management.search import queries as searching
from management.work.models import Job
from runtime.clock import utc_now
from tests.management.clients import ConsoleClient, signed_in_client

SETTINGS = {
    "automatic": "yes",
    "automatic_for": "all",
    "when_silent": "open",
    "silent_hours": "48",
    "allowed": "healthy_and_out_of_sync",
    "unmanaged_grace_days": "7",
    "grace_restarts_after_days": "30",
    "managed_grace_hours": "2",
    "out_of_sync_grace_hours": "24",
    "block_limit": "10",
    "block_limit_percent": "5",
    "reason": "the works council agreed",
}


@pytest.fixture
def connector(context: Context) -> Connector:
    """A connector that has reported one phone of ada and one of bob; mail control is on."""
    now = utc_now()
    with context.database.transaction("test") as session:
        text = queries.write_mail_settings(MailSettings(automatic=True, when_silent="hold"))
        safety.write_setting(session, queries.SETTING, text, "test", now)
        key = jwk.public_jwk(jwk.new_key())
        made = Connector(name="mail1", key=key, paired_at=now, version="1", contact_at=now)
        session.add(made)
        session.flush()
        phones = tuple(
            messages.Partnership(
                mailbox=f"corp.test/Users/{name}",
                user_address=f"{name}@corp.test",
                device_id=f"{name.upper()}1",
                device_model="Pixel 9",
                access_state="Allowed",
                access_reason="Global",
            )
            for name in ("ada", "bob")
        )
        batch = messages.PartnershipBatch(
            pass_id=uuid4(), seen_at=now, complete=True, partnerships=phones
        )
        service.take_partnerships(session, made, batch, now)
    return made


@pytest.fixture
def device(context: Context) -> UUID:
    """Ada's phone, which does not report its ActiveSync id."""
    now = utc_now()
    with context.database.transaction("test") as session:
        key = jwk.public_jwk(jwk.new_key())
        made = Device(
            name="Ada's phone",
            owner_address="ada@corp.test",
            platform="android",
            ownership="company",
            enrolment_state=EnrolmentState.ENROLLED,
            enrolled_at=now,
            policy_id=ensure_default_policy(session, now).id,
            certificate_serial="1",
            signing_key=key,
            encryption_key=key,
        )
        session.add(made)
    return made.id


def looked_at(console: ConsoleClient) -> dict[str, str]:
    """Return `SETTINGS` as somebody sends them who saw the dry run of just these."""
    page = console.post("/mail-access/settings", data={**SETTINGS, "preview": "yes"}).text
    found = re.search(r'name="seen" value="([0-9a-f-]+)"', page)
    assert found, page
    return {**SETTINGS, "seen": found[1]}


def partnership(session: Session, device_id: str) -> Partnership:
    session.rollback()
    wanted = Partnership.exchange_device_id == device_id
    return session.query(Partnership).where(wanted).one()


@pytest.mark.usefixtures("connector")
def test_the_list_shows_user_phone_state_and_reason(console: ConsoleClient) -> None:
    page = console.get("/mail-access").text

    assert "ada@corp.test" in page
    assert "ADA1" in page
    assert "Pixel 9" in page
    assert "Allowed" in page
    assert "Left alone" in page
    assert "no enrolled device reports this DeviceId" in page


@pytest.mark.usefixtures("connector")
@pytest.mark.parametrize(
    ("query", "users"),
    [
        ("q=BOB", {"bob"}),
        ("q=corp.test", {"ada", "bob"}),
        ("q=%25", set()),
        ("wanted=block", set()),
        ("wanted=leave&match=none", {"ada", "bob"}),
        ("only=held", set()),
        ("only=failed", set()),
    ],
)
def test_the_list_can_be_filtered(console: ConsoleClient, query: str, users: set[str]) -> None:
    page = console.get(f"/mail-access?{query}").text

    assert set(re.findall(r"(ada|bob)@corp\.test", page)) == users


@pytest.mark.usefixtures("connector")
def test_a_search_looks_at_so_many_rows_and_goes_on_and_numbers_are_capped(
    console: ConsoleClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(searching, "FEW", 0)  # a word that fewer have leads to them at once
    monkeypatch.setattr(listing, "STRETCH", 1)
    monkeypatch.setattr(listing, "COUNTED", 1)
    path, found, pages = "/mail-access?q=bob", 0, 0
    while path:
        page = html.unescape(console.get(path).text)
        found, pages = found + page.count("bob@corp.test"), pages + 1
        assert "ada@corp.test" not in page
        assert ("the search goes on" in page) == ("after=" in page and "bob@" not in page)
        more = re.search(r'hx-get="(/mail-access\?[^"]*after=[^"]*)"', page)
        path = more[1] if more else ""
    assert found
    assert pages == 2
    assert 'data-sk-count="1">1+</a>' in console.get("/mail-access").text


def test_an_empty_list_says_what_to_do(console: ConsoleClient) -> None:
    page = console.get("/mail-access").text

    assert "No connector is paired." in page
    assert "/mail-access/connectors" in page


@pytest.mark.usefixtures("connector")
def test_a_partnership_shows_why_and_its_history(console: ConsoleClient, session: Session) -> None:
    row = partnership(session, "ADA1")
    page = console.get(f"/mail-access/partnerships/{row.id}").text

    assert "the grace of 14 days ends on" in page
    assert "corp.test/Users/ada" in page
    assert "Nothing has changed yet." in page
    assert console.get("/mail-access/partnerships/999").status_code == 404


@pytest.mark.usefixtures("connector")
def test_matching_by_hand_needs_a_reason_and_is_remembered(
    console: ConsoleClient, session: Session, device: UUID
) -> None:
    row = partnership(session, "ADA1")
    path = f"/mail-access/partnerships/{row.id}"
    assert str(device) in console.get(path).text
    form = {"device": str(device), "reason": " "}
    assert console.post(f"{path}/match", data=form).status_code == 409
    assert console.post(f"{path}/match", data={"device": "x", "reason": "y"}).status_code == 400

    console.post(f"{path}/match", data={**form, "reason": "saw it on her desk"})
    row = partnership(session, "ADA1")
    assert (row.match, row.device_id) == (Match.BY_HAND, device)
    assert "matched by hand by keeper: saw it on her desk" in console.get(path).text
    entry = session.query(AuditEntry).where(AuditEntry.action == "mail.match").one()
    assert (entry.actor, entry.reason) == ("keeper", "saw it on her desk")

    console.post(f"{path}/match", data={"device": "none", "reason": "her old one"})
    assert partnership(session, "ADA1").match == Match.UNMATCHED
    console.post(f"{path}/match", data={"device": "automatic", "reason": "sold"})
    assert partnership(session, "ADA1").match == Match.NONE


def test_the_pairing_page_shows_the_exact_command_once(
    console: ConsoleClient, context: Context
) -> None:
    page = console.post("/mail-access/connectors/code").text
    mark = fingerprint(context.keys.ca_certificate())

    found = re.search(r'id="code">([0-9A-Z]{16})\.([\w-]{43})<', page)
    assert found
    assert found[2] == mark
    assert f"--management https://localhost:8443 \\\n  --code {found[1]}.{mark}" in page
    assert found[1] not in console.get("/mail-access/connectors").text


def test_connectors_show_how_they_stand(
    console: ConsoleClient, context: Context, connector: Connector
) -> None:
    assert "Normal" in console.get("/mail-access/connectors").text

    with context.database.transaction("test") as session:
        row = queries.get_connector(session, connector.id)
        row.contact_at, row.problem = utc_now() - timedelta(minutes=10), "Exchange is away."
    page = console.get("/mail-access/connectors").text
    assert "Disconnected for over 9 minutes" in page
    assert "Exchange is away." in page

    console.post(f"/mail-access/connectors/{connector.id}/disable", data={"reason": "moving"})
    assert "Disabled" in console.get("/mail-access/connectors").text
    console.post(f"/mail-access/connectors/{connector.id}/enable", data={"reason": "moved"})
    assert "Disconnected" in console.get("/mail-access/connectors").text


def test_settings_are_checked_stored_and_decided_anew(
    console: ConsoleClient, session: Session
) -> None:
    wrong = console.post("/mail-access/settings", data={**SETTINGS, "unmanaged_grace_days": "x"})
    assert wrong.status_code == 422
    assert "Enter 0 to 365." in wrong.text
    assert console.post("/mail-access/settings", data={"reason": ""}).status_code == 422

    unseen = console.post("/mail-access/settings", data=SETTINGS)
    assert unseen.status_code == 422
    assert "First look who would lose mail" in unseen.text
    unchosen = console.post("/mail-access/settings", data={**SETTINGS, "when_silent": ""})
    assert "Choose what a connector does that hears nothing" in unchosen.text

    assert console.post("/mail-access/settings", data=looked_at(console)).status_code == 302
    session.rollback()
    assert queries.read_mail_settings(session) == MailSettings(
        automatic=True,
        when_silent="open",
        silent_hours=48,
        allowed=AllowedStates.HEALTHY_AND_OUT_OF_SYNC,
        block_unmanaged=False,
        unmanaged_grace_days=7,
        managed_grace_hours=2,
    )
    assert session.query(Job).where(Job.kind == service.WORK).one().payload == {"everything": True}
    other = {**looked_at(console), "unmanaged_grace_days": "8"}
    assert console.post("/mail-access/settings", data=other).status_code == 302
    assert 'value="8"' in console.get("/mail-access/settings").text


@pytest.mark.usefixtures("connector")
def test_a_dry_run_names_who_would_lose_mail_and_changes_nothing(
    console: ConsoleClient, session: Session
) -> None:
    trial = {**SETTINGS, "block_unmanaged": "yes", "unmanaged_grace_days": "0", "reason": ""}
    page = console.post("/mail-access/settings", data={**trial, "preview": "yes"}).text

    assert "2 phones would lose mail" in page
    assert "bob@corp.test" in page
    assert 'fw-bold">at once' in page
    assert "the grace of 0 days ended on" in page
    later = console.post(
        "/mail-access/settings", data={**trial, "unmanaged_grace_days": "3", "preview": "yes"}
    ).text
    assert "2 phones would lose mail" in later
    assert "the grace of 3 days ended on" in later
    assert 'fw-bold">at once' not in later
    assert partnership(session, "ADA1").wanted == "leave"
    assert queries.read_mail_settings(session).unmanaged_grace_days == 14


@pytest.mark.usefixtures("connector")
def test_held_blocks_are_shown_and_act_once_confirmed(
    console: ConsoleClient, context: Context, session: Session
) -> None:
    with context.database.transaction("test") as writing:
        row = writing.query(Partnership).where(Partnership.exchange_device_id == "ADA1").one()
        row.held_at, row.held_because = utc_now(), "unmanaged for long"
    assert "1 blocks wait for your confirmation." in console.get("/mail-access").text
    assert "unmanaged for long" in console.get(f"/mail-access/partnerships/{row.id}").text

    form = {"partnership": str(row.id), "reason": "asked its user"}
    unexplained = console.post("/mail-access/held/confirm", data={**form, "reason": " "})
    assert unexplained.status_code == 409
    console.post("/mail-access/held/confirm", data=form)
    row = partnership(session, "ADA1")
    assert (row.wanted, row.held_at) == ("block", None)
    assert "confirmed by keeper: asked its user" in row.wanted_because
    assert "wait for your confirmation" not in console.get("/mail-access").text


@pytest.mark.usefixtures("connector")
def test_only_the_held_blocks_that_were_looked_at_act(
    console: ConsoleClient, context: Context, session: Session
) -> None:
    def hold(*exchange_ids: str) -> None:
        with context.database.transaction("test") as writing:
            for row in writing.query(Partnership):
                if row.exchange_device_id in exchange_ids:
                    row.held_at, row.held_because = utc_now(), "unmanaged for long"

    with context.database.transaction("a third phone") as writing:
        known = writing.query(Partnership).where(Partnership.exchange_device_id == "ADA1").one()
        names = [one.name for one in Partnership.__table__.columns if one.name != "id"]
        fields = {name: getattr(known, name) for name in names}
        fields |= {"exchange_device_id": "LATE1"}
        writing.add(Partnership(**fields))
    hold("ADA1", "BOB1")
    page = console.get("/mail-access/held").text
    ids = re.findall(r'name="partnership" value="(\d+)"', page)
    form = {"partnership": ids, "reason": "all left the company", "confirm": "2"}
    hold("LATE1")

    assert (
        console.post("/mail-access/held/confirm", data={**form, "confirm": "3"}).status_code == 409
    )
    assert console.post("/mail-access/held/confirm", data=form).status_code == 302
    again = console.post("/mail-access/held/confirm", data=form)

    assert (len(ids), "LATE1" in page) == (2, False)
    session.rollback()
    assert partnership(session, "LATE1").held_at is not None, "nobody looked at it"
    assert {partnership(session, one).wanted for one in ("ADA1", "BOB1")} == {"block"}
    assert (again.status_code, "Look at the list again" in again.text) == (409, True)
    entry = session.query(AuditEntry).where(AuditEntry.action == "mail.confirm_blocks").one()
    assert entry.reason == "all left the company"
    assert sorted(entry.details["partnerships"]) == sorted(map(int, ids))


@pytest.mark.usefixtures("connector")
def test_a_word_about_many_phones_is_chosen_and_shows_who_loses_mail(
    console: ConsoleClient, session: Session
) -> None:
    one = partnership(session, "ADA1").id
    session.rollback()
    assert console.get(f"/mail-access/bulk?partnership={one}").status_code == 400, "no word"
    page = console.get(f"/mail-access/bulk?partnership={one}&word=block").text
    assert ("Of these, 1 phones would lose mail now" in page, "lose mail now</" in page) == (
        True,
    ) * 2
    later = console.get(f"/mail-access/bulk?partnership={one}&word=allow").text
    assert ("Of these, 0 phones" in later, "would lose mail <time" in later) == (True,) * 2


def test_who_may_only_read_changes_nothing(app: Flask, context: Context) -> None:
    reader = signed_in_client(app, context, "reader", Role.READ_ONLY)

    for path in ("/mail-access", "/mail-access/connectors", "/mail-access/settings"):
        assert reader.get(path).status_code == 200
    assert "Pair a connector</button>" not in reader.get("/mail-access/connectors").text
    for path in ("connectors/code", "settings", "held/confirm", f"connectors/{uuid4()}/disable"):
        assert reader.post(f"/mail-access/{path}", data=SETTINGS).status_code == 403


def test_nobody_sees_mail_access_without_signing_in(visitor: ConsoleClient) -> None:
    assert visitor.get("/mail-access").status_code == 302


def test_what_exchange_does_becomes_a_fact_of_the_device(
    context: Context, connector: Connector, device: UUID
) -> None:
    with context.database.transaction("match") as session:
        session.get_one(Device, device).exchange_device_id = "ADA1"
        session.flush()
        decide_for_devices(session, [device], utc_now())
    for minutes, state in enumerate(("Blocked", "Blocked", "Allowed")):
        now = utc_now() + timedelta(minutes=minutes)
        phone = messages.Partnership(
            mailbox="corp.test/Users/ada",
            user_address="ada@corp.test",
            device_id="ADA1",
            access_state=state,
        )
        with context.database.transaction("report") as session:
            row = session.get_one(Connector, connector.id)
            batch = messages.PartnershipBatch(
                pass_id=uuid4(), seen_at=now, complete=True, partnerships=(phone,)
            )
            service.take_partnerships(session, row, batch, now)

    with context.database.reading() as session:
        jobs = session.scalars(select(Job).where(Job.kind == service.SAY)).all()
    for job in reversed(jobs):  # a newer word stays, whichever job runs first
        say(context, job.payload, lambda _: None)

    with context.database.reading() as session:
        fact = get_facts(session, device)[FactKind.MAIL_STATE]
    assert fact.value == {"mailbox": "corp.test/Users/ada", "state": "Allowed"}
    assert fact.source == "exchange"


# --- words about phones ---


def in_a_week() -> str:
    return (utc_now() + timedelta(days=7)).date().isoformat()


@pytest.mark.usefixtures("connector")
def test_many_phones_are_blocked_at_once_after_a_look_at_who_they_are(
    console: ConsoleClient, session: Session
) -> None:
    ids = [str(partnership(session, one).id) for one in ("ADA1", "BOB1")]
    page = console.get(f"/mail-access/bulk?word=block&partnership={ids[0]}&partnership={ids[1]}")
    assert "Of these, 2 phones would lose mail now" in page.text
    assert partnership(session, "ADA1").wanted == "leave"

    form = {"word": "block", "partnership": ids, "reason": "stolen", "until": in_a_week()}
    console.post("/mail-access/bulk", data=form)
    row = partnership(session, "BOB1")
    assert (row.wanted, row.exception, row.exception_by) == ("block", "block", "keeper")
    assert row.wanted_because.startswith("blocked by keeper until ")
    assert set(re.findall(r"(ada|bob)@corp", console.get("/mail-access?only=exception").text)) == {
        "ada",
        "bob",
    }
    console.post("/mail-access/bulk", data={"word": "end", "partnership": ids, "reason": "found"})
    assert partnership(session, "BOB1").wanted == "leave"
    entries = session.query(AuditEntry).where(AuditEntry.action == "mail.exception").all()
    assert len(entries) == 4


@pytest.mark.usefixtures("connector")
@pytest.mark.parametrize(
    "wrong",
    [
        {"reason": " "},
        {"until": ""},
        {"until": "2020-01-01"},
        {"until": "2999-01-01"},
        {"word": "wipe"},
        {"partnership": []},
        {"partnership": ["x"]},
    ],
    ids=str,
)
def test_a_word_needs_a_reason_phones_and_an_end(
    console: ConsoleClient, session: Session, wrong: dict[str, object]
) -> None:
    ids = [str(partnership(session, "ADA1").id)]
    form = {"word": "block", "partnership": ids, "reason": "stolen", "until": in_a_week()}

    assert console.post("/mail-access/bulk", data=form | wrong).status_code in (400, 409)
    assert partnership(session, "ADA1").exception == ""


@pytest.mark.usefixtures("connector")
def test_blocks_by_hand_above_the_limit_wait_for_confirmation_too(
    console: ConsoleClient, context: Context, session: Session
) -> None:
    with context.database.transaction("test") as writing:
        few = MailSettings(block_limit=1, block_limit_percent=0)
        text = queries.write_mail_settings(few)
        safety.write_setting(writing, queries.SETTING, text, "test", utc_now())
    ids = [str(partnership(session, one).id) for one in ("ADA1", "BOB1")]
    form = {"word": "block", "partnership": ids, "reason": "stolen", "until": in_a_week()}

    console.post("/mail-access/bulk", data=form)
    assert partnership(session, "ADA1").wanted == "block"
    assert partnership(session, "BOB1").held_at is not None


@pytest.mark.usefixtures("connector")
def test_a_proposal_is_confirmed_with_one_click(
    console: ConsoleClient, context: Context, session: Session, device: UUID
) -> None:
    with context.database.transaction("test") as writing:
        writing.get_one(Device, device).model = "Pixel 9"
        writing.flush()
        decide_for_devices(writing, [device], utc_now())
    row = partnership(session, "ADA1")
    assert (row.match, row.device_id, row.wanted) == (Match.PROPOSED, device, "leave")
    page = console.get(f"/mail-access/partnerships/{row.id}").text
    assert "possible: same user and model" in page or "likely: same user and model" in page
    said = re.search(r'name="reason" value="([^"]+)"><button class="btn btn-primary', page)
    assert said

    form = {"device": str(device), "reason": said[1]}
    console.post(f"/mail-access/partnerships/{row.id}/match", data=form)
    assert partnership(session, "ADA1").match == Match.BY_HAND


@pytest.mark.usefixtures("connector")
def test_a_blocked_user_sees_other_doors_named_and_the_help_desk_has_words(
    console: ConsoleClient, context: Context, session: Session
) -> None:
    with context.database.transaction("test") as writing:
        row = writing.query(Partnership).where(Partnership.exchange_device_id == "ADA1").one()
        row.wanted, row.open_doors = "block", "activesync imap owa"
    page = console.get(f"/mail-access/partnerships/{row.id}").text

    assert "the mailbox stays open by IMAP, OWA" in page
    assert "Mail for ada@corp.test is blocked on the Pixel 9 with the id ADA1" in page
    assert "What mends it: Enrol this phone with the company" in page
    found = console.get("/mail-access?only=doors").text
    assert "still open:" in found and "bob@corp.test" not in found


@pytest.mark.usefixtures("connector")
def test_whoever_has_no_device_is_invited_from_here(console: ConsoleClient) -> None:
    page = console.get("/mail-access?q=ada").text
    link = re.search(r'href="(/[^"]+people=[^"]+)"', page)
    assert link
    assert "ada@corp.test" in console.get(link[1]).text


def test_a_wipe_through_the_mail_server_is_ordered_and_taken_back(
    console: ConsoleClient, context: Context, session: Session, connector: Connector
) -> None:
    with context.database.transaction("test") as writing:
        row = writing.query(Partnership).where(Partnership.exchange_device_id == "ADA1").one()
        row.guid = str(uuid4())
    path = f"/mail-access/partnerships/{row.id}"
    form = {"kind": "account", "device_id": "ADA1", "reason": "lost"}
    assert console.post(f"{path}/wipe", data={**form, "device_id": "BOB1"}).status_code == 409
    assert console.post(f"{path}/wipe", data={**form, "reason": ""}).status_code == 409

    console.post(f"{path}/wipe", data=form)
    session.rollback()
    ordered = session.query(MailWipe).one()
    assert (ordered.state, ordered.account_only, ordered.requested_by) == ("queued", True, "keeper")
    assert session.query(Job).where(Job.kind == wiping.WORK).count() == 1
    assert "Take back" in console.get(path).text
    console.post(f"/mail-access/wipes/{ordered.id}/cancel")
    session.rollback()
    assert session.query(MailWipe).one().state == "cancelled"


def test_connectors_show_rights_counters_and_can_be_undone_and_deleted(
    console: ConsoleClient, context: Context, connector: Connector, session: Session
) -> None:
    said = messages.ConnectorStatus(
        version="1",
        at=utc_now(),
        exchange_reachable=True,
        waiting=3,
        delta_at=utc_now(),
        calls=1234,
        throttled_seconds=17,
        rights=(
            messages.Right(cmdlet="Set-CASMailbox"),
            messages.Right(cmdlet="Clear-MobileDevice", missing='Missing: the role "X" gives it.'),
        ),
    )
    with context.database.transaction("test") as writing:
        connectors.take_status(queries.get_connector(writing, connector.id), said)
    page = console.get("/mail-access/connectors").text
    assert "1,234 calls" in page
    assert "17 s throttled" in page
    assert "Clear-MobileDevice" in page

    path = f"/mail-access/connectors/{connector.id}"
    assert console.post(f"{path}/log-level", data={"level": "loud"}).status_code == 400
    console.post(f"{path}/log-level", data={"level": "debug"})
    assert '"debug" selected' in console.get("/mail-access/connectors").text
    assert console.post(f"{path}/undo", data={"reason": ""}).status_code == 409
    console.post(f"{path}/undo", data={"reason": "trouble"})
    assert "Undone: enforces nothing" in console.get("/mail-access/connectors").text
    console.post(f"{path}/undo", data={"reason": "mended", "go_on": "yes"})
    assert "Undone: enforces nothing" not in console.get("/mail-access/connectors").text
    assert console.post(f"{path}/delete", data={"reason": "x"}).status_code == 409
    console.post(f"{path}/disable", data={"reason": "x"})
    phones = session.query(Partnership).where(Partnership.gone_at.is_(None)).count()
    assert phones > 0
    assert f'data-sk-count="{phones}"' in console.get(f"{path}/delete").text
    assert console.post(f"{path}/delete", data={"reason": "moved"}).status_code == 409
    name = queries.get_connector(session, connector.id).name
    console.post(f"{path}/delete", data={"reason": "moved", "typed": name})
    session.rollback()
    assert session.query(Partnership).count() == session.query(Connector).count() == 0


def test_the_agent_tells_its_user_once_that_mail_was_cut_and_what_mends_it(
    context: Context, connector: Connector, device: UUID, session: Session
) -> None:
    now = utc_now()
    with context.database.transaction("match") as writing:
        writing.get_one(Device, device).exchange_device_id = "ADA1"
        writing.flush()
        decide_for_devices(writing, [device], now)
    done = messages.Applied(mailbox="corp.test/Users/ada", device_id="ADA1", access="block", at=now)
    for _ in range(2):
        with context.database.transaction("applied") as writing:
            row = writing.get_one(Connector, connector.id)
            service.take_applied(writing, row, [done], now)

    told = session.scalars(select(Command).where(Command.device_id == device)).one()
    assert told.kind == "message"
    assert told.arguments["text"].startswith("Your company mail is blocked on this phone.")


def test_a_connectors_log_is_ordered_taken_back_and_handed_out(
    console: ConsoleClient, context: Context, connector: Connector
) -> None:
    path = f"/mail-access/connectors/{connector.id}/log"
    assert console.get(path).status_code == 404
    console.post(path)
    assert "comes at its next call" in console.get("/mail-access/connectors").text
    console.post(path, data={"cancel": "yes"})
    assert console.post(path, data={"cancel": "yes"}).status_code == 409

    console.post(path)
    name = "mail1_0.1.0_20261122T101500Z.zip"
    with context.database.transaction("test") as db:
        row = logs.find_log(db, connector.id)
        assert row
        logs.take_log(db, connector, row.id, name, b"PK\x03\x04 log", utc_now())
    assert name in console.get("/mail-access/connectors").text
    answer = console.get(path)
    assert answer.data == b"PK\x03\x04 log"
    assert name in answer.headers["Content-Disposition"]


@pytest.mark.usefixtures("connector")
def test_reasons_of_mail_and_its_doors_are_said_in_japanese(
    console: ConsoleClient, session: Session
) -> None:
    row = partnership(session, "ADA1")
    row.wanted_because = "\n".join(
        (
            "phone is non compliant since 2026-11-01 10:00 UTC (policy Standard version 1)",
            "rule not_rooted: root access found (agent), since 2026-11-01 10:00 UTC",
            "not blocked yet: A communication server is silent since 2026-11-01 10:00 UTC. Wait, "
            "or release the freeze if every device that matters was heard.",
        )
    )
    row.wanted, row.closed_doors = "block", "imap pop"
    session.commit()
    page = console.get(
        f"/mail-access/partnerships/{row.id}", headers={"Accept-Language": "ja"}
    ).text
    assert "非準拠" in page
    assert "まだブロックしていません" in page
    assert "IMAP POP" in page
    for english in ("non compliant", "not blocked yet", "root access found", "is silent since"):
        assert english not in page.partition("help")[0].partition("<pre")[0]


@pytest.mark.usefixtures("connector")
def test_a_wipe_that_waits_shows_what_an_approval_covers(
    console: ConsoleClient, context: Context, session: Session
) -> None:
    row = partnership(session, "ADA1")
    now = utc_now()
    with context.database.transaction("test") as db:
        made = MailWipe(
            partnership_id=row.id,
            account_only=False,
            state="queued",
            detail="no more than 10 wipe commands in one hour",
            requested_by="keeper",
            reason="lost",
            queued_at=now,
            expires_at=now + timedelta(days=1),
            changed_at=now,
        )
        db.add(made)
    page = console.get(f"/mail-access/wipes/{made.id}/approve").text
    assert "ADA1" in page
    assert "sekisho approver add keeper" in page
    form = {"code": "123456", "fingerprint": "0" * 64}
    assert console.post(f"/mail-access/wipes/{made.id}/approve", data=form).status_code == 409
