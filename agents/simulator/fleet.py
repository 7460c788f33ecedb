"""Many devices in many states, for a demo and for load; enrolled over the real protocol."""

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import TypeVar

from agents.simulator.device import SimulatedDevice
from agents.simulator.relay_client import AskLaterError
from agents.simulator.sims import SimCard
from contracts.agent import DeviceDescription, InstalledApp
from runtime.clock import utc_now
from runtime.errors import UnavailableError

T = TypeVar("T")
_MODELS = (
    ("Google", "Pixel 8", "android"),
    ("Google", "Pixel 9a", "android"),
    ("Samsung", "Galaxy S24", "android"),
    ("Samsung", "Galaxy A55", "android"),
    ("Sharp", "AQUOS sense9", "android"),
    ("Sony", "Xperia 1 VI", "android"),
    ("Fujitsu", "arrows N F-51C", "android"),
    ("Apple", "iPhone 15", "ios"),
    ("Apple", "iPhone 16e", "ios"),
    ("Apple", "iPad Air", "ios"),
)
_SYSTEMS = {"android": ("16", "15", "15", "14", "14", "13"), "ios": ("26.1", "26.0", "18.7")}
_APPS = (
    ("com.android.chrome", "Chrome", "141.0"),
    ("com.microsoft.office.outlook", "Outlook", "4.2540"),
    ("jp.naver.line.android", "LINE", "15.18"),
    ("com.slack", "Slack", "25.10"),
    ("us.zoom.videomeetings", "Zoom", "6.6"),
    ("jp.co.yahoo.android.apps.transit", "Transit", "8.9"),
)
_OPERATORS = ("NTT DOCOMO", "KDDI", "SoftBank", "Rakuten Mobile")


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """What one device of the fleet is like."""

    description: DeviceDescription
    posture: dict[str, str] = field(default_factory=dict)
    apps: tuple[InstalledApp, ...] = ()
    sims: tuple[SimCard, ...] = ()
    reports: bool = True
    """False: enrolled and never heard of again."""


def profiles(count: int, seed: int) -> list[Profile]:
    """Return *count* profiles; the same for the same *seed* on the same day.

    About two thirds are in order. The others are rooted, without passcode or encryption, with
    developer options, with an old system or patch, or silent.
    """
    return [_profile(place, random.Random(f"{seed}/{place}")) for place in range(count)]  # noqa: S311


def sound_profile(place: int, seed: int) -> Profile:
    """Return a device without any trouble, the same for the same place, seed and day."""
    chance = random.Random(f"{seed}/{place}")  # noqa: S311
    return _profile(place, chance, lambda platform, chance: ({}, True))


Trouble = Callable[[str, random.Random], tuple[dict[str, str], bool]]


def _profile(place: int, chance: random.Random, trouble_of: Trouble | None = None) -> Profile:
    manufacturer, model, platform = chance.choice(_MODELS)
    number = f"{chance.randrange(16**12):012X}"
    description = DeviceDescription(
        platform="ios" if platform == "ios" else "android",
        ownership="personal" if chance.random() < 0.3 else "company",
        manufacturer=manufacturer,
        model=model,
        serial=f"SIM{place:05d}",
        imei=f"35{chance.randrange(10**13):013d}",
        exchange_device_id=f"{'Appl' if platform == 'ios' else 'android'}{number}",
    )
    age = timedelta(days=chance.randrange(5, 70))
    posture = {"os_version": chance.choice(_SYSTEMS[platform])}
    if platform == "android":
        posture["security_patch"] = (_today() - age).isoformat()
    else:
        posture |= {"security_patch": "unknown", "unknown_sources": "unknown"}
    trouble, reports = (trouble_of or _trouble)(platform, chance)
    chosen = chance.sample(_APPS, chance.randrange(2, len(_APPS) + 1))
    apps = tuple(made_up_app(*app) for app in chosen)
    return Profile(
        description=description,
        posture=posture | trouble,
        apps=apps,
        sims=_sims(chance),
        reports=reports,
    )


