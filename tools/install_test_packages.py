"""Installs the Debian packages that the tests use; without root it names what is missing.

Runs before there is a virtual environment, so it uses nothing but the standard library.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

POLICY = Path("/usr/sbin/policy-rc.d")
"""Debian asks it whether a package may start its service."""

PACKAGES = {
    "postgresql": "tests on a real PostgreSQL",
    "chromium": "browser tests",
    "fonts-noto-cjk": "Japanese in browser tests",
    "nftables": "relays behind a firewall, in networks of their own",
    "iproute2": "relays behind a firewall, in networks of their own",
    "krb5-kdc": "Exchange by Kerberos",
    "krb5-admin-server": "Exchange by Kerberos",
    "libkrb5-dev": "Exchange by Kerberos (building requirements/kerberos.lock)",
    "gcc": "Exchange by Kerberos (building requirements/kerberos.lock)",
    "python3-dev": "Exchange by Kerberos (building requirements/kerberos.lock)",
    "jose": "signatures and encryption against another implementation",
    "linux-libc-dev-arm64-cross": "numbers of system calls on arm64",
    "aapt": "building APKs",
    "android-framework-res": "building APKs",
    "zipalign": "building APKs",
    "apksigner": "signing APKs, and a second opinion on signatures",
    "libsmali-java": "building APKs",
    "openjdk-17-jdk-headless": "building APKs",
    "sogo": "the gate before a real ActiveSync server",
    "sogo-activesync": "the gate before a real ActiveSync server",
    "dovecot-imapd": "the gate before a real ActiveSync server",
    "memcached": "the gate before a real ActiveSync server",
    "nginx-light": "the gate before a real ActiveSync server",
}


def _missing() -> list[str]:
    return [name for name in PACKAGES if not _installed(name)]


def _installed(package: str) -> bool:
    try:
        asked = subprocess.run(
            ["dpkg-query", "-W", "-f", "${db:Status-Status}", package],
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError:  # not Debian
        return False
    return asked.stdout == "installed"


@contextmanager
def _no_service_starts() -> Iterator[None]:
    """Tests start servers themselves; those that a package would start are in nobody's interest."""
    if POLICY.exists():
        yield
        return
    POLICY.write_text("#!/bin/sh\nexit 101\n", encoding="ascii")
    POLICY.chmod(0o755)
    try:
        yield
    finally:
        POLICY.unlink()


def main() -> int:
    """Install what is missing; exit status 1 when that failed and must not."""
    missing = _missing()
    if not missing:
        return 0
    if os.geteuid() != 0:
        for name in missing:
            print(f"not installed: {name}; skipped are: {PACKAGES[name]}")
        print(f"as root: apt-get install --no-install-recommends {' '.join(missing)}")
        return 1 if os.environ.get("CI") == "true" else 0
    with _no_service_starts():
        return _install(missing)


def _install(missing: list[str]) -> int:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for words in (["update"], ["install", "--yes", "--no-install-recommends", *missing]):
        done = subprocess.run(
            ["apt-get", "-qq", *words], env=environment, stdout=subprocess.DEVNULL, check=False
        )
        if done.returncode:
            print(f"apt-get {words[0]} failed with exit status {done.returncode}")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
