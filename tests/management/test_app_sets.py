"""Devices report the base package of a set, to which its verdict is joined; old claims go."""

import hashlib
from uuid import UUID

import pytest
from sqlalchemy import select

from contracts.agent import Apps, InstalledApp
from management.apps import queries, service, work
from management.apps.models import AppClaim
from management.apps.rules import Approved
from management.context import Context
from management.devices.models import Device
from tests.management.fleets import START
from tests.management.test_apps import bad_apps, ready, scan, store
from tests.management.test_apps_hunt import approve, bank, holder, recheck
from tests.scanner.sign_apk import key
from tests.scanner.test_apps_inside import BASE, HONEST, REST, SPY, a_set, signed, split_of

__all__ = ["ready"]
SIGNER = key("rsa2048", "one").sha256


def sha256_of(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def base(body: bytes = BASE, package: str = SPY.sample.package) -> InstalledApp:
    return InstalledApp(
        package=package, name="Courier", version="1", sha256=sha256_of(body), signer_sha256=SIGNER
    )


@pytest.mark.parametrize("first", ["device", "set"])
def test_what_is_said_of_a_set_is_said_of_the_base_that_devices_report(
    ready: Context, first: str
) -> None:
    device_id = holder(ready, base()) if first == "device" else None
    sha256 = store(ready, a_set(BASE, courier=REST), "app.apks")
    scan(ready, sha256)
    device_id = device_id or holder(ready, base())

    assert bad_apps(ready, device_id) == [("Courier", "suspicious", "sms_forwarder")]
    with ready.database.reading() as session:
        assert [one.id for one in queries.list_holders(session, sha256)] == [device_id]


def test_a_set_whose_packages_have_different_signers_says_nothing_of_its_base(
    ready: Context,
) -> None:
    whole = a_set(signed(HONEST), de=signed(split_of(HONEST, "config.de"), "two"))
    sha256 = store(ready, whole, "app.apks")
    scan(ready, sha256)

    device_id = holder(ready, base(signed(HONEST), HONEST.package))

    with ready.database.reading() as session:
        assert queries.get_known(session, sha256).verdict == "suspicious"
    assert bad_apps(ready, device_id) == []


def test_who_claims_another_signer_for_that_base_does_not_hold_the_set(ready: Context) -> None:
    scan(ready, store(ready, a_set(BASE, courier=REST), "app.apks"))
    other = InstalledApp(
        package=SPY.sample.package,
        name="Courier",
        version="1",
        sha256=sha256_of(BASE),
        signer_sha256="e" * 64,
    )

    assert bad_apps(ready, holder(ready, other)) == []


def test_who_answers_for_a_set_answers_for_its_base(ready: Context) -> None:
    device_id = holder(ready, base())
    sha256 = store(ready, a_set(BASE, courier=REST), "app.apks")
    scan(ready, sha256)

    approve(ready, sha256, Approved.HASH)
    recheck(ready)

    assert bad_apps(ready, device_id) == []


def says(context: Context, device_id: UUID, *apps: InstalledApp) -> None:
    with context.database.transaction("test") as session:
        device = session.get_one(Device, device_id)
        service.record_inventory(session, device, Apps(apps=apps), "agent", START, START)


def claims_of(context: Context) -> list[str]:
    with context.database.reading() as session:
        return sorted(row.signer_sha256[:1] for row in session.scalars(select(AppClaim)))


def test_what_no_device_says_any_more_is_forgotten(ready: Context) -> None:
    first, second = holder(ready, bank("a" * 64)), holder(ready, bank("b" * 64))
    third = holder(ready, bank("b" * 64))
    says(ready, first, bank("c" * 64))
    says(ready, second)
    before = claims_of(ready)

    work.forget_claims(ready, {}, print)
    kept = claims_of(ready)
    says(ready, third)
    work.forget_claims(ready, {}, print)

    assert (before, kept, claims_of(ready)) == (["a", "b", "c"], ["b", "c"], ["c"])


def test_forgotten_claims_are_judged_anew_when_they_are_made_again(ready: Context) -> None:
    device_id = holder(ready, bank("a" * 64))
    work.look_up(ready, {}, print)
    says(ready, device_id)
    work.forget_claims(ready, {}, print)

    says(ready, device_id, bank("a" * 64))
    work.look_up(ready, {}, print)

    with ready.database.reading() as session:
        (row,) = session.scalars(select(AppClaim))
    assert row.pattern_version != ""
