"""What is asked of the console: addresses of pages, with other values each time."""

import random
from collections.abc import Callable
from urllib.parse import urlencode

from sqlalchemy import select

from management.context import Context
from management.listing.address import write_place
from management.listing.models import DeviceTally, SystemTally
from management.listing.plan import Place
from sekisho.fill_fleet import APPS, FAMILY, GIVEN

ASKED = 30
Said = dict[str, str]
Cases = dict[str, list[str]]
OF_FEW = (
    "dashboard", "first_page", "deep_page", "filter_state", "filter_risk", "filter_os",
    "filters_together", "search_two_characters", "search_person", "search_common_word",
    "search_nothing", "filter_app",
    "groups", "commands", "commands_state", "commands_person", "filter_command_failed",
)  # fmt: skip
"""Asked by administrators who are limited to groups too."""
MEANWHILE = ("dashboard", "first_page", "filter_state", "search_person")
"""Asked while something else goes on."""


def cases(context: Context) -> Cases:
    """Return what an administrator asks for who sees all devices."""
    chance = random.Random(7)
    values = _values(context)
    one = {name: _many(chance, name, found) for name, found in values.items()}
    both = [_combination(chance, values) for _ in range(3 * ASKED)]
    return {
        "dashboard": ["/"] * ASKED,
        "first_page": ["/devices"] * ASKED,
        "deep_page": [_address({"after": _deep(chance)}) for _ in range(ASKED)],
        **{f"filter_{name}": paths for name, paths in one.items()},
        "filter_app": [_address({"app": held[2]}) for held in chance.choices(APPS, k=ASKED)],
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


def _searches(chance: random.Random) -> Cases:
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
