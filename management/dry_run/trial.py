"""What is tried, and how a device stands without and with it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, cast
from uuid import UUID

from pydantic_core import from_json
from sqlalchemy.orm import Session

from management.apps.rules import BLAMELESS
from management.compliance.catalogue import Criterion
from management.compliance.judgement import AskedPolicy, Judgement
from management.compliance.queries import for_device, wish_of
from management.compliance.rules import breaks_any, judge, may_differ
from management.devices.models import Device
from management.devices.rules import Fact, FactKind, Facts, LazyFacts, read_facts
from management.dry_run.rules import Candidate, with_verdicts
from management.policies.rules import Requirements, wishes_in

Held = Iterable[tuple[str, str, str]]
"""Hash, package and name of the apps about which the set on trial says something else."""


@dataclass(frozen=True, slots=True)
class Trial:
    """What is tried, for every chunk the same."""

    at: datetime
    policy_ids: frozenset[UUID]
    """Whose devices are judged; empty: whoever holds an app that the set on trial judges
    otherwise."""
    requirements: Requirements | None
    candidates: Mapping[str, Candidate]
    """Hash -> what the pattern set on trial says."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A device that may change, and how it stands in both cases."""

    row: Any
    before: Judgement
    after: Judgement

    @property
    def is_same(self) -> bool:
        """Whether nothing about the device would change."""
        before, after = self.before, self.after
        return (before.state, before.violations, before.consequences) == (
            after.state,
            after.violations,
            after.consequences,
        )


@dataclass(frozen=True, slots=True)
class _Wish:
    """What a policy asks of devices of one kind, and what it would ask."""

    now: AskedPolicy
    then: AskedPolicy
    other: tuple[Criterion, ...]
    """The criteria that may be broken by one of the two only."""


@dataclass(slots=True)
class Comparison:
    """Judges devices twice; what is asked of whom is read once."""

    session: Session
    trial: Trial
    wishes: dict[tuple[UUID, str, str], _Wish] = field(default_factory=dict)

    def judge(self, row: Any, held: Held) -> Judged | None:
        """Return how the device stands in both cases; None: it is well and stays so.

        A device that the stored judgement knows as well keeps every criterion that is asked, so
        only those that would be asked otherwise are looked at.
        """
        wish = self._wish(row)
        told = _decoded(row.facts)
        if row.is_well and row.policy_version == wish.now.version and not held:
            lazily = LazyFacts(told)
            if not breaks_any(wish.other, lazily, wish.then, self.trial.at):
                return None
        known = read_facts(told)
        facts = {**known, FactKind.BAD_APPS: self._bad_apps(known, held)} if held else known
        return Judged(row, self._judged(row, wish.now, known), self._judged(row, wish.then, facts))

    def _judged(self, row: Any, asked: AskedPolicy, facts: Facts) -> Judgement:
        return judge(facts, for_device(asked, cast(Device, row), facts), self.trial.at)

    def _wish(self, row: Any) -> _Wish:
        of = row.policy_id, row.platform, row.ownership
        if of not in self.wishes:
            now, then = _wishes(self.session, self.trial, row.policy_id)
            other = may_differ(now.requirements, then.requirements)
            kind = {"platform": row.platform, "ownership": row.ownership}
            self.wishes[of] = _Wish(replace(now, **kind), replace(then, **kind), other)
        return self.wishes[of]

    def _bad_apps(self, facts: Facts, held: Held) -> Fact:
        known = facts.get(FactKind.BAD_APPS)
        value = with_verdicts(
            known.value if known else None, held, self.trial.candidates, BLAMELESS
        )
        if known is not None and known.value == value:
            return known
        return Fact(value, "scanner", self.trial.at)


def _decoded(stored: Any) -> Mapping[str, Any]:
    """Return the facts of a row; the driver of PostgreSQL decodes JSON itself."""
    if stored is None:
        return {}
    found: Mapping[str, Any] = stored if isinstance(stored, dict) else from_json(stored)
    return found


def _wishes(session: Session, trial: Trial, policy_id: UUID) -> tuple[AskedPolicy, AskedPolicy]:
    """Return what the policy asks now, and what it would ask.

    The version stays: that a device has yet to apply the new one is no news about the device.
    """
    now = wish_of(session, policy_id)
    if trial.requirements is None or policy_id not in trial.policy_ids:
        return now, now
    known, asked = wishes_in(now.requirements), wishes_in(trial.requirements)
    since = {
        name: now.asked_since.get(name, now.since) if known.get(name, asked) == wish else trial.at
        for name, wish in asked.items()
    }
    return now, replace(now, requirements=trial.requirements, asked_since=since)
