"""Configuration and verification: each check turns red when the real thing is broken."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from sqlalchemy import delete, text, update

from management import certificates
from management.access import Role
from management.administrators import service as administrators
from management.audit import checkpoints
from management.audit import service as audit
from management.audit.models import AuditEntry
from management.check_in.visit import visit_all
from management.context import Context
from management.enrolment.service import retire
from management.keys import prepare
from management.mail_access.models import Connector
from management.migrations.release import VERSION, head
from management.outgoing_mail import service as outgoing_mail
from management.outgoing_mail.rules import Encryption, MailServer
from management.relays import changes, tls
from management.relays.queries import list_relays
from management.relays.service import pair_relay
from management.safety import service as safety
from management.safety.models import Enforcement
from management.signer_client import SignerClient
from management.updates import service as updates
from management.updates.models import InstalledPatternSet, UpdateRun
from management.updates.service import install_shipped
from management.verification import checks, rules
from management.verification.rules import Finding, Sentence, Tone
from management.work.models import Job
from runtime import health
from runtime.clock import utc_now
from tests.communication.relay import Relay, free_ports
from tests.management.clients import ConsoleClient, api_client
from tests.management.phones import Phone, office
from tests.servers.smtp import smtp_server
from tests.updater import feed as feeds

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def finding(context: Context, name: str, now: datetime | None = None) -> Finding:
    check = checks.find(name)
    assert check is not None
    return checks.run(check, context, now or utc_now())


def says(context: Context, name: str, now: datetime | None = None) -> tuple[str, str]:
    found = finding(context, name, now)
    return found.tone.value, str(found.said)


def changed(context: Context, **settings: Any) -> Context:
    return replace(context, settings=replace(context.settings, **settings))


@pytest.fixture
def current(context: Context) -> Context:
    """The context on a database that carries this release's revision."""
    with context.database.engine.begin() as connection:
        VERSION.create(connection)
        connection.execute(VERSION.insert().values(version_num=head()))
    return context


def test_a_database_of_another_release_is_named(current: Context) -> None:
    assert says(current, "database")[0] == "ok"
    with current.database.engine.begin() as connection:
        connection.execute(VERSION.update().values(version_num="9999"))
    tone, said = says(current, "database")
    assert tone == "bad"
    assert "written by a newer release" in said


@pytest.mark.parametrize(("free", "tone"), [(10, "ok"), (3, "warn"), (0, "bad")])
def test_too_little_room_is_told(free: int, tone: str) -> None:
    assert rules.room(free * 1024**3).tone == tone


def test_the_room_is_asked_of_the_disk(context: Context) -> None:
    assert "GB are free" in says(context, "room")[1]
    gone = changed(context, home=context.settings.home / "gone")
    assert says(gone, "room")[0] == "bad"


def test_keys_that_others_may_read_are_named(context: Context) -> None:
    assert says(context, "keys")[0] == "ok"
    (context.settings.home / "keys" / "audit.sealed").chmod(0o640)
    assert says(context, "keys") == ("bad", "Others on this machine may read: audit.sealed.")


def test_a_clock_that_went_back_is_told(context: Context) -> None:
    assert says(context, "clock")[0] == "ok"
    with context.database.transaction("test") as session:
        session.add(Enforcement(id=1, clock_seen_at=utc_now() + timedelta(days=2)))
    assert says(context, "clock")[0] == "bad"


def test_the_consoles_certificate_is_looked_at(context: Context) -> None:
    assert says(context, "certificate")[0] == "bad"
    now = utc_now()
    prepare(context.keys.folder, now, ["localhost"])

    tone, said = says(context, "certificate")
    assert tone == "warn"
    assert "built-in CA" in said
    renamed = changed(context, public_name="sekisho.example.org")
    assert says(renamed, "certificate") == ("bad", "It is not for the name sekisho.example.org.")
    assert says(context, "certificate", now + timedelta(days=4000))[0] == "bad"
    shutil.copyfile(context.settings.home / "keys" / "ca.pem", context.keys.folder / "console.pem")
    assert says(context, "certificate")[1] == "Certificate and key do not belong together."


