"""The console at 1,000,000 devices: dashboard, lists, searches, filters, the file; through HTTPS at
the product's own server, in a process of its own.

Each database is filled by `sekisho simulate --fill`'s own function (seconds are told). Every case
is asked 30 times with other values; the figure is the 95th percentile of the time until the last
byte, of one browser at a time. Some cases are asked again by administrators who are limited to one
group and to eleven; some beside 100 open streams of news, and while devices check in
(``SEKISHO_BENCH_CHECK_INS`` a second are wanted, 500; how many it were is told, and what their
process needed). ``SEKISHO_BENCH_DEVICES`` makes the fleet smaller, ``SEKISHO_BENCH_DATABASES``
(``sqlite,postgresql``) chooses, ``SEKISHO_BENCH_SQLITE`` (a file) and ``SEKISHO_BENCH_POSTGRESQL``
(an address) name a database that was filled before; ``SEKISHO_BENCH_COMMANDS`` says how many
commands it gets (3,000,000).
"""

import http.client
import os
import ssl
import statistics
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from flask import Flask
from sqlalchemy import select
from sqlalchemy.engine import URL, make_url

from benchmarks._check_ins import check_ins
from benchmarks._console_cases import MEANWHILE, OF_FEW, Cases, cases
from benchmarks._console_commands import add_commands, command_cases
from benchmarks._console_server import STREAMS, server, streams
from management.access import Role
from management.administrators.sessions import COOKIE
from management.app import create_app
from management.context import Context, open_context
from management.database import Base, sqlite_url
from management.keys import prepare
from management.listing.export import as_csv
from management.listing.rules import DeviceFilter
from management.policies.models import Group
from management.settings import Settings
from runtime.clock import utc_now
from sekisho.fill import fill
from tests.management.clients import ConsoleClient, signed_in_client
from tests.management.scoped import limit_to
from tests.servers import postgres

WANTED = int(os.environ.get("SEKISHO_BENCH_CHECK_INS", "500"))
REPORTS = int(os.environ.get("SEKISHO_BENCH_REPORTS", "6000"))
"""Made before; when all are taken, nothing checks in any more, and the figure says so."""
Ask = Callable[[str], tuple[int, float, int]]


def run() -> Iterator[dict[str, Any]]:
    """Yield milliseconds of every case on every database."""
    devices = int(os.environ.get("SEKISHO_BENCH_DEVICES", "1000000"))
    wanted = os.environ.get("SEKISHO_BENCH_DATABASES", "sqlite,postgresql").split(",")
    with TemporaryDirectory() as folder:
        if "sqlite" in wanted:
            filled = os.environ.get("SEKISHO_BENCH_SQLITE", "")  # one that was filled before
            url = sqlite_url(Path(filled) if filled else Path(folder) / "fleet.db")
            yield from _measured("sqlite", url, Path(folder) / "a", 0 if filled else devices)
        if "postgresql" in wanted:
            with postgres.running(Path(folder)) as server:
                server.create_database("fleet")
                url = server.url("fleet")
                yield from _measured("postgresql", url, Path(folder) / "b", devices)
        if filled := os.environ.get("SEKISHO_BENCH_POSTGRESQL", ""):  # filled before
            yield from _measured("postgresql", make_url(filled), Path(folder) / "c", 0)


def _measured(name: str, url: URL, home: Path, devices: int) -> Iterator[dict[str, Any]]:
    home.mkdir()
    prepare(home / "keys", utc_now(), ["localhost"])
    text = url.render_as_string(hide_password=False)
    context = open_context(Settings(home=home, database_url=text, public_name="localhost"))
    if devices:
        Base.metadata.create_all(context.database.engine)
        seconds = fill(context.database, devices, utc_now(), lambda said: print(f"# {said}"))
        yield _row(f"console.{name}.fill", seconds, "s", "told")
    add_commands(context.database, utc_now())
    app = create_app(context)
    app.test_client_class = ConsoleClient
    cookie = _cookie(app, context)
    asked = cases(context) | command_cases(utc_now())
    with server(home, context.database, text) as port:
        address = f"https://localhost:{port}"
        ask = _asker(address, cookie)
        for case, paths in asked.items():
            yield from _case(f"console.{name}.{case}", ask, paths)
        for seen, groups in (("one_group", "Office 010"), ("eleven_groups", "Region 01")):
            ask = _asker(address, _cookie(app, context, groups))
            for case in OF_FEW:
                yield from _case(f"console.{name}.{seen}.{case}", ask, asked[case])
        some = {case: asked[case] for case in MEANWHILE}
        yield from _meanwhile(name, context, port, cookie, some)
    yield from _file(name, context)
    context.database.close()


