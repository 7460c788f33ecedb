"""The API does with apps, store and files of devices what the console does."""

import hashlib
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from flask import Flask
from sqlalchemy import select

from management.access import Role
from management.apps import work
from management.apps.models import StoredApp
from management.apps.rules import LARGEST_UPLOAD_BYTES
from management.audit.models import AuditEntry
from management.collecting import queries as collecting
from management.context import Context
from management.groups.models import ROOT_GROUP
from runtime.clock import utc_now
from tests.management.clients import ConsoleClient, api_client
from tests.management.test_apps import bad_archive, ready, scan
from tests.scanner.corpus import real_apk

__all__ = ["ready"]
EVERYBODY = [{"group_id": str(ROOT_GROUP), "required": True}]


@pytest.fixture
def program(app: Flask, ready: Context) -> ConsoleClient:
    return api_client(app, ready, "program", Role.ADMINISTRATOR)


def upload(context: Context, program: ConsoleClient, body: bytes, name: str = "a.apk") -> str:
    """Upload a file and scan it as the worker would."""
    answer = program.post(f"/api/v1/apps?file_name={name}", data=body)
    assert answer.status_code == 202, answer.text
    sha256 = str(answer.get_json()["sha256"])
    scan(context, sha256)
    return sha256


def audited(context: Context) -> list[str]:
    with context.database.reading() as session:
        return list(session.scalars(select(AuditEntry.action).order_by(AuditEntry.seq)))


def approval(**changed: Any) -> dict[str, Any]:
    ends_at = (utc_now() + timedelta(days=30)).isoformat()
    return {"covers": "hash", "reason": "It is our own tool.", "ends_at": ends_at, **changed}


def test_a_file_is_uploaded_scanned_and_deleted(ready: Context, program: ConsoleClient) -> None:
    body = bad_archive()

    answer = program.post("/api/v1/apps?file_name=C:/x/odd%00name.apk", data=body)
    assert answer.status_code == 400
    sha256 = upload(ready, program, body, "C:/x/tool.apk")

    assert sha256 == hashlib.sha256(body).hexdigest()
    found = program.get(f"/api/v1/apps/{sha256}").get_json()
    assert (found["verdict"], found["file_name"]) == ("malicious", "tool.apk")
    assert found["uploaded_by"] == "program"
    assert program.post(f"/api/v1/apps/{sha256}/scan").status_code == 202
    assert program.get(f"/api/v1/apps/{sha256}/scan").get_json()["state"] == "queued"
    assert program.delete(f"/api/v1/apps/{sha256}").status_code == 200
    assert program.delete(f"/api/v1/apps/{sha256}").status_code == 404
    assert not (ready.settings.home / "uploads" / f"{sha256}.apk").exists()
    assert program.get(f"/api/v1/apps/{sha256}").get_json()["verdict"] == "malicious"
    assert {"app.upload", "app.scan", "app.delete"} <= {*audited(ready)}


def test_what_is_no_file_or_too_large_is_refused(ready: Context, program: ConsoleClient) -> None:
    empty = program.post("/api/v1/apps", data=b"")
    large = program.post("/api/v1/apps", content_length=LARGEST_UPLOAD_BYTES + 1)

    assert (empty.status_code, large.status_code) == (400, 413)
    assert empty.mimetype == large.mimetype == "application/problem+json"
    with ready.database.reading() as session:
        assert session.scalars(select(StoredApp)).all() == []


def test_an_approval_is_given_shown_and_ended(ready: Context, program: ConsoleClient) -> None:
    sha256 = upload(ready, program, bad_archive())
    address = f"/api/v1/apps/{sha256}/approvals"

    made = program.post(address, json=approval())

    assert made.status_code == 201
    given = made.get_json()
    assert (given["covers"], given["value"], given["approved_by"]) == ("hash", sha256, "program")
    assert program.post(address, json=approval()).status_code == 409
    assert program.get("/api/v1/app-approvals").get_json()["items"] == [given]
    ended = program.post(f"/api/v1/app-approvals/{given['id']}/end")
    assert (ended.status_code, ended.get_json()["ended_by"]) == (200, "program")
    assert program.post(f"/api/v1/app-approvals/{given['id']}/end").status_code == 409
    assert program.get("/api/v1/app-approvals").get_json()["items"] == []
    assert len(program.get(address).get_json()["items"]) == 1
    assert {"app.approve", "app.approval_end"} <= {*audited(ready)}


@pytest.mark.parametrize(
    ("wrong", "status"),
    [
        ({"reason": ""}, 400),
        ({"covers": "everything"}, 400),
        ({"ends_at": "2020-01-01"}, 400),
        ({"for_ever": True}, 400),
        ({"reason": " "}, 409),
        ({"ends_at": "2020-01-01T00:00:00Z"}, 409),
        ({"ends_at": "2999-01-01T00:00:00Z"}, 409),
    ],
    ids=["no reason", "unknown", "no time", "unknown field", "blank", "past", "for ever"],
)
def test_an_approval_that_is_not_in_order_is_refused(
    ready: Context, program: ConsoleClient, wrong: dict[str, Any], status: int
) -> None:
    sha256 = upload(ready, program, bad_archive())

    answer = program.post(f"/api/v1/apps/{sha256}/approvals", json=approval(**wrong))

    assert answer.status_code == status, answer.text
    assert program.get("/api/v1/app-approvals").get_json()["items"] == []