@pytest.mark.parametrize(
    ("days", "tone"), [(90, "ok"), (59, "warn"), (29, "warn"), (6, "bad"), (0, "bad"), (-3, "bad")]
)
def test_a_certificate_is_warned_about_before_it_ends(days: int, tone: str) -> None:
    found = rules.ends(NOW + timedelta(days=days), NOW, Sentence("Renew it."))
    assert found.tone == tone
    assert (found.mend is None) == (tone == "ok")


def test_a_name_that_leads_nowhere_is_told(context: Context) -> None:
    assert says(context, "name")[0] == "ok"
    assert says(changed(context, public_name="nowhere.invalid"), "name")[0] == "warn"


def test_a_signer_that_is_away_or_holds_back_is_told(context: Context) -> None:
    assert says(context, "signer") == (
        "warn",
        "It answers, but nobody is an approver: nothing above the limits can be signed.",
    )
    context.signer.pause("stolen laptop")
    assert says(context, "signer") == ("warn", "The signer signs no wipes: stolen laptop")
    lost = replace(context, signer=SignerClient(context.settings.home / "nobody.sock"))
    assert says(lost, "signer")[0] == "bad"


def test_a_jobs_process_that_is_away_or_hangs_is_told(context: Context) -> None:
    port, silent = free_ports(2)
    wrong: list[str | None] = [None]
    health.serve(port, {"a loop": lambda: wrong[0]})
    there = changed(context, jobs_health_port=port)
    assert says(there, "jobs")[0] == "ok"
    wrong[0] = "No round ended for 300 s."
    assert says(there, "jobs") == ("bad", "The jobs process says: No round ended for 300 s.")
    assert says(changed(context, jobs_health_port=silent), "jobs")[0] == "bad"


def test_work_that_was_given_up_is_told_with_its_error(context: Context) -> None:
    assert says(context, "work") == ("ok", "0 wait, 0 run, none was given up.")
    now = utc_now()
    with context.database.transaction("test") as session:
        session.add(
            Job(
                kind="apps.scan",
                key="x",
                state="failed",
                run_after=now,
                queued_at=now,
                error="The disk is full.",
            )
        )
    assert says(context, "work") == (
        "warn",
        "1 were given up, last apps.scan: The disk is full.",
    )


@pytest.fixture
def relay(context: Context, tmp_path: Path) -> Iterator[Relay]:
    """A running communication server, paired with the context."""
    home = tmp_path / "relay"
    home.mkdir()
    started = Relay(home, management_key=context.keys.link_key()).start()
    with context.database.transaction("pair") as session:
        pair_relay(
            session,
            "dmz",
            started.link_url,
            started.link_tls,
            started.devices_url,
            started.tls,
            utc_now(),
        )
    yield started
    started.hang_up()
    if started.process is not None and started.process.poll() is None:
        started.kill()


def test_a_relay_that_ends_is_told_on_both_its_sides(context: Context, relay: Relay) -> None:
    visit_all(context)
    assert says(context, "relays") == ("ok", "1 answer.")
    assert says(context, "doors")[0] == "ok"
    tone, said = says(context, "relays", utc_now() + timedelta(minutes=10))
    assert tone == "bad"
    assert "It answers, but the jobs process visited it last at" in said

    relay.kill()

    tone, said = says(context, "relays")
    assert tone == "warn", "it is dialled now; no visit has noticed yet"
    assert "dmz: The communication server does not answer at" in said
    visit_all(context)
    tone, said = says(context, "relays")
    assert tone in ("warn", "bad")
    assert said.startswith("Silent or in trouble: dmz: ")
    assert says(context, "doors")[0] == "warn"


def test_a_door_with_another_certificate_than_devices_are_told_is_shut(
    context: Context, relay: Relay
) -> None:
    from management.relays.models import Relay as Row

    with context.database.transaction("test") as session:
        session.execute(update(Row).values(ca_certificate=context.keys.ca_certificate()))
    tone, said = says(context, "doors")
    assert tone == "warn"
    assert "certificate" in said.lower()


