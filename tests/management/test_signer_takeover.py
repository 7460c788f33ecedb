"""Whoever takes over the web process, under the web's own user, cannot wipe the fleet."""

import grp
import json
import os
import shutil
import socket
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pyotp
import pytest

from contracts.agent import CommandKind
from management.commands.service import queue_command
from management.context import Context, open_context
from management.database import Base
from management.keys import prepare
from management.relays.trust import current_trust
from management.settings import Settings
from management.signer_client import SignerClient
from management.signer_messages import ProposedOrder
from runtime.clock import utc_now
from runtime.errors import UnavailableError
from tests.management.phones import Office, Phone, office

SIGNERS_USER, WEBS_USER = 64_101, 64_102
"""Numbers that no account has: the kernel asks for no name."""
FLEET = 110
ROOT = Path(__file__).parents[2]


def others_may_reach(path: Path) -> bool:
    """Tell whether every user may pass through the folders above *path* and read it."""
    real = path.resolve()
    return all(one.stat().st_mode & 0o001 for one in real.parents) and bool(
        real.stat().st_mode & 0o004
    )


def python_for_others() -> str | None:
    """Return an interpreter that other users may run too: ours, or the system's of our version."""
    system = f"/usr/bin/python{sys.version_info.major}.{sys.version_info.minor}"
    for one in (sys.executable, system):
        if Path(one).exists() and others_may_reach(Path(one)) and others_may_reach(ROOT):
            return one
    return None


PYTHON = python_for_others()
pytestmark = [
    pytest.mark.servers,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be two other users"),
    pytest.mark.skipif(PYTHON is None, reason="no interpreter here that other users may run"),
]


@pytest.fixture
def home() -> Iterator[Path]:
    """A data folder that other users may pass through."""
    for place in (tempfile.gettempdir(), "/dev/shm", "/tmp"):
        if all(parent.stat().st_mode & 0o001 for parent in (Path(place), *Path(place).parents)):
            break
    folder = Path(tempfile.mkdtemp(prefix="sekisho-takeover-", dir=place))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder)


def shared_group() -> grp.struct_group:
    return next(group for group in grp.getgrall() if group.gr_gid > 0)


def environment(home: Path) -> dict[str, str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.pathsep.join([str(ROOT), sysconfig.get_path("purelib")]),
        "SEKISHO_HOME": str(home),
        "SEKISHO_SIGNER_GROUP": shared_group().gr_name,
        "SEKISHO_SIGNER_HEALTH_PORT": str(port),
        "PYTHONDONTWRITEBYTECODE": "1",
    }


@contextmanager
def signer_of_its_own_user(home: Path) -> Iterator[SignerClient]:
    group = shared_group().gr_gid
    (home / "signer").mkdir(mode=0o700)
    os.chown(home / "signer", SIGNERS_USER, group)
    process = subprocess.Popen(
        [str(PYTHON), "-m", "management", "signer"],
        env=environment(home),
        user=SIGNERS_USER,
        group=group,
        extra_groups=[],
    )
    client = SignerClient(home / "signer" / "signer.sock")
    try:
        give_up = time.monotonic() + 120
        while True:
            try:
                client.status()
                break
            except (UnavailableError, OSError):
                assert process.poll() is None and time.monotonic() < give_up
                time.sleep(0.1)
        yield client
    finally:
        process.kill()
        process.wait()


def approver(signer: SignerClient, name: str) -> pyotp.TOTP:
    found = pyotp.parse_uri(signer.begin_approver(name))
    assert isinstance(found, pyotp.TOTP)
    past = found.at(int(time.time()) - 30)
    assert signer.confirm_approver(name, past)
    return found


def take_over(home: Path, sign_in_code: str) -> dict[str, Any]:
    group = shared_group().gr_gid
    for path in (home / "keys", *(home / "keys").iterdir(), *home.glob("sekisho.db*")):
        os.chown(path, WEBS_USER, group)
    os.chown(home, WEBS_USER, group)  # even the folder around the signer's is the web's
    done = subprocess.run(
        [str(PYTHON), "-m", "tests.management.takeover", sign_in_code],
        env=environment(home),
        user=WEBS_USER,
        group=group,
        extra_groups=[],
        capture_output=True,
        text=True,
        timeout=250,
    )
    assert done.returncode == 0, done.stderr
    said: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return said


def approved_set(context: Context, desk: Office, codes: dict[str, pyotp.TOTP]) -> list[UUID]:
    """Let two approvers approve three wipes, honestly, just before the takeover."""
    phones = [Phone(desk).enrol() for _ in range(3)]
    now = utc_now()
    with context.database.transaction("order") as session:
        made = [
            queue_command(session, one.device_id, CommandKind.WIPE, {}, "keeper", "van", now)
            for one in phones
        ]
    wanted = [
        ProposedOrder(
            command_id=c.id, command=CommandKind.WIPE, recipient=c.device_id, arguments={}
        )
        for c in made
    ]
    fingerprint = context.signer.propose(wanted, "keeper", "van")["fingerprint"]
    for name, totp in codes.items():
        context.signer.approve(fingerprint, name, totp.now())
    return [phone.device_id for phone in phones]


@pytest.mark.timeout(600)
def test_taking_over_the_web_process_wipes_no_fleet(home: Path) -> None:
    prepare(home / "keys", utc_now())
    with signer_of_its_own_user(home) as signer:
        context = open_context(Settings(home=home, public_name="localhost"))
        Base.metadata.create_all(context.database.engine)
        desk = office(context)
        codes = {name: approver(signer, name) for name in ("ren", "sora")}
        for _ in range(FLEET):
            Phone(desk).enrol()
        with context.database.transaction("trust") as session:
            current_trust(session, context.keys, signer, utc_now())
        approved = approved_set(context, desk, codes)
        administrator = uuid4()
        sign_in = pyotp.parse_uri(signer.begin_totp(administrator, "ren"))
        assert isinstance(sign_in, pyotp.TOTP)
        signer.pause("a drill")
        signer.resume()
        context.database.close()

        said = take_over(home, sign_in.now())

        limits = signer.status()["limits"]
        assert said["has_webs_key"]
        assert said["devices"] == FLEET + len(approved)
        stolen = set(said["wiped"]) - {str(one) for one in approved}
        assert 0 < len(stolen) <= limits["wipes_per_hour"]
        assert said["worked"] == []
        assert signer.status()["approvers"] == ["ren", "sora"]
        assert not any(one["approved_by"] for one in signer.proposals())


def test_the_same_attack_gets_nothing_while_the_signer_is_paused(home: Path) -> None:
    prepare(home / "keys", utc_now())
    with signer_of_its_own_user(home) as signer:
        context = open_context(Settings(home=home, public_name="localhost"))
        Base.metadata.create_all(context.database.engine)
        desk = office(context)
        phone = Phone(desk).enrol()
        with context.database.transaction("trust") as session:
            current_trust(session, context.keys, signer, utc_now())
        signer.pause("stolen laptop of an administrator")
        context.database.close()

        said = take_over(home, "123456")

        assert (said["wiped"], said["worked"], said["devices"]) == ([], [], 1)
        assert signer.status()["paused_because"] == "stolen laptop of an administrator"
    assert phone.device_id
