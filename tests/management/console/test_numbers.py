"""Every number leads to the list of exactly what it counts; the list says how many it holds."""

import re
from dataclasses import replace
from datetime import timedelta
from html import unescape
from uuid import UUID, uuid4

import pytest
from flask import Flask
from sqlalchemy import select

from management.access import Role
from management.canary import queries as canaries
from management.compliance.service import rejudge
from management.context import Context
from management.devices.models import Device
from management.devices.rules import Fact, FactKind
from management.devices.service import record_facts
from management.dry_run import queries as dry_runs
from management.dry_run.queries import Wanted
from management.dry_run.service import try_policy
from management.groups.models import ROOT_GROUP
from management.groups.service import create_group
from management.listing.rules import Count
from management.mail_access import listing
from management.mail_access.models import Connector, MailWipe, Partnership
from management.policies.service import ensure_default_policy
from runtime.clock import utc_now
from tests.management.clients import ConsoleClient, api_client
from tests.management.fleet import Fleet, fill
from tests.management.scoped import limited_browser
from tests.management.test_canary import settle, started
from tests.management.test_dry_run import ASKED, finished, fleet, mail_of

COUNTS = re.compile(r'<a [^>]*href="([^"]*)"[^>]* data-sk-count="(\d+)">')
LISTED = re.compile(r'id="sk-count">([\d,]+)')
MORE = re.compile(r'id="sk-more">.*?href="([^"]*)"', re.DOTALL)
ROWS = re.compile(r'<tbody[^>]*class="sk-rows">(.*?)</tbody>', re.DOTALL)
FIRST = re.compile(r"<tr>\s*<td>(?!</td>)[^\n]*?<a class=\"fw-bold\" href=\"([^\"]*)\"")


def numbers(page: str) -> list[tuple[str, int]]:
    """Return the links of a page's numbers, and the numbers."""
    return [(unescape(href), int(count)) for href, count in COUNTS.findall(page)]


def listed(console: ConsoleClient, path: str) -> tuple[int, int]:
    """Return how many things a list says that it holds, and how many its pages show."""
    page = console.get(path).text
    said = LISTED.search(page)
    assert said, path
    body = ROWS.search(page)
    found = FIRST.findall(body[1]) if body else []
    while more := MORE.search(page):
        page = console.get(unescape(more[1]), headers={"HX-Request": "true"}).text
        found += FIRST.findall(page)
    assert len(found) == len(set(found)), path
    return int(said[1].replace(",", "")), len(found)


def check(console: ConsoleClient, path: str) -> dict[str, int]:
    """Follow every number of a page: each list says and shows just so many."""
    found = numbers(console.get(path).text)
    for href, count in found:
        assert listed(console, href) == (count, count), (path, href)
    return dict(found)


def of_every_kind(context: Context) -> UUID:
    """Make phones that each number of mail access counts, some of them gone; return a connector."""
    now = utc_now()
    with context.database.transaction("phones") as session:
        rows = list(session.scalars(select(Partnership).order_by(Partnership.id)))
        assert len(rows) > 11
        rows[0].wanted, rows[0].open_doors = "block", "activesync ews imap"
        rows[1].wanted, rows[1].applied = "block", "block"
        rows[2].wanted, rows[2].applied_error = "block", "No such mailbox."
        for row in rows[3:6]:
            row.held_at = now
        rows[5].gone_at = now
        rows[6].exception, rows[6].exception_until = "allow", now + timedelta(days=1)
        rows[7].exception, rows[7].gone_at = "allow", now
        rows[8].wanted, rows[8].next_due_at = "allow", now + timedelta(hours=2)
        rows[9].overridden_at, rows[9].match = now, "unsure"
        rows[10].applied, rows[10].wanted = "block", "allow"
        for row in (rows[3], rows[11]):
            wipe = MailWipe(
                id=uuid4(), partnership_id=row.id, account_only=True, state="queued",
                requested_by="keeper", reason="lost", queued_at=now, changed_at=now,
                expires_at=now + timedelta(days=1), detail="",
            )  # fmt: skip
            session.add(wipe)
        connector = session.scalars(select(Connector)).first()
        assert connector is not None
        connector.disabled_at = now
        return connector.id