def _sims(chance: random.Random) -> tuple[SimCard, ...]:
    count = chance.choice((0, 1, 1, 1, 1, 2))
    return tuple(
        SimCard(iccid=f"8981{chance.randrange(10**15):015d}", operator=operator, country="JP")
        for operator in chance.sample(_OPERATORS, count)
    )


def _trouble(platform: str, chance: random.Random) -> tuple[dict[str, str], bool]:
    """Return what is wrong with a device, and whether it reports at all."""
    if chance.random() < 0.66:
        return {}, True
    old = outdated(platform)
    kinds: tuple[dict[str, str], ...] = (
        {"rooted": "true"},
        {"passcode_set": "false"},
        {"encrypted": "false"},
        {"developer_options": "true", "usb_debugging": "true"},
        {"unknown_sources": "true", "roaming": "true"},
        {"rooted": "unknown"},
        old,
    )
    return (chance.choice(kinds), True) if chance.random() < 0.85 else ({}, False)


def outdated(platform: str) -> dict[str, str]:
    """Return the posture of a device that was not updated for long."""
    if platform == "ios":
        return {"os_version": "16.7"}
    patch = (_today() - timedelta(days=600)).isoformat()
    return {"os_version": "11", "security_patch": patch}


def made_up_app(package: str, name: str, version: str) -> InstalledApp:
    """Return a harmless app; its hashes are made up from its name and belong to no file."""
    return InstalledApp(
        package=package,
        name=name,
        version=version,
        sha256=sha256(f"simulated {package} {version}".encode()).hexdigest(),
        signer_sha256=sha256(f"simulated signer of {package}".encode()).hexdigest(),
    )


def _today() -> date:
    return utc_now().date()


def enrol_fleet(
    invitations: Sequence[str],
    folder: Path,
    seed: int = 1,
    patience: timedelta = timedelta(minutes=10),
    told: Callable[[int], None] = lambda enrolled: None,
) -> list[SimulatedDevice]:
    """Enrol one device for each enrolment code and let it report; return them in order.

    Each device lives in a folder of its own under *folder*; what was enrolled before is not
    enrolled again. *told* hears how many are enrolled. Raises UnavailableError when management has
    not answered all within *patience*.
    """
    planned = profiles(len(invitations), seed)
    deadline = time.monotonic() + patience.total_seconds()
    devices = [SimulatedDevice(folder / f"{place:04d}") for place in range(len(invitations))]
    for device, code, profile in zip(devices, invitations, planned, strict=True):
        if device.state.membership is None:
            _patiently(partial(_begin, device, code, profile), deadline)
    waiting = [device for device in devices if device.state.membership is None]
    while waiting:
        waiting = [d for d in waiting if _patiently(d.finish_enrolment, deadline) is not None]
        told(len(devices) - len(waiting))
        if waiting:
            _rest(2.0, deadline)
    for device, profile in zip(devices, planned, strict=True):
        if profile.reports:
            _patiently(device.check_in, deadline)
    return devices


def _begin(device: SimulatedDevice, code: str, profile: Profile) -> None:
    device.begin_enrolment(code, profile.description)
    device.set(**profile.posture)
    device.install(*profile.apps)
    device.insert_sim(*profile.sims)


def _patiently(step: Callable[[], T], deadline: float) -> T:
    """Return what *step* gives; when the relay asks to come later, come later."""
    while True:
        try:
            return step()
        except AskLaterError as error:
            _rest(error.seconds or 5.0, deadline)


def _rest(seconds: float, deadline: float) -> None:
    if time.monotonic() + seconds > deadline:
        raise UnavailableError(
            "Not every device of the fleet was enrolled in time. Is management running? "
            "Start again with the same folder to go on."
        )
    time.sleep(seconds)
