"""Each look at data of people and devices is in the audit trail before it is had (ADR 0050)."""

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from click.testing import CliRunner
from flask import Flask
from sqlalchemy import select
from werkzeug.routing import Rule

from management.access import Role
from management.allow_list.models import AllowedDevice
from management.app import create_app
from management.audit import looks, queries, service, waiting, work
from management.audit.looks import Looks
from management.audit.models import AuditEntry
from management.audit.rules import Looked
from management.canary.models import Canary, CanaryDevice
from management.compliance.cli import explain
from management.consequences.models import CarriedOut
from management.context import Context, open_context
from management.deleted.models import DeletedThing
from management.devices.models import DeviceJudgement
from management.directory.models import DirectoryAccount
from management.dry_run.models import DryRun, DryRunDevice
from management.keys import prepare
from management.personal import SHOWS
from management.settings import Settings
from management.signer_rules import Limits
from management.signer_server import running
from management.updates.service import install_shipped
from runtime.clock import utc_now
from runtime.errors import NotFoundError, RefusedError, UnavailableError
from tests.conftest import MakeUrl
from tests.management.clients import ConsoleClient, api_client, signed_in_client
from tests.management.scoped import Half, fill, limited_browser
from tests.management.test_scope import ANSWERS_AT_ONCE, arguments, routes

NAMES_ONE = {"device_id", "partnership_id", "invitation_id", "claim_id", "command_id", "wipe_id"}
"""Arguments of addresses that name one person's thing."""
BESIDE = re.compile(r"org\.\w+|\"reason\":\"\w+\"|(?:north|south)mark\d+(?: app| lost| came again)")
"""Of a test's half, what tells of nobody: its apps, and what somebody wrote as a reason."""
PERSONAL = re.compile(
    r"(?:north|south)mark(?:\d+(?: phone| person|@)?| guest| user|user|@)|@example\.org"
)


@dataclass
class Server:
    """One server for all these tests: they only look, and each begins an hour later."""

    app: Flask
    context: Context
    halves: tuple[Half, Half]
    console: ConsoleClient
    program: ConsoleClient
    began: int = 0

    def looked(self, subject: object = "") -> list[AuditEntry]:
        """Return the looks of this test, oldest first."""
        with self.context.database.reading() as session:
            found = queries.list_entries(
                session, subject=str(subject), limit=1000, looked=Looked.ONLY_LOOKS
            )
        return [one for one in reversed(found) if one.seq > self.began]


@pytest.fixture(scope="module")
def everything(
    tmp_path_factory: pytest.TempPathFactory, new_database_url: MakeUrl
) -> Iterator[Server]:
    home = tmp_path_factory.mktemp("looks") / "home"
    home.mkdir(mode=0o700)
    prepare(home / "keys", utc_now())
    url = new_database_url().render_as_string(hide_password=False)
    with running(home / "signer", Limits()):
        context = open_context(Settings(home=home, database_url=url, public_name="localhost"))
        halves = fill(context, 36, utc_now())
        app = create_app(context)
        app.test_client_class = ConsoleClient
        yield Server(
            app,
            context,
            halves,
            signed_in_client(app, context, "keeper", Role.OWNER),
            api_client(app, context, "program", Role.OWNER),
        )
        context.database.close()


@pytest.fixture(autouse=True)
def server(everything: Server) -> Server:
    """The server, and nothing noted in the last hour."""
    everything.app.extensions["sekisho-looks"] = Looks(everything.context)
    waiting.take_over(everything.context)
    everything.began = _end(everything.context)
    return everything


@pytest.fixture
def looked(server: Server) -> Callable[..., list[AuditEntry]]:
    return server.looked


@pytest.fixture
def app(server: Server) -> Flask:
    return server.app


@pytest.fixture
def context(server: Server) -> Context:
    return server.context


@pytest.fixture
def console(server: Server) -> ConsoleClient:
    return server.console


@pytest.fixture
def program(server: Server) -> ConsoleClient:
    return server.program


