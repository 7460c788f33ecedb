"""Uploads, verdicts, what follows for devices, and the second look when the patterns change."""

import io
import os
import shutil
import stat
import zipfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest
from flask import Flask
from sqlalchemy import select
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from contracts.agent import Apps, InstalledApp
from management.access import Role
from management.apps import queries, service, uploads, work
from management.apps.models import AppVerdict, DeviceApp, StoredApp
from management.audit.models import AuditEntry
from management.compliance.models import DeviceJudgement
from management.context import Context
from management.devices.models import Device
from management.devices.queries import get_facts
from management.devices.rules import FactKind
from management.policies.service import ensure_default_policy
from management.updates.activation import activate, store_installed
from management.updates.queries import get_set
from management.updates.service import install_shipped
from management.work.models import Job
from patterns import pattern_set
from runtime.clock import utc_now
from runtime.errors import MalformedMessageError, TooLargeError
from tests.management.clients import ConsoleClient, signed_in_client
from tests.management.fleets import START, add_device
from tests.scanner.corpus import REAL_SIGNER, real_apk
from tests.scanner.test_container import EICAR
from updater.install import install_sources

MARKER = "a phrase that only the second set knows"
EXTRA_RULE = f"""rule second_look {{ meta:
 title = "Found by the second set" severity = "high" category = "trojan" family = "Second"
 technique = "T1404" meaning = "Carries the marker of this test and nothing else at all."
 why = "No honest app carries this very phrase." strings: $a = "{MARKER}" condition: $a }}"""


@pytest.fixture
def ready(context: Context) -> Context:
    """A server with the shipped set active."""
    with context.database.transaction("test") as session:
        ensure_default_policy(session, utc_now())
        install_shipped(session, context.settings, utc_now())
    return context


@pytest.fixture
def read(ready: Context) -> Iterator[Session]:
    with ready.database.reading() as session:
        yield session


def clean_archive(text: str = MARKER) -> bytes:
    """Return an app without findings above a note: the manifest of the real one, unsigned."""
    whole = io.BytesIO()
    with zipfile.ZipFile(real_apk()) as real, zipfile.ZipFile(whole, "w") as made:
        made.writestr("AndroidManifest.xml", real.read("AndroidManifest.xml"))
        made.writestr("assets/text", text)
    return whole.getvalue()


def bad_archive() -> bytes:
    whole = io.BytesIO(clean_archive())
    with zipfile.ZipFile(whole, "a") as made:
        made.writestr("assets/more", EICAR)
    return whole.getvalue()


def store(context: Context, body: bytes, name: str = "app.apk") -> str:
    received = uploads.receive(context.settings.home, io.BytesIO(body))
    with context.database.transaction("test") as session:
        service.store_upload(session, context.keys, received, name, "keeper", "", utc_now())
    return received.sha256


def scan(context: Context, sha256: str) -> list[str]:
    said: list[str] = []
    work.scan(context, {"sha256": sha256}, said.append)
    return said


def verdict(context: Context, sha256: str) -> str:
    with context.database.reading() as session:
        found = queries.find_verdict(session, sha256)
        return found.verdict if found else ""


def phone(context: Context, *hashes: str, name: str = "Phone") -> UUID:
    """Store an enrolled device that reports these apps."""
    with context.database.transaction("test") as session:
        policy = ensure_default_policy(session, utc_now())
        device = add_device(session, policy.id, name)
        report(session, device, *hashes)
        service.refresh_bad_apps(session, [device.id], START)
        return device.id


def report(session: Session, device: Device, *hashes: str) -> None:
    held = tuple(
        InstalledApp(
            package=f"org.example.a{number}", name=f"App {number}", version="1", sha256=sha256
        )
        for number, sha256 in enumerate(hashes)
    )
    service.record_inventory(session, device, Apps(apps=held), "agent", START, START)


def bad_apps(context: Context, device_id: UUID) -> list[tuple[str, str, str]]:
    with context.database.reading() as session:
        value = get_facts(session, device_id)[FactKind.BAD_APPS].value
    return [(app["name"], app["verdict"], app["rule"]) for app in value]


def second_set(context: Context, folder: Path) -> str:
    """Activate the shipped set with one more rule."""
    source = folder / "second"
    shutil.copytree(pattern_set.SHIPPED, source)
    (source / "yara" / "second.yar").write_text(EXTRA_RULE)
    with context.database.transaction("test") as session:
        installed = install_sources(source, "2099.1.1", context.settings.home / "patterns")
        activate(session, store_installed(session, installed, "test", utc_now()), utc_now())
    return "2099.1.1"


