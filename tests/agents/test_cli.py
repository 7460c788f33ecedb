"""`sekisho simulate`, as people call it."""

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from agents.simulator.cli import simulate
from agents.simulator.device import SimulatedDevice
from contracts.agent import Apps, Leaving, Posture
from runtime.errors import MalformedMessageError, NotFoundError, RefusedError
from tests.agents.conftest import DESCRIPTION, Enrol
from tests.agents.office import Office
from tests.servers import needs

pytestmark = pytest.mark.servers
Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Return a function that runs a sub-command on one device; errors come through."""

    def run(*words: str, folder: Path | None = None) -> Result:
        arguments = [words[0], "--state", str(folder or tmp_path / "phone"), *words[1:]]
        return CliRunner().invoke(simulate, arguments, catch_exceptions=False)

    return run


def test_a_phone_enrols_and_says_with_which_policy(
    office: Office, run: Run, tmp_path: Path
) -> None:
    def grant() -> None:
        for _ in range(300):
            if requests := office.requests():
                office.admit(requests[0])
                return
            time.sleep(0.1)

    granting = threading.Thread(target=grant)
    granting.start()
    enrolled = run("enrol", "--qr", office.qr(), "--model", "K9", "--exchange-device-id", "ABC1")
    granting.join()

    assert enrolled.exit_code == 0
    (device,) = office.devices.values()
    assert f"Enrolled as {device.device_id}." in enrolled.output
    assert "Policy: Phones, version 1." in enrolled.output
    assert device.request.device.exchange_device_id == "ABC1"


def test_changes_are_reported_at_the_next_check_in(office: Office, enrol: Enrol, run: Run) -> None:
    device, admitted = enrol()
    folder = device.file.folder
    assert run("set", "rooted=true", "os_version=14", folder=folder).exit_code == 0
    installed = run("install", "--package", "jp.example.memo", "--sha256", "a" * 64, folder=folder)
    assert "Installed jp.example.memo" in installed.output
    checked_in = run("check-in", folder=folder)
    assert "1 report sent, 0 orders taken" in checked_in.output
    run("uninstall", "jp.example.memo", folder=folder)
    run("check-in", folder=folder)
    office.collect()

    assert admitted.said(Posture)[0].rooted is True
    assert admitted.said(Posture)[0].os_version == "14"
    assert [len(said.apps) for said in admitted.said(Apps)] == [1, 0]


def test_a_sim_is_reported_by_its_mark_alone(office: Office, enrol: Enrol, run: Run) -> None:
    device, admitted = enrol()
    folder, number = device.file.folder, "8981100000000000001"
    run("insert-sim", number, "--operator", "KDDI", "--country", "jp", folder=folder)
    run("check-in", folder=folder)
    run("remove-sim", number, folder=folder)
    run("check-in", folder=folder)
    office.collect()

    with_it, without = (posture.sims for posture in admitted.said(Posture))
    assert with_it is not None
    assert [(one.operator, one.country) for one in with_it] == [("KDDI", "JP")]
    assert without == ()
    assert number not in str(admitted.said(Posture))
    with pytest.raises(MalformedMessageError, match="iccid"):
        run("insert-sim", "12", folder=folder)


def test_an_apk_is_described_by_the_scanner(run: Run, tmp_path: Path) -> None:
    needs.program("aapt2", "aapt")
    from tests.scanner.build_apk import App, build_apk

    path = build_apk(
        tmp_path / "any name.apk", App(package="org.example.torch", label="Torch", version_name="7")
    )
    assert run("install", str(path)).exit_code == 0
    shown = json.loads(run("show", "--json").output)

    (app,) = shown["phone"]["apps"]
    assert (app["package"], app["name"], app["version"]) == ("org.example.torch", "Torch", "7")
    assert len(app["signer_sha256"]) == 64


def test_what_is_no_app_is_not_installed(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("no app")

    with pytest.raises(MalformedMessageError, match="cannot be installed"):
        run("install", str(path))
    assert "Name an APK file" in run("install").output


def test_show_tells_people_and_programs_and_no_secret(
    office: Office, enrol: Enrol, run: Run
) -> None:
    device, admitted = enrol()
    run("set", "rooted=true", folder=device.file.folder)
    text = run("show", folder=device.file.folder).output
    fields = json.loads(run("show", "--json", folder=device.file.folder).output)

    assert str(admitted.device_id) in text
    assert "Phones, version 1" in text
    assert fields["device_id"] == str(admitted.device_id)
    assert fields["phone"]["posture"]["rooted"] is True
    assert fields["posture_reported"] is False
    private = json.loads(device.state.signing_key)["d"]
    assert private not in text + json.dumps(fields)


def test_leaving_is_told(office: Office, enrol: Enrol, run: Run) -> None:
    device, admitted = enrol()
    left = run("leave", "--reason", "sold", folder=device.file.folder)
    office.collect()

    assert "no longer managed" in left.output
    assert admitted.said(Leaving) == [Leaving(reason="sold")]


@pytest.mark.parametrize(
    ("words", "kind", "said"),
    [
        (("check-in",), RefusedError, "not enrolled"),
        (("run",), RefusedError, "not enrolled"),
        (("leave",), RefusedError, "not enrolled"),
        (("enrol", "--qr", "https://example.jp"), MalformedMessageError, "no enrolment code"),
        (("set", "colour=red"), RefusedError, "has no colour"),
        (("set", "rooted=perhaps"), MalformedMessageError, "rooted"),
        (("set", "security_patch=soon"), MalformedMessageError, "security_patch"),
        (("uninstall", "no.such"), NotFoundError, "No app no.such"),
        (("install", "--package", "a", "--sha256", "xyz"), MalformedMessageError, "sha256"),
    ],
)
def test_what_cannot_be_done_is_said(
    run: Run, words: tuple[str, ...], kind: type[Exception], said: str
) -> None:
    with pytest.raises(kind, match=said):
        run(*words)


def test_errors_have_exit_codes_of_their_own(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "sekisho", "simulate", "check-in", "--state", str(tmp_path)]
    done = subprocess.run(words, capture_output=True, text=True)

    assert done.returncode == 77
    assert "This device is not enrolled" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_running_phone_is_stopped_with_ctrl_c(office: Office, enrol: Enrol) -> None:
    device, admitted = enrol()
    words = [sys.executable, "-m", "sekisho", "simulate", "run", "--every", "0.2"]
    words += ["--state", str(device.file.folder)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        first = running.stdout.readline()
        device.set(rooted="true")
        for line in running.stdout:
            if "1 report sent" in line:
                break
        running.send_signal(signal.SIGINT)
        assert running.wait(120) == 0
    office.collect()

    assert first.startswith("Checked in: 1 report sent")
    assert admitted.said(Posture)[-1].rooted is True


def test_two_programs_may_use_one_phone(enrol: Enrol) -> None:
    device, _ = enrol()
    folder = device.file.folder

    def change(name: str) -> None:
        for _ in range(20):
            SimulatedDevice(folder).set(**{name: "true"})

    names = ("rooted", "roaming", "usb_debugging")
    threads = [threading.Thread(target=change, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    posture = device.state.phone.posture

    assert (posture.rooted, posture.roaming, posture.usb_debugging) == (True, True, True)
    assert device.state.phone.description == DESCRIPTION
