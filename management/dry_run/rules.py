"""What a dry run says of one device, and how the answers add up. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from contracts.scan import Verdict
from management.compliance.judgement import ConsequenceKind, Judgement, Rule, Violation

WORK = "dry_run.run"
RULES = frozenset(rule.value for rule in Rule)


class RunState(StrEnum):
    """How a dry run stands."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    CANCELLED = "cancelled"
    FAILED = "failed"


OPEN = (RunState.WAITING, RunState.RUNNING)


def job_key(run_id: UUID) -> str:
    """Return the key of the work that does a dry run."""
    return f"{WORK}:{run_id}"


class When(StrEnum):
    """When something would be lost."""

    NEVER = ""
    LATER = "later"
    """After a grace period."""
    AT_ONCE = "at_once"


_SOONER = (When.NEVER, When.LATER, When.AT_ONCE)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What would become of one device."""

    before: str
    after: str
    """States, as `compliance.judgement.State`."""
    mail: When
    """When it loses mail that it would otherwise keep, or keep longer."""
    wipe: When
    """When its company data would be removed, which would otherwise stay, or stay longer."""
    because: str
    """The rules that it breaks only afterwards, a line each; all where it only loses sooner."""

    @property
    def is_change(self) -> bool:
        """Whether anything about the device is another than before."""
        return bool(self.before != self.after or self.mail or self.wipe or self.because)


@dataclass(slots=True)
class Tally:
    """How many devices would become what."""

    judged: int = 0
    changed: int = 0
    mail: Counter[str] = field(default_factory=Counter)
    wipe: Counter[str] = field(default_factory=Counter)
    states: Counter[str] = field(default_factory=Counter)
    """``BEFORE>AFTER`` -> devices; unchanged ones count too."""
    listed: Counter[str] = field(default_factory=Counter)
    """``BEFORE>AFTER`` -> devices that change in some way: those that are kept by name."""
    rules: Counter[str] = field(default_factory=Counter)
    """Rule -> devices that change, among other things because of it."""

    def add(self, outcome: Outcome) -> None:
        """Count one device."""
        self.judged += 1
        self.changed += outcome.is_change
        self.states[f"{outcome.before}>{outcome.after}"] += 1
        if outcome.is_change:
            self.listed[f"{outcome.before}>{outcome.after}"] += 1
            self.rules.update(rules_in(outcome.because))
        if outcome.mail:
            self.mail[outcome.mail.value] += 1
        if outcome.wipe:
            self.wipe[outcome.wipe.value] += 1

    def add_same(self, state: str) -> None:
        """Count one device that stays as it is."""
        self.judged += 1
        self.states[f"{state}>{state}"] += 1

    def merge(self, other: "Tally") -> None:
        """Count what *other* counted."""
        self.judged += other.judged
        self.changed += other.changed
        for name in COUNTERS:
            getattr(self, name).update(getattr(other, name))

    def becoming(self, state: str) -> int:
        """Return how many devices would come into *state* that are not in it now."""
        pairs = (pair.split(">") for pair in self.states)
        return sum(self.states[f"{a}>{b}"] for a, b in pairs if b == state != a)


COUNTERS = ("mail", "wipe", "states", "listed", "rules")


def write_tally(tally: Tally) -> dict[str, Any]:
    """Return *tally* as JSON fields."""
    return {
        "judged": tally.judged,
        "changed": tally.changed,
        **{name: dict(getattr(tally, name)) for name in COUNTERS},
    }


def read_tally(fields: Mapping[str, Any]) -> Tally:
    """Return what `write_tally` wrote; nothing yet: zeros."""
    return Tally(
        fields.get("judged", 0),
        fields.get("changed", 0),
        *(Counter(fields.get(name, {})) for name in COUNTERS),
    )


def new_reasons(before: Judgement, after: Judgement) -> str:
    """Return a line for each rule that is broken only afterwards."""
    broken = {violation.rule for violation in before.violations}
    return _lines(one for one in after.violations if one.rule not in broken)


def all_reasons(judged: Judgement) -> str:
    """Return a line for each rule that is broken."""
    return _lines(judged.violations)


def _lines(violations: Iterable[Violation]) -> str:
    return "\n".join(f"{one.rule.value}: {one.because}" for one in violations)[:4000]


def rules_in(because: str) -> set[str]:
    """Return the rules of which `because` says something; the filter by rule finds just these."""
    return {line.partition(": ")[0] for line in because.split("\n")} & RULES


def sooner(before: When, after: When) -> When:
    """Return *after* where it is news: what is later by *before* and then at once is news too."""
    return after if _SOONER.index(after) > _SOONER.index(before) else When.NEVER


def wipe_of(before: Judgement, after: Judgement, at: datetime) -> When:
    """Return when the company data would be wiped by *after*, if not as soon by *before*."""
    return sooner(_wiped(before, at), _wiped(after, at))


def _wiped(judged: Judgement, at: datetime) -> When:
    kind = ConsequenceKind.SELECTIVE_WIPE
    due = min((one.due_at for one in judged.consequences if one.kind is kind), default=None)
    if due is None:
        return When.NEVER
    return When.AT_ONCE if due <= at else When.LATER


@dataclass(frozen=True, slots=True)
class Candidate:
    """What the pattern set on trial says of one app."""

    verdict: str
    rule: str = ""
    family: str = ""
    pattern_version: str = ""


def with_verdicts(
    known: Iterable[Mapping[str, str]] | None,
    held: Iterable[tuple[str, str, str]],
    candidates: Mapping[str, Candidate],
    blameless: frozenset[Verdict],
) -> list[dict[str, str]]:
    """Return the value of `FactKind.BAD_APPS` as the pattern set on trial would make it.

    *known* is the value now; *held* are those installed apps (hash, package, name) about which the
    set says something else.
    """
    kept = [dict(app) for app in known or () if app["sha256"] not in candidates]
    for sha256, package, name in held:
        said = candidates[sha256]
        if said.verdict not in blameless:
            kept.append(
                {
                    "sha256": sha256,
                    "package": package,
                    "name": name,
                    "verdict": said.verdict,
                    "rule": said.rule,
                    "family": said.family,
                    "pattern_version": said.pattern_version,
                }
            )
    return sorted(kept, key=lambda app: (app["sha256"], app["package"], app["name"]))


def share_done(judged: int, total: int) -> float:
    """Return the part that is judged, from 0 to 1."""
    return min(1.0, judged / total) if total else 1.0
