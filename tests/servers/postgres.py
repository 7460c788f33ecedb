"""A PostgreSQL server of our own on a Unix socket, out of Debian's package."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp

import psycopg
from psycopg import sql
from sqlalchemy.engine import URL

from tests.servers import needs

BINARIES = tuple(str(path) for path in sorted(Path("/usr/lib/postgresql").glob("*/bin"))[::-1])


@dataclass(frozen=True, slots=True)
class Server:
    """A running server; it trusts whoever reaches its socket folder."""

    folder: Path

    def url(self, database: str) -> URL:
        return URL.create(
            "postgresql+psycopg", "tests", database=database, query={"host": str(self.folder)}
        )

    def create_database(self, name: str, template: str = "template1") -> None:
        with psycopg.connect(
            f"host={self.folder} user=tests dbname=postgres", autocommit=True
        ) as connection:
            connection.execute(
                sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(
                    sql.Identifier(name), sql.Identifier(template)
                )
            )


def drop(url: URL) -> None:
    """Remove a database that `Server.create_database` made, whoever is still connected to it."""
    with psycopg.connect(
        f"host={url.query['host']} user=tests dbname=postgres", autocommit=True
    ) as connection:
        name = sql.Identifier(url.database or "")
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name))


@contextmanager
def running(_folder: Path) -> Iterator[Server]:
    """Start a server, yield it, stop it. Its folder is short, since socket paths are limited."""
    initdb = needs.program("initdb", "postgresql", *BINARIES)
    pg_ctl = needs.program("pg_ctl", "postgresql", *BINARIES)
    folder = Path(mkdtemp(prefix="sekisho-pg-"))
    data = folder / "data"
    if os.geteuid() == 0:
        shutil.chown(folder, "postgres", "postgres")
    _run(
        initdb,
        "-D",
        str(data),
        "-U",
        "tests",
        "-A",
        "trust",
        "-E",
        "UTF8",
        "--locale=C.UTF-8",
        "-N",
    )
    options = (
        f"-k {folder} -c listen_addresses='' -c fsync=off -c synchronous_commit=off "
        "-c full_page_writes=off -c max_connections=200 -c shared_buffers=32MB"
    )
    _run(pg_ctl, "-D", str(data), "-w", "-l", str(folder / "log"), "-o", options, "start")
    try:
        yield Server(folder)
    finally:
        _run(pg_ctl, "-D", str(data), "-m", "immediate", "stop")
        shutil.rmtree(folder)


def _run(*command: str) -> None:
    """Run as the user ``postgres`` where we are root: the server refuses to run as root."""
    words = list(command)
    if os.geteuid() == 0:
        words = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", *words]
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL, cwd="/")
