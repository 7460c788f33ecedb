"""The app store in the console: what may be published, to whom, and what is withdrawn."""

import io
from uuid import UUID, uuid4

import pytest
from flask import Flask

from management.access import Role
from management.apps.models import App
from management.context import Context
from management.policies.models import ROOT_GROUP
from management.store import queries, work
from management.store.rules import Kind, Offer, offer_for, read_link
from tests.management.clients import ConsoleClient, signed_in_client
from tests.management.test_apps import bad_archive, ready, scan, store
from tests.scanner.corpus import real_apk
from tests.scanner.test_apps_inside import HONEST, a_set, signed, split_of

__all__ = ["ready"]
TARGETS = {f"group-{ROOT_GROUP}": "required"}


def published(context: Context) -> list[queries.Listed]:
    with context.database.reading() as session:
        return [queries.read_entry(session, one.id) for one in queries.list_entries(session)]


def scanned(context: Context, body: bytes) -> str:
    sha256 = store(context, body)
    scan(context, sha256)
    return sha256


@pytest.fixture
def real(ready: Context) -> str:
    return scanned(ready, real_apk().read_bytes())


def test_a_scanned_app_is_published_to_a_group(
    ready: Context, console: ConsoleClient, real: str
) -> None:
    assert "Category" in console.get(f"/store/publish/{real}").text

    answer = console.post(f"/store/publish/{real}", data={"category": "Tools", **TARGETS})

    assert answer.status_code == 303
    (one,) = published(ready)
    assert (one.entry.category, one.entry.package) == ("Tools", "com.github.uiautomator")
    assert [(group.id, required) for group, required in one.targets] == [(ROOT_GROUP, True)]
    assert one.current is not None and one.current.sha256 == real
    for path in ("/store/", answer.location):
        assert "com.github.uiautomator" in console.get(path).text
    with ready.database.reading() as session:
        assert session.get_one(App, real).published


@pytest.mark.parametrize("scan_first", [True, False], ids=["bad", "not_scanned"])
def test_what_is_bad_or_unknown_is_not_published(
    ready: Context, console: ConsoleClient, scan_first: bool
) -> None:
    sha256 = store(ready, bad_archive())
    if scan_first:
        scan(ready, sha256)

    answer = console.post(f"/store/publish/{sha256}", data=TARGETS)

    assert answer.status_code == 409
    assert published(ready) == []


def test_what_the_store_offers_is_not_deleted(
    ready: Context, console: ConsoleClient, real: str
) -> None:
    console.post(f"/store/publish/{real}", data=TARGETS)

    assert console.post(f"/apps/{real}/delete").status_code == 409

    (one,) = published(ready)
    console.post(f"/store/{one.entry.id}/withdraw", data={"because": "old"})
    assert console.post(f"/apps/{real}/delete").status_code == 303


def test_what_a_device_reports_is_no_scan_that_lets_an_app_be_published(
    ready: Context, console: ConsoleClient
) -> None:
    sha256 = store(ready, real_apk().read_bytes())
    with ready.database.transaction("test") as session:
        app = session.get_one(App, sha256)
        app.package, app.signer_sha256 = "org.example.app", "a" * 64
        app.verdict, app.basis = "unwanted", "report"

    assert console.post(f"/store/publish/{sha256}", data=TARGETS).status_code == 409
    assert published(ready) == []


@pytest.mark.parametrize("verdict", ["malicious", "suspicious", "unscannable"])
def test_an_app_that_turns_bad_is_withdrawn_by_itself(
    ready: Context, console: ConsoleClient, real: str, verdict: str
) -> None:
    console.post(f"/store/publish/{real}", data=TARGETS)
    with ready.database.transaction("test") as session:
        session.get_one(App, real).verdict = verdict

    work.spread(ready, {}, print)

    assert published(ready) == []
    assert "Withdrawn" not in console.get("/store/").text


def test_withdrawing_wants_a_reason_and_happens_once(
    ready: Context, console: ConsoleClient, real: str
) -> None:
    console.post(f"/store/publish/{real}", data=TARGETS)
    (one,) = published(ready)
    page = f"/store/{one.entry.id}/withdraw"

    assert console.post(page, data={"because": " "}).status_code == 409
    assert console.post(page, data={"because": "old"}).status_code == 303
    assert console.post(page, data={"because": "old"}).status_code == 409
    with ready.database.reading() as session:
        assert not session.get_one(App, real).published


