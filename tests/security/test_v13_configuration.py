"""ASVS 5 V13, configuration: what the installation tells and takes.

| attack | also shown by |
|---|---|
| host header | here; one-time links: here; passkeys: `console/test_passkeys` |
| debugging, versions of software in headers | here |
| figures of the machine for strangers | here |
"""

import re

import pytest

from tests.management.clients import ConsoleClient
from tests.security.conftest import Target

EVIL = "https://evil.example"


def test_a_foreign_host_header_is_in_no_link_of_a_page(target: Target) -> None:
    stranger = target.stranger()
    for path in ("/sign-in", "/nowhere", "/devices"):
        answer = stranger.get(path, base_url=EVIL, headers={"X-Forwarded-Host": "evil.example"})
        assert "evil.example" not in answer.text
        assert "evil.example" not in answer.headers.get("Location", "")


def test_a_one_time_link_leads_to_the_console_of_the_settings(target: Target) -> None:
    form = {"name": "guest of honour", "role": "read_only"}
    page = target.owner.post("/administrators", data=form)
    link = re.search(r'id="new-link">([^<]+)<', page.text)
    assert link
    assert link[1].startswith("https://localhost:8443/setup?token=")


def test_health_tells_strangers_nothing_but_whether_it_works(target: Target) -> None:
    stranger = target.stranger()
    stranger.environ_base["REMOTE_ADDR"] = "203.0.113.9"
    assert stranger.get("/metrics").status_code == 401
    said = stranger.get("/healthz").get_json()
    assert "version" not in str(said).casefold()
    assert str(target.context.settings.home) not in str(said)


@pytest.mark.parametrize(
    "path", ["/console", "/?__debugger__=yes&cmd=resource&f=debugger.js", "/docs", "/swagger"]
)
def test_no_door_of_a_framework_is_open(target: Target, path: str) -> None:
    answer = target.stranger().get(path)
    assert answer.status_code in {302, 404}
    assert "werkzeug" not in answer.text.casefold()
    assert not target.app.debug


def test_no_header_names_the_software(target: Target) -> None:
    client: ConsoleClient = target.stranger()
    headers = client.get("/sign-in").headers
    assert not {"X-Powered-By", "Via"} & set(headers.keys())
    assert "werkzeug" not in str(headers).casefold()
