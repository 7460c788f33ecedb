"""The console at 1,000,000 devices, through HTTPS: dashboard, lists, searches, filters, the file.

Each database is filled by `sekisho simulate --fill`'s own function (seconds are told). Every case
is asked 30 times with other values; the figure is the 95th percentile of the time until the last
byte, of one browser at a time. ``SEKISHO_BENCH_DEVICES`` makes the fleet smaller,
``SEKISHO_BENCH_DATABASES`` (``sqlite,postgresql``) chooses.
"""

import gc
import http.client
import os
import random
import ssl
import statistics
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlencode

from flask import Flask
from sqlalchemy import select
from sqlalchemy.engine import URL

from management.access import Role
from management.administrators.sessions import COOKIE
from management.app import create_app
from management.context import Context, open_context
from management.database import Base, sqlite_url
from management.keys import prepare
from management.listing.address import write_place
from management.listing.export import as_csv
from management.listing.models import DeviceTally, SystemTally
from management.listing.plan import Place
from management.listing.rules import DeviceFilter
from management.settings import Settings
from runtime.clock import utc_now
from sekisho.fill import fill
from sekisho.fill_fleet import FAMILY, GIVEN
from tests.browser.serving import https
from tests.management.clients import ConsoleClient, signed_in_client
from tests.servers import postgres

ASKED = 30
Said = dict[str, str]
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


def _measured(name: str, url: URL, home: Path, devices: int) -> Iterator[dict[str, Any]]:
    home.mkdir()
    prepare(home / "keys", utc_now())
    text = url.render_as_string(hide_password=False)
    context = open_context(Settings(home=home, database_url=text, public_name="localhost"))
    if devices:
        Base.metadata.create_all(context.database.engine)
        seconds = fill(context.database, devices, utc_now(), lambda said: print(f"# {said}"))
        yield _row(f"console.{name}.fill", seconds, "s", "told")
    app = create_app(context)
    app.test_client_class = ConsoleClient
    cookie = _cookie(app, context)
    gc.collect()
    gc.freeze()  # as `management.web_server` does
    with https(app, context, home) as address:
        ask = _asker(address, cookie)
        for case, paths in _cases(context).items():
            yield from _case(f"console.{name}.{case}", ask, paths)
    yield from _file(name, context)
    context.database.close()


def _cookie(app: Flask, context: Context) -> str:
    name = f"bench {time.time_ns()}"
    found = signed_in_client(app, context, name, Role.OWNER).get_cookie(COOKIE, "localhost")
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
    used: list[float] = []
    worst, largest = "", 0
    for path in paths:
        before = time.process_time()
        status, milliseconds, size = ask(path)
        used.append((time.process_time() - before) * 1000)
        assert status == 200, f"{path}: {status}"
        worst = path if milliseconds > max(times, default=0) else worst
        times.append(milliseconds)
        largest = max(largest, size)
    cut, cpu = statistics.quantiles(times, n=20), statistics.quantiles(used, n=20)
    print(
        f"# {name}: p50 {cut[9]:.0f} ms, CPU here p50 {cpu[9]:.0f} ms, p95 {cpu[18]:.0f} ms, "
        f"{largest} bytes, slowest {max(times):.0f} ms {worst}",
        flush=True,
    )
    yield _row(name, cut[18], "ms p95", "value<=100")


def _cases(context: Context) -> dict[str, list[str]]:
    chance = random.Random(7)
    values = _values(context)
    one = {name: _many(chance, name, found) for name, found in values.items()}
    both = [_combination(chance, values) for _ in range(3 * ASKED)]
    return {
        "dashboard": ["/"] * ASKED,
        "first_page": ["/devices"] * ASKED,
        "deep_page": [_address({"after": _deep(chance)}) for _ in range(ASKED)],
        **{f"filter_{name}": paths for name, paths in one.items()},
        "filters_together": [_address(said) for said in both],
        "filters_and_words": [
            _address(said | {"q": chance.choice([*FAMILY, *GIVEN, "pixel", "galaxy s25"])})
            for said in both[:ASKED]
        ],
        "filters_deep": [_address(said | {"after": _deep(chance)}) for said in both[:ASKED]],
        "sorted": [
            _address({"group": group, "sort": chance.choice(["contact", "since"])})
            for group in chance.choices(values["group"], k=ASKED)
        ],
        **_searches(chance),
        "groups": ["/groups"] * ASKED,
    }


def _searches(chance: random.Random) -> dict[str, list[str]]:
    japanese = [name for name in (*FAMILY, *GIVEN) if not name.isascii() and len(name) > 1]

    def asked(words: Callable[[], str]) -> list[str]:
        return [_address({"q": words()}) for _ in range(ASKED)]

    return {
        "search_two_characters": asked(lambda: chance.choice(japanese)[-2:]),
        "search_person": asked(lambda: f"{chance.choice(FAMILY)} {chance.choice(GIVEN)}"),
        "search_serial": asked(lambda: f"SK{chance.randrange(10**6):08d}"),
        "search_last_digits": asked(lambda: f"{chance.randrange(10**4):04d}"),
        "search_common_word": asked(lambda: chance.choice(["pixel", "samsung", "user", "org"])),
        "search_common_words": asked(
            lambda: f"{chance.choice(['pixel', 'aquos'])} {chance.choice(japanese)}"
        ),
        "search_never_together": asked(lambda: f"{chance.choice(['pixel', 'sony'])} iphone"),
        "search_nothing": asked(lambda: f"zz{chance.randrange(10**6)}"),
    }


def _values(context: Context) -> dict[str, list[str]]:
    with context.database.reading() as session:
        found = {
            "state": DeviceTally.state, "risk": DeviceTally.risk, "platform": DeviceTally.platform,
            "enrolment": DeviceTally.enrolment, "ownership": DeviceTally.ownership,
            "mail": DeviceTally.mail, "policy": DeviceTally.policy_id,
            "group": DeviceTally.group_id, "os": SystemTally.os, "patch": SystemTally.patch,
            "patterns": SystemTally.patterns,
        }  # fmt: skip
        values = {
            name: sorted(str(one) for one in session.scalars(select(column).distinct()))
            for name, column in found.items()
        }
        rules = session.scalars(select(DeviceTally.rules).distinct())
        values["rule"] = sorted({one for text in rules for one in text.split("|") if one})
    return {name: [one for one in known if one] for name, known in values.items()}


def _many(chance: random.Random, name: str, values: list[str]) -> list[str]:
    return [_address({name: chance.choice(values)}) for _ in range(ASKED)]


def _combination(chance: random.Random, values: dict[str, list[str]]) -> Said:
    names = chance.sample(sorted(values), chance.randint(2, 4))
    return {name: chance.choice(values[name]) for name in names}


def _deep(chance: random.Random) -> str:
    model = chance.choice(["pixel 9", "iphone 16", "galaxy s25", "xperia 1 vi"])
    return write_place(Place(f"{model} {chance.randrange(10**6):07d}", 1)) or ""


def _address(said: Said) -> str:
    return f"/devices?{urlencode(said)}"


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