@pytest.fixture
def halves(server: Server) -> tuple[Half, Half]:
    return server.halves


@pytest.fixture
def half(server: Server) -> Half:
    return server.halves[0]


@pytest.fixture
def device(half: Half) -> UUID:
    return half.devices[0]


def told(entries: list[AuditEntry]) -> list[tuple[str, str, str]]:
    return [(one.actor, one.action, one.subject) for one in entries]


# --- every route ---


def _more_people(context: Context, half: Half) -> dict[str, UUID]:
    """Put the half's devices into what `fill` leaves out; return what stands for arguments."""
    now, device = utc_now(), half.devices[0]
    with context.database.transaction("fill the rest") as session:
        run = DryRun(policy_id=half.policy, asked_by="keeper", asked_at=now, state="done")
        trial = Canary(
            policy_id=half.policy, policy_version=1, trial_id=half.policy, percent=10,
            limit_percent=5, state="running", started_at=now, started_by="keeper", because="test",
        )  # fmt: skip
        session.add_all([run, trial])
        session.flush()
        session.add_all(
            [
                DryRunDevice(dry_run_id=run.id, device_id=device, before="healthy", after="x"),
                CanaryDevice(
                    canary_id=trial.id, device_id=device, state_before="healthy", own_policy=True,
                    given_at=now,
                ),
                CarriedOut(
                    device_id=device, rule="not_rooted", kind="notify_administrator",
                    because="because", broken_since=now, due_at=now, at=now,
                    policy_id=half.policy, policy_version=1, result="done",
                ),
                DirectoryAccount(
                    address=f"{half.word}9@example.org", state="active", since=now, said_by="x"
                ),
                AllowedDevice(serial=f"{half.word}9", added_at=now, added_by="keeper"),
                DeletedThing(
                    id=uuid4(), kind="allowed_device", name=f"{half.word}8", rows=[],
                    deleted_at=now, deleted_by="keeper",
                ),
            ]
        )  # fmt: skip
        judged = session.get_one(DeviceJudgement, device)
        judged.state = "non_compliant"
        return {"run_id": run.id, "canary_id": trial.id}


def _address(app: Flask, rule: Rule, half: Half, more: dict[str, UUID]) -> str:
    known = {name: found[0] for name, found in arguments(half).items() if found} | more
    strange = {name: uuid4() for name in rule.arguments if name not in known}
    if "<int:" in rule.rule:
        strange = dict.fromkeys(strange, 1)  # type: ignore[arg-type]
    return app.url_map.bind("localhost").build(rule.endpoint, known | strange, append_unknown=False)


def test_no_route_shows_anybody_without_a_look_in_the_trail(
    app: Flask, context: Context, half: Half, console: ConsoleClient, program: ConsoleClient
) -> None:
    with context.database.transaction("install the shipped set") as session:
        install_shipped(session, context.settings, utc_now())
    more, unnoted, noted, broken = _more_people(context, half), [], set(), set()
    for rule in routes(app, "GET"):
        path = _address(app, rule, half, more)
        if rule.endpoint == "mail_access.bulk":
            path += f"?partnership={half.partnerships[0]}"
        app.extensions["sekisho-looks"], before = Looks(context), _end(context)  # an hour later
        answer = (program if path.startswith("/api/") else console).get(path)
        if answer.status_code >= 500:
            broken.add(rule.endpoint)
        shown = PERSONAL.findall(BESIDE.sub("", answer.text.replace(path, "")))
        if _is_noted(app, context, rule.endpoint, before):
            noted.add(rule.endpoint)
        elif shown and answer.status_code == 200:
            unnoted.append((rule.endpoint, shown[:3]))
    assert unnoted == []
    assert broken == set()
    assert len(noted) > 40


def _mark(app: Flask, endpoint: str) -> Any:
    return getattr(app.view_functions[endpoint], SHOWS, None)


def _end(context: Context) -> int:
    with context.database.reading() as session:
        last = queries.last_entry(session)
        return last.seq if last else 0