# --- uploads ---


def test_an_upload_is_kept_under_its_hash_for_this_user_only(ready: Context) -> None:
    sha256 = store(ready, b"some bytes")

    path = uploads.file_of(ready.settings.home, sha256)
    assert path.read_bytes() == b"some bytes"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_the_same_file_is_kept_once(ready: Context, read: Session) -> None:
    assert store(ready, b"same", "first.apk") == store(ready, b"same", "second.apk")

    assert [app.file_name for app in read.scalars(select(StoredApp))] == ["first.apk"]


@pytest.mark.parametrize(
    ("body", "error"), [(b"x" * 11, TooLargeError), (b"", MalformedMessageError)]
)
def test_what_is_too_large_or_empty_leaves_nothing_behind(
    body: bytes, error: type[Exception], home: Path
) -> None:
    with pytest.raises(error):
        uploads.receive(home, io.BytesIO(body), most=10)

    assert list((home / "uploads").iterdir()) == []


def test_what_a_kill_left_long_ago_is_swept_away(home: Path) -> None:
    folder = home / "uploads"
    folder.mkdir(parents=True)
    old, young = folder / ".from-device-old", folder / ".receiving-young"
    old.write_bytes(b"x")
    young.write_bytes(b"x")
    long_ago = old.stat().st_mtime - uploads.KEPT_SECONDS - 60
    os.utime(old, (long_ago, long_ago))

    received = uploads.receive(home, io.BytesIO(b"app"))

    kept = {path.name for path in folder.iterdir()}
    assert kept == {young.name, f"{received.sha256}.apk"}


def test_an_upload_that_breaks_off_leaves_nothing_behind(home: Path) -> None:
    class Broken:
        pieces = 2

        def read(self, size: int, /) -> bytes:
            self.pieces -= 1
            if not self.pieces:
                raise ConnectionResetError
            return b"x"

    with pytest.raises(ConnectionResetError):
        uploads.receive(home, Broken())

    assert list((home / "uploads").iterdir()) == []


def test_one_scan_is_queued_however_often_it_is_asked_for(ready: Context, read: Session) -> None:
    sha256 = store(ready, b"some bytes")
    with ready.database.transaction("test") as session:
        service.request_scan(session, sha256, utc_now())

    assert [job.payload for job in read.scalars(select(Job).where(Job.kind == "apps.scan"))] == [
        {"sha256": sha256}
    ]


# --- verdicts ---


def test_a_real_app_is_scanned_with_signer_and_permissions(ready: Context, read: Session) -> None:
    sha256 = store(ready, real_apk().read_bytes())

    said = scan(ready, sha256)

    found = queries.find_verdict(read, sha256)
    assert found is not None
    assert (found.verdict, found.package) == ("unwanted", "com.github.uiautomator")
    assert found.result["signers"][0]["sha256"] == REAL_SIGNER
    assert "android.permission.INTERNET" in found.result["permissions"]
    assert said[0].startswith("Scanning app.apk")


def test_scanning_again_with_the_same_set_leaves_one_verdict(ready: Context, read: Session) -> None:
    sha256 = store(ready, bad_archive())
    scan(ready, sha256)
    scan(ready, sha256)

    assert len(read.scalars(select(AppVerdict)).all()) == 1


def test_an_app_deleted_meanwhile_is_not_scanned(ready: Context, read: Session) -> None:
    scan(ready, "0" * 64)

    assert read.scalars(select(AppVerdict)).all() == []


# --- devices ---


def test_a_bad_app_becomes_a_fact_of_the_devices_that_hold_it(ready: Context) -> None:
    sha256 = store(ready, bad_archive())
    holder, other = phone(ready, sha256), phone(ready, "0" * 64)
    assert bad_apps(ready, holder) == []

    scan(ready, sha256)

    assert bad_apps(ready, holder) == [("App 0", "malicious", "eicar_test_file")]
    assert bad_apps(ready, other) == []


def test_a_device_with_a_bad_app_is_judged_at_once(ready: Context) -> None:
    sha256 = store(ready, bad_archive())
    holder = phone(ready, sha256)

    scan(ready, sha256)

    with ready.database.reading() as session:
        judged = session.get(DeviceJudgement, holder)
        assert judged is not None
        assert "no_malicious_app" in {violation["rule"] for violation in judged.violations}


def test_a_device_that_reports_a_known_bad_app_gets_the_fact_at_once(ready: Context) -> None:
    sha256 = store(ready, bad_archive())
    scan(ready, sha256)

    assert bad_apps(ready, phone(ready, sha256)) == [("App 0", "malicious", "eicar_test_file")]


