"""What the devices of `sekisho.fill` are like: 400 different ones, each with names of its own."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256
from types import SimpleNamespace
from typing import Any
from uuid import UUID

from management.compliance.judgement import AskedPolicy, write_consequence, write_violation
from management.compliance.rules import judge
from management.devices.rules import Fact, FactKind, write_fact
from management.listing import service
from management.listing.models import DeviceTally, SystemTally
from management.policies.rules import Requirements

VARIANTS = 400
YEAR = timedelta(days=365)
MODELS = (
    ("Google", "Pixel 9", "android"), ("Sony", "Xperia 1 VI", "android"),
    ("Apple", "iPhone 16", "ios"), ("Sharp", "AQUOS R9", "android"),
    ("Samsung", "Galaxy S25", "android"), ("Apple", "iPad Air", "ios"),
    ("Fairphone", "Fairphone 5", "android"),
)  # fmt: skip
FAMILY = (
    "佐藤", "鈴木", "高橋", "田中", "伊藤", "渡辺", "山本", "中村",
    "小林", "加藤", "吉田", "山田", "佐々木", "山口", "松本", "井上",
    "木村", "林", "清水", "髙﨑", "斎藤", "Brown", "Kowalska", "Ortega",
    "Schmidt", "Rossi", "Dubois", "Novak", "Silva", "Jensen",
)  # fmt: skip
GIVEN = (
    "花子", "健", "一郎", "美咲", "直樹", "結衣", "翔太", "陽子",
    "大輔", "真由美", "拓也", "彩", "亮", "恵子", "隆", "優子",
    "Mary", "Anna", "Luis", "Karl", "Giulia", "Marc", "Petra", "João",
    "Mette", "Ada", "Noor",
)  # fmt: skip
APPS = tuple(
    (
        f"org.example.app{one:03d}",
        f"App {one:03d}",
        sha256(f"app {one}".encode()).hexdigest(),
        sha256(f"signer {one % 40}".encode()).hexdigest(),
    )
    for one in range(397)
)
BAD_PLACE = 13
BAD = {
    "sha256": APPS[BAD_PLACE][2],
    "package": APPS[BAD_PLACE][0],
    "name": APPS[BAD_PLACE][1],
    "verdict": "malicious",
    "rule": "made-up.for-trying",
    "family": "MadeUp",
    "pattern_version": "2026.05.30",
}


def sql_time(moment: datetime) -> str:
    """Return an instant as every database reads it, in UTC."""
    return f"{moment:%Y-%m-%d %H:%M:%S.%f}"


@dataclass(slots=True)
class Variant:
    """One kind of device: its facts, its judgement, and what the list says of both."""

    platform: str
    model: tuple[str, str]
    """Manufacturer and model."""
    apps: tuple[int, ...]
    """Places in `APPS` of what is installed."""
    row: SimpleNamespace
    """As a row of `listing.service` sources, but for names, group and policy."""
    facts: str
    at: str
    judgement: tuple[object, ...]
    listed: dict[tuple[UUID, UUID, str], Any] = field(default_factory=dict)

    def shapes(self, group: UUID, policy: UUID, number: int) -> tuple[int, int]:
        """Return both shapes of a device of this kind in a group, under a policy."""
        key = (group, policy, ownership(number))
        if key not in self.listed:
            row = SimpleNamespace(**vars(self.row))
            row.group_id, row.policy_id, row.ownership = key
            self.listed[key] = service.listed(row, row, row.facts, with_words=False)
        core, system = self.listed[key].tallies
        return core["shape"], system["shape"]


def ownership(number: int) -> str:
    """Return whose the device is: one in six is personal."""
    return "personal" if number % 6 == 1 else "company"


@dataclass(slots=True)
class Fleet:
    """Groups, policies and kinds of devices."""

    now: datetime
    groups: Sequence[UUID]
    policies: Sequence[UUID]
    """Of each group, for Android."""
    standard: UUID
    made: dict[UUID, list[Variant]]
    key: str = "{}"
    """Public key of every device, as JSON; with one, orders can be sealed to it."""
    held: Counter[int] = field(default_factory=Counter)
    """Place in `APPS` -> devices that hold it."""

    def place_of(self, number: int) -> tuple[UUID, UUID, Variant]:
        """Return group, policy and kind of device *number*."""
        place = number // VARIANTS * 7 % len(self.groups)
        kinds = self.made[self.standard]
        kind = number * 31 % len(kinds)
        android = kinds[kind].platform == "android"
        policy = self.policies[place] if android else self.standard
        return self.groups[place], policy, self.made[policy][kind]

    def name(self, number: int, variant: Variant) -> str:
        """Return the device's name."""
        return f"{variant.model[1]} {number:07d}"

    def owner(self, number: int) -> str:
        """Return the user's name."""
        return f"{FAMILY[number % len(FAMILY)]} {GIVEN[number // 7 % len(GIVEN)]}"

    def texts(self, number: int, variant: Variant) -> tuple[str, ...]:
        """Return what its search words are made from."""
        address, exchange = f"user{number}@example.org", f"SEC{number:08X}"
        name, owner = self.name(number, variant), self.owner(number)
        return (name, owner, address, *variant.model, exchange)

    def numbers(self, number: int) -> tuple[str, str]:
        """Return serial number and IMEI."""
        return f"SK{number:08d}", f"35{number * 7919 % 10**13:013d}"

    def device(
        self, number: int, device_id: str, group: UUID, policy: UUID, variant: Variant
    ) -> tuple[object, ...]:
        """Return the row of a device, in the order of `fill_sink.COLUMNS`."""
        name, owner, address, maker, model, exchange = self.texts(number, variant)
        serial, imei = self.numbers(number)
        contact = datetime.fromisoformat(variant.at) - timedelta(seconds=number % 3600)
        return (
            device_id, name, owner, address, variant.platform, ownership(number), maker, model,
            serial, imei, exchange, variant.row.enrolment_state, sql_time(self.now - YEAR),
            group.hex, policy.hex, f"{policy}/1", f"{number:x}", sql_time(contact),
            self.key, self.key, 1,
        )  # fmt: skip

    def meanings(self) -> tuple[dict[int, tuple[object, ...]], dict[int, tuple[object, ...]]]:
        """Return what each shape stands for, as the tallies' columns."""
        found: tuple[dict[int, tuple[object, ...]], ...] = ({}, {})
        every = (one for kinds in self.made.values() for kind in kinds for one in _listed(kind))
        for one in every:
            for place, tally in enumerate((DeviceTally, SystemTally)):
                means = one.tallies[place]
                values = (means[name] for name in service.KINDS[tally])
                found[place][means["shape"]] = tuple(
                    value.hex if isinstance(value, UUID) else value for value in values
                )
        return found[0], found[1]


