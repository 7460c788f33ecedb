"""Files between management and phones, through the real relay: the app store, and apps sent up."""

import io
import shutil
import threading
import time
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import select

from agents.simulator import files
from agents.simulator.device import SimulatedDevice
from contracts.agent import CommandKind, DeviceDescription
from contracts.files import PART_BYTES
from management.apps import queries, uploads, work
from management.apps import service as apps
from management.apps.models import App, StoredApp
from management.check_in import visit
from management.check_in.visit import visit_all
from management.collecting import service as collecting
from management.collecting.fetching import _no_room
from management.collecting.models import AppRequest
from management.collecting.queries import announced_bytes
from management.commands.queries import get_command
from management.commands.service import queue_command
from management.context import Context
from management.policies.models import ROOT_GROUP
from management.relays.models import RelayIncident
from management.store import service as store
from management.store import work as store_work
from management.updates.service import install_shipped
from runtime.clock import utc_now
from runtime.errors import RefusedError, SekishoError, UnavailableError
from tests.agents import relay_process
from tests.management.test_commands_bulk import send_later
from tests.management.test_visit import Site, pair
from tests.scanner.build_apk import sign
from tests.scanner.corpus import real_apk

pytestmark = pytest.mark.servers


@pytest.fixture
def site(context: Context, tmp_path: Path) -> Iterator[Site]:
    with relay_process.running(tmp_path / "relay", context.keys) as relay:
        pair(context, relay, relay.link_certificate)
        with context.database.transaction("test") as session:
            install_shipped(session, context.settings, utc_now())
        visit_all(context)
        yield Site(context, relay, tmp_path)