def _is_noted(app: Flask, context: Context, endpoint: str, before: int) -> bool:
    with context.database.reading() as session:
        new = queries.list_following(session, before)
        mark = _mark(app, endpoint)
        return mark is not None and [one.action for one in new] == [mark.action]


def test_each_page_of_one_thing_is_marked(app: Flask) -> None:
    unmarked = {
        rule.endpoint
        for rule in routes(app, "GET")
        if NAMES_ONE & set(rule.arguments) and not _mark(app, rule.endpoint)
    }
    assert unmarked == set()
    assert not any(_mark(app, endpoint) for endpoint in ANSWERS_AT_ONCE)


# --- what is noted ---


def test_a_look_says_who_whom_when_and_from_where(
    console: ConsoleClient, context: Context, device: UUID, looked: Any
) -> None:
    began = utc_now()
    page = console.get(f"/devices/{device}", environ_base={"REMOTE_ADDR": "192.0.2.7"})
    assert page.status_code == 200
    (entry,) = looked()
    assert (entry.actor, entry.action, entry.subject) == ("keeper", "look.device", str(device))
    assert (entry.subject_id, entry.address, entry.details) == (
        device, "192.0.2.7", {"by": "console"}
    )  # fmt: skip
    assert began <= entry.at <= utc_now()
    assert entry.is_look
    with context.database.reading() as session:
        assert service.verify(session, context.keys) == []


def test_what_a_page_loads_by_itself_is_one_look_in_an_hour(
    app: Flask, console: ConsoleClient, context: Context, device: UUID, looked: Any
) -> None:
    now = [0.0]
    app.extensions["sekisho-looks"] = Looks(context, lambda: now[0])
    for path in ("", "/commands", "/log", "/records"):
        assert console.get(f"/devices/{device}{path}").status_code == 200
    assert console.get(f"/apps/of-device/{device}").status_code == 200
    assert console.get(f"/groups/of-device/{device}").status_code == 200
    assert len(looked()) == 1
    now[0] = looks.WINDOW_SECONDS - 1
    console.get(f"/devices/{device}")
    assert len(looked()) == 1
    now[0] = looks.WINDOW_SECONDS
    console.get(f"/devices/{device}")
    assert len(looked()) == 2


def test_another_address_token_person_or_device_is_another_look(
    app: Flask,
    console: ConsoleClient,
    program: ConsoleClient,
    context: Context,
    half: Half,
    looked: Any,
) -> None:
    first, second = half.devices[:2]
    reader = signed_in_client(app, context, "reader", Role.READ_ONLY)
    for _ in range(2):
        console.get(f"/devices/{first}")
        console.get(f"/devices/{first}", environ_base={"REMOTE_ADDR": "192.0.2.8"})
        console.get(f"/devices/{second}")
        console.get(f"/devices/{first}/why")
        reader.get(f"/devices/{first}")
        program.get(f"/api/v1/devices/{first}")
        program.get(f"/api/v1/devices/{first}/explanation")
    entries = looked()
    assert [(one.actor, one.action, one.subject, one.address) for one in entries] == [
        ("keeper", "look.device", str(first), "127.0.0.1"),
        ("keeper", "look.device", str(first), "192.0.2.8"),
        ("keeper", "look.device", str(second), "127.0.0.1"),
        ("keeper", "look.explanation", str(first), "127.0.0.1"),
        ("reader", "look.device", str(first), "127.0.0.1"),
        ("program", "look.device", str(first), "127.0.0.1"),
        ("program", "look.explanation", str(first), "127.0.0.1"),
    ]
    assert [one.details["by"] for one in entries] == ["console"] * 5 + ["API token"] * 2