def test_an_inventory_replaces_the_one_before(ready: Context) -> None:
    one, two, three = ("1" * 64, "2" * 64, "3" * 64)
    device_id = phone(ready, one, two)
    with ready.database.transaction("test") as session:
        device = session.get(Device, device_id)
        assert device is not None
        later = START + timedelta(days=1)
        held = (InstalledApp(package="org.example.a1", name="New", version="2", sha256=three),)
        service.record_inventory(session, device, Apps(apps=held), "agent", later, later)

    with ready.database.reading() as session:
        (row,) = session.scalars(select(DeviceApp))
        assert (row.sha256, row.version, row.first_seen_at) == (three, "2", START)
        assert get_facts(session, device_id)[FactKind.PACKAGES].value == ["org.example.a1"]


def test_an_app_that_goes_away_is_no_longer_held_against_the_device(ready: Context) -> None:
    sha256 = store(ready, bad_archive())
    scan(ready, sha256)
    device_id = phone(ready, sha256)
    with ready.database.transaction("test") as session:
        device = session.get(Device, device_id)
        assert device is not None
        report(session, device)

    assert bad_apps(ready, device_id) == []


# --- the second look ---


def test_a_new_set_turns_a_stored_app_malicious_and_names_the_devices(
    ready: Context, tmp_path: Path
) -> None:
    sha256, clean = store(ready, clean_archive()), store(ready, clean_archive("other"))
    scan(ready, sha256)
    scan(ready, clean)
    holder = phone(ready, sha256)
    before = verdict(ready, sha256)
    version = second_set(ready, tmp_path)
    said: list[str] = []

    work.retro_hunt(ready, {"pattern_version": version}, said.append)

    assert before == "unwanted"
    assert (verdict(ready, sha256), verdict(ready, clean)) == ("malicious", "unwanted")
    assert bad_apps(ready, holder) == [("App 0", "malicious", "second_look")]
    assert any("2 of 2 files" in words for words in said)
    with ready.database.reading() as session:
        assert [row.pattern_version for row in queries.list_verdicts(session, sha256)] == [
            version,
            pattern_set.source_version(pattern_set.SHIPPED),
        ]
        entry = session.scalars(
            select(AuditEntry).where(AuditEntry.action == "apps.retro_hunt")
        ).one()
        assert entry.subject == version
        assert entry.details == {"judged": 2, "changed": 1, "files_missing": 0, "devices": 1}


def test_a_hunt_that_was_interrupted_goes_on_where_it_stopped(
    ready: Context, tmp_path: Path
) -> None:
    hashes = [store(ready, clean_archive(str(number))) for number in range(3)]
    for sha256 in hashes:
        scan(ready, sha256)
    version = second_set(ready, tmp_path)

    class StoppedError(Exception):
        pass

    def stop(words: str) -> None:
        if words.startswith("Read 1 of 3"):
            raise StoppedError

    with pytest.raises(StoppedError):
        work.retro_hunt(ready, {}, stop)
    work.retro_hunt(ready, {}, lambda words: None)
    work.retro_hunt(ready, {}, lambda words: None)

    with ready.database.reading() as session:
        told = session.scalars(
            select(AuditEntry)
            .where(AuditEntry.action == "apps.retro_hunt")
            .order_by(AuditEntry.seq)
        )
        assert [entry.details["judged"] for entry in told] == [2, 0]
        for sha256 in hashes:
            (said,) = queries.list_verdicts(session, sha256)
            assert said.last_version == version


def test_a_file_that_is_gone_does_not_stop_the_hunt(ready: Context, tmp_path: Path) -> None:
    gone, there = store(ready, clean_archive("gone")), store(ready, clean_archive())
    uploads.forget(ready.settings.home, gone)
    second_set(ready, tmp_path)

    work.retro_hunt(ready, {}, lambda words: None)

    assert (verdict(ready, gone), verdict(ready, there)) == ("", "malicious")


def test_going_back_to_the_older_set_brings_its_verdict_back(
    ready: Context, tmp_path: Path
) -> None:
    sha256 = store(ready, clean_archive())
    scan(ready, sha256)
    second_set(ready, tmp_path)
    work.retro_hunt(ready, {}, lambda words: None)
    shipped = pattern_set.source_version(pattern_set.SHIPPED)
    with ready.database.transaction("test") as session:
        activate(session, get_set(session, shipped), utc_now())

    work.retro_hunt(ready, {}, lambda words: None)

    assert verdict(ready, sha256) == "unwanted"


