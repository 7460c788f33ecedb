"""The phone that is simulated: what it is, what is on it, and what commands do to it. No I/O."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TypeVar, get_type_hints

from pydantic import TypeAdapter, ValidationError

from agents.simulator.attesting import Hardware
from agents.simulator.sims import SimTray
from contracts.agent import CommandKind, DeviceDescription, InstalledApp, Posture, RunCommand
from runtime.errors import MalformedMessageError, NotFoundError, RefusedError

AGENT_VERSION = "simulator 0.1.0"
SETTABLE = tuple(
    name
    for name in Posture.__dataclass_fields__
    if name not in ("kind", "sims", "applied_policy_id", "applied_policy_version", "not_applied")
)
"""The posture fields that a user of the simulator may change."""


T = TypeVar("T")
_POSTURE = TypeAdapter(Posture)
_WORDS = {"true": True, "false": False, "unknown": None}


class NotNowError(RefusedError):
    """It cannot be done now and may be possible later."""


@dataclass(kw_only=True)
class ShownMessage:
    """A message that management put on the screen."""

    at: datetime
    text: str


def _healthy() -> Posture:
    return Posture(
        os_version="15",
        security_patch="2026-09-05",
        rooted=False,
        encrypted=True,
        passcode_set=True,
        developer_options=False,
        usb_debugging=False,
        unknown_sources=False,
        roaming=False,
        agent_version=AGENT_VERSION,
    )


@dataclass(kw_only=True)
class Phone:
    """A phone's state; a fresh one is healthy."""

    description: DeviceDescription = field(
        default_factory=lambda: DeviceDescription(platform="android", model="Simulated phone")
    )
    posture: Posture = field(default_factory=_healthy)
    tray: SimTray = field(default_factory=SimTray)
    """Its SIM cards."""
    apps: list[InstalledApp] = field(default_factory=list)
    locked: bool = False
    lost: bool = False
    """In lost mode: locked behind `screen` until it is unlocked."""
    screen: str = ""
    """What stands on the locked screen."""
    shares_apps: bool = False
    """Whether the owner of a personal device lets files of apps be sent for scanning."""
    accepts_terms: bool = True
    """Whether the user accepts terms of use that are shown."""
    hardware: Hardware | None = None
    """Secure hardware that can vouch for keys and for the system."""
    work_data: bool = True
    latitude: float | None = 35.6812
    longitude: float | None = 139.7671
    messages: list[ShownMessage] = field(default_factory=list)


def set_posture(phone: Phone, changes: dict[str, str]) -> None:
    """Set posture fields from words: ``true``, ``false``, ``unknown`` or the text itself."""
    if strange := sorted(set(changes) - set(SETTABLE)):
        raise RefusedError(
            f"A phone has no {', '.join(strange)}. It has: {', '.join(sorted(SETTABLE))}."
        )
    said = {name: _said(name, word) for name, word in changes.items()}
    now = _POSTURE.dump_python(phone.posture, mode="json")
    phone.posture = checked(Posture, now | said)


def checked(kind: type[T], fields: Mapping[str, object]) -> T:
    """Return *fields* as *kind*; MalformedMessageError names what no phone or app can be."""
    try:
        made: T = TypeAdapter(kind).validate_json(json.dumps(fields), strict=True)
        return made
    except ValidationError as error:
        wrong = "; ".join(f"{p['loc'][0]}: {p['msg']}" for p in error.errors(include_url=False))
        raise MalformedMessageError(f"This cannot be simulated. {wrong}.") from None


def _said(name: str, word: str) -> bool | str | None:
    """Return *word* as a value; only ``unknown`` is a word of its own for texts."""
    if "bool" in str(get_type_hints(Posture)[name]) or word.lower() == "unknown":
        return _WORDS.get(word.lower(), word)
    return word


def install(phone: Phone, app: InstalledApp) -> None:
    """Put *app* on the phone, in place of another version of the same package."""
    phone.apps = [*(old for old in phone.apps if old.package != app.package), app]


