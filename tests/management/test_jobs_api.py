"""Background work by API: listed, followed, stopped, tried again."""

import json
from typing import Any
from uuid import UUID

import pytest
from flask import Flask, request
from sqlalchemy import select

from management.access import Role
from management.administrators.models import Administrator, AdministratorGroup
from management.audit.models import AuditEntry
from management.context import Context
from management.database import BEHALF
from management.groups.models import ROOT_GROUP
from management.progress import said
from management.work import service
from management.work.following import FOLLOWED
from management.work.models import Job
from tests.management.clients import BASE, ConsoleClient, api_client


@pytest.fixture
def owner(app: Flask, context: Context) -> ConsoleClient:
    return api_client(app, context, "program", Role.OWNER)


def _job(context: Context, kind: str = "apps.scan", by: str = "program", lines: int = 0) -> UUID:
    """Queue a job and, with *lines*, let it run and say so many."""
    with context.database.transaction("queue work") as session:
        session.info[BEHALF] = by
        job = service.enqueue(session, kind, f"{kind} {by} {lines}", {"sha256": "a" * 64})
        assert job is not None
        if lines:
            service.claim_one(session, job.id, "w")
            told = [said("%(done)s of %(total)s", done=n, total=9) for n in range(1, lines + 1)]
            service.heartbeat(session, job.id, "w", said=told)
        return job.id


def _ids(answer: Any) -> list[str]:
    return [one["id"] for one in answer.get_json()["items"]]


def test_jobs_are_listed_as_on_the_page_and_paged(owner: ConsoleClient, context: Context) -> None:
    mine, others = _job(context), _job(context, by="aoi")
    upkeep = _job(context, "audit.checkpoint", by="")
    assert set(_ids(owner.get("/api/v1/jobs"))) == {str(mine), str(others)}
    assert str(upkeep) in _ids(owner.get("/api/v1/jobs?upkeep=true"))
    assert _ids(owner.get("/api/v1/jobs?asked_by=aoi&state=queued&kind=apps.scan")) == [str(others)]
    first = owner.get("/api/v1/jobs?limit=1")
    rest = owner.get(f"/api/v1/jobs?limit=1&after={first.get_json()['next']}")
    assert {*_ids(first), *_ids(rest)} == {str(mine), str(others)}


def test_a_job_tells_how_far_it_is_and_its_log_by_page(
    owner: ConsoleClient, context: Context
) -> None:
    path = f"/api/v1/jobs/{_job(context, lines=5)}"
    job = owner.get(path).get_json()
    assert (job["state"], job["done"], job["total"], job["lines"]) == ("running", 5, 9, 5)
    assert job["said"] == "5 of 9"
    first = owner.get(f"{path}/lines?limit=3").get_json()
    rest = owner.get(f"{path}/lines?limit=3&after={first['next']}").get_json()
    told = [one["text"] for one in (*first["items"], *rest["items"])]
    assert (told, rest["next"]) == ([f"{n} of 9" for n in range(1, 6)], None)
    assert owner.get(f"/api/v1/jobs/{UUID(int=7)}/lines").status_code == 404


def test_a_program_follows_a_job_by_its_token(
    app: Flask, owner: ConsoleClient, visitor: ConsoleClient, context: Context
) -> None:
    job_id = _job(context, lines=2)
    path = f"/api/v1/jobs/{job_id}/events"
    token = {"Authorization": owner.environ_base["HTTP_AUTHORIZATION"]}
    with app.test_request_context(path, base_url=BASE, headers=token):
        answer = app.full_dispatch_request()
        assert request.environ[FOLLOWED].jobs == {job_id}, "the server in front goes on"
    assert answer.mimetype == "text/event-stream"
    data = answer.get_data(as_text=True).partition("data: ")[2].partition("\n")[0]
    assert json.loads(data)["lines"] == 2
    assert "ETag" not in answer.headers
    assert visitor.get(path).status_code == 401
    document = owner.get("/api/v1/openapi.json").get_json()["paths"]
    said = document["/api/v1/jobs/{job_id}/events"]["get"]["responses"]["200"]
    assert list(said["content"]) == ["text/event-stream"]


def test_a_job_is_stopped_and_tried_again(owner: ConsoleClient, context: Context) -> None:
    path = f"/api/v1/jobs/{_job(context, lines=1)}"
    assert owner.post(f"{path}/cancel").get_json()["cancelled_by"] == "program"
    assert owner.post(f"{path}/cancel").status_code == 409
    assert owner.post(f"{path}/retry").get_json()["state"] == "queued"
    with context.database.reading() as session:
        wanted = select(AuditEntry.action).where(AuditEntry.subject.like("%-%"))
        assert session.scalars(wanted.order_by(AuditEntry.seq)).all() == ["job.cancel", "job.retry"]


def test_only_who_may_start_such_work_stops_it(app: Flask, context: Context) -> None:
    path = f"/api/v1/jobs/{_job(context)}"
    reader = api_client(app, context, "reader", Role.READ_ONLY)
    assert reader.get(path).get_json()["state"] == "queued"
    for what in ("cancel", "retry"):
        assert reader.post(f"{path}/{what}").status_code == 403


def test_who_is_limited_to_groups_sees_their_own_jobs_only(app: Flask, context: Context) -> None:
    mine, others = _job(context, by="clerk", lines=1), _job(context, by="aoi")
    clerk = api_client(app, context, "clerk", Role.OPERATOR)
    with context.database.transaction("limit") as session:
        person = session.scalars(select(Administrator).filter_by(name="clerk")).one()
        person.limited = True
        session.add(AdministratorGroup(administrator_id=person.id, group_id=ROOT_GROUP))
    for query in ("", "?asked_by=aoi", "?upkeep=true"):
        assert _ids(clerk.get(f"/api/v1/jobs{query}")) == [str(mine)]
    assert clerk.get(f"/api/v1/jobs/{mine}").status_code == 200
    for part in ("", "/lines", "/events"):
        assert clerk.get(f"/api/v1/jobs/{others}{part}").status_code == 404
    with context.database.reading() as session:
        assert session.get_one(Job, others).state == "queued"
