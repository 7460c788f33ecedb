"""ASVS 5 V2, validation and business logic: steps left out, out of order, or done twice.

| attack | also shown by |
|---|---|
| a confirmation skipped, for others, with another number, twice | here; `test_commands_bulk` |
| a wipe by "try again", without today's reason and proof | here; `test_command_life` |
| a proof skipped that a step asks for | here; `test_roles`, `console/test_passkeys` |
| blocks confirmed that are not held any more | here; `test_mail_access` |
| limits stepped over by many small orders, approvals by oneself | `test_signer*` |
| two at once | `test_work`, `test_groups`, `tests/end_to_end/test_kill` |
"""

from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import func, select

from management.access import Role
from management.commands.models import Command, CommandBatch
from management.commands.rules import DESTRUCTIVE
from management.mail_access.models import Partnership
from management.work.models import Job
from runtime.clock import utc_now
from tests.management.clients import api_client
from tests.security.conftest import Target


def _count(target: Target, *wanted: Any) -> list[int]:
    with target.context.database.reading() as session:
        return [session.scalar(select(func.count()).select_from(one)) or 0 for one in wanted]


def _draft(target: Target, kind: str = "locate") -> str:
    body = {
        "kind": kind, "reason": "left in a taxi",
        "device_ids": [str(one) for one in target.fleet.devices[:2]],
    }  # fmt: skip
    answer = target.program.post("/api/v1/bulk-commands", json=body)
    assert answer.status_code == 201, answer.text
    return str(answer.get_json()["id"])


def test_a_draft_goes_only_with_its_number_by_whom_it_is_and_once(target: Target) -> None:
    path, before = f"/api/v1/bulk-commands/{_draft(target)}/confirm", _count(target, Command, Job)
    other = api_client(target.app, target.context, f"other {uuid4()}", Role.OWNER)
    for client, body in (
        (target.program, {}),
        (target.program, {"devices": 1}),
        (target.program, {"devices": True}),
        (other, {"devices": 2}),
    ):
        assert client.post(path, json=body).status_code in (400, 403, 409), body
    assert _count(target, Command, Job) == before

    assert target.program.post(path, json={"devices": 2}).status_code == 200
    once = _count(target, Command, Job)
    target.program.post(path, json={"devices": 2})
    assert _count(target, Command, Job) == once, "a second post queues nothing"


def test_what_was_cancelled_or_never_drafted_cannot_be_confirmed(target: Target) -> None:
    draft = _draft(target)
    assert target.program.post(f"/api/v1/bulk-commands/{draft}/cancel").status_code == 200
    before = _count(target, Command, Job)
    for batch in (draft, uuid4()):
        path = f"/api/v1/bulk-commands/{batch}/confirm"
        assert target.program.post(path, json={"devices": 2}).status_code in (404, 409)
    assert _count(target, Command, Job) == before


def test_a_wipe_of_many_does_not_go_without_a_proof(target: Target) -> None:
    draft = _draft(target, "wipe")
    before = _count(target, Command, Job)
    for code in (None, "000000"):
        body = {"devices": 2, "code": code}
        answer = target.program.post(f"/api/v1/bulk-commands/{draft}/confirm", json=body)
        assert answer.status_code in (401, 403, 409, 422), answer.text
    assert _count(target, Command, Job) == before
    with target.context.database.reading() as session:
        assert session.get_one(CommandBatch, UUID(draft)).confirmed_at is None


@pytest.mark.parametrize("door", ["/commands/{}/retry", "/api/v1/commands/{}/retry"])
def test_a_wipe_that_ended_is_not_ordered_again_by_one_click(target: Target, door: str) -> None:
    now, client = utc_now(), target.program if door.startswith("/api") else target.owner
    for kind in sorted(DESTRUCTIVE):
        with target.context.database.transaction("a wipe that ended") as session:
            ended = Command(
                device_id=target.fleet.devices[3], kind=kind, state="expired",
                requested_by="keeper", reason="stolen", queued_at=now, ready_at=now,
                expires_at=now, finished_at=now,
            )  # fmt: skip
            session.add(ended)
        before = _count(target, Command)
        refused = client.post(door.format(ended.id))
        assert refused.status_code == 409, refused.text
        assert _count(target, Command) == before
        with target.context.database.transaction("mend") as session:
            session.delete(session.get_one(Command, ended.id))


def test_a_block_that_is_not_held_is_not_confirmed(target: Target) -> None:
    with target.context.database.reading() as session:
        one = session.scalars(select(Partnership.id).order_by(Partnership.id)).first()
        before = session.execute(select(Partnership.id, Partnership.wanted)).all()
    body = {"partnership_ids": [one, 987_654_321], "because": "seen"}
    answer = target.program.post("/api/v1/mail-access/held/confirm", json=body)
    assert answer.status_code in (404, 409)
    with target.context.database.reading() as session:
        assert session.execute(select(Partnership.id, Partnership.wanted)).all() == before