def uninstall(phone: Phone, package: str) -> InstalledApp:
    """Remove and return an app."""
    for app in phone.apps:
        if app.package == package:
            phone.apps.remove(app)
            return app
    raise NotFoundError(f"No app {package} is on this phone.")


def perform(phone: Phone, order: RunCommand, now: datetime) -> str:
    """Do what *order* says and return what came of it; RefusedError says why it cannot be done.

    A wipe only empties what is on the phone; forgetting the enrolment is the agent's part.
    """
    return _ACTIONS[order.command](phone, order.arguments, now)


def _lock(phone: Phone, arguments: dict[str, str], now: datetime) -> str:
    phone.locked, phone.screen = True, _screen(arguments)
    return "The screen is locked."


def _screen(arguments: dict[str, str]) -> str:
    return " ".join(text for text in (arguments.get("text"), arguments.get("phone")) if text)


def _lost_mode(phone: Phone, arguments: dict[str, str], now: datetime) -> str:
    phone.locked = phone.lost = True
    phone.screen = _screen(arguments)
    return "The device is in lost mode."


def _unlock(phone: Phone, arguments: dict[str, str], now: datetime) -> str:
    phone.locked = phone.lost = False
    phone.screen = ""
    return "The screen is unlocked."


def _wipe(phone: Phone, arguments: dict[str, str], now: datetime) -> str:
    phone.apps, phone.messages, phone.work_data = [], [], False
    phone.locked, phone.lost, phone.screen = False, False, ""
    phone.tray = SimTray(cards=phone.tray.cards)
    phone.posture = replace(_healthy(), passcode_set=False, agent_version=None)
    return "Everything on the phone is erased."


def _selective_wipe(phone: Phone, arguments: dict[str, str], now: datetime) -> str:
    phone.work_data = False
    return "Work data is erased; private data is untouched."


def _reset_passcode(phone: Phone, arguments: dict[str, str], now: datetime) -> str:
    given = bool(arguments.get("passcode"))
    phone.posture = replace(phone.posture, passcode_set=given)
    return "The new passcode is set." if given else "The passcode is removed."


def _locate(phone: Phone, arguments: dict[str, str], now: datetime) -> str:
    if phone.latitude is None or phone.longitude is None:
        raise NotNowError("The phone does not know where it is: location is switched off.")
    return f"{phone.latitude:.5f},{phone.longitude:.5f}"


def _scan_now(phone: Phone, arguments: dict[str, str], now: datetime) -> str:
    return f"{len(phone.apps)} apps read; the list follows."


def _update_now(phone: Phone, arguments: dict[str, str], now: datetime) -> str:
    return f"The agent is {phone.posture.agent_version}; a newer one is fetched when it is offered."


def _message(phone: Phone, arguments: dict[str, str], now: datetime) -> str:
    text = arguments.get("text", "")
    if not text:
        raise RefusedError("The message is empty.")
    phone.messages.append(ShownMessage(at=now, text=text))
    return "The message is shown."


def _remove_app(phone: Phone, arguments: dict[str, str], now: datetime) -> str:
    package = arguments["package"]
    if all(app.package != package for app in phone.apps):
        return f"{package} was not on the phone."
    uninstall(phone, package)
    return f"{package} is removed."


_ACTIONS = {
    CommandKind.LOST_MODE: _lost_mode,
    CommandKind.REMOVE_APP: _remove_app,
    CommandKind.LOCK: _lock,
    CommandKind.UNLOCK: _unlock,
    CommandKind.WIPE: _wipe,
    CommandKind.SELECTIVE_WIPE: _selective_wipe,
    CommandKind.RESET_PASSCODE: _reset_passcode,
    CommandKind.LOCATE: _locate,
    CommandKind.SCAN_NOW: _scan_now,
    CommandKind.UPDATE_NOW: _update_now,
    CommandKind.MESSAGE: _message,
}
