"""ASVS 5 V7, session management: who one stays.

| attack | also shown by |
|---|---|
| fixation: a session that the attacker chose | here |
| stolen cookie after signing out, idle, too old | here; times: `console/test_sign_in` |
| cookie read by script, sent over HTTP or by other sites | here |
| stolen database: session ids in it | `test_v11_cryptography` |
| a browser left open | steps up: `console/test_passkeys`; ends: `console/test_sign_in` |
"""

from management.administrators import known_browsers, service
from management.administrators.models import Administrator
from management.administrators.sessions import COOKIE
from runtime.clock import utc_now
from tests.management.clients import ConsoleClient
from tests.security.conftest import Target


def _session_of(target: Target, name: str) -> str:
    with target.context.database.transaction("sign in") as session:
        mine = session.query(Administrator).filter_by(name=name).one()
        return service.begin_session(session, mine, "127.0.0.1", utc_now())


def _browser(target: Target, cookie: str) -> ConsoleClient:
    client = target.stranger()
    client.set_cookie(COOKIE, cookie, domain="localhost", secure=True)
    return client


def test_an_id_that_the_attacker_chose_is_never_taken(target: Target) -> None:
    for chosen in ("attacker", "0" * 43, "../", "a" * 3_000):
        client = _browser(target, chosen)
        assert client.get("/account").status_code == 302
        kept = client.get_cookie(COOKIE, "localhost")
        assert kept is None or kept.value == chosen, "no session is begun under it"


def test_a_cookie_is_worth_nothing_after_signing_out(target: Target) -> None:
    stolen = _session_of(target, "reader")
    victim = _browser(target, stolen)
    assert victim.get("/account").status_code == 200
    victim.post("/sign-out")
    assert _browser(target, stolen).get("/account").status_code == 302


def test_a_visitors_cookie_cannot_be_written_by_the_visitor(target: Target) -> None:
    client = target.stranger()
    client.set_cookie("__Host-sekisho-visitor", "eyJ1c2VyIjoia2VlcGVyIn0.x.y", domain="localhost")
    assert client.get("/account").status_code == 302


def test_every_cookie_is_bound_to_this_host_and_kept_from_script(target: Target) -> None:
    answers = [
        target.stranger().get("/sign-in"),
        target.owner.post("/theme", data={"theme": "dark"}),
        _browser(target, _session_of(target, "reader")).post("/sign-out"),
    ]
    cookies = [text for answer in answers for text in answer.headers.getlist("Set-Cookie")]
    assert len(cookies) >= 3
    for cookie in cookies:
        flags = set(cookie.split("; "))
        assert {"Secure", "HttpOnly", "SameSite=Strict", "Path=/"} <= flags, cookie
        assert not any(flag.startswith("Domain") for flag in flags), cookie
    assert {COOKIE[:7], known_browsers.COOKIE[:7]} == {"__Host-"}
