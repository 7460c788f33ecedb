"""The pages of background work, and the stream that tells how it goes."""

import json
from uuid import UUID, uuid4

import pytest
from flask import Flask

from management.access import Role
from management.context import Context
from management.handlers import HANDLERS, resolve
from management.progress import Said, said
from management.updates.activation import locked_source
from management.updates.service import request_run
from management.work import queries, service
from management.work.kinds import KINDS
from management.work.models import Job
from runtime.clock import utc_now
from tests.management.clients import ConsoleClient, signed_in_client


def _queue(context: Context, kind: str, asked_by: str = "keeper", **payload: str) -> UUID:
    with context.database.transaction("queue") as session:
        session.info["sekisho_behalf"] = asked_by
        job = service.enqueue(session, kind, f"{kind}:{uuid4()}", payload)
        assert job is not None
        return job.id


def _run(context: Context, job_id: UUID, *lines: Said) -> None:
    with context.database.transaction("run") as session:
        assert service.claim_one(session, job_id, "w") is not None
        assert service.heartbeat(session, job_id, "w", said=lines)


def _fail(context: Context, job_id: UUID, error: str) -> None:
    with context.database.transaction("fail") as session:
        job = queries.get_job(session, job_id)
        job.attempts = job.maximum_attempts
        assert service.fail(session, job_id, "w", error)


def _job(context: Context, job_id: UUID) -> Job:
    with context.database.reading() as session:
        return queries.get_job(session, job_id)


def test_every_kind_of_work_has_a_name_and_what_tidies_up_exists() -> None:
    assert set(HANDLERS) <= set(KINDS)
    for kind in KINDS.values():
        assert not kind.tidy or callable(resolve(kind.tidy))


def test_the_list_shows_mine_then_everybodys_then_the_servers(
    console: ConsoleClient, context: Context
) -> None:
    _queue(context, "apps.scan", sha256="a" * 64)
    _queue(context, "dry_run.run", "another")
    _queue(context, "listing.fold", "")
    broken = _queue(context, "relays.watch", "")
    _run(context, broken)
    _fail(context, broken, "The other side is away.")

    mine = console.get("/jobs").text
    assert "Scan of an app" in mine
    assert "Dry run" not in mine.partition('id="sk-rows"')[2]
    all_of_them = console.get("/jobs?by=all").text.partition('id="sk-rows"')[2]
    assert "Dry run" in all_of_them
    assert "Folding" not in all_of_them
    assert "The other side is away." in all_of_them  # what failed shows, whoever's it is
    assert "Folding of the counts" in console.get("/jobs?by=server").text
    assert "Scan of an app" not in console.get("/jobs?by=server&state=failed").text


def test_a_list_without_jobs_leads_on(console: ConsoleClient) -> None:
    assert "You started no long work" in console.get("/jobs").text
    assert "Jobs of everybody" in console.get("/jobs").text
    assert "No job is in this state." in console.get("/jobs?state=failed").text


def test_a_job_shows_how_far_it_is_and_its_log_in_the_readers_language(
    console: ConsoleClient, context: Context
) -> None:
    job_id = _queue(context, "apps.retro_hunt")
    text = "Judged %(done)s of %(total)s known apps again; %(changed)s changed."
    _run(context, job_id, said(text, done=20, total=80, changed=1))

    page = console.get(f"/jobs/{job_id}").text
    assert 'value="0.2500"' in page
    assert "Judged 20 of 80 known apps again; 1 changed." in page
    assert 'data-sk-version="running:1"' in page
    assert "cannot be cancelled" in page  # it keeps things in step
    console.set_cookie("language", "ja", domain="localhost")
    assert "Judged 20" not in console.get(f"/jobs/{job_id}").text
    part = console.get(f"/jobs/{job_id}", headers={"HX-Request": "true"}).text
    assert "<html" not in part
    assert 'id="sk-job"' in part


def test_a_failed_job_says_why_and_is_tried_again(console: ConsoleClient, context: Context) -> None:
    job_id = _queue(context, "apps.recheck")
    _run(context, job_id)
    _fail(context, job_id, "The database is <b>busy</b>.")
    page = console.get(f"/jobs/{job_id}").text
    assert "The database is &lt;b&gt;busy&lt;/b&gt;." in page

    console.post(f"/jobs/{job_id}/retry")
    assert (_job(context, job_id).state, _job(context, job_id).attempts) == ("queued", 0)
    assert console.post(f"/jobs/{job_id}/retry").status_code == 409
    trail = console.get("/audit?action=job.").text
    assert "job.retry" in trail


def test_cancelling_an_update_also_ends_the_attempt(
    console: ConsoleClient, context: Context
) -> None:
    with context.database.transaction("begin") as session:
        session.info["sekisho_behalf"] = "keeper"

        locked_source(session).address = "https://updates.example"
        run = request_run(session, "keeper", utc_now())
        job_id = queries.find_by_key(session, f"updates.run:{run.id}").id  # type: ignore[union-attr]
    assert "Cancel the job" in console.get(f"/jobs/{job_id}").text
    console.post(f"/jobs/{job_id}/cancel")

    assert _job(context, job_id).state == "cancelled"
    assert "keeper cancelled it; the pattern set in use stayed" in console.get("/updates/").text
    assert console.post(f"/jobs/{job_id}/retry").status_code == 409  # Update now begins anew
    assert console.post(f"/jobs/{job_id}/cancel").status_code == 409


def test_work_that_keeps_things_in_step_cannot_be_cancelled(
    console: ConsoleClient, context: Context
) -> None:
    job_id = _queue(context, "policies.spread", policy_id=str(uuid4()))
    answer = console.post(f"/jobs/{job_id}/cancel")
    assert answer.status_code == 409
    assert _job(context, job_id).state == "queued"


def test_only_who_may_start_such_work_stops_it(app: Flask, context: Context) -> None:
    job_id = _queue(context, "apps.scan", sha256="a" * 64)
    reader = signed_in_client(app, context, "reader", Role.READ_ONLY)
    assert "Cancel the job" not in reader.get(f"/jobs/{job_id}").text
    assert reader.post(f"/jobs/{job_id}/cancel").status_code == 403
    assert _job(context, job_id).state == "queued"


def test_the_stream_begins_with_how_the_jobs_stand(
    console: ConsoleClient, context: Context
) -> None:
    job_id = _queue(context, "apps.scan", sha256="a" * 64)
    _run(context, job_id, said("%(done)s of %(total)s", done=1, total=4))
    answer = console.get(f"/jobs/events?job={job_id}&job={uuid4()}")

    assert answer.mimetype == "text/event-stream"
    assert answer.text.startswith("retry: 3000\n\n")
    (event,) = answer.text.split("\n\n")[1:-1]
    told = json.loads(event.partition("data: ")[2])
    assert told == {"id": str(job_id), "state": "running", "done": 1, "total": 4, "lines": 1}
    assert console.get("/jobs/events?job=drop%20table").status_code == 400


def test_nobody_follows_jobs_without_signing_in(visitor: ConsoleClient) -> None:
    assert visitor.get(f"/jobs/events?job={uuid4()}").status_code in (302, 303, 401)


@pytest.mark.parametrize("text", ["%(done)s of %(total)s", "100 % of it", "名前 %(name)s"])
def test_a_jobs_sentence_survives_the_pipe(text: str) -> None:
    gaps = {"done": 1, "total": 2} if "done" in text else {"name": "関所"} if "name" in text else {}
    sentence = said(text, **gaps)
    again = Said.from_json(sentence.to_json())
    assert (again, again.text, again.values) == (sentence, sentence.text, sentence.values)