def test_a_command_and_a_phone_are_looks_at_what_actions_are_about(
    console: ConsoleClient, program: ConsoleClient, context: Context, half: Half, looked: Any
) -> None:
    program.get(f"/api/v1/commands/{half.commands[0]}")
    console.get(f"/mail-access/partnerships/{half.partnerships[0]}")
    program.get(f"/api/v1/mail-access/partnerships/{half.partnerships[0]}/wipes")
    phone = f"{half.word}0 {half.word}0"
    assert told(looked()) == [
        ("program", "look.command", str(half.devices[0])),
        ("keeper", "look.partnership", phone),
        ("program", "look.partnership", phone),
    ]
    console.get(f"/mail-access/partnerships/{half.partnerships[0]}")
    assert "Who looked" in console.get(f"/mail-access/partnerships/{half.partnerships[0]}").text


def test_a_list_is_one_entry_with_its_filter_and_how_many_it_showed(
    console: ConsoleClient,
    program: ConsoleClient,
    context: Context,
    halves: tuple[Half, Half],
    looked: Any,
) -> None:
    own, foreign = halves
    every = len(own.devices) + len(foreign.devices)
    for _ in range(2):
        console.get("/devices")
        console.get(f"/devices?q={own.word}")
        console.get("/devices?q=nobody")
        program.get(f"/api/v1/devices?text={own.word}&limit=1")
    told_of = [(one.action, one.subject, one.details) for one in looked()]
    token = told_of[-1][2].pop("token")
    assert token.startswith("test (")
    assert told_of == [
        ("look.list", "devices", {"by": "console", "shown": every}),
        (
            "look.list", "devices",
            {"by": "console", "filter": {"q": own.word}, "shown": len(own.devices)},
        ),
        ("look.list", "devices", {"by": "console", "filter": {"q": "nobody"}, "shown": 0}),
        ("look.list", "devices", {"by": "API token", "filter": {"text": own.word}, "shown": 1}),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "before",
    ["&".join(f"a{number}=1" for number in range(40)) + "&q=", "q=" + "+" * 300, "q=a&q="],
    ids=["many names", "long", "twice"],
)
def test_nothing_in_an_address_hides_whom_somebody_looked_for(
    console: ConsoleClient, half: Half, looked: Any, before: str
) -> None:
    for word in (half.word, "nobody"):
        console.get(f"/devices?{before}{word}")
    sought = [one.details["filter"]["q"] for one in looked()]
    assert [one.removeprefix("a, ") for one in sought] == [half.word, "nobody"]


def test_more_than_an_entry_can_say_is_not_answered(
    console: ConsoleClient, program: ConsoleClient, half: Half, looked: Any
) -> None:
    for client, path in ((console, "/devices?q="), (program, "/api/v1/devices?text=")):
        answer = client.get(path + "x " * 4_001 + half.word)
        assert answer.status_code == 400
        assert "fewer or shorter words" in answer.get_data(as_text=True)
    assert looked() == []


def test_a_list_for_other_settings_is_another_look(
    console: ConsoleClient, half: Half, looked: Any
) -> None:
    for days in ("3", "0", "3"):
        form = {"preview": "1", "grace_days": days, "silence": "hold", "reason": "a look"}
        assert half.word in console.post("/mail-access/settings", data=form).text or days == "3"
    assert [one.subject for one in looked()] == ["who would lose mail"] * 2


def test_who_pages_through_a_list_is_noted_each_time_the_number_doubled(
    program: ConsoleClient, context: Context, halves: tuple[Half, Half], looked: Any
) -> None:
    for _ in range(2):  # reading the same pages again shows nobody else
        path, pages = "/api/v1/devices?limit=1", 0
        while path:
            answer = program.get(path).get_json()
            pages += len(answer["items"])
            path = answer["next"] and f"/api/v1/devices?limit=1&after={answer['next']}"
    shown = [one.details["shown"] for one in looked("devices")]
    assert shown == [number for number in (1, 3, 7) if number <= pages]
    assert pages >= 4


