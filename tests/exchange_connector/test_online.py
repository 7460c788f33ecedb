"""Exchange Online against its stand-in: sign-in, pages, pauses, and answers nobody should trust."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from exchange_connector import configuration
from exchange_connector.access_rules import Change, Lists
from exchange_connector.backends import online_http
from exchange_connector.backends.cmdlets import Tally
from exchange_connector.backends.online import Online, Tenant
from exchange_connector.backends.online_identity import read_key_pair
from exchange_connector.loop import Loop
from runtime.errors import ConfigurationError, RefusedError, UnavailableError
from tests.communication.authority import certificate
from tests.exchange_connector.bed import Bed
from tests.servers import exchange_online
from tests.servers.exchange import Exchange

ADA = "corp.test/Users/ada"
INVOKE = f"POST /adminapi/beta/{exchange_online.TENANT}/InvokeCommand"
At = tuple[exchange_online.Online, Tenant]


@pytest.fixture
def exchange() -> Exchange:
    made = Exchange()
    made.add_phone("ada", "ADA1")
    return made


@pytest.fixture
def at(exchange: Exchange, tmp_path: Path) -> Iterator[At]:
    with exchange_online.listening(exchange, tmp_path) as found:
        yield found


def answer(server: exchange_online.Online, status: int, said: object, **headers: str) -> None:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    content = said if isinstance(said, bytes) else json.dumps(said).encode()
    server.answers.append((status, named, content))


def key_pair(days: int = 9, bits: int = 2048) -> str:
    key = generate_private_key(65537, bits)
    made, _ = certificate("sekisho", None, key=key, days=(-20, days))
    form = (Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return (key.private_bytes(*form) + made.public_bytes(Encoding.PEM)).decode()


def test_a_large_answer_comes_in_pages_and_one_sign_in_serves_many_sessions(
    at: At, exchange: Exchange
) -> None:
    server, tenant = at
    exchange.fill(2500)
    online = Online(tenant)
    for _ in range(2):
        with online.session() as opened:
            assert len(opened.list_mailboxes()) == 2501
    assert server.requests.count(INVOKE) == 6
    assert len([one for one in server.requests if one.endswith("/token")]) == 1
    assert len(exchange.called("Get-CASMailbox")) == 2


def test_a_short_pause_within_a_read_is_waited_for(at: At, exchange: Exchange) -> None:
    server, tenant = at
    exchange.faults.throttled_calls, exchange.faults.retry_after_seconds = 2, 0
    tally = Tally()
    with Online(tenant).session(tally) as opened:
        answer(server, 503, {}, Retry_After="1")
        assert opened.read_mailbox(ADA).address == "ada@corp.test"
    assert tally.waited_seconds == 1


def test_a_long_pause_ends_the_pass_and_is_kept(bed: Bed, tmp_path: Path) -> None:
    with exchange_online.listening(bed.exchange, tmp_path) as (_, tenant):
        bed.server = tenant
        bed.exchange.add_phone("ada", "ADA1")
        bed.pair()
        bed.exchange.faults.throttled_calls = 1
        outcome = bed.run_pass()
        assert (outcome.throttled, outcome.wait_seconds) == (True, 120)
        assert bed.sync
        loop = Loop(bed.sync, bed.spool, None, None)  # type: ignore[arg-type]
        loop._back_off(outcome)
        assert bed.sync.throttled_seconds >= 120
        bed.close()


def test_a_token_that_ended_early_is_fetched_anew(at: At) -> None:
    server, tenant = at
    with Online(tenant).session() as opened:
        server.tokens.clear()
        assert opened.read_mailbox(ADA).lists == Lists()


def test_without_the_permission_it_says_what_is_missing(at: At) -> None:
    server, tenant = at
    with Online(tenant).session() as opened:
        answer(server, 403, {"error": {"code": "UnAuthorized", "message": "UnAuthorized"}})
        with pytest.raises(ConfigurationError, match=r"Exchange\.ManageAsApp"):
            opened.read_mailbox(ADA)


def test_a_cmdlets_own_error_is_passed_on(at: At) -> None:
    with Online(at[1]).session() as opened, pytest.raises(RefusedError, match=r"^The operation"):
        opened.read_mailbox("nobody")


def test_lists_are_sent_as_hash_tables_in_one_call(at: At, exchange: Exchange) -> None:
    exchange.mailboxes["ada"].allowed |= {"OLD", "THEIRS"}
    change = Change(Lists(blocked=frozenset("A")), Lists(allowed=frozenset({"OLD"})))
    with Online(at[1]).session() as opened:
        opened.change(ADA, change)
    assert exchange.allowed() == {("ada", "THEIRS")}
    assert exchange.blocked() == {("ada", "A")}
    assert len(exchange.called("Set-CASMailbox")) == 1


@pytest.mark.parametrize(
    "elsewhere",
    [
        "https://evil.example/adminapi/beta/x/InvokeCommand?$skiptoken=1",
        "http://127.0.0.1/adminapi",
        "/relative",
        "https://[broken",
    ],
)
def test_a_next_page_elsewhere_is_never_asked_for(at: At, elsewhere: str) -> None:
    server, tenant = at
    with Online(tenant).session() as opened:
        before = len(server.requests)
        answer(server, 200, {"value": [], "@odata.nextLink": elsewhere})
        with pytest.raises(UnavailableError, match="elsewhere"):
            opened.list_mailboxes()
        assert len(server.requests) == before + 1


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<html>",
        b"[]",
        b'{"value": {}}',
        b'{"value": [1]}',
        b'{"value":[],"@odata.nextLink":1}',
        b"[" * 100_000,
        b"\xff\xfe",
        b'{"value": null}',
    ],
)
def test_what_is_no_list_of_objects_is_refused(at: At, content: bytes) -> None:
    server, tenant = at
    with Online(tenant).session() as opened:
        answer(server, 200, content)
        with pytest.raises(UnavailableError, match="cannot be read"):
            opened.list_mailboxes()


def test_an_answer_without_bounds_is_cut(at: At, monkeypatch: pytest.MonkeyPatch) -> None:
    server, tenant = at
    monkeypatch.setattr(online_http, "LARGEST_ANSWER_BYTES", 100_000)
    with Online(tenant).session() as opened:
        answer(server, 200, {"value": [{"Name": "x" * 200_000}]})
        with pytest.raises(UnavailableError, match="larger"):
            opened.list_mailboxes()


def test_a_redirect_is_not_followed(at: At) -> None:
    server, tenant = at
    with Online(tenant).session() as opened:
        before = len(server.requests)
        answer(server, 307, {}, Location=f"{server.url}/elsewhere")
        with pytest.raises(UnavailableError, match="status 307"):
            opened.list_mailboxes()
        assert len(server.requests) == before + 1


def test_a_certificate_that_is_not_registered_is_refused(at: At) -> None:
    wrong = replace(at[1], certificate=key_pair())
    with pytest.raises(ConfigurationError, match="AADSTS700027"), Online(wrong).session():
        pass


def test_an_authority_that_is_not_ours_ends_before_a_word_is_said(at: At) -> None:
    server, tenant = at
    stranger = Online(replace(tenant, ca_file=""))
    with pytest.raises(UnavailableError, match=r"(?i)certificate"), stranger.session():
        pass
    assert server.requests == []


def test_a_certificate_that_ended_is_told_before_anything_is_sent(at: At) -> None:
    server, tenant = at
    old = replace(tenant, certificate=key_pair(days=-1))
    with pytest.raises(ConfigurationError, match="certificate ended on"), Online(old).session():
        pass
    assert server.requests == []


@pytest.mark.parametrize(
    ("pem", "says"),
    [
        ("", "private key without a password"),
        ("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----", "without a password"),
    ],
)
def test_a_file_without_key_and_certificate_is_told(pem: str, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        read_key_pair(pem)


def test_a_key_of_another_certificate_is_told() -> None:
    one, two = key_pair(), key_pair()
    mixed = one[: one.index("-----BEGIN CERTIFICATE")] + two[two.index("-----BEGIN CERTIFICATE") :]
    with pytest.raises(ConfigurationError, match="does not belong"):
        read_key_pair(mixed)


@pytest.mark.parametrize(
    "said",
    [
        {"tenant": "a/../b"},
        {"tenant": ""},
        {"app_id": "mine"},
        {"exchange_url": "http://outlook.office365.com"},
        {"login_url": "https://user@login.example"},
        {"login_url": "nonsense"},
    ],
)
def test_a_wrong_tenant_or_address_is_told_at_once(said: dict[str, str]) -> None:
    right = {"tenant": exchange_online.TENANT, "app_id": exchange_online.APP_ID, "certificate": ""}
    with pytest.raises(ConfigurationError):
        Tenant(**{**right, **said})


def test_the_key_lies_sealed_in_the_connectors_folder(bed: Bed, tmp_path: Path) -> None:
    with exchange_online.listening(bed.exchange, tmp_path) as (_, tenant):
        bed.server = tenant
        bed.pair()
    assert configuration.exchange_server(*configuration.load(bed.folder)) == tenant
    for path in bed.folder.iterdir():
        assert path.stat().st_mode & 0o077 == 0
        assert b"PRIVATE KEY" not in path.read_bytes()
    assert "PRIVATE KEY" not in repr(tenant)
