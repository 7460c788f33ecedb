"""A Kerberos realm of its own on loopback: Debian's krb5-kdc with one user and one service."""

import importlib.util
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.servers.needs import program

REALM = "EXCH.TEST"
USER, PASSWORD = f"svc@{REALM}", "secret"
SERVICE = f"HTTP/localhost@{REALM}"
_CLIENT = """[libdefaults]
default_realm = {realm}
dns_lookup_kdc = false
dns_lookup_realm = false
rdns = false
dns_canonicalize_hostname = false
udp_preference_limit = 1
[realms]
{realm} = {{
  kdc = 127.0.0.1:{port}
}}
[domain_realm]
localhost = {realm}
"""
_KDC = """[kdcdefaults]
kdc_listen = ""
kdc_tcp_listen = 127.0.0.1:{port}
[realms]
{realm} = {{
  database_name = {folder}/principal
  key_stash_file = {folder}/stash
  acl_file = {folder}/acl
}}
"""


@dataclass(frozen=True)
class Realm:
    """A realm that answers; *environment* lets this machine's libraries use it."""

    environment: dict[str, str]


@contextmanager
def realm(folder: Path) -> Iterator[Realm]:
    """Start a realm with its files under *folder*; skip the test where parts are missing."""
    kdc = program("krb5kdc", "krb5-kdc", "/usr/sbin")
    util = program("kdb5_util", "krb5-kdc", "/usr/sbin")
    local = program("kadmin.local", "krb5-admin-server", "/usr/sbin")
    _need_libraries()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    said = {"realm": REALM, "port": port, "folder": folder}
    (folder / "krb5.conf").write_text(_CLIENT.format(**said))
    (folder / "kdc.conf").write_text(_KDC.format(**said))
    environment = {
        "KRB5_CONFIG": str(folder / "krb5.conf"),
        "KRB5_KDC_PROFILE": str(folder / "kdc.conf"),
        "KRB5_KTNAME": str(folder / "http.keytab"),
        "KRB5CCNAME": f"FILE:{folder}/cache",
    }
    everything = {**os.environ, **environment}
    _run([util, "create", "-s", "-r", REALM, "-P", "master"], everything)
    for order in (
        f"addprinc -pw {PASSWORD} {USER}",
        f"addprinc -randkey {SERVICE}",
        f"ktadd -k {folder}/http.keytab {SERVICE}",
    ):
        _run([local, "-r", REALM, "-q", order], everything)
    process = subprocess.Popen([kdc, "-n", "-r", REALM], env=everything)
    try:
        _wait(port)
        yield Realm(environment)
    finally:
        process.terminate()
        process.wait(30)


def _run(words: list[str], environment: dict[str, str]) -> None:
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def _wait(port: int) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        try:
            socket.create_connection(("127.0.0.1", port), 5).close()
            return
        except OSError:
            time.sleep(0.1)
    raise TimeoutError("the KDC does not listen")


def _need_libraries() -> None:
    missing = [one for one in ("gssapi", "krb5") if importlib.util.find_spec(one) is None]
    if not missing:
        return
    reason = f"{' and '.join(missing)} not built: requirements/kerberos.lock, see docs/exchange.md"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)
