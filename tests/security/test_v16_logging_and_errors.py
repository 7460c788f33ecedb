"""ASVS 5 V16, logging and error handling: what is noted, and what is told.

| attack | also shown by |
|---|---|
| provoked errors that show internals | here |
| forged lines in logs and the audit trail | here |
| changed, removed, cut off entries | `test_audit`, `test_audit_checkpoints` |
| flooding the trail by failed sign-ins | `console/test_sign_in` |
| doing something unseen | here (refused), `console/test_pages`, `console/test_passkeys` |
"""

import json
import subprocess
import sys

import pytest
from sqlalchemy import select

from management.app import create_app
from management.audit.models import AuditEntry
from tests.management.clients import ConsoleClient
from tests.security.conftest import Target

INTERNALS = ("Traceback", "sqlalchemy", "/management/", ".py", "SELECT ", "Werkzeug", "jinja2")


def test_a_bug_tells_the_visitor_a_number_and_nothing_else(target: Target) -> None:
    app = create_app(target.context)

    def broken() -> str:
        raise ZeroDivisionError("SELECT secret FROM /management/app.py")

    app.add_url_rule("/broken", view_func=broken)
    app.add_url_rule("/api/v1/broken", view_func=broken)
    client = ConsoleClient(app, use_cookies=True)
    for path in ("/broken", "/api/v1/broken"):
        answer = client.get(path)
        assert answer.status_code == 500
        assert not [word for word in INTERNALS if word in answer.text]
        assert "secret" not in answer.text


@pytest.mark.parametrize(
    "path",
    [
        "/devices?after=%ff",
        "/devices/x",
        "/api/v1/devices?limit=x",
        "/%00",
        "/devices?q=" + "a" * 5000,
    ],
)
def test_a_wrong_address_shows_no_internals(target: Target, path: str) -> None:
    for client in (target.owner, target.program, target.stranger()):
        answer = client.get(path)
        assert answer.status_code in {200, 302, 400, 401, 404}
        text = answer.text.replace(".py</", "")
        assert not [word for word in INTERNALS if word in text]


def test_a_name_with_line_ends_forges_no_entry(target: Target) -> None:
    stranger = target.stranger()
    stranger.environ_base["REMOTE_ADDR"] = "198.51.100.200"
    forged = "x\r\n2026-01-01 keeper session.begin"
    stranger.post("/sign-in", data={"name": forged, "password": "x", "code": "1"})
    with target.context.database.reading() as session:
        newest = select(AuditEntry).order_by(AuditEntry.seq.desc())
        entry = session.scalars(newest.where(AuditEntry.address == "198.51.100.200")).first()
    assert entry is not None
    assert (entry.action, entry.subject) == ("session.refused", "unknown name")


def test_a_line_end_in_a_log_message_stays_in_its_line() -> None:
    program = "import logging; from runtime import logs; logs.start('t'); "
    program += "logging.getLogger('t').error('asked for %s', 'x\\n{\"level\": \"forged\"}')"
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    lines = ran.stderr.splitlines()
    assert len(lines) == 1
    assert "forged" in json.loads(lines[0])["message"]
