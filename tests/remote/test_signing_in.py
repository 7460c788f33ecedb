"""A token leaves this machine for the right server only, and lies here for its owner only."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.certificates import fingerprint
from management.keys import Keys, prepare
from runtime.clock import utc_now
from runtime.errors import MalformedMessageError
from sekisho.remote import trust
from sekisho.remote.client import place_of
from tests.remote.conftest import Run, Served, signed_in, token_of


def test_a_certificate_that_is_not_trusted_gets_no_token(
    served: Served, run: Run, place: Path, tmp_path: Path
) -> None:
    token = token_of(served.context, "wary")
    prepare(tmp_path / "other", utc_now())
    (tmp_path / "none.pem").write_text("no certificate")
    seen = served.front.tokens

    nobody = run("login", served.url, given=token)
    other = run("login", served.url, "--ca", str(tmp_path / "other" / "ca.pem"), given=token)
    none = run("login", served.url, "--ca", str(tmp_path / "none.pem"), given=token)
    pinned = run("login", served.url, "--fingerprint", "ab" * 32, given=token)
    named = run("login", served.url.replace("localhost", "127.0.0.2"), "--ca", str(served.ca))

    shown = trust.hexadecimal(served.ca.read_text())
    assert [one.exit_code for one in (nobody, other, none, pinned, named)] == [1, 3, 2, 1, 3]
    assert f"--fingerprint {shown}" in nobody.output
    assert "did not issue" in other.output
    assert shown in pinned.output
    assert served.front.tokens == seen
    assert not place.exists()
    assert token not in "".join(one.output for one in (nobody, other, none, pinned, named))


def test_both_forms_of_the_fingerprint_are_taken_and_the_file_is_private(
    served: Served, run: Run, place: Path
) -> None:
    token, ca = token_of(served.context, "comparer"), served.ca.read_text()
    in_hex = trust.hexadecimal(ca).upper()
    colons = ":".join(in_hex[at : at + 2] for at in range(0, len(in_hex), 2))
    for said in (fingerprint(ca), in_hex.lower(), colons):
        done = run("login", served.url, "--fingerprint", said, given=f"{token}\n")
        assert done.exit_code == 0, done.output
        assert "as comparer with the token “from afar”" in done.output
        assert token not in done.output
    assert place.stat().st_mode & 0o777 == 0o600
    assert run("whoami").exit_code == 0

    place.chmod(0o640)
    refused = run("whoami")
    assert (refused.exit_code, f"chmod 600 {place}" in refused.output) == (2, True)
    assert run("logout").exit_code == 0
    assert "Sign in first" in run("devices").output


def test_a_revoked_token_is_told_with_what_mends_it(served: Served, run: Run, place: Path) -> None:
    from management.administrators.models import ApiToken
    from management.administrators.queries import hash_of

    token = signed_in(served, run, "leaver")
    with served.context.database.transaction("revoke a token") as session:
        session.get_one(ApiToken, hash_of(token)).revoked_at = utc_now()

    refused = run("devices")
    again = run("login", served.url, "--ca", str(served.ca), given=token)

    assert (refused.exit_code, again.exit_code) == (1, 1)
    assert "Make a token in the console under My account" in refused.output
    wrong = run("login", served.url, "--ca", str(served.ca), given="two words\x1b")
    assert (wrong.exit_code, "That is no API token" in wrong.output) == (2, True)


def test_a_person_compares_the_fingerprint_and_types_the_token_unseen(
    served: Served, run: Run, place: Path
) -> None:
    """At a terminal of its own: asked once, and nothing typed in secret is shown."""
    token = token_of(served.context, "typist")
    ours, theirs = os.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "sekisho", "remote", "login", served.url],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        env={**os.environ, "TERM": "dumb"},
    )
    os.close(theirs)
    timer = threading.Timer(120, process.kill)
    timer.start()
    shown = _until(ours, b"Is it the same?")
    os.write(ours, b"y\n")
    shown += _until(ours, b"API token")
    os.write(ours, f"{token}\n".encode())
    shown += _until(ours, b"Kept in")
    assert process.wait(60) == 0
    timer.cancel()
    os.close(ours)
    assert trust.hexadecimal(served.ca.read_text()).encode() in shown
    assert token.encode() not in shown
    assert "typist" in run("whoami").output


def _until(terminal: int, words: bytes) -> bytes:
    shown = b""
    while words not in shown:
        shown += os.read(terminal, 4096)
    return shown


@pytest.mark.parametrize(
    "said",
    [
        "http://a",
        "https://",
        "https://u:p@a",
        "https://a/x",
        "https://a?b",
        "ftp://a",
        "https://a:x",
    ],
)
def test_an_address_that_is_none_is_refused(said: str) -> None:
    with pytest.raises(MalformedMessageError):
        trust.address_of(said)


def test_a_name_alone_is_an_address() -> None:
    assert trust.address_of("mdm.example.org:8443") == "https://mdm.example.org:8443"
    assert trust.address_of("https://[::1]:8443/mdm/web") == "https://[::1]:8443"


@given(st.text(max_size=40))
def test_no_path_leads_to_another_server(path: str) -> None:
    try:
        found = place_of(path)
    except MalformedMessageError:
        return
    assert found.startswith("/api/v1/")
    assert "//" not in found.partition("?")[0]


def test_keys_of_another_server_certify_nothing_here(served: Served, tmp_path: Path) -> None:
    prepare(tmp_path / "other", utc_now())
    other = Keys(tmp_path / "other").ca_certificate()
    assert trust.is_trusted(served.url, served.ca.read_text())
    assert not trust.is_trusted(served.url, other)