@pytest.fixture
def phones(context: Context) -> Fleet:
    return fill(context, utc_now(), 70)


def test_every_number_of_mail_access_leads_to_its_list(
    console: ConsoleClient, context: Context, phones: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    connector = of_every_kind(context)
    monkeypatch.setattr(listing, "STRETCH", 7)  # pages that hold fewer than asked for, or none
    found = check(console, "/mail-access")
    assert {path: found[f"/mail-access?{path}"] for path in (
        "only=held", "only=exception", "only=grace", "only=overridden", "only=failed", "only=doors",
    )} == {
        "only=held": 2, "only=exception": 1, "only=grace": 1, "only=overridden": 1,
        "only=failed": 1, "only=doors": 1,
    }  # fmt: skip
    assert found["/mail-access?wanted=block"] >= 3
    assert min(check(console, "/mail-access/connectors").values()) > 0
    hanging = check(console, f"/mail-access/connectors/{connector}/delete")
    home = f"/mail-access?connector={connector}"
    assert (
        hanging[f"{home}&only=exception&gone=yes"] == hanging[f"{home}&only=wiping&gone=yes"] == 2
    )
    assert hanging[f"{home}&only=done_block"] >= 2


def test_the_api_lists_phones_by_the_same_filters(
    app: Flask, console: ConsoleClient, context: Context, phones: Fleet
) -> None:
    connector = of_every_kind(context)
    program = api_client(app, context, "robot", Role.OWNER)
    for asked in (
        {"only": "not_done"}, {"only": "done_block"}, {"only": "wiping"}, {"match": "unsure"},
        {"only": "exception", "connector": str(connector), "gone": "yes"},
    ):  # fmt: skip
        names = {"connector": "connector_id", "gone": "with_gone"}
        said = {names.get(k, k): "true" if v == "yes" else v for k, v in asked.items()}
        answer = program.get("/api/v1/mail-access/partnerships", query_string=said | {"limit": 200})
        query = "&".join(f"{name}={value}" for name, value in asked.items())
        assert answer.json, answer.text
        assert len(answer.json["items"]) == listed(console, f"/mail-access?{query}")[0] > 0, asked


def test_numbers_say_at_least_where_nobody_counts_on(
    console: ConsoleClient, context: Context, phones: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_every_kind(context)
    monkeypatch.setattr(listing, "LOOKED", 1)
    page = console.get("/mail-access").text
    assert re.search(r'only=failed"[^>]*>0\+</a>', page)
    assert re.search(r'only=held"[^>]*>2</a>', page)  # an index leads to them
    assert "at least: more filters make it exact" in console.get("/mail-access?only=failed").text


def test_where_not_all_are_counted_the_newest_are(
    context: Context, phones: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_every_kind(context)
    monkeypatch.setattr(listing, "LOOKED", 1)
    with context.database.transaction("the newest fails") as session:
        newest = session.scalars(select(Partnership).order_by(Partnership.id.desc())).first()
        assert newest is not None
        newest.gone_at, newest.match = None, "unsure"
    with context.database.reading() as session:
        assert listing.count(session, listing.Filter(match="unsure")) == Count(1, more=True)


def test_a_limited_administrators_numbers_lead_to_what_they_see(
    app: Flask, console: ConsoleClient, context: Context, phones: Fleet
) -> None:
    of_every_kind(context)
    with context.database.transaction("two groups") as session:
        group = create_group(session, "half", ROOT_GROUP).id
        rows = session.scalars(select(Partnership).order_by(Partnership.id)).all()
        for row, device in zip(rows, phones.devices, strict=False):
            row.device_id, row.match = device, "sure"
        for device in phones.devices[::2]:
            session.get_one(Device, device).group_id = group
    limited = limited_browser(app, context, [group])
    mine, all_of_them = check(limited, "/mail-access"), check(console, "/mail-access")
    assert mine["/mail-access?only=held"] == 1 < all_of_them["/mail-access?only=held"]
    assert 0 < mine["/mail-access?wanted=block"] < all_of_them["/mail-access?wanted=block"]


def test_every_number_of_a_dry_run_leads_to_the_devices_that_it_counts(
    console: ConsoleClient, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids, now = fleet(context, 24), utc_now()
    mail_of(context, ids[:7])
    with context.database.transaction("some are bad already") as session:
        for device in ids[3:13:3]:  # they have USB debugging on, too
            record_facts(session, device, {FactKind.ROOTED: Fact(True, "agent", now)}, now)

        rejudge(session, ids, now)
        policy = ensure_default_policy(session, now)
        asked = replace(ASKED, no_developer_options=True)
        run = try_policy(session, policy.id, asked, "keeper", now).id
    finished(context, run)
    monkeypatch.setattr(dry_runs, "STRETCH", 5)

    found = check(console, f"/dry-runs/{run}")
    kinds = {name for href in found for name in re.findall(r"[?&](\w+)=", href)}
    assert kinds >= {"before", "becomes", "loses", "rule"}
    assert found[f"/dry-runs/{run}?rule=no_usb_debugging#devices"] == 8
    worse = f"/dry-runs/{run}?before=-non_compliant&becomes=non_compliant#devices"
    assert 0 < found[worse] < found[f"/dry-runs/{run}#devices"]
    same = f"/dry-runs/{run}?before=non_compliant&becomes=non_compliant#devices"
    assert found[same] > 0
    assert check(console, "/dry-runs")
    page = console.get(f"/dry-runs/{run}").text
    assert re.search(r"as of <time datetime=", page)

    with context.database.transaction("time goes on") as session:
        for device in ids:
            said = {FactKind.USB_DEBUGGING: Fact(False, "agent", utc_now())}
            record_facts(session, device, said, utc_now())
        rejudge(session, ids, utc_now())
    assert check(console, f"/dry-runs/{run}") == found  # the set is that of then


def test_a_dry_run_finds_by_rule_what_is_not_a_pattern(context: Context) -> None:
    ids = fleet(context, 3)
    with context.database.transaction("a run") as session:
        policy = ensure_default_policy(session, utc_now())
        run = try_policy(session, policy.id, ASKED, "keeper", utc_now()).id
    finished(context, run)
    with context.database.reading() as session:
        ways = ("no_usb_debugging", "no?usb_debugging", "no%", "usb_debugging", "")
        found = [len(dry_runs.look(session, run, Wanted(rule=way))[0]) for way in ways]
    assert len(ids) == 3
    assert found == [1, 0, 0, 0, 1]


def test_every_number_of_a_trial_leads_to_its_devices(
    app: Flask, console: ConsoleClient, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids, now = fleet(context, 60), utc_now()
    with context.database.transaction("some are bad, and mend") as session:
        for device in ids[1:20:3]:
            record_facts(session, device, {FactKind.ROOTED: Fact(True, "agent", now)}, now)
    settle(context)
    canary = started(context)
    with context.database.transaction("mended") as session:
        for device in ids[1:20:3]:
            said = {FactKind.ROOTED: Fact(False, "agent", utc_now())}
            record_facts(session, device, said, utc_now())
        some = session.scalars(select(Device).where(Device.policy_id == canary.trial_id).limit(3))
        for one in some:
            one.ordered_policy = f"{canary.trial_id}/1"
    settle(context)
    monkeypatch.setattr(canaries, "STRETCH", 4)

    path = f"/trials/{canary.id}"
    found = check(console, path)
    kinds = {kind: found[f"{path}?of={kind}#devices"] for kind in ("worse", "mended", "ordered")}
    assert all(0 < number < found[f"{path}?of=devices#devices"] for number in kinds.values())
    assert kinds["ordered"] == 3
    program = api_client(app, context, "robot", Role.OWNER)
    answer = program.get(f"/api/v1/trials/{canary.id}").json
    assert answer
    for kind, number in kinds.items():
        items: list[object] = []
        after: str | None = ""
        while after is not None:
            page = program.get(f"/api/v1{path}/devices?of={kind}&limit=2&after={after}").json
            assert page is not None
            items, after = items + page["items"], page["next"]
        assert len(items) == number == answer[kind]
    assert console.get(f"{path}?of=nothing").status_code == 404