def test_links_lead_to_the_two_stores_only(ready: Context, console: ConsoleClient) -> None:
    form = {"name": "Mail", **TARGETS}
    good = {**form, "link": "https://play.google.com/store/apps/details?id=org.example.mail"}

    assert console.post("/store/links", data=good).status_code == 303
    assert console.post("/store/links", data=good).status_code == 409
    bad = {**form, "link": "https://play.google.com.evil.example/store/apps/details?id=a.b"}
    assert console.post("/store/links", data=bad).status_code == 409
    assert [one.entry.kind for one in published(ready)] == ["google_play"]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("org.example.mail", (Kind.GOOGLE_PLAY, "org.example.mail")),
        ("324684580", (Kind.APP_STORE, "324684580")),
        ("https://apps.apple.com/jp/app/name/id324684580", (Kind.APP_STORE, "324684580")),
        ("https://apps.apple.com/jp/app/name/id324684580/../x", None),
        ("http://play.google.com/store/apps/details?id=a.b", None),
        ("https://play.google.com:8443/store/apps/details?id=a.b", None),
        ("https://user@play.google.com/store/apps/details?id=a.b", None),
        ("https://play.google.com/store/apps/details?id=<script>", None),
        ("javascript:alert(1)", None),
        ("https://[", None),
        ("https://play.google.com:99999/store/apps/details?id=a.b", None),
        ("", None),
    ],
    ids=[str(number) for number in range(12)],
)
def test_only_addresses_of_the_stores_are_links(text: str, wanted: tuple[Kind, str] | None) -> None:
    assert read_link(text) == wanted


def offer(targets: dict[UUID, bool], kind: Kind = Kind.APK) -> Offer:
    return Offer(
        kind=kind,
        package="org.example",
        name="Example",
        category="",
        targets=targets,
        sha256="a" * 64,
        version="1",
        size_bytes=1,
    )


def test_the_nearest_group_says_whether_an_app_is_required() -> None:
    near, far, other = uuid4(), uuid4(), uuid4()
    offers = [offer({near: False, far: True}), offer({far: True}), offer({other: True})]

    found = offer_for(offers, [near, far], "android")

    assert [app.required for app in found.apps] == [False, True]
    assert offer_for(offers, [near, far], "ios").apps == ()


def test_links_go_to_the_phones_that_can_follow_them() -> None:
    here = uuid4()
    offers = [offer({here: False}, Kind.GOOGLE_PLAY), offer({here: False}, Kind.APP_STORE)]

    assert [one.store for one in offer_for(offers, [here], "android").links] == ["google_play"]
    assert [one.store for one in offer_for(offers, [here], "ios").links] == ["app_store"]


def test_operators_may_look_at_the_store_only(ready: Context, app: Flask, real: str) -> None:
    operator = signed_in_client(app, ready, "operator", Role.OPERATOR)

    assert operator.get("/store/").status_code == 200
    assert operator.post(f"/store/publish/{real}", data=TARGETS).status_code == 403
    assert operator.post("/store/links").status_code == 403
    assert operator.post("/apps/from-devices/settings").status_code == 403


def test_a_set_of_split_packages_is_judged_but_not_offered(
    ready: Context, console: ConsoleClient
) -> None:
    honest = a_set(signed(HONEST), de=signed(split_of(HONEST, "config.de")))
    answer = console.post("/apps/upload", data={"file": (io.BytesIO(honest), "app.xapk")})
    sha256 = answer.location.rpartition("/")[2]
    scan(ready, sha256)

    page = console.get(f"/apps/{sha256}").text
    assert "base.apk, de.apk" in page
    with ready.database.reading() as session:
        assert session.get_one(App, sha256).verdict == "clean"
    assert "set of split packages" in console.get(f"/store/publish/{sha256}").text
    refused = console.post(f"/store/publish/{sha256}", data=TARGETS)
    assert refused.status_code == 409
    assert published(ready) == []
