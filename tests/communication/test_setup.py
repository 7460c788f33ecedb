"""What management sets on a running server: pairing, certificate, ports; and that it is alone."""

import asyncio
import contextlib
import json
import secrets
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from joserfc.jwk import ECKey

from communication import pairing, pairing_code
from communication.ports import Kind, Ports
from contracts import codec, keys, request_signature
from contracts.link import RelayCertificate, RelaySettings, RelayStatus
from contracts.relay_pairing import PATH, PairingAnswer, PairingRequest, proof
from tests.communication.relay import Management, Phone, Relay, certificate, detail, free_ports

pytestmark = pytest.mark.servers


def status(management: Management) -> RelayStatus:
    return codec.read(RelayStatus, management.send("GET", "/link/v1/status").content)


def shown(port: int) -> str:
    """Return the SHA-256 of the certificate that a new connection sees."""
    plain = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    plain.check_hostname, plain.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection(("127.0.0.1", port)) as tcp, plain.wrap_socket(tcp) as tls:
        der = tls.getpeercert(True)
    assert der is not None
    return x509.load_der_x509_certificate(der).fingerprint(hashes.SHA256()).hex()


def of(pem: str) -> str:
    return pairing_code.sha256(x509.load_pem_x509_certificate(pem.encode()))


def give_certificate(management: Management) -> str:
    """Let the relay show a fresh certificate; return it."""
    chain, key = certificate()
    body = codec.write(RelayCertificate(chain=chain, key=key))
    answer = management.send("PUT", "/link/v1/certificate", body)
    assert answer.status_code == 204, answer.text
    return chain


def until(true: Callable[[], bool]) -> None:
    give_up = time.monotonic() + 60
    while not true():
        assert time.monotonic() < give_up
        time.sleep(0.05)


@contextmanager
def asking(address: str, keep_alive: bool) -> Iterator[list[int]]:
    """Ask all the time, in four threads; yield the statuses; any failure fails the test."""
    seen: list[int] = []
    failed: list[Exception] = []
    stop = threading.Event()

    def ask() -> None:
        headers = {} if keep_alive else {"Connection": "close"}
        with httpx.Client(verify=False) as client:
            while not stop.is_set():
                try:
                    seen.append(client.get(address, headers=headers).status_code)
                except httpx.HTTPError as error:
                    failed.append(error)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        yield seen
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert failed == []


def grows(seen: list[int], by: int = 40) -> None:
    wanted = len(seen) + by
    until(lambda: len(seen) >= wanted)


@pytest.mark.parametrize("keep_alive", [True, False], ids=["kept", "fresh"])
def test_a_certificate_is_replaced_without_failing_a_request(
    relay: Relay, management: Management, keep_alive: bool
) -> None:
    with asking(f"{relay.devices_url}/agent/v1/trust", keep_alive) as seen:
        for _ in range(3):
            grows(seen)
            chain = give_certificate(management)
            until(lambda: shown(relay.devices_port) == of(chain))  # noqa: B023
        grows(seen)

    assert set(seen) <= {200, 503}, "503: management left no statement yet"
    assert status(management).certificate_sha256 == of(chain)
    relay.tls = chain


def test_the_old_listeners_end_and_no_request_notices(tmp_path: Path) -> None:
    chain, key = certificate()
    (tmp_path / "pem").write_text(chain)
    (tmp_path / "key").write_text(key)
    (port,) = free_ports(1)

    async def serve(scope: Any, protocol: Any) -> None:
        await asyncio.sleep(0.01)
        protocol.response_bytes(200, [("content-type", "text/plain")], b"here")

    kinds = {"devices": Kind(serve, tmp_path / "pem", tmp_path / "key")}
    ports = Ports("127.0.0.1", kinds, drain_seconds=0.5)
    ports.set({"devices": (port,)})
    try:
        with asking(f"https://127.0.0.1:{port}/", keep_alive=False) as seen:
            for _ in range(4):
                grows(seen)
                chain, key = certificate()
                (tmp_path / "pem").write_text(chain)
                (tmp_path / "key").write_text(key)
                ports.renew("devices")
                until(lambda: shown(port) == of(chain))  # noqa: B023
            (open_port,) = ports._open.values()
            until(lambda: len(open_port._listeners) == 1)
            grows(seen)
        assert ports.alive()
    finally:
        ports.end()
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", port)).close()