def test_without_a_relay_nothing_can_enrol(context: Context) -> None:
    assert says(context, "relays")[0] == "bad"
    assert says(context, "doors")[0] == "idle"


def test_a_connector_that_is_silent_or_in_trouble_is_told(context: Context) -> None:
    assert says(context, "mail")[0] == "idle"
    now = utc_now()
    with context.database.transaction("test") as session:
        session.add(Connector(name="ex1", key={}, paired_at=now, contact_at=now))
    heard = f"{now:%Y-%m-%d %H:%M:%S} UTC"
    working = f"1 work, as of the last heartbeat ({heard})."
    assert says(context, "mail", now) == ("ok", working)
    assert says(context, "mail", now + timedelta(minutes=6)) == (
        "warn",
        f"In trouble, as of the last heartbeat: ex1 ({heard}): warning.",
    )
    assert says(context, "mail", now + timedelta(minutes=10))[0] == "bad"
    with context.database.transaction("test") as session:
        session.execute(update(Connector).values(problem="The password is wrong."))
    assert says(context, "mail", now) == (
        "warn",
        f"In trouble, as of the last heartbeat: ex1 ({heard}): The password is wrong..",
    )


def test_a_mail_server_that_is_away_or_refuses_is_told(context: Context) -> None:
    assert says(context, "outgoing_mail")[0] == "idle"
    with smtp_server() as post:
        server = MailServer(
            host="localhost",
            port=post.port,
            encryption=Encryption.STARTTLS,
            sender="sekisho@example.com",
            ca=post.ca,
        )
        with context.database.transaction("test") as session:
            receivers = ("aoi@example.com",)
            outgoing_mail.save(session, context.keys, server, receivers, "keeper", NOW)
        assert says(context, "outgoing_mail")[0] == "ok"
        assert post.mails == []
        post.answers["RCPT"] = b"550 5.1.1 No such user\r\n"
        assert says(context, "outgoing_mail")[0] == "ok", "nobody is named, so nobody is refused"
        assert not any(line[:4] in ("MAIL", "RCPT", "DATA") for line in post.heard)
        post.answers["EHLO"] = b"450 4.7.1 Come back later\r\n"
        tone, said = says(context, "outgoing_mail")
        assert (tone, "450 4.7.1 Come back later" in said) == ("warn", True)
        post.answers.clear()
        post.offers_tls = False
        assert "offers no STARTTLS" in says(context, "outgoing_mail")[1]
    tone, said = says(context, "outgoing_mail")
    assert (tone, "cannot be reached" in said) == ("bad", True)


def _install(context: Context) -> None:
    with context.database.transaction("install") as session:
        install_shipped(session, context.settings, utc_now())


def test_patterns_that_are_missing_old_or_not_updated_are_told(context: Context) -> None:
    assert says(context, "patterns")[0] == "bad"
    _install(context)
    now = utc_now()
    assert says(context, "patterns", now)[0] == "ok"
    assert says(context, "patterns", now + timedelta(days=20))[0] == "warn"
    assert says(context, "patterns", now + timedelta(days=70))[0] == "bad"
    with context.database.transaction("test") as session:
        session.add(
            UpdateRun(
                started_at=now,
                requested_by="schedule",
                source="x",
                state="failed",
                detail="The source cannot be reached.",
            )
        )
    assert says(context, "patterns", now) == (
        "warn",
        "The last update failed: The source cannot be reached.",
    )


def test_an_update_source_is_asked_now_and_nothing_is_installed(
    context: Context, tmp_path: Path
) -> None:
    assert says(context, "update_source")[0] == "idle"
    with feeds.running(tmp_path / "feed") as feed:
        with context.database.transaction("test") as session:
            keeper = updates.Actor("keeper")
            updates.save_source(session, context.keys, feed.url, feed.root, keeper, utc_now())
        feed.publish("9998.1.1")
        assert says(context, "update_source") == (
            "ok",
            "It answers, rightly signed; its newest set is 9998.1.1.",
        )
        feed.misbehave("timestamp.json", feeds.tampered)
        tone, said = says(context, "update_source")
        assert (tone, "cannot be believed or reached: " in said) == ("bad", True)
        feed.behave()
        assert says(context, "update_source")[0] == "ok"
    assert says(context, "update_source")[0] == "bad", "it is away"
    with context.database.reading() as session:
        assert session.query(InstalledPatternSet).all() == []


