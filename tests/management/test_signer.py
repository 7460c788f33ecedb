"""The signer over its real socket, and as a real process."""

import json
import os
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit
from uuid import UUID, uuid4

import pyotp
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contracts import agent, codec, envelope
from contracts import keys as jwk
from contracts.agent import CommandKind
from management.signer_client import SignerClient, connect, short
from management.signer_messages import MAXIMUM_BYTES, receive
from management.signer_rules import Limits
from management.signer_server import listening, running
from management.signer_store import Clock
from runtime.errors import (
    ConfigurationError,
    NotFoundError,
    RefusedError,
    UnavailableError,
)

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
FEW = Limits(
    wipes_per_hour=2,
    wipes_per_day=3,
    wipes_per_administrator=3,
    selective_wipes_per_hour=1,
    selective_wipes_per_day=1,
)


class Time:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.wall = NOW.timestamp()
        self.booted = 1000.0
        self.boot_id = "first"

    def pass_(self, length: timedelta) -> None:
        self.wall += length.total_seconds()
        self.booted += length.total_seconds()

    def clock(self) -> Clock:
        return Clock(lambda: self.wall, lambda: (self.boot_id, self.booted))


@pytest.fixture
def at() -> Time:
    return Time()


@pytest.fixture
def signer(tmp_path: Path, at: Time) -> Iterator[SignerClient]:
    with running(tmp_path / "signer", FEW, at.clock()) as path:
        yield SignerClient(path)


def wipe(
    command_id: UUID | None = None,
    device_id: UUID | None = None,
    kind: CommandKind = CommandKind.WIPE,
) -> agent.Order:
    return agent.Order(
        iss="management",
        aud=device_id or uuid4(),
        epoch=1,
        seq=2,
        ack=0,
        sent_at=NOW,
        body=agent.RunCommand(
            command_id=command_id or uuid4(),
            command=kind,
            arguments={},
            expires_at=NOW + timedelta(days=1),
        ),
    )


def confirmed(signer: SignerClient, at: Time) -> tuple[UUID, pyotp.TOTP]:
    """Return an administrator who proved a code device just now, 60 s ago by the clock."""
    administrator = uuid4()
    uri = signer.begin_totp(administrator, "aoi")
    totp = pyotp.TOTP(parse_qs(urlsplit(uri).query)["secret"][0])
    assert signer.check_totp(administrator, totp.at(int(at.wall)))
    at.pass_(timedelta(seconds=60))
    return administrator, totp


def test_an_order_is_signed_by_the_key_the_signer_shows(signer: SignerClient) -> None:
    order = replace(wipe(), body=agent.Receipt())

    token = signer.sign_order(order)

    key = jwk.read_public(signer.public_key())
    assert codec.read(agent.Order, envelope.verify(token, envelope.ORDER, key)) == order


def test_a_trust_statement_must_name_the_signers_own_keys(signer: SignerClient) -> None:
    statement = agent.TrustStatement(
        issue=1,
        issued_at=NOW,
        order_signing_key=signer.public_key(),
        encryption_key=jwk.public_jwk(jwk.new_key()),
        successor_thumbprint=signer.successor_thumbprint(),
        relays=(),
    )
    token = signer.sign_trust(statement)
    key = jwk.read_public(signer.public_key())
    assert codec.read(agent.TrustStatement, envelope.verify(token, envelope.TRUST, key))

    foreign = replace(statement, order_signing_key=jwk.public_jwk(jwk.new_key()))
    with pytest.raises(RefusedError, match="own keys"):
        signer.sign_trust(foreign)

    with pytest.raises(RefusedError, match="far above"):
        signer.sign_trust(replace(statement, issue=2**53))
    signer.sign_trust(replace(statement, issue=statement.issue + 7))
    assert signer.status()["trust_issue"] == statement.issue + 7


def test_keys_and_counters_survive_a_restart(tmp_path: Path, at: Time) -> None:
    with running(tmp_path / "signer", FEW, at.clock()) as path:
        before = SignerClient(path).public_key()
        for _ in range(2):
            SignerClient(path).sign_order(wipe())
    with running(tmp_path / "signer", FEW, at.clock()) as path:
        assert SignerClient(path).public_key() == before
        with pytest.raises(RefusedError, match="no more than 2 wipe commands in one hour"):
            SignerClient(path).sign_order(wipe())