def test_the_new_certificate_is_there_after_a_restart(own_relay: Relay) -> None:
    own_relay.start()
    own_relay.tls = give_certificate(Management(own_relay))
    own_relay.kill()
    own_relay.start()

    assert own_relay.devices_client().get("/healthz").status_code == 200


def test_a_crash_between_certificate_and_key_is_mended_at_the_start(own_relay: Relay) -> None:
    chain, key = certificate()
    (own_relay.folder / "tls.next").write_text(json.dumps([chain, key]))
    (own_relay.folder / "tls.pem").write_text(chain)  # its key did not come so far
    own_relay.tls = chain
    own_relay.start()

    assert own_relay.devices_client().get("/healthz").status_code == 200
    assert not (own_relay.folder / "tls.next").exists()


def test_a_key_of_another_certificate_is_refused_and_changes_nothing(
    relay: Relay, management: Management
) -> None:
    before = shown(relay.devices_port)
    body = codec.write(RelayCertificate(chain=certificate()[0], key=certificate()[1]))

    answer = management.send("PUT", "/link/v1/certificate", body)

    assert (answer.status_code, detail(answer)) == (
        409,
        "The TLS key does not belong to the TLS certificate.",
    )
    assert shown(relay.devices_port) == before


def set_ports(management: Management, **ports: tuple[int, ...]) -> httpx.Response:
    now = status(management).settings
    assert now is not None
    wanted: dict[str, Any] = {
        "devices_ports": now.devices_ports,
        "http_ports": now.http_ports,
        "link_ports": now.link_ports,
        **ports,
    }
    body = codec.write(RelaySettings(public_name="relay.example", **wanted))
    return management.send("PUT", "/link/v1/settings", body)


def test_ports_move_with_an_overlap_and_stay_after_a_restart(own_relay: Relay) -> None:
    own_relay.start()
    management, (new, new_link) = Management(own_relay), free_ports(2)
    old = own_relay.devices_port

    both = set_ports(
        management, devices_ports=(new, old), link_ports=(new_link, own_relay.link_port)
    )
    assert both.status_code == 204, both.text
    assert shown(new) == shown(old)
    assert shown(new_link) == shown(own_relay.link_port)

    assert set_ports(management, devices_ports=(new,)).status_code == 204
    own_relay.kill()
    own_relay.start()

    with pytest.raises(OSError):
        shown(old)
    assert shown(new) == of(own_relay.tls)
    plain = httpx.get(f"http://127.0.0.1:{own_relay.http_port}/")
    assert plain.headers["location"] == f"https://relay.example:{new}/mobile"
    now = status(Management(own_relay)).settings
    assert now is not None
    assert (now.devices_ports, now.public_name) == ((new,), "relay.example")


def test_a_port_that_is_taken_is_refused_and_everything_stays(
    relay: Relay, management: Management
) -> None:
    before = status(management).settings
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        (free,) = free_ports(1)
        answer = set_ports(management, devices_ports=(free, taken.getsockname()[1]))

    assert answer.status_code == 409
    assert "End the program that uses it" in detail(answer)
    assert status(management).settings == before
    with pytest.raises(OSError):
        shown(free)


# --- pairing ---


def ask(relay: Relay, code: str, key: ECKey, seen: str = "") -> httpx.Response:
    """Pair as management does; *seen* is another certificate than the relay's own."""
    nonce = secrets.token_urlsafe(16)
    said = proof(code, "management", seen or of(relay.link_tls), keys.thumbprint(key), nonce)
    body = PairingRequest(management_key=keys.public_jwk(key), nonce=nonce, proof=said)
    return relay.link_client().post(PATH, content=codec.write(body))


def fresh(relay: Relay) -> str:
    """Start a server that nobody paired; return its code."""
    for name in ("management.json", "tls.pem", "tls.key"):
        (relay.folder / name).unlink()
    relay.start()
    return pairing_code.make(relay.folder, datetime.now(UTC))


