"""What verdicts mean for devices and lists. Pure."""

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import PurePath
from typing import Any

from contracts.agent import InstalledApp
from contracts.scan import Verdict

LARGEST_APP_BYTES = 512 * 1024 * 1024
"""An uploaded file may be so large."""
LARGEST_UPLOAD_BYTES = LARGEST_APP_BYTES + 64 * 1024
"""The same with what the form adds."""
BLAMELESS = frozenset({Verdict.CLEAN})
"""No fact about a device follows from these; what could not be read is never among them."""
_SEVERITIES = ("note", "low", "medium", "high")
_GRAVE = ("medium", "high")
MISLEADING = "evasive-container"
RATINGS = ("privacy", "vulnerable")
"""Categories of findings that rate honest apps too."""
LONGEST_APPROVAL = timedelta(days=731)
"""Nobody answers for an app for ever."""


class Basis(StrEnum):
    """What a verdict rests on."""

    FILE = "file"
    """Its file was read, or what an earlier scan kept of it was judged again."""
    REPORT = "report"
    """What devices report of it (hash, package, signer); nobody read its file."""


class Approved(StrEnum):
    """What an approval covers."""

    HASH = "hash"
    """This very file."""
    SIGNER = "signer"
    """Every app that this certificate signed."""


@dataclass(frozen=True, slots=True)
class Reputation:
    """The current verdict about one hash."""

    sha256: str
    verdict: str
    pattern_version: str
    rule: str
    family: str


def reputation(sha256: str, result: Mapping[str, Any]) -> Reputation:
    """Return the verdict in a stored `contracts.scan.ScanResult` with its gravest finding."""
    gravest: Mapping[str, str] = max(
        result.get("findings", ()),
        key=_gravity,
        default={},
    )
    return Reputation(
        sha256,
        result["verdict"],
        result["pattern_version"],
        gravest.get("rule", ""),
        gravest.get("family", ""),
    )


def is_misleading(result: Mapping[str, Any]) -> bool:
    """Whether the file of a stored result is built so that its signer need not have seen all of it.

    Byte code in front of an archive (CVE-2017-13156) runs although nobody signed it.
    """
    return any(
        one.get("category") == MISLEADING and one["severity"] in _GRAVE
        for one in result.get("findings", ())
    )


def _gravity(finding: Mapping[str, str]) -> int:
    """Return how much a finding weighs; ratings of honest apps (`judgement_rules`) only little."""
    number = _SEVERITIES.index(finding["severity"])
    return min(number, 1) if finding.get("category") in RATINGS else number


def bad_apps(
    installed: Iterable[tuple[str, str, str]],
    known: Mapping[str, Reputation],
    approved: Container[str] = (),
) -> list[dict[str, str]]:
    """Return the value of `FactKind.BAD_APPS` for apps given as (hash, package, name).

    Apps that nobody judged, clean ones, and those that somebody answers for (*approved*: hashes)
    are left out. Sorted, so that equal holdings give equal facts.
    """
    return [
        {
            "sha256": sha256,
            "package": package,
            "name": name,
            "verdict": found.verdict,
            "rule": found.rule,
            "family": found.family,
            "pattern_version": found.pattern_version,
        }
        for sha256, package, name in sorted(installed)
        if (found := known.get(sha256)) is not None
        and found.verdict not in BLAMELESS
        and sha256 not in approved
    ]


def urgency(known: Reputation | None) -> int:
    """Return what sorts apps: bad verdicts first, apps that nobody judged last but the clean."""
    order = ("malicious", "suspicious", "unwanted", "unscannable", "", "clean")
    verdict = known.verdict if known else ""
    return order.index(verdict) if verdict in order else 0


def packages(apps: Iterable[InstalledApp]) -> list[str]:
    """Return the value of `FactKind.PACKAGES`."""
    return sorted({app.package for app in apps})


def shown_name(file_name: str) -> str:
    """Return the last part of an uploaded file's name, without what a page or log may trip over."""
    name = PurePath(file_name.replace("\\", "/")).name
    return "".join(letter for letter in name if letter.isprintable())[:255] or "unnamed.apk"


def is_same_judgement(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """Whether two stored results say the same, by whatever set and however long it took."""
    passing = {"elapsed_ms", "file", "features", "pattern_version"}
    return {k: v for k, v in old.items() if k not in passing} == {
        k: v for k, v in new.items() if k not in passing
    }


def wrong_approval(reason: str, ends_at: datetime, now: datetime) -> dict[str, str]:
    """Return what is not right with an approval, a sentence a field; empty when nothing."""
    wrong = {}
    if not reason.strip():
        wrong["reason"] = "Say why you answer for it: the reason is shown and audited."
    if ends_at <= now:
        wrong["ends_on"] = "The last day lies in the past."
    elif ends_at > now + LONGEST_APPROVAL:
        wrong["ends_on"] = "An approval lasts two years at most; it can be given again."
    return wrong


@dataclass(frozen=True, slots=True, kw_only=True)
class Turned:
    """A known app about which another pattern set says something else."""

    sha256: str
    package: str
    name: str
    before: str
    """Verdict; empty: none yet."""
    after: Reputation
    devices: int
    approved: bool = False
    in_store: bool = False

    @property
    def is_newly_malicious(self) -> bool:
        """Whether it was not malicious before."""
        return self.after.verdict == Verdict.MALICIOUS and self.before != Verdict.MALICIOUS

    @property
    def is_milder(self) -> bool:
        """Whether the new word is milder than the one before."""
        return weight(self.after.verdict) < weight(self.before)


def weight(verdict: str) -> int:
    """Return a number that is higher for a graver verdict; none at all counts as clean."""
    order = (Verdict.CLEAN, Verdict.UNWANTED, Verdict.SUSPICIOUS, Verdict.MALICIOUS)
    return order.index(Verdict(verdict)) if verdict in order else 0


WIDESPREAD_DEVICES = 20
WIDESPREAD_PERCENT = 5
MANY_APPS = 20
MANY_PERCENT = 2


def why_wait(turned: Iterable[Turned], known_apps: int, all_devices: int) -> str:
    """Return why a person must look before a set goes live; empty: it may go live by itself.

    Malware is rare, and nobody approved it. So a set that calls approved, published, widespread or
    very many apps malicious more likely errs than that it is right.
    """
    bad = [app for app in turned if app.is_newly_malicious]
    signals = (
        _named("approved", [app for app in bad if app.approved]),
        _named("published in the app store", [app for app in bad if app.in_store]),
        _named(
            f"held by {WIDESPREAD_PERCENT} % of the devices or more",
            [app for app in bad if _is_widespread(app, all_devices)],
        ),
        f"{len(bad)} of {known_apps} known apps at once"
        if len(bad) > MANY_APPS and len(bad) * 100 > MANY_PERCENT * known_apps
        else "",
    )
    said = "; ".join(signal for signal in signals if signal)
    return f"It would call malicious: {said}." if said else ""


def _is_widespread(app: Turned, all_devices: int) -> bool:
    needed = max(WIDESPREAD_DEVICES, all_devices * WIDESPREAD_PERCENT / 100)
    return app.devices >= needed


def _named(what: str, apps: list[Turned]) -> str:
    """Say how many apps are *what*, and the first three of them."""
    names = ", ".join(app.name or app.package or app.sha256[:12] for app in apps[:3])
    more = f" and {len(apps) - 3} more" if len(apps) > 3 else ""
    return f"apps {what}: {names}{more}" if apps else ""