def test_the_same_command_counts_once(signer: SignerClient) -> None:
    order = wipe()
    for _ in range(5):
        signer.sign_order(order)
    assert signer.status()["used"]["wipe"] == {"hour": 1, "day": 1}


def test_one_command_id_never_serves_for_two_devices_or_kinds(signer: SignerClient) -> None:
    order = wipe()
    signer.sign_order(order)

    with pytest.raises(RefusedError, match="for another device"):
        signer.sign_order(replace(order, aud=uuid4()))
    assert isinstance(order.body, agent.RunCommand)
    other_kind = replace(order.body, command=CommandKind.SELECTIVE_WIPE)
    with pytest.raises(RefusedError, match="for another device"):
        signer.sign_order(replace(order, body=other_kind))


def test_limits_hold_by_the_hour_and_by_the_day(signer: SignerClient, at: Time) -> None:
    signer.sign_order(wipe())
    signer.sign_order(wipe())
    with pytest.raises(RefusedError, match="2 wipe commands in one hour"):
        signer.sign_order(wipe())
    at.pass_(timedelta(minutes=61))
    signer.sign_order(wipe())
    at.pass_(timedelta(minutes=61))
    with pytest.raises(RefusedError, match="3 wipe commands in one day"):
        signer.sign_order(wipe())
    at.pass_(timedelta(hours=24))
    signer.sign_order(wipe())


def test_selective_wipes_have_limits_of_their_own(signer: SignerClient) -> None:
    signer.sign_order(wipe(kind=CommandKind.SELECTIVE_WIPE))
    with pytest.raises(RefusedError, match="1 selective wipe commands in one hour"):
        signer.sign_order(wipe(kind=CommandKind.SELECTIVE_WIPE))
    signer.sign_order(wipe())
    for _ in range(10):
        signer.sign_order(wipe(kind=CommandKind.LOCK))


def test_passcode_resets_have_limits_and_do_not_stop_with_wipes(tmp_path: Path, at: Time) -> None:
    few = Limits(passcode_resets_per_hour=2, passcode_resets_per_day=3)
    reset = CommandKind.RESET_PASSCODE
    with running(tmp_path / "signer", few, at.clock()) as path:
        signer = SignerClient(path)
        signer.pause("a drill")
        for _ in range(2):
            signer.sign_order(wipe(kind=reset))
        with pytest.raises(RefusedError, match="2 reset passcode commands in one hour"):
            signer.sign_order(wipe(kind=reset))
        at.pass_(timedelta(minutes=61))
        signer.sign_order(wipe(kind=reset))
        with pytest.raises(RefusedError, match="3 reset passcode commands in one day"):
            signer.sign_order(wipe(kind=reset))
        at.pass_(timedelta(hours=24))
        signer.sign_order(wipe(kind=reset))


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (CommandKind.LOCK, "2 lock commands"),
        (CommandKind.LOST_MODE, "2 lost mode commands"),
        (CommandKind.INSTALL_APP, "2 install app commands"),
        (CommandKind.REMOVE_APP, "2 remove app commands"),
    ],
    ids=["lock", "lost_mode", "install_app", "remove_app"],
)
def test_what_disturbs_a_fleet_has_generous_limits_of_its_own(
    tmp_path: Path, at: Time, kind: CommandKind, words: str
) -> None:
    few = Limits(locks_per_hour=2, app_changes_per_hour=2, wipes_per_hour=0)
    with running(tmp_path / "signer", few, at.clock()) as path:
        signer = SignerClient(path)
        signer.pause("a drill")
        for _ in range(2):
            signer.sign_order(wipe(kind=kind))
        with pytest.raises(RefusedError, match=f"no more than {words} in one hour"):
            signer.sign_order(wipe(kind=kind))
        for _ in range(5):
            signer.sign_order(wipe(kind=CommandKind.LOCATE))
    assert Limits().locks_per_hour > 10 * Limits().wipes_per_hour


