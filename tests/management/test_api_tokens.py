"""What an API token carries: chosen permissions, never more than its maker may at that moment."""

import re
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from management.access import Permission, Role
from management.administrators import token_rules
from management.administrators.models import Administrator, ApiToken
from management.audit.models import AuditEntry
from management.context import Context
from management.database import Database, sqlite_url
from management.migrations import run
from runtime.clock import utc_now
from tests.management.clients import ConsoleClient, own_code, signed_in_client
from tests.security.walking import FILLED

MADE = re.compile(r'id="new-token">(sekisho_[\w-]+)<')


def make(browser: ConsoleClient, carries: str, *permissions: str, days: int = 30) -> str:
    form = {"name": "robot", "carries": carries, "permission": [*permissions], "days": str(days)}
    answer = browser.post("/account/tokens", data=form)
    assert answer.status_code == 200, answer.text
    found = MADE.search(answer.text)
    assert found is not None
    return found[1]


def program(app: Flask, token: str) -> ConsoleClient:
    client = ConsoleClient(app, use_cookies=False)
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {token}"
    return client


def kept(session: Session) -> ApiToken:
    session.rollback()
    return session.scalars(select(ApiToken).order_by(ApiToken.created_at.desc())).first()  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("scope", "held", "may"),
    [
        ("all", {"view", "invite"}, {"view", "invite"}),
        ("view", {"view", "invite"}, {"view"}),
        ("invite view", {"view"}, {"view"}),
        ("wipe_devices", {"view"}, set()),
        ("", {"view"}, set()),
        ("ALL", {"view"}, set()),
        ("a_permission_of_later view", {"view"}, {"view"}),
    ],
)
def test_a_token_may_what_it_carries_and_its_maker_may(
    scope: str, held: set[str], may: set[str]
) -> None:
    assert token_rules.carried(scope, frozenset(map(Permission, held))) == may


def test_every_operation_refuses_a_token_that_lacks_its_permission_and_says_which(
    app: Flask, console: ConsoleClient
) -> None:
    """The owner may everything; the permission is what the document says that it needs."""
    robot, refused = program(app, make(console, "chosen", "view")), 0
    paths = robot.get("/api/v1/openapi.json").get_json()["paths"]
    for path, operations in paths.items():
        for method, described in operations.items():
            ((_, (needed,)),) = described["security"][0].items()
            if needed == "view":
                continue
            address = re.sub(r"\{\w+_id\}", FILLED["UUIDConverter"], path)
            answer = robot.open(re.sub(r"\{\w+\}", "1", address), method=method.upper())
            if answer.status_code == 404 and not answer.get_json()["detail"].startswith("This"):
                continue  # no route: the place is of another kind than filled in here
            assert answer.status_code == 403, (method, path)
            said = answer.get_json()["detail"]
            assert f"does not carry the permission {needed}." in said, (method, path)
            refused += 1
    assert refused > 80


def test_reading_presets_and_choices_open_what_they_name(
    app: Flask, console: ConsoleClient
) -> None:
    reader = program(app, make(console, "read_only"))
    assert reader.get("/api/v1/audit").status_code == 200
    assert reader.get("/api/v1/token").get_json()["permissions"] == ["read_audit", "view"]
    inviter = program(app, make(console, "chosen", "view", "invite", days=7))
    assert inviter.get("/api/v1/audit").status_code == 403
    told = inviter.get("/api/v1/token").get_json()
    assert (told["permissions"], told["group_ids"]) == (["invite", "view"], None)
    everything = program(app, make(console, "all"))
    assert everything.get("/api/v1/roles").status_code == 200


def test_a_wipe_is_refused_by_what_the_token_lacks(app: Flask, console: ConsoleClient) -> None:
    robot = program(app, make(console, "chosen", "view", "send_commands"))
    address = f"/api/v1/devices/{FILLED['UUIDConverter']}/commands"
    refused = robot.post(address, json={"kind": "wipe", "reason": "lost"})
    assert refused.status_code == 403
    assert "permission wipe_devices." in refused.get_json()["detail"]
    assert robot.post(address, json={"kind": "lock", "reason": "lost"}).status_code == 404