def test_a_file_is_noted_each_time_with_its_filter_and_rows(
    server: Server, console: ConsoleClient, context: Context, half: Half
) -> None:
    for _ in range(2):
        file = console.get(f"/devices/devices.csv?q={half.word}").get_data(as_text=True)
    with context.database.reading() as session:
        entries = session.scalars(
            select(AuditEntry).where(
                AuditEntry.action == "device.export", AuditEntry.seq > server.began
            )
        ).all()
    assert len(entries) == 2
    rows = len(file.strip().splitlines()) - 1
    assert entries[0].details == {"by": "console", "filter": {"q": half.word}, "shown": rows}
    assert not entries[0].is_look  # a file that left is told among the actions


def test_what_a_form_asked_is_told_too_and_what_is_long_by_its_digest(
    server: Server, console: ConsoleClient, program: ConsoleClient, context: Context, half: Half,
    looked: Any,
) -> None:  # fmt: skip
    many = [f"lost{one:08d}" for one in range(200)]
    console.post("/devices/devices.csv", data={"q": half.word})
    console.post("/devices/numbers", data={"numbers": " ".join(many)})
    program.post("/api/v1/devices/by-number", json={"numbers": many[:2]})
    with context.database.reading() as session:
        wanted = AuditEntry.action == "device.export", AuditEntry.seq > server.began
        (file,) = session.scalars(select(AuditEntry).where(*wanted))
    assert file.details["filter"] == {"q": half.word}
    pasted, asked = (one.details["filter"]["numbers"] for one in looked("devices"))
    digest = hashlib.sha256(" ".join(many).encode()).hexdigest()
    assert pasted.endswith(f"(200 in all, SHA-256 {digest})")
    assert asked == " ".join(many[:2])


def test_a_form_that_comes_back_with_its_list_is_a_look(
    console: ConsoleClient, context: Context, half: Half, looked: Any
) -> None:
    with context.database.transaction("list one") as session:
        session.add(AllowedDevice(serial=f"{half.word}7", added_at=utc_now(), added_by="keeper"))
    answer = console.post("/allow-list", data={"imei": "wrong"})
    assert answer.status_code == 422
    assert f"{half.word}7" in answer.text
    (entry,) = looked()
    assert entry.subject == "allow-list"
    assert entry.details["shown"] >= 1


def test_numbers_and_what_is_refused_or_not_there_are_no_looks(
    app: Flask,
    console: ConsoleClient,
    context: Context,
    device: UUID,
    visitor: ConsoleClient,
    looked: Any,
) -> None:
    helper = signed_in_client(app, context, "helper", Role.HELP_DESK)
    for path in ("/", "/groups", "/policies", "/jobs", "/commands/waiting", "/healthz"):
        assert console.get(path).status_code == 200, path
    assert console.get(f"/devices/{uuid4()}").status_code == 404
    assert helper.get("/audit").status_code == 403
    assert visitor.get(f"/devices/{device}").status_code == 302
    assert looked() == []


def test_a_limited_administrator_is_noted_and_sees_the_looks_at_their_devices_only(
    app: Flask, context: Context, console: ConsoleClient, halves: tuple[Half, Half], looked: Any
) -> None:
    own, foreign = halves
    scout = limited_browser(app, context, own.groups[:1])
    assert scout.get(f"/devices/{foreign.devices[0]}").status_code == 404
    assert scout.get(f"/devices/{own.devices[0]}").status_code == 200
    console.get(f"/devices/{foreign.devices[0]}")
    assert told(looked()) == [
        ("scout", "look.device", str(own.devices[0])),
        ("keeper", "look.device", str(foreign.devices[0])),
    ]
    page = scout.get("/audit?looks=only").text
    assert str(own.devices[0]) in page
    assert str(foreign.devices[0]) not in page


# --- nothing is shown that is not noted ---


@contextmanager
def _trail_is_held(context: Context) -> Iterator[None]:
    """Hold the trail's end, as a long action does."""
    with pytest.raises(RuntimeError), context.database.transaction("hold the trail") as session:
        queries.lock_trail(session)
        yield
        raise RuntimeError("take it back")