@pytest.mark.parametrize("jump", [timedelta(days=3), timedelta(days=-3)])
def test_setting_the_wall_clock_frees_no_budget(
    signer: SignerClient, at: Time, jump: timedelta
) -> None:
    for _ in range(2):
        signer.sign_order(wipe())
    at.wall += jump.total_seconds()
    with pytest.raises(RefusedError):
        signer.sign_order(wipe())


def test_a_restart_with_the_clock_set_back_frees_no_budget(tmp_path: Path, at: Time) -> None:
    with running(tmp_path / "signer", FEW, at.clock()) as path:
        for _ in range(2):
            SignerClient(path).sign_order(wipe())
    at.boot_id, at.booted, at.wall = "second", 5.0, at.wall - 10 * 86_400
    with running(tmp_path / "signer", FEW, at.clock()) as path, pytest.raises(RefusedError):
        SignerClient(path).sign_order(wipe())


def test_a_code_counts_once(signer: SignerClient, at: Time) -> None:
    administrator, totp = confirmed(signer, at)
    code = totp.at(int(at.wall))
    assert signer.check_totp(administrator, code)
    assert not signer.check_totp(administrator, code)


def test_an_older_code_is_refused_after_a_newer_one(signer: SignerClient, at: Time) -> None:
    administrator, totp = confirmed(signer, at)
    assert signer.check_totp(administrator, totp.at(int(at.wall) + 30))
    assert not signer.check_totp(administrator, totp.at(int(at.wall)))


def test_wrong_codes_make_the_administrator_wait_longer_and_longer(
    signer: SignerClient, at: Time
) -> None:
    administrator, totp = confirmed(signer, at)
    right = totp.at(int(at.wall))
    wrong = f"{(int(right) + 1) % 1_000_000:06}"
    for _ in range(5):
        assert not signer.check_totp(administrator, wrong)
    with pytest.raises(RefusedError, match="Try again in 31 seconds"):
        signer.check_totp(administrator, right)
    at.pass_(timedelta(seconds=31))
    assert not signer.check_totp(administrator, "000")  # not even asked
    assert not signer.check_totp(administrator, f"{int(wrong):07}")
    with pytest.raises(RefusedError, match="Try again in 61 seconds"):
        signer.check_totp(administrator, right)
    at.pass_(timedelta(seconds=61))
    assert signer.check_totp(administrator, totp.at(int(at.wall)))


def test_a_confirmed_code_device_is_replaced_only_after_forgetting_it(
    signer: SignerClient, at: Time
) -> None:
    administrator, _ = confirmed(signer, at)
    with pytest.raises(RefusedError, match="already"):
        signer.begin_totp(administrator, "aoi")

    signer.forget_totp(administrator)

    with pytest.raises(NotFoundError):
        signer.check_totp(administrator, "123456")
    first = signer.begin_totp(administrator, "aoi")
    assert first == signer.begin_totp(administrator, "aoi")


def test_while_paused_wipes_wait_and_other_orders_go_on(signer: SignerClient) -> None:
    signer.pause("theft of a laptop")
    with pytest.raises(RefusedError, match="theft of a laptop"):
        signer.sign_order(wipe())
    signer.sign_order(wipe(kind=CommandKind.LOCK))

    signer.resume()

    signer.sign_order(wipe())


def test_seeds_and_keys_lie_sealed_and_private(
    tmp_path: Path, signer: SignerClient, at: Time
) -> None:
    uri = signer.begin_totp(uuid4(), "aoi")
    seed = parse_qs(urlsplit(uri).query)["secret"][0]
    folder = tmp_path / "signer"
    for path in folder.iterdir():
        assert path.stat().st_mode & 0o077 == 0 or path.name == "signer.lock", path
        if path.is_file():
            assert seed.encode() not in path.read_bytes()
            assert b'"d":' not in path.read_bytes()
    assert folder.stat().st_mode & 0o777 == 0o700


def test_two_signers_never_share_a_folder(tmp_path: Path, signer: SignerClient) -> None:
    with (
        pytest.raises(UnavailableError, match="Another signer"),
        listening(tmp_path / "signer", FEW),
    ):
        pass


def test_a_key_that_others_may_read_is_refused(tmp_path: Path) -> None:
    with running(tmp_path / "signer", FEW):
        pass
    (tmp_path / "signer" / "secret.key").chmod(0o640)
    with pytest.raises(ConfigurationError, match="chmod 600"), listening(tmp_path / "signer", FEW):
        pass