def test_the_scanner_finds_the_test_file_until_its_patterns_are_gone(context: Context) -> None:
    _install(context)
    tone, said = says(context, "scanner")
    assert (tone, said.startswith("The test file was found")) == ("ok", True), said
    with context.database.reading() as session:
        version = session.query(InstalledPatternSet).one().version
    shutil.rmtree(context.settings.home / "patterns" / version)
    assert says(context, "scanner")[0] == "bad"


def test_paused_enforcement_is_told_with_its_reason(context: Context) -> None:
    assert says(context, "enforcement")[0] == "ok"
    with context.database.transaction("pause") as session:
        safety.pause(session, "aoi", "drill", NOW)
    assert says(context, "enforcement") == (
        "warn",
        "Paused since 2026-11-22 12:00 UTC by aoi: drill",
    )


def test_a_single_owner_is_told(context: Context) -> None:
    for tone, name in (("bad", "aoi"), ("warn", "ren"), ("ok", "")):
        assert says(context, "administrators")[0] == tone
        if name:
            with context.database.transaction("test") as session:
                administrators.add_administrator(session, name, Role.OWNER, NOW)


def test_a_trail_that_was_cut_or_stays_inside_is_told(context: Context, tmp_path: Path) -> None:
    with context.database.transaction("test") as session:
        for number in range(3):
            audit.record(session, context.keys, "aoi", "device.lock", f"phone {number}")
    checkpoints.make(context)
    assert says(context, "audit")[0] == "warn"
    kept = changed(context, audit_file=str(tmp_path / "kept"))
    assert says(kept, "audit")[0] == "ok"
    unkept = changed(context, audit_file=str(tmp_path / "gone" / "kept"))
    checkpoints.hand_out(unkept)
    assert "cannot be written" in says(unkept, "audit")[1]
    assert says(kept, "audit", utc_now() + timedelta(days=2))[0] == "warn"
    with context.database.transaction("tamper") as session:
        session.execute(delete(AuditEntry).where(AuditEntry.seq == 3))
    tone, said = says(kept, "audit")
    assert tone == "bad"
    assert "entries were removed" in said


def test_a_check_that_stumbles_is_a_finding(context: Context) -> None:
    with context.database.engine.begin() as connection:
        connection.execute(text("DROP TABLE job_line"))  # it points at the table of jobs
        connection.execute(text("DROP TABLE job"))
    tone, said = says(context, "work")
    assert tone == "bad"
    assert said.startswith("The check could not be done: ")


# --- where it is seen ---


def test_the_page_lists_every_check_and_each_row_says_what_was_seen(
    console: ConsoleClient, context: Context
) -> None:
    page = console.get("/verification").text
    for check in checks.CHECKS:
        assert f'hx-get="/verification/{check.name}"' in page
        row = console.get(f"/verification/{check.name}", headers={"HX-Request": "true"})
        assert row.status_code == 200
        assert row.text.strip().startswith("<tr>")
    assert console.get("/verification/nothing").status_code == 404
    without = console.get("/verification/relays").text
    assert "Pair a communication server." in without
    assert 'href="/relays"' in without


def test_a_program_gets_the_same_and_the_worst_of_it(
    console: ConsoleClient, context: Context
) -> None:
    program = api_client(console.application, context, "robot", Role.ADMINISTRATOR)
    found = program.get("/api/v1/verification").json
    assert found is not None
    assert [one["name"] for one in found["checks"]] == [check.name for check in checks.CHECKS]
    assert found["stands"] == "bad"
    reader = api_client(console.application, context, "reader", Role.OPERATOR)
    assert reader.get("/api/v1/verification").status_code == 403


