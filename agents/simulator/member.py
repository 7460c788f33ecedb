"""One device of a running fleet: what it does next, by its profile."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from agents.simulator import fleet, hostile
from agents.simulator.device import SimulatedDevice
from agents.simulator.enrolment import TermsAskedError
from agents.simulator.hostile import RELAY_ATTACKS, Deception, HostileDevice
from agents.simulator.relay_client import Answer, AskLaterError, UnreachableError
from agents.simulator.shares import Behaviour
from agents.simulator.tally import Tally
from contracts.agent import InstalledApp
from runtime.clock import utc_now
from runtime.errors import RefusedError, SekishoError, UnavailableError

CHANGE_EVERY = 3
"""At each so many check-ins a device has something new to say."""
LATER_SECONDS = 5.0
ASK_AGAIN_SECONDS = 1.0
NOTICEABLE_SECONDS = 60.0


@dataclass
class Member:
    """A device, its profile and how far it is."""

    place: int
    profile: Behaviour
    code: str
    folder: Path
    seed: int
    tally: Tally
    every: float
    """Seconds between two check-ins; 0: as the relay says."""
    turns: int = 0
    """Steps since it is enrolled."""
    knows_clock: bool = False
    silent: bool = False
    """Nothing more is to be done: it is lost, was refused, or is no longer managed."""
    deceived: bool = False
    deception: Deception | None = None
    device: SimulatedDevice = field(init=False)

    def __post_init__(self) -> None:
        kind = HostileDevice if self.profile is Behaviour.HOSTILE else SimulatedDevice
        self.device = kind(self.folder)
        self.device.heard = self._heard
        self.tally.add(self.profile, devices=1)
        self.enrolled, self._wait = False, LATER_SECONDS
        self.chance = random.Random(f"{self.seed}/{self.place}")  # noqa: S311  (no secret)

    @property
    def open(self) -> bool:
        """Whether something was begun whose end has to be seen."""
        if self.silent or not self.enrolled:
            return False
        if self.profile is not Behaviour.HOSTILE:
            return self.turns == 0
        return self.turns <= RELAY_ATTACKS or self.deception is not None

    def step(self) -> float:
        """Do what comes next; return the seconds to wait after it."""
        try:
            return self._step()
        except UnreachableError as error:
            self.tally.add(self.profile, unreachable=1)
            self.tally.refused("nobody answers", "a request", str(error))
            return LATER_SECONDS
        except AskLaterError as error:
            self.tally.add(self.profile, told_later=1)
            return error.seconds or LATER_SECONDS
        except SekishoError as error:
            return self._failed(error)

    def _failed(self, error: SekishoError) -> float:
        self.tally.strange(f"{self.profile}: {error}")
        self.silent = not self.enrolled and isinstance(error, RefusedError)
        return LATER_SECONDS

    def _step(self) -> float:
        state = self.device.state
        if state.membership is None:
            if state.ended and self.enrolled:
                self.silent = True
                return 0.0
            return self._enrol(begun=state.asked is not None)
        if not self.enrolled:
            self._joined()
        wait = self._act()
        self.turns += 1
        return wait

    def _enrol(self, begun: bool) -> float:
        accepted, device = None, self.device
        try:
            if begun and isinstance(seconds := device.finish_enrolment(), float):
                return seconds
            if begun:
                return 0.0
        except TermsAskedError as asked:
            accepted = asked.terms.version
        description = fleet.sound_profile(self.place, self.seed).description
        return device.begin_enrolment(self.code, description, accepted_terms=accepted)

    def _joined(self) -> None:
        sound = fleet.sound_profile(self.place, self.seed)
        trouble = {
            Behaviour.ROOTED: {"rooted": "true"},
            Behaviour.OUTDATED: fleet.outdated(sound.description.platform),
        }.get(self.profile, {})
        self.device.set(**sound.posture | trouble)
        self.device.install(*sound.apps)
        if self.profile is Behaviour.LYING_CLOCK:
            self.device.clock = lying_clock(self.chance)
        self.enrolled = True
        self.tally.add(self.profile, enrolled=1)

    def _act(self) -> float:
        if self.profile is Behaviour.HOSTILE and self.turns > 0:
            return self._attack()
        if self.turns % CHANGE_EVERY == CHANGE_EVERY - 1:
            self.device.install(_newer_app(self.turns))
        self._check_in()
        if self.profile is Behaviour.LOST:
            self.silent = True
        return self._pause()

    def _check_in(self) -> None:
        done = self.device.check_in()
        self._wait = done.poll_after_seconds
        counts = {"reports": done.reports_sent, "orders": done.orders_taken}
        self.tally.add(self.profile, check_ins=1, **counts)
        if self.profile is Behaviour.LYING_CLOCK and not self.knows_clock:
            ahead = self.device.state.relay_ahead_seconds
            self.knows_clock = abs(ahead) > NOTICEABLE_SECONDS
            self.tally.add(self.profile, clock_set=int(self.knows_clock))
        if done.orders_refused:
            self.tally.strange(f"{self.profile}: {done.orders_refused} orders had to be refused")
        if done.ended:
            self.silent = True
        if isinstance(self.device, HostileDevice):
            self.device.keep_report()

    def _pause(self) -> float:
        return self.every or self._wait

    def _attack(self) -> float:
        """Alternate: what the relay must refuse, and now and then what management must."""
        device = self.device
        assert isinstance(device, HostileDevice)
        if not self.deceived:
            self.deception, self.deceived = device.deceive_management(), True
            self.tally.add(self.profile, tried=len(self.deception.messages) + 1)
        elif self.deception is not None:
            self._hear_of_deception(self.deception)
        self._note([device.attack_relay(self.turns)], "relay")
        self.tally.add(self.profile, tried=1)
        if self.deception is None and self.turns > RELAY_ATTACKS:
            self._check_in()
        return ASK_AGAIN_SECONDS if self.open else self._pause()

    def _hear_of_deception(self, deception: Deception) -> None:
        if (results := deception.results()) is not None:
            self.deception = None
            self._note(results, "management")

    def _note(self, results: list[hostile.Result], who: str) -> None:
        for result in results:
            if result.refused:
                self.tally.add(self.profile, refused=1)
                self.tally.refused(who, result.what, result.why)
            else:
                self.tally.strange(f"the {who} did not refuse: {result.what} ({result.why})")

    def finish(self, leave: bool) -> None:
        """Say what is still open, and leave management if that is wished."""
        if self.deception is not None:
            self.tally.strange("management did not answer a hostile device in time")
        if not self.enrolled and not self.silent:
            self.tally.strange("a device was not enrolled in time; is management running?")
        elif self.enrolled and not self.turns:
            self.tally.strange(f"{self.profile}: enrolled, and could not check in once")
        elif self.turns and self.profile is Behaviour.LYING_CLOCK and not self.knows_clock:
            self.tally.strange("a device with a wrong clock did not learn the relay's time")
        if leave and self.enrolled and self.device.state.membership is not None:
            try:
                self.device.leave("The simulation is over.", anyway=True)
            except (UnavailableError, RefusedError) as error:
                self.tally.strange(f"{self.profile}: cannot leave: {error}")

    def _heard(self, method: str, path: str, answer: Answer, seconds: float) -> None:
        kind = path.split("/")[1]
        self.tally.answered(kind, answer.status, seconds)
        if kind == "poll":
            self.tally.add(self.profile, polls=1)
        if answer.status >= 400 and answer.status not in (404, 503):
            what = f"{kind} of a {self.profile} device"
            self.tally.refused("relay", what, f"{answer.status} {said(answer)}")


def said(answer: Answer) -> str:
    """Return what a relay gives as its reason."""
    return hostile.reason(answer.body)


def lying_clock(chance: random.Random) -> Callable[[], datetime]:
    """Return a clock that is hours to a year off, more often behind than ahead."""
    off = timedelta(seconds=chance.choice((-1, -1, 1)) * chance.randrange(3600, 365 * 86_400))
    return lambda: utc_now() + off


def _newer_app(turn: int) -> InstalledApp:
    return fleet.made_up_app("com.example.simulated", "Simulated app", f"1.{turn}")