def test_a_lost_key_is_never_replaced_silently(tmp_path: Path) -> None:
    with running(tmp_path / "signer", FEW):
        pass
    (tmp_path / "signer" / "secret.key").unlink()
    with pytest.raises(ConfigurationError, match="backup"), listening(tmp_path / "signer", FEW):
        pass


def test_no_signer_is_told_as_such(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="sekisho management signer"):
        SignerClient(tmp_path / "signer.sock").status()


def test_a_very_deep_data_folder_works(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 100) / ("e" * 100)
    with running(deep, FEW) as path:
        assert SignerClient(path).status()["approvers"] == []


def _say(path: Path, raw: bytes) -> bytes | None:
    with connect(path) as connection:
        connection.sendall(raw)
        connection.shutdown(socket.SHUT_WR)
        return receive(connection)


def test_a_message_that_claims_to_be_huge_is_refused_unread(signer: SignerClient) -> None:
    answer = _say(signer.socket_path, struct.pack(">I", MAXIMUM_BYTES + 1))
    assert answer is not None
    assert json.loads(answer)["error"] == "TooLargeError"


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(raw=st.binary(max_size=200), framed=st.booleans())
def test_hostile_bytes_never_stop_the_signer(
    signer: SignerClient, raw: bytes, framed: bool
) -> None:
    answer = _say(signer.socket_path, struct.pack(">I", len(raw)) + raw if framed else raw)
    if answer is not None:
        assert json.loads(answer)["error"] in ("MalformedMessageError", "TooLargeError")
    assert signer.status()["paused_because"] == ""


def test_only_orders_are_signed(signer: SignerClient) -> None:
    body = {"kind": "sign_order", "order": json.dumps({"v": 1, "anything": "else"})}
    raw = json.dumps({"v": 1, "body": body}).encode()
    answer = _say(signer.socket_path, struct.pack(">I", len(raw)) + raw)
    assert answer is not None
    assert json.loads(answer)["error"] == "MalformedMessageError"
    assert "token" not in answer.decode()


def test_silent_connections_do_not_keep_others_out(signer: SignerClient) -> None:
    silent = [socket.socket(socket.AF_UNIX) for _ in range(15)]
    try:
        for one in silent:
            with short(signer.socket_path) as address:
                one.connect(address)
        assert signer.status()["approvers"] == []
    finally:
        for one in silent:
            one.close()


@pytest.mark.servers
@pytest.mark.parametrize("point", ["before commit count orders", "after commit count orders"])
def test_a_signer_killed_around_the_count_never_signs_more_than_allowed(
    tmp_path: Path, point: str
) -> None:
    environment = {
        **os.environ,
        "SEKISHO_HOME": str(tmp_path),
        "SEKISHO_SIGNER_WIPES_PER_HOUR": "3",
        "SEKISHO_SIGNER_HEALTH_PORT": str(_free_port()),
        "SEKISHO_CRASH_AT": point,
        "SEKISHO_CRASH_MARK": str(tmp_path / "crashed"),
    }
    signer = SignerClient(tmp_path / "signer" / "signer.sock")
    orders = [wipe() for _ in range(6)]
    tokens: list[str] = []

    with _Process(environment, signer), pytest.raises(UnavailableError):
        signer.sign_order(orders[0])
    with _Process(environment, signer):
        for order in orders:
            try:
                tokens.append(signer.sign_order(order))
            except RefusedError:
                continue

    assert (tmp_path / "crashed").exists()
    assert len(tokens) == 3


class _Process:
    """A signer in a process of its own; killed hard at the end."""

    def __init__(self, environment: dict[str, str], signer: SignerClient) -> None:
        self.environment, self.signer = environment, signer

    def __enter__(self) -> None:
        command = [sys.executable, "-m", "management", "signer"]
        self.process = subprocess.Popen(command, env=self.environment)
        give_up = time.monotonic() + 120
        while time.monotonic() < give_up:
            try:
                self.signer.status()
            except UnavailableError:
                assert self.process.poll() is None
                time.sleep(0.05)
            else:
                return
        raise TimeoutError("The signer did not start.")

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