# --- pages ---


def post_file(client: ConsoleClient, body: bytes, name: str) -> TestResponse:
    """Post a form with one file, as bytes: the test client would leave a temporary file open."""
    head = (
        f'--limit\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n"
    )
    return client.post(
        "/apps/upload",
        data=head.encode() + body + b"\r\n--limit--\r\n",
        content_type="multipart/form-data; boundary=limit",
    )


def upload(client: ConsoleClient, body: bytes, name: str = "app.apk") -> str:
    answer = post_file(client, body, name)
    assert answer.status_code == 303, answer.text
    return answer.location.rpartition("/")[2]


def test_an_upload_larger_than_other_forms_arrives_and_its_page_shows_the_scan(
    ready: Context, console: ConsoleClient
) -> None:
    sha256 = upload(console, real_apk().read_bytes(), "folder/real.apk")

    page = console.get(f"/apps/{sha256}").text
    assert "real.apk" in page
    assert f"/apps/{sha256}/progress" in page
    assert "waits for its turn" in console.get(f"/apps/{sha256}/progress").text


def test_the_page_of_an_app_shows_everything_that_was_found(
    ready: Context, console: ConsoleClient
) -> None:
    sha256 = upload(console, bad_archive())
    scan(ready, sha256)
    holder = phone(ready, sha256, name="Ada's phone")

    page = console.get(f"/apps/{sha256}").text

    for text in ("eicar_test_file", "EICAR-Test-File", "assets/more at 0x0", "Malicious", "2026."):
        assert text in page
    assert f"/devices/{holder}" in page
    assert f'href="/devices?app={sha256}"' in page


def test_the_list_finds_apps_by_verdict_and_text(ready: Context, console: ConsoleClient) -> None:
    bad, other = upload(console, bad_archive(), "bad.apk"), upload(console, b"text", "note.apk")
    scan(ready, bad)
    scan(ready, other)

    assert bad in console.get("/apps/?verdict=malicious").text
    assert other not in console.get("/apps/?verdict=malicious").text
    assert other in console.get("/apps/?text=note").text
    assert "No app matches" in console.get("/apps/?text=zzz").text


def test_the_list_goes_on_behind_its_last_row(
    ready: Context, console: ConsoleClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("management.apps.views.PAGE", 2)
    hashes = {store(ready, bytes([number])) for number in range(5)}
    seen, place = set(), "/apps/"
    while place:
        page = console.get(place, headers={"HX-Request": "true"}).text
        seen |= {sha256 for sha256 in hashes if f"/apps/{sha256}" in page}
        place = page.partition('hx-get="')[2].partition('"')[0].replace("&amp;", "&")

    assert seen == hashes


def test_the_apps_of_a_device_are_listed_bad_ones_first(
    ready: Context, console: ConsoleClient
) -> None:
    sha256 = store(ready, bad_archive())
    scan(ready, sha256)
    device_id = phone(ready, "0" * 64, sha256)

    page = console.get(f"/apps/of-device/{device_id}").text

    assert page.index("App 1") < page.index("App 0")


def test_a_deleted_app_is_gone_but_its_verdict_stays(
    ready: Context, console: ConsoleClient
) -> None:
    sha256 = upload(console, bad_archive())
    scan(ready, sha256)
    holder = phone(ready, sha256)

    assert console.post(f"/apps/{sha256}/delete").status_code == 303

    assert "only devices reported it" in console.get(f"/apps/{sha256}").text
    assert not uploads.file_of(ready.settings.home, sha256).exists()
    assert not uploads.file_of(ready.settings.home, sha256).exists()
    assert bad_apps(ready, holder) == [("App 0", "malicious", "eicar_test_file")]


def test_names_in_an_app_cannot_write_into_the_page(ready: Context, console: ConsoleClient) -> None:
    sha256 = upload(console, b"x", "<script>alert(1)<b>.apk")

    assert "<script>alert" not in console.get(f"/apps/{sha256}").text


def test_who_may_not_manage_apps_uploads_nothing(
    ready: Context, app: Flask, visitor: ConsoleClient
) -> None:
    reader = signed_in_client(app, ready, "reader", Role.READ_ONLY)
    for client, body in ((reader, b"x"), (visitor, b"x"), (visitor, b"x" * 2_000_000)):
        answer = post_file(client, body, "a.apk")
        assert answer.status_code in (302, 303, 401, 403, 413)

    assert not (ready.settings.home / "uploads").exists()
