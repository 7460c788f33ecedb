"""What an administrator does from afar: lists, orders, files, any operation, and each refusal."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from io import StringIO
from pathlib import Path

import pyotp
from sqlalchemy import func, select

from management.access import Role
from management.administrators.queries import find_administrator
from management.commands.models import Command
from management.context import Context
from management.devices.models import Device
from management.enrolment.models import Invitation
from tests.management.scoped import limit_to
from tests.remote.conftest import DEVICES, Run, Served, signed_in


def objects(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines()]


def test_lists_are_paged_and_say_when_there_is_more(served: Served, run: Run) -> None:
    signed_in(served, run, "reader", Role.READ_ONLY)
    everything = sorted(map(str, served.fleet.devices))

    few = run("devices", "--limit", "3", "--json")
    paged = run("call", "GET", "/devices", "--where", "limit=7", "--all")
    iphones = objects(run("devices", "--platform", "ios", "--all", "--json").stdout)

    assert len(objects(few.stdout)) == 3
    assert "more than 3" in few.stderr
    assert sorted(str(one["id"]) for one in objects(paged.stdout)) == everything
    assert {one["platform"] for one in iphones} == {"ios"}
    assert "Nothing fits." in run("devices", "--search", "nobody-is-called-so").stdout
    wrong = run("devices", "--where", "stat=healthy")
    assert (wrong.exit_code, "Not known here: stat" in wrong.stderr) == (2, True)
    for other in ("audit", "jobs", "commands", "apps"):
        done = run(other)
        assert done.exit_code == 0, done.output
        assert done.stdout.strip(), other


def test_why_is_told_as_on_the_server(served: Served, run: Run) -> None:
    signed_in(served, run, "asker", Role.READ_ONLY)
    device = str(served.fleet.devices[0])
    told = run("explain", device).stdout
    assert "no_malicious_app" in told
    assert "user: Remove the app: Bright Torch." in told
    assert json.loads(run("explain", device, "--json").stdout)["device_id"] == device
    assert "SK00000000" in run("device", "SK00000000").stdout
    several = run("device", "Pixel")
    assert (several.exit_code, "Name one by its id" in several.stderr) == (1, True)
    assert run("device", "nobody-is-called-so").exit_code == 1
    assert run("explain", device, "--at", "yesterday").exit_code == 2


def test_names_of_devices_do_not_steer_the_terminal(served: Served, run: Run) -> None:
    signed_in(served, run, "looker", Role.READ_ONLY)
    device = served.fleet.devices[1]
    with served.context.database.transaction("a device names itself") as session:
        session.get_one(Device, device).name = "\x1b]0;evil\x07\x9b2J\u202eevil"
    for words in (("device", str(device)), ("devices", "--all"), ("devices", "--all", "--json")):
        done = run(*words)
        assert "evil" in done.stdout
        assert not {"\x1b", "\x07", "\x9b", "\u202e"} & set(done.stdout), words


def test_orders_go_out_with_their_reason_and_a_wipe_wants_the_name(
    served: Served, run: Run
) -> None:
    signed_in(served, run, "orderer")
    device = str(served.fleet.devices[2])
    assert run("lock", device).exit_code == 2
    done = run("lock", device, "--reason", "left in a taxi", "--set", "text=Call us")
    assert done.exit_code == 0, done.output
    unsure = run("wipe", device, "--reason", "stolen")
    assert (unsure.exit_code, "--yes" in unsure.output) == (2, True)

    helper = "helper of others"
    signed_in(served, run, helper, Role.OPERATOR)
    refused = run("wipe", device, "--reason", "stolen", "--yes", given="123456\n")
    assert refused.exit_code == 1
    assert "wipe_devices" in refused.stderr or "wipe devices" in refused.stderr
    with served.context.database.reading() as session:
        mine = session.scalars(select(Command).where(Command.device_id == served.fleet.devices[2]))
        found = {(one.kind, one.requested_by, one.reason) for one in mine}
    assert ("lock", "orderer", "left in a taxi") in found
    assert not any(kind == "wipe" and by == helper for kind, by, _ in found)


def test_an_order_wants_the_whole_name_or_number(served: Served, run: Run) -> None:
    """The beginning of a word fits whatever is there, and what is erased does not come back."""
    signed_in(served, run, "wiper")
    device = served.fleet.devices[7]
    with served.context.database.reading() as session:
        found = session.get_one(Device, device)
        whole, part = found.serial, found.name.split()[-1]
    why = ("--reason", "stolen", "--yes")

    cut = run("wipe", part, *why)
    model = run("lock", "Pixel", "--reason", "lost")
    nothing = [run("wipe", words, *why) for words in ("", "  ")]
    with served.context.database.reading() as session:
        wipes = select(Command).where(Command.kind == "wipe", Command.requested_by == "wiper")
        assert session.scalars(wipes).all() == []
    unproved = run("wipe", whole, *why, given="000000\n")
    done = run("wipe", whole.lower(), *why, given=f"{_code(served.context, 'wiper')}\n")

    assert (cut.exit_code, model.exit_code) == (1, 1), cut.output + model.output
    assert part in run("device", part).stdout
    assert "whole name" in cut.stderr
    assert [(one.exit_code, "empty" in one.stderr) for one in nothing] == [(2, True)] * 2
    assert (unproved.exit_code, "code is wrong" in unproved.stderr) == (1, True), unproved.output
    assert done.exit_code == 0, done.output
    with served.context.database.reading() as session:
        assert [one.device_id for one in session.scalars(wipes)] == [device]


def test_a_code_is_asked_for_where_the_token_is_not_enough(
    served: Served, run: Run, tmp_path: Path
) -> None:
    """The operations of ADR 0045: by the served document, so that nobody has to know the field."""
    signed_in(served, run, "roles' owner")
    role = tmp_path / "role.json"
    role.write_text(json.dumps({"name": "Night shift", "permissions": ["view"]}))
    call = ("call", "POST", "/roles", "--data", str(role))
    code = _code(served.context, "roles' owner")

    without = run(*call)
    wrong = run(*call, "--code", given="000000\n")
    right = run(*call, "--code", given=f"{code}\n")

    assert (without.exit_code, "code" in without.stderr) == (2, True)
    assert wrong.exit_code == 1, wrong.output
    assert right.exit_code == 0, right.output
    assert json.loads(right.stdout)["name"] == "Night shift"
    needless = run("call", "POST", "/invitations", "--code")
    assert (needless.exit_code, "asks for no code" in needless.stderr) == (2, True)


def _code(context: Context, name: str) -> str:
    with context.database.reading() as session:
        person = find_administrator(session, name)
        assert person is not None
    uri = context.signer.begin_totp(person.id, name)
    return pyotp.TOTP(uri.partition("secret=")[2].partition("&")[0]).now()


def test_a_limited_administrator_sees_their_groups_from_afar_too(
    served: Served, run: Run, tmp_path: Path
) -> None:
    signed_in(served, run, "everywhere")
    data = tmp_path / "data.json"
    root = json.loads(run("call", "GET", "/groups").stdout)["items"][0]["id"]
    data.write_text(json.dumps({"name": "Kyoto", "parent_id": root, "because": "an office"}))
    made = run("call", "POST", "/groups", "--data", str(data))
    assert made.exit_code == 0, made.output
    kyoto = json.loads(made.stdout)["id"]
    mine = str(served.fleet.devices[5])
    data.write_text(json.dumps({"group_id": kyoto, "policy_id": None, "because": "moved"}))
    assert run("call", "PUT", f"/devices/{mine}/policy", "--data", str(data)).exit_code == 0

    signed_in(served, run, "ranger")
    from uuid import UUID

    limit_to(served.context, "ranger", [UUID(kyoto)])
    assert [one["id"] for one in objects(run("devices", "--all", "--json").stdout)] == [mine]
    assert run("devices", "--output", str(tmp_path / "mine.csv")).exit_code == 0
    rows = list(csv.reader(StringIO((tmp_path / "mine.csv").read_text("utf-8-sig"))))
    assert [row[0] for row in rows[1:]] == [mine]
    foreign = run("device", str(served.fleet.devices[6]))
    closed = run("call", "GET", "/relays")
    assert (foreign.exit_code, closed.exit_code) == (1, 1)
    assert "limited to groups" in closed.stderr


def test_files_come_whole_and_only_for_their_owner(
    served: Served, run: Run, tmp_path: Path
) -> None:
    signed_in(served, run, "collector", Role.READ_ONLY)
    file = tmp_path / "devices.csv"
    assert run("devices", "--output", str(file)).exit_code == 0
    rows = list(csv.reader(StringIO(file.read_text("utf-8-sig"))))
    assert len(rows) == DEVICES + 1
    assert file.stat().st_mode & 0o777 == 0o600
    shown = run("devices", "--platform", "ios", "--output", "-")
    assert shown.stdout_bytes.startswith("\ufeffdevice id,".encode())

    served.front.paths += ["/api/v1/devices/list.csv"] * 3
    broken = run("devices", "--output", str(file))
    served.front.cut.append("/api/v1/devices/list.csv")
    halved = run("devices", "--output", str(file), "--platform", "ios")
    served.front.cut.clear()
    assert (broken.exit_code, halved.exit_code) == (3, 3)
    assert "cannot be reached" in broken.stderr
    assert "broke off" in halved.stderr
    assert list(csv.reader(StringIO(file.read_text("utf-8-sig")))) == rows
    assert [one.name for one in tmp_path.iterdir() if "devices" in one.name] == ["devices.csv"]
    no_json = run("call", "GET", "/audit/checkpoints.txt")
    assert (no_json.exit_code, "--output FILE" in no_json.stderr) == (2, True)
    marks = run("call", "GET", "/audit/checkpoints.txt", "--output", "-")
    assert marks.exit_code == 0
    nowhere = run("devices", "--output", str(tmp_path / "no" / "such.csv"))
    assert (nowhere.exit_code, "cannot be written" in nowhere.stderr) == (2, True)


def test_what_is_no_file_is_written_to_and_not_replaced(
    served: Served, run: Run, tmp_path: Path
) -> None:
    signed_in(served, run, "piper", Role.READ_ONLY)
    pipe, link, file = tmp_path / "pipe", tmp_path / "link", tmp_path / "shelf" / "devices.csv"
    os.mkfifo(pipe)
    file.parent.mkdir()
    link.symlink_to(file)
    held = os.open(pipe, os.O_RDWR | os.O_NONBLOCK)
    into_pipe = run("devices", "--output", str(pipe))
    assert pipe.is_fifo()
    piped = os.read(held, 64 * 1024)
    os.close(held)
    words = [sys.executable, "-m", "sekisho", "remote", "devices", "--output", "/dev/stdout"]
    to_stdout = subprocess.run(words, capture_output=True, timeout=120, check=False).stdout
    through_link = run("devices", "--output", str(link))
    into_folder = run("devices", "--output", str(file.parent))

    assert (into_pipe.exit_code, through_link.exit_code) == (0, 0), into_pipe.output
    assert piped.startswith("\ufeffdevice id,".encode())
    assert link.readlink() == file
    assert file.read_bytes() == piped == to_stdout
    assert (into_folder.exit_code, "cannot be written" in into_folder.stderr) == (2, True)


def test_a_post_whose_answer_got_lost_is_not_done_twice(
    served: Served, run: Run, tmp_path: Path
) -> None:
    signed_in(served, run, "inviter")
    data = tmp_path / "data.json"
    data.write_text(json.dumps({"address": "lost.answer@example.org", "days": 3}))
    served.front.keys.clear()
    served.front.paths.append("/api/v1/invitations")
    done = run("call", "POST", "/invitations", "--data", str(data))
    assert done.exit_code == 0, done.output
    first, second = served.front.keys
    assert first == second
    mine = Invitation.address == "lost.answer@example.org"
    with served.context.database.reading() as session:
        assert session.scalar(select(func.count()).where(mine)) == 1


def test_changes_can_hang_on_what_was_read(served: Served, run: Run, tmp_path: Path) -> None:
    signed_in(served, run, "careful")
    data = tmp_path / "data.json"
    data.write_text(json.dumps({"requirements": {"not_rooted": False}, "because": "a test"}))
    path = f"/policies/{served.fleet.policy_id}"
    etag = run("call", "GET", path, "--include").stderr.strip().rpartition("ETag ")[2]
    change = ("call", "PUT", f"{path}/requirements", "--data", str(data), "--if-match", etag)
    first, second = run(*change), run(*change)
    assert (first.exit_code, second.exit_code) == (0, 1)
    assert "Somebody changed this" in second.stderr


def test_every_operation_can_be_found(served: Served, run: Run) -> None:
    signed_in(served, run, "finder", Role.READ_ONLY)
    found = run("call", "--list", "roles make")
    assert "POST   /api/v1/roles  Make" in found.stdout
    assert "which this token does not have" in found.stdout
    assert len(run("call", "--list").stdout.splitlines()) > 200


def test_an_app_is_sent_and_its_scan_is_queued(served: Served, run: Run, tmp_path: Path) -> None:
    signed_in(served, run, "sender")
    file = tmp_path / "tool.apk"
    file.write_bytes(b"PK\x03\x04" + os.urandom(600_000))
    sent = run("apps", "upload", str(file))
    assert sent.exit_code == 0, sent.output
    sha256 = sent.stdout.split()[-1]
    app = json.loads(run("call", "GET", f"/apps/{sha256}").stdout)
    assert (app["file_name"], app["size_bytes"]) == ("tool.apk", 600_004)
    again = run("call", "POST", "/apps", "--where", "file_name=b.apk", "--file", str(file))
    assert json.loads(again.stdout)["sha256"] == sha256
    assert run("call", "POST", "/apps", "--file", str(tmp_path / "no.apk")).exit_code == 2
    signed_in(served, run, "mere reader", Role.READ_ONLY)
    refused = run("apps", "upload", str(file))
    assert (refused.exit_code, "manage_apps" in refused.stderr.replace(" ", "_")) == (1, True)


def test_following_is_broken_off_cleanly(served: Served, run: Run, place: Path) -> None:
    signed_in(served, run, "follower")
    with subprocess.Popen(
        [
            *("env", "--default-signal=INT"),  # shells start what is in the background without it
            *(sys.executable, "-m", "sekisho", "remote"),
            *("jobs", str(served.fleet.job_id), "--follow"),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=120)
    assert "Judged 100 of 400 known apps again" in line
    assert (process.returncode, "Traceback" in errors) == (130, False)


def test_it_needs_neither_the_database_nor_what_only_linux_has() -> None:
    """It runs where administrators are."""
    said = "import sys; sys.modules['fcntl'] = sys.modules['resource'] = None; "
    said += "import sekisho.remote.cli; print({'sqlalchemy', 'flask'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", said], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("set()\n", "")