def test_the_worst_tone_counts() -> None:
    fine = Finding(Tone.OK, Sentence("a"))
    bad = Finding(Tone.BAD, Sentence("b"))
    assert rules.worst([]) is Tone.IDLE
    assert rules.worst([fine, bad, fine]) is Tone.BAD
    assert json.dumps(rules.worst([fine])) == '"ok"'


def test_a_relay_whose_certificate_ends_soon_is_named(context: Context, relay: Relay) -> None:
    visit_all(context)
    assert says(context, "relay_certificates")[0] == "ok"
    now = utc_now()
    issuer = certificates.Issuer(
        x509.load_pem_x509_certificate(context.keys.ca_certificate().encode()),
        context.keys._issuer.key,
    )
    almost_over = now + timedelta(days=5) - certificates.SERVER_VALID + certificates.CLOCKS_DIFFER
    chain, key = certificates.for_server(issuer, ["127.0.0.1"], almost_over)
    with context.database.transaction("an old certificate") as session:
        row = list_relays(session)[0]
        checked = tls.check(key, chain, "127.0.0.1", now)
        changes.set_certificate(session, context.keys, row, checked, changes.IMPORTED, now)
    for _ in range(3):
        visit_all(context)

    tone, said = says(context, "relay_certificates")

    assert (tone, said) == (
        "bad",
        f"dmz: it ends on {now + timedelta(days=5):%Y-%m-%d}, in 4 days.",
    )
    relay.kill()
    assert says(context, "relay_certificates") == (tone, said), "as it was seen last"


def test_a_device_that_does_not_renew_its_certificate_is_named(context: Context) -> None:
    assert says(context, "device_certificates")[0] == "ok"
    phone = Phone(office(context)).enrol()

    assert says(context, "device_certificates")[0] == "ok"
    tone, said = says(context, "device_certificates", utc_now() + timedelta(days=700))
    assert tone == "warn"
    assert said.startswith("1 devices did not renew theirs in time; that of Pixel (Ada) ends on ")
    with context.database.transaction("retire") as session:
        retire(session, phone.device_id, "keeper", "", utc_now())
    later = utc_now() + timedelta(days=700)
    assert says(context, "device_certificates", later)[0] == "ok"


TURNED_BY = {
    "database": test_a_database_of_another_release_is_named,
    "room": test_the_room_is_asked_of_the_disk,
    "keys": test_keys_that_others_may_read_are_named,
    "clock": test_a_clock_that_went_back_is_told,
    "certificate": test_the_consoles_certificate_is_looked_at,
    "name": test_a_name_that_leads_nowhere_is_told,
    "signer": test_a_signer_that_is_away_or_holds_back_is_told,
    "jobs": test_a_jobs_process_that_is_away_or_hangs_is_told,
    "work": test_work_that_was_given_up_is_told_with_its_error,
    "relays": test_a_relay_that_ends_is_told_on_both_its_sides,
    "doors": test_a_door_with_another_certificate_than_devices_are_told_is_shut,
    "relay_certificates": test_a_relay_whose_certificate_ends_soon_is_named,
    "device_certificates": test_a_device_that_does_not_renew_its_certificate_is_named,
    "mail": test_a_connector_that_is_silent_or_in_trouble_is_told,
    "outgoing_mail": test_a_mail_server_that_is_away_or_refuses_is_told,
    "patterns": test_patterns_that_are_missing_old_or_not_updated_are_told,
    "update_source": test_an_update_source_is_asked_now_and_nothing_is_installed,
    "scanner": test_the_scanner_finds_the_test_file_until_its_patterns_are_gone,
    "enforcement": test_paused_enforcement_is_told_with_its_reason,
    "administrators": test_a_single_owner_is_told,
    "audit": test_a_trail_that_was_cut_or_stays_inside_is_told,
}
"""What breaks the real thing behind each check and sees it told."""


def test_each_check_has_a_test_that_breaks_what_it_looks_at() -> None:
    assert set(TURNED_BY) == {check.name for check in checks.CHECKS}
    assert len(set(TURNED_BY.values())) == len(TURNED_BY)
