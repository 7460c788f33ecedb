"""The process: its ports, its files, its start and its end."""

import socket
import ssl
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import psutil
import pytest

from contracts import codec
from contracts.link import SeenBatch
from tests.communication.relay import ROOT, Management, Phone, Relay, certificate, context

pytestmark = pytest.mark.servers


def test_every_port_says_whether_the_server_is_well(relay: Relay) -> None:
    answers = [
        relay.devices_client().get("/healthz"),
        relay.link_client().get("/healthz"),
        httpx.get(f"http://127.0.0.1:{relay.http_port}/healthz"),
        httpx.get(f"http://127.0.0.1:{relay.health_port}/healthz"),
    ]

    assert [(a.status_code, a.json()["status"]) for a in answers] == [(200, "ok")] * 4


def test_metrics_are_for_this_machine_only(relay: Relay) -> None:
    text = httpx.get(f"http://127.0.0.1:{relay.health_port}/metrics").text
    listening = {
        connection.laddr.ip
        for connection in psutil.Process(_pid(relay)).net_connections()
        if connection.status == psutil.CONN_LISTEN and connection.laddr.port == relay.health_port
    }

    assert "sekisho_communication_polls" in text
    assert 'sekisho_communication_answers_total{port="devices"' in text
    assert listening == {"127.0.0.1"}
    assert relay.devices_client().get("/metrics").status_code == 404
    assert relay.link_client().get("/metrics").status_code == 404


def test_plain_http_only_leads_to_the_download_page(relay: Relay) -> None:
    plain = f"http://127.0.0.1:{relay.http_port}"

    for path in ("/", "/mobile"):
        led = httpx.get(f"{plain}{path}")
        assert (led.status_code, led.headers["location"]) == (302, f"{relay.devices_url}/mobile")
    page = relay.devices_client().get("/mobile")
    assert (page.status_code, "no agent package" in page.text) == (200, True)
    assert httpx.post(f"{plain}/agent/v1/enrolments", content=b"{}").status_code == 404
    assert httpx.get(f"{plain}/agent/v1/trust").status_code == 404


def test_tls_1_2_is_the_oldest_and_1_3_is_offered(relay: Relay) -> None:
    for port, pem in ((relay.devices_port, relay.tls), (relay.link_port, relay.link_tls)):
        spoken = []
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            trust = context(pem)
            trust.minimum_version = trust.maximum_version = version
            with (
                socket.create_connection(("127.0.0.1", port)) as plain,
                trust.wrap_socket(plain, server_hostname="127.0.0.1") as connection,
            ):
                spoken.append(connection.version())
        assert spoken == ["TLSv1.2", "TLSv1.3"]


def test_its_files_are_for_its_own_user(relay: Relay) -> None:
    modes = {path.name: path.stat().st_mode & 0o777 for path in relay.folder.iterdir()}

    assert relay.folder.stat().st_mode & 0o777 == 0o700
    assert modes["tls.key"] == modes["link.key"] == modes["token.key"] == 0o600


def test_polls_that_were_not_written_down_yet_are_at_the_end(own_relay: Relay) -> None:
    own_relay.start()
    phone = Phone(own_relay, Management(own_relay))
    phone.poll(phone.token())

    assert own_relay.stop() == 0
    own_relay.start()

    answer = Management(own_relay).send("GET", "/link/v1/seen")
    devices = codec.read(SeenBatch, answer.content).devices
    assert [entry.device_id for entry in devices] == [phone.id]


def test_it_ends_soon_although_somebody_waits(own_relay: Relay) -> None:
    own_relay.start()
    management = Management(own_relay)
    phone = Phone(own_relay, management)
    token = phone.token()
    held = [
        threading.Thread(target=phone.poll, args=(token, "?wait=55")),
        threading.Thread(target=management.inbound, args=("?wait=55",)),
    ]
    for thread in held:
        thread.start()
    time.sleep(1)
    began = time.monotonic()

    assert own_relay.stop() == 0

    assert time.monotonic() - began < 40
    for thread in held:
        thread.join(60)
        assert not thread.is_alive()