def _have_been_here(console: ConsoleClient, program: ConsoleClient | None = None) -> None:
    """Have it noted when session and token were used last, which is written now and then."""
    assert console.get("/groups").status_code == 200
    if program:
        assert program.get("/api/v1/groups").status_code == 200


def test_while_the_database_is_busy_a_look_waits_on_the_disk_and_is_lost_by_nobody(
    app: Flask,
    console: ConsoleClient,
    program: ConsoleClient,
    context: Context,
    half: Half,
    looked: Any,
) -> None:
    first, second = half.devices[:2]
    _have_been_here(console, program)
    with _trail_is_held(context):
        began = utc_now()
        for _ in range(2):
            assert f"{half.word}0 phone" in console.get(f"/devices/{first}").text
        assert program.get(f"/api/v1/devices/{second}").status_code == 200
        ended = utc_now()
        waiting.take_over(context, 0.05)  # still busy: they go on waiting
        assert looked() == []
    kept = context.settings.home / f"{waiting.NAME}.taken"
    assert kept.stat().st_mode & 0o777 == 0o600
    with kept.open("ab") as file:
        file.write(b'{"actor": "cut o')  # of an answer that never left: the process was killed
    work.take_looks_over(context)  # what comes after it
    entries = looked()
    assert told(entries) == [
        ("keeper", "look.device", str(first)),
        ("program", "look.device", str(second)),
    ]
    assert all(began <= one.at <= ended for one in entries)
    assert not kept.exists()
    with context.database.reading() as session:
        assert service.verify(session, context.keys) == []
    work.take_looks_over(context)
    assert len(looked()) == 2


def test_a_line_that_nobody_can_read_keeps_no_look_waiting(
    console: ConsoleClient, context: Context, half: Half, looked: Any
) -> None:
    first, second, *_ = half.devices
    _have_been_here(console)
    with _trail_is_held(context):
        console.get(f"/devices/{first}")
    folder = context.settings.home
    odd = [b'{"actor": "keeper"}', b"7", b'{"actor": 1, "action": "", "subject": "", "address": "",'
           b' "details": {}, "now": ""}']  # fmt: skip
    with (folder / waiting.NAME).open("ab") as file:
        file.write(b"\n".join(odd) + b"\n")

    assert console.get(f"/devices/{second}").status_code == 200

    assert told(looked()) == [
        ("keeper", "look.device", str(second)),
        ("keeper", "look.device", str(first)),
    ]
    assert (folder / f"{waiting.NAME}.odd").read_bytes().splitlines() == odd


def test_the_next_look_takes_those_along_that_wait(
    console: ConsoleClient, context: Context, half: Half, looked: Any
) -> None:
    first, second, *_ = half.devices
    _have_been_here(console)
    with _trail_is_held(context):
        console.get(f"/devices/{first}")
        console.get(f"/devices/{first}/why")
    console.get(f"/devices/{second}")
    assert told(looked()) == [
        ("keeper", "look.device", str(second)),
        ("keeper", "look.device", str(first)),
        ("keeper", "look.explanation", str(first)),
    ]


def test_what_can_be_noted_nowhere_is_not_shown(
    console: ConsoleClient, program: ConsoleClient, context: Context, half: Half, looked: Any
) -> None:
    first, second = half.devices[:2]
    _have_been_here(console, program)
    assert console.get(f"/devices/{first}").status_code == 200
    (context.settings.home / waiting.NAME).mkdir()  # as good as a full disk
    with _trail_is_held(context):
        assert console.get(f"/devices/{first}").status_code == 200  # it was noted
        refused = [
            console.get(f"/devices/{second}"),
            console.get("/devices"),
            console.get("/devices/devices.csv"),
            console.get(f"/devices/{second}/log", headers={"HX-Request": "true"}),
            program.get(f"/api/v1/devices/{second}"),
        ]
    assert [answer.status_code for answer in refused] == [503] * 5
    assert not [answer for answer in refused if PERSONAL.search(answer.text)]
    assert "could neither be noted" in refused[0].text
    assert "could neither be noted" in refused[4].get_json()["detail"]
    (context.settings.home / waiting.NAME).rmdir()
    assert console.get(f"/devices/{second}").status_code == 200
    assert told(looked()) == [
        ("keeper", "look.device", str(first)),
        ("keeper", "look.device", str(second)),
    ]


