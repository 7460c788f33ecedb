"""ASVS 5 V15, secure coding and architecture: more than was offered.

| attack | also shown by |
|---|---|
| fields that nobody offers (mass assignment) | here |
| two at once | `test_work`, `test_groups`, `tests/end_to_end/test_kill` |
| hostile input of devices and relays | `tests/hostile_relay`, `tests/communication` |
| pairing attempts used up by strangers | here |
| supply chain | hashes of all packages in `requirements/*.lock`; updates: `tests/updater` |
"""

from sqlalchemy import select

from management.administrators.models import Administrator
from management.devices.models import Device
from tests.management.test_mail_access_api import Program
from tests.security.conftest import Target


def test_a_field_that_nobody_offers_is_refused_by_the_api(target: Target) -> None:
    body = {"recipient": "a@example.org", "role": "owner", "id": "x", "is_admin": True}
    for path in ("/api/v1/invitations", "/api/v1/groups", "/api/v1/policies"):
        answer = target.program.post(path, json=body)
        assert answer.status_code in {400, 405}, path


def test_a_field_that_nobody_offers_is_nothing_in_a_form(target: Target) -> None:
    forged = {"theme": "dark", "role": "owner", "name": "root", "password_hash": "x"}
    target.reader.post("/theme", data=forged)
    with target.context.database.reading() as session:
        names = {row.name: row.role for row in session.scalars(select(Administrator))}
    assert names["reader"] == "read_only"
    assert "root" not in names


def test_an_address_with_more_in_it_changes_no_device(target: Target) -> None:
    device = target.fleet.devices[2]
    answer = target.program.get(f"/api/v1/devices/{device}?enrolment_state=wiped&policy_is_own=1")
    assert answer.status_code in {200, 400}
    with target.context.database.reading() as session:
        assert session.get_one(Device, device).enrolment_state == "enrolled"


def test_strangers_use_up_their_own_pairing_attempts_only(target: Target) -> None:
    stranger = Program(target.app, target.context)
    stranger.client.environ_base["REMOTE_ADDR"] = "203.0.113.5"
    answers = [stranger.pair("AAAA-BBBB-CCCC-DDDD").status_code for _ in range(12)]
    assert answers[0] == 401
    assert answers[-1] == 429
    assert Program(target.app, target.context).pair().status_code == 201