def test_an_app_is_published_aimed_and_withdrawn(ready: Context, program: ConsoleClient) -> None:
    sha256 = upload(ready, program, real_apk().read_bytes())
    offer = {"sha256": sha256, "category": "Tools", "groups": EVERYBODY}

    made = program.post("/api/v1/store/entries", json=offer)

    assert made.status_code == 201
    entry = made.get_json()
    assert (entry["package"], entry["groups"]) == ("com.github.uiautomator", EVERYBODY)
    assert [one["sha256"] for one in entry["versions"] if one["current"]] == [sha256]
    address = f"/api/v1/store/entries/{entry['id']}"
    assert program.get("/api/v1/store/entries").get_json()["items"] == [entry]
    aimed = program.put(f"{address}/groups", json={"groups": []})
    assert aimed.get_json()["groups"] == []
    strange = [{"group_id": str(uuid4()), "required": False}]
    assert program.put(f"{address}/groups", json={"groups": strange}).status_code == 404
    assert program.delete(f"/api/v1/apps/{sha256}").status_code == 409
    gone = program.post(f"{address}/withdraw", json={"because": "too old"})
    assert (gone.status_code, gone.get_json()["withdrawn_because"]) == (200, "too old")
    assert program.post(f"{address}/withdraw", json={"because": "again"}).status_code == 409
    assert program.get("/api/v1/store/entries").get_json()["items"] == []
    assert {"store.publish", "store.aim", "store.withdraw"} <= {*audited(ready)}


def test_what_may_not_be_published_is_refused_with_the_reason(
    ready: Context, program: ConsoleClient
) -> None:
    sha256 = upload(ready, program, bad_archive())

    refused = program.post("/api/v1/store/entries", json={"sha256": sha256})

    assert refused.status_code == 409
    assert "not signed" in refused.get_json()["detail"]
    unknown = program.post("/api/v1/store/entries", json={"sha256": "0" * 64})
    assert unknown.status_code == 404


def test_a_link_to_another_store_is_added_once(program: ConsoleClient) -> None:
    link = {"link": "https://apps.apple.com/app/id123456789", "name": "A tool"}

    made = program.post("/api/v1/store/links", json=link)

    assert (made.status_code, made.get_json()["kind"]) == (201, "app_store")
    assert program.post("/api/v1/store/links", json=link).status_code == 409
    elsewhere = program.post("/api/v1/store/links", json={**link, "link": "https://example.org/"})
    assert elsewhere.status_code == 409


def test_files_of_devices_are_asked_for_as_the_settings_say(
    ready: Context, program: ConsoleClient
) -> None:
    sha256 = upload(ready, program, bad_archive())
    address = f"/api/v1/apps/{sha256}/file-requests"

    assert program.get(address).get_json() == {"items": [], "next": None}
    assert program.post(address).status_code == 409  # its file is here
    assert program.post(f"/api/v1/apps/{'0' * 64}/file-requests").status_code == 404
    assert program.get("/api/v1/app-collecting").get_json() == {"company": True, "personal": False}
    change = {"company": False, "personal": True}
    assert program.put("/api/v1/app-collecting", json=change).get_json() == change
    with ready.database.reading() as session:
        row = collecting.read_settings(session)
        assert (row.company, row.personal, row.changed_by) == (False, True, "program")
    assert "app.collecting" in audited(ready)


def test_a_deep_analysis_is_asked_for_and_read(ready: Context, program: ConsoleClient) -> None:
    sha256 = upload(ready, program, bad_archive())
    address = f"/api/v1/apps/{sha256}/analysis"

    assert program.get(address).status_code == 404
    assert program.post(address).get_json()["finished_at"] is None
    assert program.post(address).status_code == 409
    work.analyse(ready, {"sha256": sha256}, print)

    done = program.get(address).get_json()
    assert done["finished_at"] is not None
    assert "findings" in done["result"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/api/v1/apps"),
        ("DELETE", "/api/v1/apps/{sha256}"),
        ("POST", "/api/v1/apps/{sha256}/approvals"),
        ("POST", "/api/v1/store/entries"),
        ("POST", "/api/v1/store/links"),
        ("POST", "/api/v1/apps/{sha256}/file-requests"),
        ("PUT", "/api/v1/app-collecting"),
    ],
)
def test_who_may_only_look_changes_nothing(
    app: Flask, ready: Context, program: ConsoleClient, method: str, path: str
) -> None:
    sha256 = upload(ready, program, bad_archive())
    reader = api_client(app, ready, "reader", Role.READ_ONLY)
    before = audited(ready)

    answer = reader.open(path.format(sha256=sha256), method=method, json={})

    assert answer.status_code == 403
    assert audited(ready) == before
