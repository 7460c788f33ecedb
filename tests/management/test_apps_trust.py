"""What a signer's name excuses, and what many do with the same apps at once."""

import random
import struct
import threading
import time
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import select, update

from contracts.agent import Apps, InstalledApp
from management.apps import approvals, queries, service, verdicts, work
from management.apps.models import App
from management.apps.rules import Approved
from management.context import Context
from management.devices.models import Device
from management.updates.queries import active_set
from runtime.clock import utc_now
from runtime.errors import RefusedError, UnavailableError
from scanner.zip_records import CENTRAL, END
from tests.management.test_apps import ready, scan, store
from tests.management.test_apps_hunt import approve, holder, known
from tests.scanner.build_apk import App as Built
from tests.scanner.build_apk import build_apk

__all__ = ["ready"]
CODE = b"dex\n035\0" + b"\0" * 248


def with_code_before(apk: bytes) -> bytes:
    """Put byte code in front of *apk* as CVE-2017-13156 does: every offset is set right."""
    moved = bytearray(apk)
    at = apk.find(CENTRAL)
    while at >= 0:
        struct.pack_into(
            "<I", moved, at + 42, struct.unpack_from("<I", apk, at + 42)[0] + len(CODE)
        )
        at = apk.find(CENTRAL, at + 4)
    end = apk.rindex(END)
    struct.pack_into("<I", moved, end + 16, struct.unpack_from("<I", apk, end + 16)[0] + len(CODE))
    return CODE + bytes(moved)


def test_an_approved_signer_excuses_no_file_with_code_before_the_archive(
    ready: Context, tmp_path: Path
) -> None:
    only_v1 = Built(schemes=frozenset({"v1"}), minimum_sdk=21, target_sdk=22)
    body = build_apk(tmp_path / "a.apk", only_v1).read_bytes()
    good, bad = store(ready, body), store(ready, with_code_before(body))
    scan(ready, good)
    scan(ready, bad)
    signer = known(ready, good).proven_signer
    approve(ready, good, Approved.SIGNER)

    app = known(ready, bad)
    with ready.database.reading() as session:
        excused = approvals.approved_hashes(session, {bad: app.proven_signer})

    assert signer
    assert (app.verdict, app.signer_sha256, app.misleading) == ("malicious", signer, True)
    assert excused == set()
    with pytest.raises(RefusedError, match="signer need not have seen all of it"):
        approve(ready, bad, Approved.SIGNER)
    approve(ready, bad, Approved.HASH)
    with ready.database.reading() as session:
        assert approvals.approved_hashes(session, {bad: app.proven_signer}) == {bad}


def test_a_file_that_somebody_changes_now_is_left_for_later(ready: Context) -> None:
    holder(ready, installed(1), installed(2))
    first, second = installed(1).sha256, installed(2).sha256

    with ready.database.transaction("test") as session:
        assert verdicts.lock_rows(session, [second, first, "f" * 64]) == {first, second}
        if session.get_bind().dialect.name == "postgresql":
            with ready.database.transaction("other") as other:
                assert verdicts.lock_rows(other, [first], skip_locked=True) == set()


def installed(number: int) -> InstalledApp:
    return InstalledApp(
        package=f"org.example.app{number}",
        name=f"App {number}",
        version="1",
        sha256=f"{number:064x}",
        signer_sha256="d" * 64,
    )


def repeated(act: Callable[[], None], problems: list[str]) -> None:
    """Do it until it does not give way to another, as all edges do."""
    for _ in range(200):
        try:
            act()
            return
        except UnavailableError:
            time.sleep(random.random() / 50)
    problems.append("It never got through.")


def test_hunts_and_check_ins_at_once_lose_nothing(ready: Context) -> None:
    apps = [installed(number) for number in range(30)]
    devices = [holder(ready, *apps) for _ in range(6)]
    work.look_up(ready, {}, print)
    problems: list[str] = []
    going_on = threading.Event()
    going_on.set()

    def check_ins(seed: int, mine: list[UUID]) -> None:
        choose = random.Random(seed)
        for _ in range(15):
            chosen = choose.sample(mine, 3)
            held = [choose.sample(apps, 15) for _ in chosen]
            repeated(lambda some=(chosen, held): report(ready, *some), problems)  # type: ignore[misc]

    def hunts() -> None:
        while going_on.is_set():
            repeated(lambda: forget(ready), problems)
            repeated(lambda: work.retro_hunt(ready, {}, lambda _: None), problems)

    hunter = threading.Thread(target=hunts)
    phones = [threading.Thread(target=check_ins, args=(n, devices[n::2])) for n in (0, 1)]
    for thread in (hunter, *phones):
        thread.start()
    for thread in phones:
        thread.join(300)
    going_on.clear()
    hunter.join(300)
    repeated(lambda: work.retro_hunt(ready, {}, lambda _: None), problems)

    assert problems == []
    assert not any(thread.is_alive() for thread in (hunter, *phones))
    with ready.database.reading() as session:
        counted = queries.count_holders(session, [app.sha256 for app in apps])
        rows = session.scalars(select(App)).all()
        version = active_set(session).version
    assert {row.sha256: row.devices for row in rows if row.devices} == counted
    assert {row.pattern_version for row in rows} == {version}


def report(context: Context, devices: list[UUID], held: list[list[InstalledApp]]) -> None:
    """Take the reports of some devices in one transaction, as a visit to a relay does."""
    with context.database.transaction("take reports") as session:
        for device_id, apps in zip(devices, held, strict=True):
            device = session.get_one(Device, device_id)
            now = utc_now()
            service.record_inventory(session, device, Apps(apps=tuple(apps)), "agent", now, now)


def forget(context: Context) -> None:
    """Make every app look as if an older set had judged it, one row after the other."""
    with context.database.reading() as session:
        hashes = session.scalars(select(App.sha256).order_by(App.sha256)).all()
    for sha256 in hashes:
        with context.database.transaction("forget") as session:
            session.execute(update(App).where(App.sha256 == sha256).values(pattern_version="1.0"))
