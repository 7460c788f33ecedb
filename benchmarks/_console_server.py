"""The console's real server in a process of its own, and streams that stay open at it."""

import os
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from uuid import uuid4

from sqlalchemy import insert, inspect, select

from management.access import Role
from management.administrators.service import add_administrator, begin_session
from management.database import Database
from management.migrations.release import VERSION, head
from management.web_streams import MOST_EACH
from management.work import service
from runtime.clock import utc_now

COOKIE = "__Host-sekisho"
STREAMS = 100
START_SECONDS = 60


@contextmanager
def server(home: Path, database: Database, url: str) -> Iterator[int]:
    """Serve the console as the product does; give its port."""
    _say_current(database)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    ours = {k: v for k, v in os.environ.items() if not k.startswith("SEKISHO_BENCH_")}
    environment = {
        **ours,
        "SEKISHO_HOME": str(home), "SEKISHO_PORT": str(port), "SEKISHO_HOST": "127.0.0.1",
        "SEKISHO_PUBLIC_NAME": "localhost", "SEKISHO_DATABASE_URL": url,
        "SEKISHO_LOG_LEVEL": "WARNING",
    }  # fmt: skip
    process = subprocess.Popen(
        [sys.executable, "-m", "sekisho", "management", "web"], env=environment
    )
    try:
        _wait_for(port)
        yield port
    finally:
        process.terminate()
        process.wait()


def _say_current(database: Database) -> None:
    """Note that the tables are of this release, which whoever made them did not."""
    with database.engine.begin() as connection:
        if not inspect(connection).has_table(VERSION.name):
            VERSION.create(connection)
        if connection.scalar(select(VERSION.c.version_num)) is None:
            connection.execute(insert(VERSION).values(version_num=head()))


def _wait_for(port: int) -> None:
    give_up = time.monotonic() + START_SECONDS
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            assert time.monotonic() < give_up, "the console did not start"
            time.sleep(0.1)


@contextmanager
def streams(database: Database, port: int, number: int = STREAMS) -> Iterator[None]:
    """Hold *number* streams of news open that all follow one job; each told how it stands."""
    cookies, job_id = _followers(database, -(-number // MOST_EACH))
    path = f"/jobs/events?job={job_id}"
    with ExitStack() as stack:
        for place in range(number):
            line = stack.enter_context(_connection(port))
            asked = f"GET {path} HTTP/1.1\r\nHost: localhost\r\n"
            line.sendall(f"{asked}Cookie: {COOKIE}={cookies[place // MOST_EACH]}\r\n\r\n".encode())
            told = b""
            while b"event: job" not in told:
                part = line.recv(65536)
                assert part, f"stream {place} was closed: {told.decode()[:200]}"
                told += part
            assert b"transfer-encoding: chunked" in told.lower(), "it is not held open"
        yield


def _connection(port: int) -> ssl.SSLSocket:
    trust = ssl.create_default_context()
    trust.check_hostname, trust.verify_mode = False, ssl.CERT_NONE  # our own server, just made
    line = socket.create_connection(("127.0.0.1", port), timeout=START_SECONDS)
    return trust.wrap_socket(line, server_hostname="localhost")


def _followers(database: Database, number: int) -> tuple[list[str], str]:
    """Return sessions of *number* administrators, and a job that goes on and on."""
    now, cookies = utc_now(), []
    with database.transaction("prepare streams") as session:
        for _place in range(number):
            keeper = add_administrator(session, f"follower {uuid4()}", Role.READ_ONLY, now)
            session.flush()
            cookies.append(begin_session(session, keeper, "127.0.0.1", now))
        job = service.enqueue(session, "apps.scan", f"bench:{uuid4()}", {"sha256": "a" * 64})
        assert job is not None
        return cookies, str(job.id)
