"""Remote PowerShell against the stand-in: TLS, passwords, sessions, 5,000-row answers in small."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from exchange_connector.access_rules import Change, Lists
from exchange_connector.backends import psrp
from exchange_connector.backends.cmdlets import ThrottledError
from management.context import Context
from runtime.clock import utc_now
from runtime.errors import ConfigurationError, RefusedError, UnavailableError
from tests.servers.exchange import PASSWORD, USER, Exchange
from tests.servers.exchange_wsman import MAXIMUM_SHELLS, listening

USERS = {USER: PASSWORD}
ADA = "corp.test/Users/ada"


@pytest.fixture
def exchange() -> Exchange:
    made = Exchange("Quarantine")
    made.add_phone("ada", "ADA1")
    return made


@pytest.fixture
def url(exchange: Exchange) -> Iterator[str]:
    with listening(exchange, USERS) as url:
        yield url


def server(url: str, **said: str) -> psrp.Server:
    return psrp.Server(**{"url": url, "user": USER, "password": PASSWORD, **said})


def test_a_partnership_is_read_with_the_mailboxs_address(url: str) -> None:
    with psrp.session(server(url)) as exchange:
        mailboxes = exchange.list_mailboxes()
        (found,) = exchange.list_partnerships(mailboxes).partnerships

    assert {name: one.lists for name, one in mailboxes.items()} == {ADA: Lists()}
    assert found.open_doors == ("activesync", "imap", "pop", "ews", "owa", "mapi")
    assert (found.mailbox, found.device_id, found.user_address) == (ADA, "ADA1", "ada@corp.test")
    assert (found.access_state, found.access_reason) == ("Quarantined", "Global")
    assert found.first_sync_at is not None
    assert found.first_sync_at.isoformat() == "2026-01-01T00:00:00+00:00"


def test_all_changes_of_a_mailbox_are_one_call(url: str, exchange: Exchange) -> None:
    exchange.mailboxes["ada"].allowed |= {"OLD"}
    change = Change(
        Lists(frozenset("A"), frozenset("BC")), Lists(frozenset({"OLD"}), frozenset("X"))
    )
    with psrp.session(server(url)) as opened:
        opened.change(ADA, change)
        assert opened.read_mailbox(ADA).lists == Lists(frozenset("A"), frozenset("BC"))
    assert len(exchange.called("Set-CASMailbox")) == 1


def test_an_error_in_the_error_stream_is_no_success(url: str) -> None:
    with (
        psrp.session(server(url)) as opened,
        pytest.raises(RefusedError, match="couldn't be found"),
    ):
        opened.read_mailbox("nobody")


def test_sessions_are_closed_and_too_many_are_told(url: str) -> None:
    for _ in range(MAXIMUM_SHELLS + 1):
        with psrp.session(server(url)):
            pass
    with (
        psrp.session(server(url)),
        psrp.session(server(url)),
        psrp.session(server(url)),
        pytest.raises(ThrottledError, match="maximum number of connections"),
        psrp.session(server(url)),
    ):
        pass


def test_only_the_named_authority_is_trusted(
    context: Context, exchange: Exchange, tmp_path: Path
) -> None:
    chain, key = context.keys.issue_server_certificate(["127.0.0.1"], utc_now())
    files = [tmp_path / "chain.pem", tmp_path / "key.pem", tmp_path / "ca.pem"]
    for path, text in zip(files, (chain, key, context.keys.ca_certificate()), strict=True):
        path.write_text(text)

    with listening(exchange, USERS, (str(files[0]), str(files[1]))) as url:
        with psrp.session(server(url, ca_file=str(files[2]))) as opened:
            assert opened.read_mailbox(ADA).lists == Lists()
        with pytest.raises(UnavailableError, match="certificate"), psrp.session(server(url)):
            pass


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("http://mail.example.com/PowerShell", "would show the password"),
        ("ftp://mail.example.com", "no http or https address"),
        ("mail.example.com", "no http or https address"),
    ],
)
def test_a_wrong_address_is_told_before_anything_is_sent(url: str, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says), psrp.session(server(url)):
        pass
