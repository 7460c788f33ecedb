"""The past is replayed as it was: random lives of devices through the real service, told later."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy.orm import Session

from contracts.scan import Verdict
from management.compliance.explaining import explain
from management.compliance.judgement import Judgement
from management.compliance.queries import get_judgement
from management.compliance.service import judge_due, rejudge
from management.database import Database
from management.devices.fact_log import forget_facts, record_contact, record_facts
from management.devices.queries import get_device
from management.devices.rules import EnrolmentState, Fact, FactKind
from management.devices.service import assign_policy, end_enrolment
from management.policies.queries import current_version, wishes
from management.policies.rules import Requirements
from management.policies.service import change_policy, create_policy, ensure_default_policy
from tests.conftest import MakeUrl
from tests.management.fleets import START, add_device, reports
from tests.management.test_compliance_rules import treatments

HOUR = timedelta(hours=1)
DEVICES = 2


@dataclass(frozen=True)
class Step:
    """Something that happens *hours* after the step before."""

    hours: int
    kind: str
    device: int
    value: Any


def steps(kind: str, values: st.SearchStrategy[Any]) -> st.SearchStrategy[Step]:
    return st.builds(
        Step,
        st.sampled_from([0, 1, 2, 5, 11, 17, 23, 30, 70, 100, 240]),
        st.just(kind),
        st.integers(0, DEVICES - 1),
        values,
    )


asked = st.builds(
    Requirements,
    maximum_silence=st.sampled_from([timedelta(days=1), timedelta(days=3), timedelta(days=9)]),
    inactive_after=st.sampled_from([timedelta(days=9), timedelta(days=30)]),
    not_rooted=st.booleans(),
    no_usb_debugging=st.booleans(),
    policy_applied=st.booleans(),
    maximum_patch_age=st.none() | st.just(timedelta(days=60)),
    forbidden_verdicts=st.lists(st.sampled_from(list(Verdict)), unique=True, max_size=2).map(tuple),
    treatments=treatments,
)
histories = st.lists(
    steps("report", reports)
    | steps("digest", st.none())
    | steps("time passes", st.none())
    | steps("policy changes", asked)
    | steps("policy is given", st.integers(0, 1))
    | steps("told by Apple", st.booleans())
    | steps("leaves", st.none()),
    min_size=1,
    max_size=14,
)


class World:
    """Two devices and two policies, and what was judged of them at each moment."""

    def __init__(self, session: Session) -> None:
        self.session, self.now = session, START
        default = ensure_default_policy(session, START)
        other = create_policy(session, "Other", Requirements(), {}, "ada", "", START)
        self.policies = [default.id, other.id]
        self.devices = [add_device(session, default.id, f"Phone {n}").id for n in range(DEVICES)]
        rejudge(session, self.devices, START)

    def take(self, step: Step) -> None:
        """Let it happen as the product does, and judge whom it concerns."""
        self.now += max(step.hours, 1) * HOUR
        self.time_passes()
        device_id = self.devices[step.device]
        self.act(step, device_id)
        concerned = self.devices if step.kind == "policy changes" else [device_id]
        rejudge(self.session, concerned, self.now)

    def time_passes(self) -> None:
        """Judge at each instant at which something fell due, as the loop does."""
        while judge_due(self.session, self.now):
            pass

    def act(self, step: Step, device_id: UUID) -> None:
        device, now = get_device(self.session, device_id), self.now
        match step.kind:
            case "report" | "digest":
                version = current_version(self.session, device.policy_id)
                silence = wishes(self.session, version)[0].maximum_silence
                record_contact(self.session, device, now, silence, now)
                said = {
                    kind: Fact(value, "agent", now) for kind, value in (step.value or {}).items()
                }
                record_facts(self.session, device_id, said, now)
            case "told by Apple":
                said_at = now - 2 * HOUR  # it was long on its way
                fact = Fact(step.value, "apple_mdm", said_at)
                record_facts(self.session, device_id, {FactKind.PASSCODE_SET: fact}, now)
            case "policy changes":
                policy_id = self.policies[step.device]
                change_policy(self.session, policy_id, step.value, {}, "ada", "", now)
            case "policy is given":
                assign_policy(self.session, device_id, self.policies[step.value], "ada", now)
            case "leaves" if device.enrolment_state == EnrolmentState.ENROLLED:
                end_enrolment(self.session, device, EnrolmentState.RETIRED, "ada", now)

    def live(self) -> Iterator[tuple[UUID, datetime, Judgement]]:
        """Yield what is stored of each device now."""
        for device_id in self.devices:
            yield device_id, self.now, get_judgement(self.session, device_id)


def told(judged: Judgement) -> Judgement:
    """Return the judgement without what only the present knows.

    That is since when all is well; and, as the log tells contact to within a day, when the silence
    would have begun had the device said no more.
    """
    return replace(judged, since=START, next_due_at=None)


@settings(
    max_examples=20,
    deadline=None,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(histories, st.integers(0, 60))
def test_every_moment_is_replayed_as_it_was_judged_then(
    new_database_url: MakeUrl, history: list[Step], forgotten: int
) -> None:
    """Also after everything older than some day was forgotten."""
    database = Database(new_database_url())
    horizon = START + timedelta(days=forgotten)
    with database.transaction("a history") as session:
        world = World(session)
        seen = list(world.live())
        for step in history:
            world.take(step)
            seen += world.live()
        forget_facts(session, world.devices, horizon)
        later = world.now + timedelta(days=500)
        for device_id, at, live in seen:
            if at >= horizon or horizon <= START:
                assert told(explain(session, device_id, at, later).judgement) == told(live)
    database.close()
