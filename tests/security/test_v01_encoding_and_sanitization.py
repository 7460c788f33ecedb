"""ASVS 5 V1, encoding and sanitization: text from anywhere stays text.

| attack | also shown by |
|---|---|
| SQL injection in lists, searches and filters | here; undocumented answers: `console/test_api` |
| SQL injection by a connector | here; any name a server may say: `test_mail_access_api` |
| SQL injection and markup by a device | here; `test_listing`, `console/test_devices_page` |
| formulas in every CSV file | here |
| markup in an app's name | `test_apps` |
| stored XSS, in a browser | `test_v03_web_frontend` |
| shell commands, XML, LDAP, deserialization | nothing here starts or reads such |
"""

import csv
import io
from uuid import UUID

import pytest
from sqlalchemy import func, select

from management.allow_list.models import AllowedDevice
from management.devices.models import Device
from management.dry_run.models import DryRun, DryRunDevice
from management.formulas import STARTS
from management.mail_access.models import Partnership
from management.rates import Buckets
from runtime.clock import utc_now
from tests.management.test_mail_access_api import Program, batch, phone
from tests.security.conftest import Target

INJECTIONS = (
    "' OR '1'='1",
    "'; DROP TABLE device; --",
    '" UNION SELECT password_hash FROM administrator --',
    "%' OR 1=1 --",
    "\\' OR 1=1 --",
    "1); DELETE FROM audit_entry; --",
)
FIELDS = ("q", "owner", "os", "patch", "patterns", "sort", "after", "state", "policy", "group")


def _devices(target: Target) -> int:
    with target.context.database.reading() as session:
        return session.scalar(select(func.count()).select_from(Device)) or 0


@pytest.mark.parametrize("field", FIELDS)
def test_sql_in_a_filter_finds_nothing_and_changes_nothing(target: Target, field: str) -> None:
    before = _devices(target)
    for text in INJECTIONS:
        page = target.owner.get("/devices", query_string={field: text})
        listed = target.program.get("/api/v1/devices", query_string={field: text})
        assert page.status_code in {200, 400, 404}
        assert listed.status_code in {200, 400, 404}
        if listed.status_code == 200 and field in {"q", "owner", "os"}:
            assert listed.get_json()["items"] == []
        assert "argon2" not in page.text + listed.text
    assert _devices(target) == before


@pytest.mark.parametrize(
    "path", ["/audit", "/apps/", "/commands", "/mail-access", "/registrations"]
)
def test_sql_in_other_lists_finds_nothing_and_breaks_nothing(target: Target, path: str) -> None:
    for text in INJECTIONS:
        named = {"q": text, "after": text, "action": text, "state": text}
        assert target.owner.get(path, query_string=named).status_code in {200, 400, 404}


def test_sql_from_a_connector_is_stored_as_text(target: Target) -> None:
    connector = Program(target.app, target.context)
    assert connector.pair().status_code == 201
    said = [
        phone(mailbox=f"corp/{number}", device_id=f"A{number}", device_model=text, user_agent=text)
        for number, text in enumerate(INJECTIONS)
    ]
    assert connector.post("/partnerships", batch(*said)).status_code == 204
    with target.context.database.reading() as session:
        kept = select(Partnership.user_agent).where(Partnership.mailbox.like("corp/%"))
        assert sorted(session.scalars(kept)) == sorted(INJECTIONS)
    assert target.owner.get("/mail-access").status_code == 200


FORMULAS = (
    "=1+1",
    "+1",
    "-1",
    "@SUM(1)",
    "\t=1",
    "\r=1",
    "\n=1",
    "＝1+1",
    "＋1",
    "－1",
    "＠SUM(1)",
)


@pytest.fixture(autouse=True)
def _nothing_was_asked_before(target: Target) -> None:
    """Let the one account of all these tests ask for more files than one may so quickly."""
    target.app.extensions["sekisho-rates"] = Buckets()


@pytest.fixture(scope="module")
def run_id(target: Target) -> UUID:
    """A dry run that names one device."""
    with target.context.database.transaction("a dry run") as session:
        policy = session.get_one(Device, target.fleet.devices[1]).policy_id
        run = DryRun(policy_id=policy, asked_by="keeper", asked_at=utc_now(), state="done")
        session.add(run)
        session.flush()
        device_id = target.fleet.devices[1]
        session.add(
            DryRunDevice(dry_run_id=run.id, device_id=device_id, before="healthy", after="x")
        )
    return run.id


@pytest.mark.parametrize("formula", FORMULAS, ids=range(len(FORMULAS)))
@pytest.mark.parametrize("file", ["/devices/devices.csv", "/dry-runs/{run_id}/devices.csv"])
def test_a_formula_in_a_devices_name_is_text_in_every_file(
    target: Target, run_id: UUID, file: str, formula: str
) -> None:
    with target.context.database.transaction("hostile") as session:
        device = session.get_one(Device, target.fleet.devices[1])
        before, device.name = device.name, formula
    try:
        answer = target.owner.get(file.format(run_id=run_id))
        assert answer.status_code == 200
        _assert_guarded(answer.text, formula)
    finally:
        with target.context.database.transaction("mend") as session:
            session.get_one(Device, target.fleet.devices[1]).name = before


@pytest.mark.parametrize("formula", FORMULAS, ids=range(len(FORMULAS)))
def test_a_formula_in_the_allow_list_is_text_in_its_file(target: Target, formula: str) -> None:
    with target.context.database.transaction("hostile") as session:
        row = AllowedDevice(serial="=S1", note=formula, added_at=utc_now(), added_by="keeper")
        session.add(row)
    try:
        answer = target.owner.get("/allow-list/list.csv")
        _assert_guarded(answer.text, formula)
        _assert_guarded(answer.text, "=S1")
    finally:
        with target.context.database.transaction("mend") as session:
            session.delete(session.get_one(AllowedDevice, row.id))


def _assert_guarded(text: str, formula: str) -> None:
    cells = [
        c for row in csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline="")) for c in row
    ]
    assert "'" + formula in cells
    assert not [cell for cell in cells if cell.startswith(STARTS)]
