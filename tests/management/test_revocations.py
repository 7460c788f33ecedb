"""The list of revoked attestation keys comes with the updates, from a real source over HTTP."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from flask import Flask
from flask_babel import force_locale
from sqlalchemy import select

from agents.simulator.attesting import Hardware, ensure_root
from contracts import keys
from contracts.agent import Digest
from management.access import Role
from management.attestation.from_source import take
from management.attestation.models import (
    AttestedCertificate,
    DeviceAttestation,
    RevocationList,
)
from management.attestation.queries import all_revoked
from management.audit.models import AuditEntry
from management.compliance.judgement import Rule
from management.compliance.queries import get_judgement
from management.context import Context
from management.devices.queries import get_facts
from management.devices.rules import FactKind
from management.handlers import find_handler
from management.policies.rules import Requirements
from management.policies.service import change_policy
from management.reasons import reason
from management.updates.queries import find_running
from management.work.models import Job
from runtime.clock import utc_now
from runtime.errors import MalformedMessageError, RefusedError
from tests.management.clients import ConsoleClient, api_client
from tests.management.phones import Office, office
from tests.management.test_attestation import ProvingPhone
from tests.updater import feed as feeds
from tests.updater.feed import Feed
from updater import publish as publishing
from updater.cli import update
from updater.limits import Limits
from updater.repository import read_lists
from updater.revocations import (
    TARGET,
    Revocations,
    next_issue,
    read_revoked,
    why_not_fewer,
    written,
)
from updater.trust import open_source

SERIALS = [f"{number:x}" for number in range(1000, 1020)]
Take = Callable[[], list[str]]


@pytest.fixture
def feed(tmp_path: Path) -> Iterator[Feed]:
    with feeds.running(tmp_path / "feed") as running:
        yield running


@pytest.fixture
def hardware(tmp_path: Path) -> Hardware:
    ensure_root(tmp_path / "root.pem")
    return Hardware(root_file=str(tmp_path / "root.pem"))


@pytest.fixture
def desk(context: Context, hardware: Hardware) -> Office:
    """A server that believes the simulated maker, with a policy that asks for proof."""
    trusting_it = replace(context.settings, attestation_roots=hardware.root_file)
    desk = office(replace(context, settings=trusting_it))
    with context.database.transaction("ask for proof") as session:
        asked = Requirements(attested=True)
        change_policy(session, desk.policy_id, asked, {}, "keeper", "proof", utc_now())
    return desk


@pytest.fixture
def look(context: Context, feed: Feed) -> Take:
    """Return what looks at the source once, does what follows and returns what was said."""

    def look() -> list[str]:
        said: list[str] = []
        cache = context.settings.home / "updates"
        with open_source(feed.url, feed.root, cache, Limits()) as source:
            source.refresh()
            take(context, source, feed.url, said.append)
        with context.database.reading() as session:
            waiting = session.scalars(select(Job).where(Job.kind == "attestation.take_back")).all()
        for job in waiting:
            find_handler(job.kind)(context, job.payload, said.append)
        return said

    return look


def _publish(feed: Feed, serials: list[str], may_be_fewer: bool = False) -> Revocations:
    file = _file(feed, serials)
    return publishing.publish_revocations(feed.repository, file, may_be_fewer, utc_now())


def _file(feed: Feed, serials: list[str]) -> Path:
    path = feed.folder / "status.json"
    path.write_text(json.dumps({"entries": {one: {"status": "REVOKED"} for one in serials}}))
    return path


def _serials(context: Context, phone: ProvingPhone, of_key: bool) -> list[str]:
    with context.database.reading() as session:
        wanted = select(AttestedCertificate.serial).where(
            AttestedCertificate.device_id == phone.device_id,
            (AttestedCertificate.key_thumbprint != "") == of_key,
        )
        return list(session.scalars(wanted))


def _standing(context: Context, phone: ProvingPhone) -> tuple[dict[str, Any], bool]:
    """Return what the hardware is taken to have proved, and whether the policy is content."""
    with context.database.reading() as session:
        fact = get_facts(session, phone.device_id)[FactKind.ATTESTATION].value
        broken = {one.rule for one in get_judgement(session, phone.device_id).violations}
    return fact, Rule.ATTESTED not in broken


def _list(context: Context) -> RevocationList:
    with context.database.reading() as session:
        return session.get_one(RevocationList, 1)


def test_a_device_whose_key_is_on_the_list_by_now_is_judged_again(
    desk: Office, context: Context, hardware: Hardware, feed: Feed, look: Take
) -> None:
    phone, other = (ProvingPhone(desk).prove_and_enrol(hardware) for _ in range(2))
    for one in (phone, other):
        desk.take(one.report(one.good()))
    own = set(_serials(context, phone, True)) - set(_serials(context, other, True))
    _publish(feed, [*SERIALS, *own])
    assert _standing(context, phone) == ({"passed": True, "because": ""}, True)

    said = look()

    assert said[0].startswith("List 1 of revoked attestation keys is in use: 21 keys, 21 new")
    assert said[1:] == ["Took back the proofs of 1 devices."]
    fact, is_content = _standing(context, phone)
    assert (fact["passed"], is_content) == (False, False)
    assert fact["because"] == f"a key of the chain was revoked (serial number {own.pop()})"
    assert _standing(context, other) == ({"passed": True, "because": ""}, True)
    with context.database.reading() as session:
        assert session.get_one(DeviceAttestation, phone.device_id).key_thumbprint == ""
        (entry,) = session.scalars(
            select(AuditEntry).where(AuditEntry.action == "updates.revocations")
        )
        assert entry.details["new"] == 21
    assert look() == [], "what is here is not fetched again"


def test_an_answer_that_rested_on_it_is_asked_for_anew(
    desk: Office, context: Context, hardware: Hardware, feed: Feed, look: Take
) -> None:
    phone = ProvingPhone(desk).prove_and_enrol(hardware)
    later = utc_now() + timedelta(days=8)
    desk.take(phone.report(phone.good()), now=later)
    (challenge,) = phone.questions()
    desk.take(phone.report(phone.answers(challenge)), now=later)
    (own,) = set(_serials(context, phone, False)) - set(_serials(context, phone, True))
    _publish(feed, [own])

    look()

    assert _standing(context, phone)[0]["passed"] is False
    desk.take(phone.report(Digest()), now=later)
    (_, again) = phone.questions()
    desk.take(phone.report(phone.answers(again)), now=later)
    assert _standing(context, phone) == ({"passed": True, "because": ""}, True)


@pytest.mark.parametrize("switched", [False, True])
@pytest.mark.parametrize("revoked", ["key", "renewal"])
def test_the_key_that_signs_counts_whether_or_not_another_was_asked_for(
    desk: Office,
    context: Context,
    hardware: Hardware,
    feed: Feed,
    look: Take,
    switched: bool,
    revoked: str,
) -> None:
    """A device must not shake off a revocation by asking for a renewal that it never uses."""
    phone = ProvingPhone(desk).prove_and_enrol(hardware)
    fresh, box = keys.new_key(), keys.new_key()
    desk.take(phone.report(phone.renewal(fresh, box)))
    with context.database.reading() as session:
        row = session.get_one(DeviceAttestation, phone.device_id)
        wanted = row.key_thumbprint if revoked == "key" else row.next_thumbprint
        rows = session.scalars(
            select(AttestedCertificate).where(AttestedCertificate.device_id == phone.device_id)
        ).all()
        of_both = [one.serial for one in rows]
        (own,) = {
            one.serial
            for one in rows
            if one.key_thumbprint == wanted and of_both.count(one.serial) == 1
        }
    if switched:
        phone.signing_key = fresh
        desk.take(phone.report(Digest()))
        phone.encryption_key = box
    _publish(feed, [own])

    look()
    desk.take(phone.report(phone.good()))

    assert _standing(context, phone)[0]["passed"] is (switched == (revoked == "key"))
    with context.database.reading() as session:
        row = session.get_one(DeviceAttestation, phone.device_id)
        assert row.next_thumbprint == "" or revoked == "key"


def test_the_list_counts_from_the_next_proof_on(
    desk: Office, context: Context, hardware: Hardware, feed: Feed, look: Take
) -> None:
    _, root = ensure_root(Path(hardware.root_file))
    _publish(feed, [f"{root.serial_number:x}"])
    look()

    phone = ProvingPhone(desk).prove_and_enrol(hardware)

    with context.database.reading() as session:
        fact = get_facts(session, phone.device_id)[FactKind.ATTESTATION].value
    assert fact["because"].startswith("a key of the chain was revoked")
    assert _serials(context, phone, True) == []


def test_an_older_list_is_refused_and_the_one_in_use_stays(
    context: Context, feed: Feed, look: Take
) -> None:
    _publish(feed, SERIALS)
    _publish(feed, [*SERIALS, "abc"])
    look()
    _publish_as(feed, replace(_said(feed), issue=1), SERIALS)
    said = look()

    assert "List of revoked attestation keys not taken: The source offers list 1 of " in said[0]
    assert "list 2 of " in said[0]
    assert _known(context) == {*SERIALS, "abc"}
    row = _list(context)
    assert (row.issue, row.offered) == (2, 1)
    assert row.problem in said[0]


def _said(feed: Feed) -> Revocations:
    with open_source(feed.url, feed.root, feed.folder / "look", Limits()) as source:
        source.refresh()
        offer = source.revocations()
    assert offer is not None
    return offer.said


def _publish_as(feed: Feed, said: Revocations, serials: list[str]) -> None:
    """Sign what an honest publisher never would."""
    lists = read_lists(feed.repository)
    custom = written(said)
    publishing._add(feed.repository, lists, TARGET, _file(feed, serials), custom, utc_now())


def _known(context: Context) -> frozenset[str]:
    with context.database.reading() as session:
        return all_revoked(session)


def test_a_list_that_takes_back_many_is_only_taken_when_its_publisher_means_it(
    context: Context, feed: Feed, look: Take
) -> None:
    _publish(feed, SERIALS)
    look()
    with pytest.raises(RefusedError, match="takes back 3 of the 20 keys"):
        _publish(feed, SERIALS[3:])
    _publish_as(feed, replace(_said(feed), issue=2, keys=17, published_at=utc_now()), SERIALS[3:])
    refused = look()
    _publish(feed, SERIALS[3:], may_be_fewer=True)
    _publish(feed, [*SERIALS[3:], "abc"])  # a server that slept through the one before takes it too
    taken = look()

    assert "takes back 3 of the 20 keys" in refused[0]
    assert "--fewer-revoked" in refused[0]
    assert "18 keys, 1 new, 3 taken back" in taken[0]
    assert _known(context) == {*SERIALS[3:], "abc"}
    assert _list(context).problem == ""


@pytest.mark.parametrize(
    ("changed", "because"),
    [
        ({"keys": 5}, "It names 20 keys, and the source says 5."),
        ({"published_at": utc_now() + timedelta(days=400)}, "which is not yet"),
    ],
    ids=["count", "future"],
)
def test_what_a_list_says_of_itself_must_be_so(
    context: Context, feed: Feed, look: Take, changed: dict[str, Any], because: str
) -> None:
    said = Revocations(issue=1, published_at=utc_now(), keys=20)
    _publish_as(feed, replace(said, **changed), SERIALS)

    assert because in look()[0]
    assert _known(context) == frozenset()


def test_a_file_that_is_not_the_signed_one_changes_nothing(
    context: Context, feed: Feed, look: Take
) -> None:
    _publish(feed, SERIALS)
    feed.misbehave("status.json", feeds.tampered)

    assert look()[0].startswith("List of revoked attestation keys not taken: ")
    assert _known(context) == frozenset()
    feed.behave()
    look()
    assert _known(context) == set(SERIALS)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"entries": 5}',
        '{"entries": {"x": {}}}',
        '{"entries": {"000": {}}}',
        "[" * 99_999,
    ],
    ids=["empty", "list", "number", "word", "zero", "deep"],
)
def test_what_is_no_list_is_not_published(feed: Feed, text: str) -> None:
    path = feed.folder / "status.json"
    path.write_text(text)

    with pytest.raises(MalformedMessageError, match=r"no list of revoked|no serial number"):
        publishing.publish_revocations(feed.repository, path, False, utc_now())


def test_a_list_is_published_on_the_command_line(feed: Feed) -> None:
    path = feed.folder / "status.json"
    path.write_text('{"entries": {"00ABcd": {"status": "SUSPENDED"}}}')
    words = ["publish", str(feed.repository.folder), "--keys", str(feed.folder / "keys")]

    first = CliRunner().invoke(update, [*words, "--revoked", str(path)], catch_exceptions=False)
    shown = CliRunner().invoke(update, ["show", str(feed.repository.folder)])

    assert "Published list 1 of revoked attestation keys (1)." in first.output
    assert "attestation/status.json" in shown.output
    assert "issue 1, 1 keys" in shown.output


def test_the_rules_of_fewer_and_of_numbers() -> None:
    before = frozenset(SERIALS)
    assert why_not_fewer(before, before | {"abc"}) == ""
    assert why_not_fewer(before, frozenset(SERIALS[2:])) == ""
    assert why_not_fewer(before, frozenset()) != ""
    assert why_not_fewer(frozenset(), frozenset()) == ""
    now = utc_now()
    meant = next_issue(next_issue(None, 5, False, now), 1, True, now)
    later = next_issue(meant, 2, False, now)
    assert (meant.fewer_at, later.issue, later.fewer_at) == (2, 3, 2)
    assert later.may_be_fewer(1) and not later.may_be_fewer(2)
    assert read_revoked(b'{"entries": {"00ABcd": {}, "12": {}}}', "it") == {"abcd", "12"}


def test_page_and_api_show_the_list_with_its_number_and_time(
    console: ConsoleClient, app: Flask, context: Context, feed: Feed
) -> None:
    api = api_client(app, context, "program", Role.READ_ONLY)
    _publish(feed, SERIALS)
    form = {"address": feed.url, "root": feed.root.decode()}
    assert console.post("/updates/source", data=form).status_code == 302

    def update() -> tuple[str, dict[str, Any]]:
        assert console.post("/updates/run").status_code == 302
        with context.database.reading() as session:
            run = find_running(session)
        assert run is not None
        find_handler("updates.run")(context, {"run_id": str(run.id)}, lambda said: None)
        components = api.get("/api/v1/updates").get_json()["components"]
        return console.get("/updates/").text, {one["kind"]: one for one in components}

    page, components = update()
    feed.misbehave("status.json", feeds.tampered)
    _publish(feed, [*SERIALS, "abc"])
    refused, after = update()

    assert "Revoked attestation keys" in page
    assert "20 keys" in page
    assert (components["revoked_keys"]["version"], components["revoked_keys"]["size"]) == ("1", 20)
    assert components["revoked_keys"]["since"] is not None
    assert components["revoked_keys"]["source"] == feed.url
    assert components["release"]["version"] == ""
    assert "Version 2 of the source is not in use" in refused
    assert (after["revoked_keys"]["version"], after["revoked_keys"]["offered"]) == ("1", "2")
    assert after["revoked_keys"]["problem"]


@pytest.mark.parametrize("language", ["ja"])
def test_what_is_said_of_a_list_is_said_in_japanese(app: Flask, language: str) -> None:
    at = "2026-11-22 03:04 UTC"
    sentences = (
        "List 2 of revoked attestation keys is in use: 20 keys, 1 new, 3 taken back.",
        "List of revoked attestation keys not taken: It has 9 bytes, more than 8.",
        "It takes back 3 of the 20 keys of the list before it. Its publisher does not say that "
        "this is meant, so the list before it stays in use. If it is meant, publish it with "
        "--fewer-revoked.",
        f"It says that it was published on {at}, which is not yet. Check the publisher's clock "
        "and this server's.",
        f"The source offers list 1 of {at}; list 2 of {at} is in use and younger. Publish the "
        "list again.",
        "It names 20 keys, and the source says 5. Publish it again.",
        "The list names more than 200000 keys.",
        "The list names 'x', which is no serial number.",
        'The list is no list of revoked attestation keys ({"entries": {...}}).',
    )
    with app.test_request_context(), force_locale(language):
        for sentence in sentences:
            assert reason(sentence) != sentence