def test_there_is_an_end_to_what_waits_on_the_disk(
    console: ConsoleClient, context: Context, half: Half, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "MOST_BYTES", 100)
    _have_been_here(console)
    with _trail_is_held(context):
        answers = [console.get(f"/devices/{half.devices[0]}{path}") for path in ("", "/why")]
    assert [answer.status_code for answer in answers] == [200, 503]


def test_a_look_that_was_rolled_back_is_not_taken_for_noted(
    console: ConsoleClient,
    context: Context,
    device: UUID,
    monkeypatch: pytest.MonkeyPatch,
    looked: Any,
) -> None:
    def fails(*given: Any, **named: Any) -> None:
        service.record(*given, **named)
        raise RuntimeError("just before the commit")

    with monkeypatch.context() as patched:
        patched.setattr(waiting, "record", fails)
        answer = console.get(f"/devices/{device}")
    assert answer.status_code == 500
    assert not PERSONAL.search(answer.text)
    assert looked() == []
    assert console.get(f"/devices/{device}").status_code == 200
    assert len(looked()) == 1


def test_many_at_once_make_one_entry_each(
    app: Flask, context: Context, console: ConsoleClient, half: Half, looked: Any
) -> None:
    people = [signed_in_client(app, context, f"aiko{number}", Role.READ_ONLY) for number in "123"]

    def look(number: int) -> int:
        path = f"/devices/{half.devices[number % 2]}"
        return people[number % 3].get(path).status_code

    with ThreadPoolExecutor(6) as pool:
        assert set(pool.map(look, range(12))) == {200}
    work.take_looks_over(context)
    entries = told(looked())
    assert len(entries) == len(set(entries)) == 6
    with context.database.reading() as session:
        assert service.verify(session, context.keys) == []


# --- reading the trail ---


def test_looks_do_not_hide_actions(
    console: ConsoleClient, program: ConsoleClient, halves: tuple[Half, Half]
) -> None:
    device = halves[1].devices[0]
    console.get(f"/devices/{device}")
    order = {"kind": "lock", "reason": "left in a taxi"}
    assert console.post(f"/devices/{device}/commands", data=order).status_code == 302
    assert "look.device" not in console.get("/audit").text
    assert "left in a taxi" in console.get("/audit").text
    both = console.get("/audit?looks=with").text
    assert "look.device" in both
    assert "left in a taxi" in both
    only = console.get("/audit?looks=only").text
    assert "look.device" in only
    assert "left in a taxi" not in only
    assert "look.device" in console.get("/audit?action=look.device").text
    assert console.get("/audit?looks=perhaps").status_code == 400

    def actions(query: str) -> set[str]:
        found = program.get(f"/api/v1/audit?subject={device}{query}").get_json()["items"]
        return {one["action"] for one in found}

    assert actions("") == {"device.lock"}
    assert actions("&looks=with") == {"device.lock", "look.device"}
    assert actions("&looks=only") == actions("&action=look.") == {"look.device"}


def test_the_page_of_a_device_tells_who_looked_and_apart_what_was_done(
    app: Flask, console: ConsoleClient, context: Context, halves: tuple[Half, Half]
) -> None:
    foreign = halves[1]
    device, number = foreign.devices[-1], len(foreign.devices) - 1
    assert "Nobody looked at it before." in console.get(f"/devices/{device}").text
    with context.database.transaction("look") as session:
        for name in range(25):
            service.record(session, context.keys, f"who{name}", "look.device", str(device))
    page = console.get(f"/devices/{device}").text
    assert "who24" in page
    assert "who5<" not in page  # the newest only, the rest one step away
    assert f"/audit?subject={device}&amp;looks=only" in page
    assert f"{foreign.word}{number} lost" in page  # the lock that all these looks do not push away
    helper = signed_in_client(app, context, "helper2", Role.HELP_DESK)
    assert "Who looked" not in helper.get(f"/devices/{device}").text