def _meanwhile(
    name: str, context: Context, port: int, cookie: str, some: Cases
) -> Iterator[dict[str, Any]]:
    """Ask beside open streams, and while devices check in."""
    address = f"https://localhost:{port}"
    ask = _asker(address, cookie)
    with streams(context.database, port):
        for case, paths in some.items():
            yield from _case(f"console.{name}.beside_{STREAMS}_streams.{case}", ask, paths)
    home, url = context.settings.home, context.settings.database_url
    with check_ins(home, url, WANTED, REPORTS) as taken:
        ask = _asker(address, cookie)  # the server closed the other meanwhile
        for case, paths in some.items():
            row = _case(f"console.{name}.while_devices_check_in.{case}", ask, paths)
            yield from ({**one, "reach": "value<=200"} for one in row)
    rate = taken.said["reports"] / taken.said["seconds"]
    print(f"# {name}: {taken.said}, {WANTED} a second were wanted")
    yield _row(f"console.{name}.check_ins_meanwhile", rate, "reports/s", f"wanted {WANTED}")
    yield _row(f"console.{name}.check_ins_cpu", taken.said["cpu"] * 100, "% of a core", "told")


def _cookie(app: Flask, context: Context, only: str = "") -> str:
    """Sign an owner in; *only* names the one group that they see, with those below it."""
    name = f"bench {time.time_ns()}"
    found = signed_in_client(app, context, name, Role.OWNER).get_cookie(COOKIE, "localhost")
    if only:
        with context.database.reading() as session:
            group_id = session.scalars(select(Group.id).where(Group.name == only)).one()
        limit_to(context, name, [group_id])
    assert found is not None
    return f"{COOKIE}={found.value}"


def _asker(address: str, cookie: str) -> Ask:
    trust = ssl.create_default_context()
    trust.check_hostname, trust.verify_mode = False, ssl.CERT_NONE  # our own server, just made
    host = address.removeprefix("https://")
    connection = http.client.HTTPSConnection(host, context=trust, timeout=120)

    def ask(path: str) -> tuple[int, float, int]:
        began = time.perf_counter()
        connection.request("GET", path, headers={"Cookie": cookie})
        answer = connection.getresponse()
        size = len(answer.read())
        return answer.status, (time.perf_counter() - began) * 1000, size

    return ask


def _case(name: str, ask: Ask, paths: list[str]) -> Iterator[dict[str, Any]]:
    ask(paths[0])
    times: list[float] = []
    worst, largest = "", 0
    for path in paths:
        status, milliseconds, size = ask(path)
        assert status == 200, f"{path}: {status}"
        worst = path if milliseconds > max(times, default=0) else worst
        times.append(milliseconds)
        largest = max(largest, size)
    cut = statistics.quantiles(times, n=20)
    print(
        f"# {name}: p50 {cut[9]:.0f} ms, {largest} bytes, slowest {max(times):.0f} ms {worst}",
        flush=True,
    )
    yield _row(name, cut[18], "ms p95", "value<=100")


def _file(name: str, context: Context) -> Iterator[dict[str, Any]]:
    began, size = time.perf_counter(), 0
    for part in as_csv(context.database.reading, DeviceFilter(), {}, {}):
        size += len(part)
    seconds = time.perf_counter() - began
    yield _row(f"console.{name}.csv_of_all", seconds, "s", "told")
    tracemalloc.start()
    for place, _part in enumerate(as_csv(context.database.reading, DeviceFilter(), {}, {})):
        if place == 40:
            tracemalloc.reset_peak()  # what is made once is made
        if place == 120:
            break
    most = tracemalloc.get_traced_memory()[1] / 1e6
    tracemalloc.stop()
    print(f"# {name}: {size / 1e6:.0f} MB of text")
    yield _row(f"console.{name}.csv_memory", most, "MB", "value<=64")


def _row(name: str, value: float, unit: str, reach: str) -> dict[str, Any]:
    return {"name": name, "value": round(value, 1), "unit": unit, "reach": reach}