def test_it_is_one_process_and_leaves_its_ports_free_when_killed(own_relay: Relay) -> None:
    own_relay.start()
    assert psutil.Process(_pid(own_relay)).children(recursive=True) == []

    own_relay.kill()

    own_relay.start()
    assert own_relay.devices_client().get("/healthz").status_code == 200


def test_it_dies_with_the_supervisor_that_started_it(own_relay: Relay, tmp_path: Path) -> None:
    written = tmp_path / "pid"
    program = (
        "import os, subprocess, sys, time, pathlib;"
        "os.environ['SEKISHO_SUPERVISED'] = str(os.getpid());"
        "child = subprocess.Popen([sys.executable, '-m', 'sekisho', 'communication']);"
        f"pathlib.Path({str(written)!r}).write_text(str(child.pid));"
        "time.sleep(600)"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env=own_relay.environment(),
        stderr=subprocess.DEVNULL,
    )
    _until_listening(own_relay.devices_port)
    child = int(written.read_text())

    parent.kill()
    parent.wait()

    give_up = time.monotonic() + 120
    while psutil.pid_exists(child) and time.monotonic() < give_up:
        time.sleep(0.05)
    assert not psutil.pid_exists(child)


def test_a_folder_or_port_that_is_taken_is_named(own_relay: Relay, tmp_path: Path) -> None:
    own_relay.start()

    second = own_relay.spawn()

    assert second.wait(120) == 78
    assert "Another communication server uses" in (own_relay.home / "log").read_text()
    elsewhere = Relay(tmp_path)
    elsewhere.devices_port = own_relay.devices_port
    assert elsewhere.spawn().wait(120) == 78
    assert f"port {own_relay.devices_port}" in (tmp_path / "log").read_text()
    assert own_relay.devices_client().get("/healthz").status_code == 200


def test_a_wrong_setting_is_named(own_relay: Relay) -> None:
    own_relay.settings["poll_seconds"] = "soon"

    assert own_relay.spawn().wait(120) == 78

    assert "SEKISHO_COMMUNICATION_POLL_SECONDS" in (own_relay.home / "log").read_text()


def test_another_certificate_is_shown_after_a_restart_and_the_mailbox_stays(
    own_relay: Relay,
) -> None:
    own_relay.start()
    phone = Phone(own_relay, Management(own_relay))
    own_relay.stop()
    own_relay.tls, tls_key = certificate()
    (own_relay.folder / "tls.pem").write_text(own_relay.tls)
    (own_relay.folder / "tls.key").write_text(tls_key)
    own_relay.start()

    phone.client = own_relay.devices_client()

    assert phone.report(1).status_code == 202


def test_pairing_by_hand_prints_what_management_pins(own_relay: Relay, tmp_path: Path) -> None:
    files = {name: own_relay.folder / name for name in ("management.json", "tls.pem", "tls.key")}
    for name, path in files.items():
        (tmp_path / name).write_bytes(path.read_bytes())
        path.unlink()
    words = ["--management-key", "management.json", "--certificate", "tls.pem", "--key", "tls.key"]
    environment = own_relay.environment(PYTHONPATH=str(ROOT))

    done = subprocess.run(
        [sys.executable, "-m", "sekisho", "communication", "pair", *words],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout == own_relay.link_tls
    own_relay.start()
    assert Management(own_relay).send("GET", "/link/v1/status").status_code == 200


def test_connections_that_say_nothing_keep_nobody_out(relay: Relay) -> None:
    silent = [
        socket.create_connection(("127.0.0.1", port))
        for port in (relay.devices_port, relay.link_port)
        for _ in range(200)
    ]
    try:
        assert relay.devices_client().get("/healthz").status_code == 200
        assert relay.link_client().get("/healthz").status_code == 200
    finally:
        for connection in silent:
            connection.close()


def _pid(relay: Relay) -> int:
    assert relay.process is not None
    return relay.process.pid


def _until_listening(port: int) -> None:
    give_up = time.monotonic() + 120
    while time.monotonic() < give_up:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError(f"Nothing listens on {port}.")