def test_an_invitation_tells_who_looked(
    console: ConsoleClient, context: Context, half: Half
) -> None:
    console.get(f"/invitations/{half.invitations[0]}")
    page = console.get(f"/invitations/{half.invitations[0]}").text
    assert "look.invitation" in page


def test_a_look_cannot_be_passed_off_as_an_action_or_hidden_as_one(
    console: ConsoleClient, context: Context, device: UUID, looked: Any
) -> None:
    console.get(f"/devices/{device}")
    (entry,) = looked()

    def say(is_look: bool) -> list[str]:
        with context.database.transaction("tamper") as session:
            session.get_one(AuditEntry, entry.seq).is_look = is_look
        with context.database.reading() as session:
            return service.verify(session, context.keys)

    (problem,) = say(False)
    assert f"Audit entry {entry.seq} (look.device, " in problem
    assert say(True) == []


def test_looks_are_forgotten_with_the_rest_and_what_stays_is_proved(
    console: ConsoleClient, context: Context, half: Half, looked: Any
) -> None:
    for device in half.devices[:2]:
        console.get(f"/devices/{device}")
    later = utc_now() + timedelta(days=1)
    with context.database.transaction("purge") as session:
        service.record(session, context.keys, "system", "audit.something", "later", now=later)
        assert service.purge(session, context.keys, later, later) > 0
    assert looked() == []
    console.get("/devices")
    with context.database.reading() as session:
        assert service.verify(session, context.keys) == []


# --- the command line ---


@pytest.fixture
def shell(context: Context, monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    monkeypatch.setenv("SEKISHO_HOME", str(context.settings.home))
    monkeypatch.setenv("SEKISHO_DATABASE_URL", context.settings.database_url)
    return CliRunner()


def test_an_explanation_on_the_server_is_a_look(
    shell: CliRunner, context: Context, half: Half, looked: Any
) -> None:
    said = shell.invoke(explain, [str(half.devices[0]), "--json"], catch_exceptions=False)
    assert json.loads(said.output)["device"]["name"] == f"{half.word}0 phone"
    (entry,) = looked()
    assert told([entry]) == [("command line", "look.explanation", str(half.devices[0]))]
    assert entry.details["account"]

    several = shell.invoke(explain, [half.word])
    assert isinstance(several.exception, RefusedError)  # it names those that fit
    assert looked()[1].details["filter"] == {"text": half.word}
    assert looked()[1].details["shown"] == len(half.devices)

    assert isinstance(shell.invoke(explain, ["nobody"]).exception, NotFoundError)
    assert len(looked()) == 2


def test_an_explanation_that_cannot_be_noted_is_not_given(
    shell: CliRunner, context: Context, half: Half
) -> None:
    (context.settings.home / waiting.NAME).mkdir()
    with _trail_is_held(context):
        said = shell.invoke(explain, [str(half.devices[0])])
    assert isinstance(said.exception, UnavailableError)
    assert said.output == ""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes files for others")
def test_what_root_lets_wait_can_be_used_by_the_server(context: Context) -> None:
    """A backup made as root while the database is busy must not end the looks of all others."""
    home = context.settings.home
    before, made = home.stat(), [home / waiting.NAME, home / f"{waiting.NAME}.lock"]
    for one in made:
        one.unlink(missing_ok=True)
    os.chown(home, 4321, 4321)
    try:
        with _trail_is_held(context):
            looks.note_from_command_line(context, "database.backup", "database")
        assert {(one.stat().st_uid, one.stat().st_gid) for one in made} == {(4321, 4321)}
    finally:
        os.chown(home, before.st_uid, before.st_gid)