def test_a_token_shrinks_and_grows_with_its_maker(
    app: Flask, context: Context, session: Session
) -> None:
    operator = signed_in_client(app, context, "mika", Role.OPERATOR)
    chosen, everything = make(operator, "chosen", "view", "invite"), make(operator, "all")

    def may(token: str) -> list[str]:
        found: list[str] = program(app, token).get("/api/v1/token").get_json()["permissions"]
        return found

    assert may(everything) == ["invite", "send_commands", "view"]
    for role, of_chosen in ((Role.HELP_DESK, ["view"]), (Role.OWNER, ["invite", "view"])):
        with context.database.transaction("give another role") as changing:
            changing.query(Administrator).filter_by(name="mika").one().role = role.value
        assert may(chosen) == of_chosen
    assert len(may(everything)) == len(Permission)
    with context.database.transaction("limit to no group") as changing:
        changing.query(Administrator).filter_by(name="mika").one().limited = True
    assert program(app, everything).get("/api/v1/token").get_json()["group_ids"] == []
    assert "manage_relays" not in may(everything)
    refused = program(app, everything).get("/api/v1/relays")
    assert "limited to groups" in refused.get_json()["detail"]


def test_nobody_chooses_what_they_do_not_hold(app: Flask, context: Context) -> None:
    operator = signed_in_client(app, context, "mika", Role.OPERATOR)
    form = {"name": "robot", "carries": "chosen", "days": "30"}
    refused = operator.post("/account/tokens", data={**form, "permission": ["wipe_devices"]})
    assert refused.status_code == 403
    assert "wipe devices" in refused.text
    told = program(app, make(operator, "read_only")).get("/api/v1/token").get_json()
    assert told["permissions"] == ["view"], "an operator does not read the audit trail"


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"permission": []}, 422),
        ({"name": " "}, 422),
        ({"permission": ["everything"]}, 400),
        ({"days": "100000"}, 400),
        ({"days": "-1"}, 400),
        ({"carries": "more"}, 400),
    ],
)
def test_what_the_form_does_not_offer_makes_no_token(
    console: ConsoleClient, session: Session, change: dict[str, object], status: int
) -> None:
    form = {"name": "robot", "carries": "chosen", "permission": ["view"], "days": "30"}
    assert console.post("/account/tokens", data=form | change).status_code == status
    assert kept(session) is None


def test_the_list_shows_scope_use_and_end(
    app: Flask, console: ConsoleClient, session: Session
) -> None:
    token = make(console, "chosen", "view", "manage_apps", days=7)
    row = kept(session)
    assert row.expires_at - row.created_at == timedelta(days=7)
    assert row.used_at is None
    page = console.get("/account").text
    assert "Upload, approve and publish apps" in page
    assert ">never<" in page
    assert program(app, token).get("/api/v1/token").status_code == 200
    assert kept(session).used_at is not None
    assert ">never<" not in console.get("/account").text
    entry = session.scalars(select(AuditEntry).where(AuditEntry.action == "token.make")).one()
    assert entry.details == {"may": "manage_apps view", "days": 7}


def test_a_use_within_a_minute_writes_nothing(
    app: Flask, console: ConsoleClient, session: Session
) -> None:
    robot = program(app, make(console, "read_only"))
    robot.get("/api/v1/token")
    first = kept(session).used_at
    robot.get("/api/v1/token")
    assert kept(session).used_at == first


def test_a_token_cannot_give_what_it_does_not_carry(
    app: Flask, context: Context, console: ConsoleClient
) -> None:
    """With the right to manage administrators alone nobody is made an owner."""
    robot = program(app, make(console, "chosen", "view", "manage_administrators"))
    draft = {"name": "new one", "role": "owner", "code": own_code(context, "keeper")}
    refused = robot.post("/api/v1/administrators", json=draft)
    assert refused.status_code == 403
    assert "You do not hold this yourself" in refused.get_json()["detail"]


def test_tokens_of_earlier_releases_keep_all_that_their_makers_may(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    url = sqlite_url(tmp_path_factory.mktemp("old") / "old.db")
    run.upgrade(url)
    run.downgrade(url, "0001")
    database, now, who = Database(url), utc_now(), "0" * 32
    with database.engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO administrator (id, name, password_hash, role, limited, language, "
                f"theme, created_at, uses_codes) VALUES ('{who}', 'mika', 'none', 'owner', 0, '', "
                f"'', '{now:%Y-%m-%d %H:%M:%S.%f}', 1)"
            )
        )
        connection.execute(
            text(
                "INSERT INTO api_token (token_hash, administrator_id, name, created_at, expires_at)"
                f" VALUES ('{'a' * 64}', '{who}', 'old', '{now:%Y-%m-%d %H:%M:%S.%f}',"
                f" '{now:%Y-%m-%d %H:%M:%S.%f}')"
            )
        )
    run.upgrade(url)
    with database.reading() as session:
        old = session.scalars(select(ApiToken)).one()
        assert (old.scope, old.used_at) == (token_rules.ALL, None)
    database.close()