def test_a_new_server_is_paired_by_its_code_and_opens_for_devices_with_a_certificate(
    own_relay: Relay,
) -> None:
    code = fresh(own_relay)
    with pytest.raises(OSError):
        shown(own_relay.devices_port)

    answer = ask(own_relay, code.lower().replace("-", " "), own_relay.management_key)

    assert answer.status_code == 200, answer.text
    assert len(codec.read(PairingAnswer, answer.content).proof) == 64
    management = Management(own_relay)
    assert status(management).certificate_sha256 is None
    own_relay.tls = give_certificate(management)
    assert own_relay.devices_client().get("/healthz").status_code == 200


def test_a_code_works_once_for_half_an_hour_and_not_through_somebody_in_between(
    own_relay: Relay,
) -> None:
    code, key = fresh(own_relay), own_relay.management_key
    between = of(certificate()[0])

    refused = [
        ask(own_relay, code, key, seen=between),
        ask(own_relay, "AAAA-AAAA-AAAA-AAAA-AAAA", key),
        ask(own_relay, "", key),
    ]

    assert [answer.status_code for answer in refused] == [403] * 3
    assert all("sekisho communication code" in detail(answer) for answer in refused)
    assert ask(own_relay, code, key).status_code == 200
    assert ask(own_relay, code, keys.new_key()).status_code == 403
    late = pairing_code.make(own_relay.folder, datetime.now(UTC) - timedelta(minutes=31))
    assert ask(own_relay, late, keys.new_key()).status_code == 403
    assert status(Management(own_relay)).rival is None


def test_a_server_that_is_handed_over_forgets_what_it_held(own_relay: Relay) -> None:
    own_relay.start()
    phone = Phone(own_relay, Management(own_relay))
    token = phone.token()
    assert phone.report(1).status_code == 202
    code, before = pairing_code.make(own_relay.folder, datetime.now(UTC)), own_relay.management_key
    own_relay.management_key = keys.new_key()

    assert ask(own_relay, code, own_relay.management_key).status_code == 200

    now = status(Management(own_relay))
    assert (now.inbound_waiting, now.devices_known, now.devices_as_of) == (0, 0, None)
    assert phone.poll(token).status_code == 401
    old = Management(own_relay)
    old.key, old.key_id = before, keys.thumbprint(before)
    assert old.send("GET", "/link/v1/status").status_code == 401


def test_the_code_is_shown_by_a_command(own_relay: Relay) -> None:
    import subprocess
    import sys

    done = subprocess.run(
        [sys.executable, "-m", "sekisho", "communication", "code"],
        env=own_relay.environment(),
        capture_output=True,
        text=True,
        check=True,
    )

    assert len(done.stdout.strip().replace("-", "")) == 20
    assert (own_relay.folder / pairing_code.FILE).stat().st_mode & 0o777 == 0o600


# --- one management server only ---


def test_a_copy_of_management_is_refused_while_the_first_one_works(own_relay: Relay) -> None:
    own_relay.start()
    first, second = Management(own_relay), Management(own_relay)
    for one, name in ((first, "first"), (second, "copy")):
        one.client.headers["Sekisho-Instance"] = name
    assert status(first).rival is None

    answer = second.send("GET", "/link/v1/inbound")

    assert answer.status_code == 409
    assert "Another management server with the same keys" in detail(answer)
    rival = status(first).rival
    assert rival is not None
    assert (rival.same_keys, rival.address) == (True, "127.0.0.1")


def test_another_management_is_refused_in_words_and_told_of(own_relay: Relay) -> None:
    own_relay.start()
    stranger = keys.new_key()
    other = Management(own_relay)
    other.key, other.key_id = stranger, keys.thumbprint(stranger)

    answer = other.send("GET", "/link/v1/status")

    assert answer.status_code == 401
    assert f"the key {keys.thumbprint(own_relay.management_key)}" in detail(answer)
    rival = status(Management(own_relay)).rival
    assert rival is not None
    assert not rival.same_keys


def test_link_tags_and_pairing_files_are_not_mixed_up(relay: Relay, management: Management) -> None:
    assert management.tag == request_signature.LINK
    with contextlib.suppress(FileNotFoundError):
        (relay.folder / pairing_code.FILE).unlink()
    assert ask(relay, "", relay.management_key).status_code == 403
    assert (relay.folder / pairing.MANAGEMENT).exists()