def _listed(kind: Variant) -> list[Any]:
    return list(kind.listed.values())


def variants(policy: UUID, asked: Requirements, now: datetime) -> list[Variant]:
    """Return the kinds of devices under a policy, judged by the product's own rules."""
    return [_variant(number, policy, asked, now) for number in range(VARIANTS)]


def _variant(number: int, policy: UUID, asked: Requirements, now: datetime) -> Variant:
    model = MODELS[number % len(MODELS)]
    silent = {7: timedelta(days=5), 19: timedelta(days=60)}.get(number % 40, timedelta(hours=2))
    enrolment = "retired" if number % 50 == 49 else "enrolled"
    apps = installed(BAD_PLACE if number % 100 == 71 else number * 17, 5)
    said = _facts(number, model[2], policy, enrolment, now) | {FactKind.PACKAGES: packages(apps)}
    at = now - silent - timedelta(minutes=number)
    return made_of(model, apps, said, at, wish(policy, asked, model[2], now), now)


def wish(policy: UUID, asked: Requirements, platform: str, now: datetime) -> AskedPolicy:
    """Return what a policy that has held for a year asks."""
    return AskedPolicy(str(policy), "Default", 1, now - YEAR, platform, asked)


def installed(first: int, count: int) -> tuple[int, ...]:
    """Return the places in `APPS` of *count* apps."""
    return tuple(sorted((first + step) % len(APPS) for step in range(count)))


def packages(places: Iterable[int]) -> list[str]:
    """Return the packages at these places of `APPS`, as a device reports them."""
    return sorted(APPS[place][0] for place in places)


def made_of(
    model: tuple[str, str, str], apps: tuple[int, ...], said: Mapping[FactKind, Any],
    at: datetime, asked: AskedPolicy, now: datetime,
) -> Variant:  # fmt: skip
    """Return the kind of device that said this at *at*, judged at *now*."""
    facts = {kind: Fact(value, "agent", at) for kind, value in said.items()}
    judged = judge(facts, asked, now)
    violations = [write_violation(one) for one in judged.violations]
    written = {kind.value: write_fact(fact) for kind, fact in facts.items()}
    policy = UUID(asked.policy_id)
    row = SimpleNamespace(
        id=None, name="", owner_name="", owner_address="", manufacturer="", model="", serial="",
        imei="", exchange_device_id="", platform=model[2],
        enrolment_state=said[FactKind.ENROLMENT], state=judged.state.value,
        risk=judged.risk.value, violations=violations, facts=written, group_id=None,
        policy_id=policy, ownership="company",
    )  # fmt: skip
    judgement = (
        judged.state.value, sql_time(judged.since), _json(violations),
        _json([one.value for one in judged.missing]), _json([one.value for one in judged.stale]),
        "[]", _json([write_consequence(one) for one in judged.consequences]), judged.risk.value,
        policy.hex, asked.version, sql_time(now),
    )  # fmt: skip
    return Variant(model[2], model[:2], apps, row, _json(written), sql_time(at), judgement)


def _facts(
    number: int, platform: str, policy: UUID, enrolment: str, now: datetime
) -> dict[FactKind, Any]:
    android = platform == "android"
    month = now - timedelta(days=30 * (number % 7 if number % 9 == 0 else number % 2))
    return {
        FactKind.ENROLMENT: enrolment,
        FactKind.ASKED_POLICY: str(policy),
        FactKind.CONTACT: True,
        FactKind.OS_VERSION: str((13, 14, 15, 15, 16)[number % 5] if android else 17 + number % 3),
        FactKind.SECURITY_PATCH: f"{month:%Y-%m}-05" if android else None,
        FactKind.ROOTED: number % 80 == 13,
        FactKind.ENCRYPTED: True,
        FactKind.PASSCODE_SET: number % 40 != 3,
        FactKind.DEVELOPER_OPTIONS: number % 10 == 3,
        FactKind.USB_DEBUGGING: number % 20 == 11,
        FactKind.UNKNOWN_SOURCES: False,
        FactKind.AGENT_VERSION: "1.4.0",
        FactKind.PATTERN_VERSION: ("2026.05.30", "2026.05.29", "2026.05.23")[number % 11 // 5],
        FactKind.APPLIED_POLICY: {"policy_id": str(policy), "version": 1},
        FactKind.MAIL_STATE: _mail(number),
        FactKind.BAD_APPS: [BAD] if number % 100 == 71 else [],
    }


def _mail(number: int) -> dict[str, str]:
    state = "Blocked" if number % 40 in {3, 13, 19} else "Allowed"
    return {"mailbox": "mailbox", "state": state}


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