@pytest.fixture(scope="session")
def large_app(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The real app with 12 MiB more in it, signed."""
    folder = tmp_path_factory.mktemp("large")
    source, out = folder / "source.apk", folder / "large.apk"
    source.write_bytes(real_apk().read_bytes())
    with zipfile.ZipFile(source, "a", zipfile.ZIP_STORED) as archive:
        archive.writestr("assets/large", bytes(range(256)) * 4 * 1024 * 12)
    sign(source, out, "CN=Own Key,O=Tests", frozenset({"v2"}), 24)
    return out


def put(context: Context, path: Path) -> str:
    """Upload and scan a file."""
    received = uploads.receive(context.settings.home, io.BytesIO(path.read_bytes()))
    with context.database.transaction("test") as session:
        apps.store_upload(session, context.keys, received, path.name, "keeper", "", utc_now())
    work.scan(context, {"sha256": received.sha256}, print)
    return received.sha256


def publish(site: Site, sha256: str, required: bool = True) -> UUID:
    """Publish to everybody and tell the devices."""
    targets = {ROOT_GROUP: required}
    with site.context.database.transaction("test") as session:
        entry = store.publish(
            session, site.context.keys, sha256, "Tools", targets, "keeper", "", utc_now()
        )
    store_work.spread(site.context, {}, print)
    return entry.id


def held(phone: SimulatedDevice) -> list[str]:
    return [app.sha256 for app in phone.state.phone.apps]


def relay_file(site: Site, sha256: str) -> Path:
    return site.relay.folder / "files" / sha256


def test_a_required_app_reaches_the_phone_through_the_relay(site: Site) -> None:
    phone, sha256 = site.phone(), put(site.context, real_apk())

    publish(site, sha256)
    visit_all(site.context)
    site.meet(phone)

    assert held(phone) == [sha256]
    assert files.place(phone.file.folder, sha256).read_bytes() == real_apk().read_bytes()
    with site.reading() as session:
        assert session.get_one(App, sha256).devices == 1
    assert site.problem() == ""


def test_an_optional_app_comes_when_the_user_wants_it(site: Site) -> None:
    phone, sha256 = site.phone(), put(site.context, real_apk())
    publish(site, sha256, required=False)
    visit_all(site.context)
    site.meet(phone)
    before = held(phone)

    phone.choose("com.github.uiautomator")
    site.meet(phone)

    assert (before, held(phone)) == ([], [sha256])


def test_an_app_that_is_ordered_is_fetched_from_the_store_and_nothing_else_is(site: Site) -> None:
    phone, sha256 = site.phone(), put(site.context, real_apk())
    publish(site, sha256, required=False)
    visit_all(site.context)

    made = [order_install(site, phone, package) for package in ("com.github.uiautomator", "a.b")]
    for _ in range(2):
        send_later(site.context)
        visit_all(site.context)
        site.meet(phone)

    assert held(phone) == [sha256]
    with site.reading() as session:
        rows = [get_command(session, one) for one in made]
        assert [(row.state, row.attempt) for row in rows] == [("done", 2), ("failed", 1)]
        assert "does not offer a.b" in rows[1].detail


def order_install(site: Site, phone: SimulatedDevice, package: str) -> UUID:
    said = {"package": package, "reference": "store"}
    with site.context.database.transaction("install") as session:
        return queue_command(
            session, phone.device_id, CommandKind.INSTALL_APP, said, "keeper", "", utc_now()
        ).id


def test_a_relay_that_swaps_the_file_is_found_out(site: Site) -> None:
    phone, sha256 = site.phone(), put(site.context, real_apk())
    publish(site, sha256)
    visit_all(site.context)
    other = bytearray(real_apk().read_bytes())
    other[100] ^= 1
    relay_file(site, sha256).write_bytes(other)

    site.meet(phone)

    assert held(phone) == []
    with site.reading() as session:
        (incident,) = session.scalars(select(RelayIncident)).all()
        assert (incident.problem, incident.reported_by) == ("forged", "device")
        assert sha256 in incident.detail


def test_a_withdrawn_app_is_gone_from_offer_and_relay(site: Site) -> None:
    phone, sha256 = site.phone(), put(site.context, real_apk())
    entry_id = publish(site, sha256, required=False)
    visit_all(site.context)
    site.meet(phone)
    there = relay_file(site, sha256).exists()

    with site.context.database.transaction("test") as session:
        store.withdraw(
            session, site.context.keys, entry_id, "wrong version", "keeper", "", utc_now()
        )
    store_work.spread(site.context, {}, print)
    visit_all(site.context)
    site.meet(phone)

    assert there and not relay_file(site, sha256).exists()
    offer = phone.state.offer
    assert offer is not None and offer.apps == ()


def test_a_relay_that_dies_in_the_middle_costs_only_time(site: Site, large_app: Path) -> None:
    phone, sha256 = site.phone(), put(site.context, large_app)
    publish(site, sha256)
    visit_all(site.context)
    part = files.place(phone.file.folder, sha256).with_suffix(".part")

    def check_in() -> None:
        with suppress(SekishoError):
            phone.check_in()

    fetching = threading.Thread(target=check_in)
    fetching.start()
    give_up = time.monotonic() + 60
    while fetching.is_alive() and time.monotonic() < give_up:
        if part.exists() and part.stat().st_size >= PART_BYTES:
            break
    site.relay.restart()
    fetching.join()
    site.meet(phone)

    assert held(phone) == [sha256]
    assert files.place(phone.file.folder, sha256).read_bytes() == large_app.read_bytes()


def test_a_file_that_a_relay_lost_in_the_middle_is_brought_again(
    site: Site, large_app: Path
) -> None:
    sha256 = put(site.context, large_app)
    publish(site, sha256)
    visit_all(site.context)
    whole = relay_file(site, sha256)
    whole.rename(whole.with_suffix(".part"))
    with whole.with_suffix(".part").open("r+b") as file:
        file.truncate(3_000_000)

    visit_all(site.context)
    visit_all(site.context)

    assert whole.read_bytes() == large_app.read_bytes()


# --- upwards ---


def unknown_app(site: Site, phone: SimulatedDevice, path: Path) -> str:
    """Let the phone report an app of which nothing is known here."""
    from agents.simulator import apk

    (app,) = apk.describe([path])
    phone.install(app)
    phone.keep_file(app.sha256, path)
    site.meet(phone)
    work.look_up(site.context, {}, print)
    return app.sha256


def ask(site: Site, sha256: str) -> UUID:
    with site.context.database.transaction("test") as session:
        row = collecting.ask_for(session, site.context, sha256, "keeper", "", utc_now())
        return row.id


def request(site: Site, upload_id: UUID) -> AppRequest:
    with site.reading() as session:
        return session.get_one(AppRequest, upload_id)


def test_an_unknown_app_is_sent_scanned_and_its_origin_is_known(
    site: Site, large_app: Path
) -> None:
    phone = site.phone()
    sha256 = unknown_app(site, phone, large_app)

    upload_id = ask(site, sha256)
    visit_all(site.context)
    site.meet(phone, times=3)
    work.scan(site.context, {"sha256": sha256}, print)

    assert request(site, upload_id).state == "done"
    assert uploads.file_of(site.context.settings.home, sha256).read_bytes() == (
        large_app.read_bytes()
    )
    with site.reading() as session:
        stored = session.get_one(StoredApp, sha256)
        assert (stored.device_id, stored.uploaded_by) == (phone.device_id, "keeper")
        found = queries.get_known(session, sha256)
        assert (found.stored, found.basis, found.package) == (
            True,
            "file",
            "com.github.uiautomator",
        )
    assert list((site.relay.folder / "uploads").iterdir()) == []
    with pytest.raises(RefusedError, match="here already"):
        ask(site, sha256)


def test_a_relay_that_forgot_what_to_expect_is_told_again(site: Site, large_app: Path) -> None:
    phone = site.phone()
    upload_id = ask(site, unknown_app(site, phone, large_app))
    visit_all(site.context)
    shutil.rmtree(site.relay.folder / "uploads" / str(upload_id))

    visit_all(site.context)
    site.meet(phone, times=3)

    assert request(site, upload_id).state == "done"


def test_a_device_sends_anew_what_a_relay_lost(site: Site, large_app: Path) -> None:
    phone = site.phone()
    sha256 = unknown_app(site, phone, large_app)
    upload_id = ask(site, sha256)
    visit_all(site.context)
    phone.check_in()
    for part in (site.relay.folder / "uploads" / str(upload_id)).glob("0*"):
        part.unlink()

    site.meet(phone, times=4)

    lost = request(site, upload_id)
    assert (lost.state, "lost it" in lost.detail) == ("failed", True)
    with site.reading() as session:
        anew = session.scalars(select(AppRequest).where(AppRequest.id != upload_id)).one()
        assert (anew.state, anew.requested_by) == ("done", "keeper")
        assert anew.expires_at == lost.expires_at
        assert queries.get_known(session, sha256).stored
    assert list((site.relay.folder / "uploads").iterdir()) == []


def test_files_on_their_way_have_no_more_room_than_the_quota(site: Site, large_app: Path) -> None:
    phone = site.phone()
    upload_id = ask(site, unknown_app(site, phone, large_app))
    with site.context.database.transaction("test") as session:
        other = AppRequest(
            sha256="0" * 64,
            device_id=phone.device_id,
            state="sent",
            requested_by="keeper",
            requested_at=utc_now(),
            expires_at=utc_now() + timedelta(days=1),
            size_bytes=site.context.settings.uploads_bytes - 1_000_000,
            key="k" * 43,
        )
        session.add(other)
        session.flush()
        assert announced_bytes(session, other.id) == 0

    problem = _no_room(site.context, request(site, upload_id), large_app.stat().st_size)

    assert problem.endswith("there is room for 1000000 only.")


def test_a_relay_without_room_for_the_store_still_gives_what_devices_sent(
    site: Site, large_app: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    phone = site.phone()
    upload_id = ask(site, unknown_app(site, phone, large_app))

    def full(*_: object) -> None:
        raise UnavailableError("The communication server answered with 507.")

    monkeypatch.setattr(visit, "bring_files", full)
    visit_all(site.context)
    site.meet(phone, times=3)

    assert request(site, upload_id).state == "done"


def test_what_lies_with_the_relay_cannot_be_read_and_not_be_changed(site: Site) -> None:
    phone = site.phone()
    sha256 = unknown_app(site, phone, real_apk())
    upload_id = ask(site, sha256)
    visit_all(site.context)
    phone.check_in()
    part = site.relay.folder / "uploads" / str(upload_id) / "00000"
    body = bytearray(part.read_bytes())
    body[50] ^= 1
    part.write_bytes(body)

    site.meet(phone, times=3)

    assert b"classes.dex" not in body
    row = request(site, upload_id)
    assert (row.state, row.detail) == ("failed", "Part 0 is not what the device sent.")
    with site.reading() as session:
        assert not queries.get_known(session, sha256).stored


def test_personal_devices_are_not_asked_unless_the_settings_say_so(site: Site) -> None:
    phone = SimulatedDevice(site.folder / "own", wait=lambda seconds: visit_all(site.context))
    own = DeviceDescription(platform="android", model="Own", ownership="personal")
    phone.enrol(site.qr(), own)
    site.meet(phone)
    sha256 = unknown_app(site, phone, real_apk())
    with pytest.raises(RefusedError, match="belong to their users"):
        ask(site, sha256)

    with site.context.database.transaction("test") as session:
        collecting.save_settings(session, site.context.keys, True, True, "keeper", "", utc_now())
    first = ask(site, sha256)
    visit_all(site.context)
    site.meet(phone, times=3)
    phone.share_apps(True)
    second = ask(site, sha256)
    visit_all(site.context)
    site.meet(phone, times=3)

    assert request(site, first).state == "refused"
    assert "owner" in request(site, first).detail
    assert request(site, second).state == "done"


def test_a_device_that_sends_another_file_is_found_out(site: Site, large_app: Path) -> None:
    phone = site.phone()
    sha256 = unknown_app(site, phone, real_apk())
    phone.keep_file(sha256, large_app)
    upload_id = ask(site, sha256)
    visit_all(site.context)

    site.meet(phone, times=3)

    row = request(site, upload_id)
    assert row.state == "failed" and "another file" in row.detail
    folder = site.context.settings.home / "uploads"
    assert list(folder.iterdir()) == []
