"""`sekisho simulate --fill N`: a database full of devices, written straight and fast.

For trying the console at its full size. Every device has facts, a judgement by the product's own
rules, its row in the list with search words and counts, and apps. What is not made: keys with
which it could speak, and the log of facts (who said what before).
"""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from time import perf_counter
from uuid import UUID

from sqlalchemy import func, select

from management.database import Database
from management.devices.models import Device
from management.groups.models import ROOT_GROUP
from management.groups.service import create_group
from management.listing import rules
from management.policies.models import Group
from management.policies.rules import Requirements
from management.policies.service import create_policy, ensure_default_policy
from runtime.errors import RefusedError
from sekisho.fill_fleet import APPS, Fleet, Variant, sql_time, variants
from sekisho.fill_sink import Sink, open_sink

GROUPS = 100
STEP = 10_000
Say = Callable[[str], None]


def fill(database: Database, devices: int, now: datetime, say: Say) -> float:
    """Fill a database without devices; return the seconds it took. RefusedError if it has some."""
    return write(database, _prepared(database, now), devices, say)


def write(database: Database, fleet: Fleet, devices: int, say: Say) -> float:
    """Write the devices of a fleet, and all that lists read of them; return the seconds it took."""
    began = perf_counter()
    with open_sink(database) as sink:
        tallies: tuple[dict[int, int], dict[int, int]] = ({}, {})
        for start in range(0, devices, STEP):
            _write(sink, fleet, range(start, min(start + STEP, devices)), tallies)
            if start % 100_000 == 0:
                say(f"{start} devices, {perf_counter() - began:.0f} s")
        _write_tallies(sink, fleet, tallies)
        sink.rows("app", _apps(fleet))
        say(f"{devices} devices, {perf_counter() - began:.0f} s; now the indexes")
    return perf_counter() - began


def device_id(number: int) -> UUID:
    """Return the id of device *number*; ids rise with numbers, which makes filling fast."""
    return UUID(int=number << 90 | 0x4000_8000_0000_0000_0000)


def _prepared(database: Database, now: datetime) -> Fleet:
    with database.transaction("prepare to fill") as session:
        if session.scalar(select(func.count()).select_from(select(Device.id).limit(1).subquery())):
            raise RefusedError("There are devices already. Fill an empty database only.")
        standard = ensure_default_policy(session, now - timedelta(days=300))
        strict = create_policy(
            session, "Strict", Requirements(no_usb_debugging=True), {}, "fill", "for trying", now
        )
        regions = [create_group(session, f"Region {one:02d}", ROOT_GROUP) for one in range(10)]
        groups = [
            create_group(session, f"Office {one:03d}", regions[one % 10].id).id
            for one in range(GROUPS - len(regions))
        ]
        for group_id in groups[::5]:
            session.get_one(Group, group_id).android_policy_id = strict.id
        asked = {standard.id: Requirements(), strict.id: Requirements(no_usb_debugging=True)}
    chosen = [strict.id if place % 5 == 0 else standard.id for place in range(len(groups))]
    made = {policy: variants(policy, one, now) for policy, one in asked.items()}
    return Fleet(now, groups, chosen, standard.id, made)


def _write(
    sink: Sink, fleet: Fleet, numbers: range, tallies: tuple[dict[int, int], dict[int, int]]
) -> None:
    rows: dict[str, list[tuple[object, ...]]] = {name: [] for name in TABLES}
    for number in numbers:
        own_id = device_id(number).hex
        group, policy, variant = fleet.place_of(number)
        shapes = variant.shapes(group, policy, number)
        for place, shape in enumerate(shapes):
            tallies[place][shape] = tallies[place].get(shape, 0) + 1
        words = rules.tokens(fleet.texts(number, variant), fleet.numbers(number))
        listed = (own_id, rules.sort_name(fleet.name(number, variant)), *shapes)
        rows["device"].append(fleet.device(number, own_id, group, policy, variant))
        rows["device_facts"].append((own_id, variant.facts, variant.at))
        rows["device_judgement"].append((own_id, *variant.judgement))
        rows["device_listing"].append((number + 1, *listed, rules.search_text(words)))
        rows["device_token"] += [(word, number + 1) for word in words]
        rows["device_app"] += _installed(fleet, own_id, variant)
    for name, part in rows.items():
        sink.rows(name, part)


TABLES = (
    "device",
    "device_facts",
    "device_judgement",
    "device_listing",
    "device_token",
    "device_app",
)


def _installed(fleet: Fleet, own_id: str, variant: Variant) -> Iterator[tuple[object, ...]]:
    for place in variant.apps:
        package, name, sha256, signer = APPS[place]
        fleet.held[place] += 1
        yield (own_id, package, sha256, name, "1.0", signer, variant.at, variant.at)


def _apps(fleet: Fleet) -> Iterator[tuple[object, ...]]:
    at = sql_time(fleet.now - timedelta(days=100))
    for place, (package, name, sha256, signer) in enumerate(APPS):
        yield (sha256, package, name, "1.0", signer, at, fleet.held[place])


def _write_tallies(
    sink: Sink, fleet: Fleet, tallies: tuple[dict[int, int], dict[int, int]]
) -> None:
    for name, counted, meant in zip(
        ("device_tally", "system_tally"), tallies, fleet.meanings(), strict=True
    ):
        rows = [(shape, number, *meant[shape]) for shape, number in counted.items()]
        sink.rows(name, [(place, *row) for place, row in enumerate(rows, 1)])
