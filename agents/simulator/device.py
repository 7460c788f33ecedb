"""A real agent in software: it speaks the whole agent protocol, only its phone is pretended.

`docs/agent-protocol.md` is the specification. All memory is in `state.StateFile`; every step is
saved before the world learns of it, so that the device may be killed at any moment.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from agents.simulator import phone, rhythm, sims, store
from agents.simulator.attesting import Hardware
from agents.simulator.enrolling import EnrollingDevice
from agents.simulator.files import Files, keep
from agents.simulator.policy import check_password
from agents.simulator.relay_client import (
    AskLaterError,
)
from agents.simulator.visit import Visit
from contracts.agent import (
    InstalledApp,
    Leaving,
)
from runtime.errors import SekishoError

SHORTEST_PAUSE_SECONDS = 1.0
"""Between two polls that may hang: a relay that does not hold them must not make us hurry more."""


@dataclass(frozen=True, slots=True)
class CheckIn:
    """What one check-in did."""

    orders_taken: int
    orders_refused: int
    reports_sent: int
    poll_after_seconds: float
    ended: str = ""
    """Why the device is no longer managed, if it was its last check-in."""
    hold_seconds: int = 0
    """Somebody waits for this device: it polls again at once, and that poll may hang so long."""


class SimulatedDevice(EnrollingDevice):
    """One simulated device, kept in *folder*; several programs may use the same folder."""

    # --- the phone ---

    def set(self, **posture: str) -> None:
        """Change posture fields; see `phone.set_posture`."""
        with self.file.changing("set") as state:
            phone.set_posture(state.phone, posture)

    def install(self, *apps: InstalledApp) -> None:
        """Put apps on the phone."""
        with self.file.changing("install") as state:
            for app in apps:
                phone.install(state.phone, app)

    def insert_sim(self, *cards: sims.SimCard) -> None:
        """Put SIM cards in; RefusedError when there is no room for one more."""
        with self.file.changing("insert SIM") as state:
            for card in cards:
                sims.insert(state.phone.tray, card)

    def remove_sim(self, iccid: str) -> None:
        """Take a SIM card out; NotFoundError when it is not in."""
        with self.file.changing("remove SIM") as state:
            sims.remove(state.phone.tray, iccid)

    def keep_file(self, sha256: str, path: Path) -> None:
        """Keep a copy of the file of an installed app, so that it can be sent."""
        keep(self.file.folder, sha256, path)

    def choose(self, package: str) -> None:
        """Want an optional app of the store; NotFoundError when it is not offered."""
        with self.file.changing("choose") as state:
            store.choose(state, package)

    def share_apps(self, allowed: bool) -> None:
        """Let files of apps on a personal device be sent, or no longer."""
        with self.file.changing("share apps") as state:
            state.phone.shares_apps = allowed

    def set_terms(self, accepts: bool) -> None:
        """Let the user accept terms of use that are shown from now on, or refuse them."""
        with self.file.changing("terms") as state:
            state.phone.accepts_terms = accepts

    def set_hardware(self, hardware: Hardware | None) -> None:
        """Give the phone secure hardware, or take it away; a later enrolment proves its key."""
        with self.file.changing("hardware") as state:
            state.phone.hardware = hardware

    def uninstall(self, package: str) -> InstalledApp:
        """Remove an app; NotFoundError when it is not there."""
        with self.file.changing("uninstall") as state:
            return phone.uninstall(state.phone, package)

    # --- check-in ---

    def check_in(self, wait_seconds: int = 0) -> CheckIn:
        """Report what is new, collect and carry out orders; wait for some if asked to.

        Raises UnavailableError when the relay cannot be reached (the next check-in goes on where
        this one stopped) and RefusedError when the device is not enrolled.
        """
        with self.file.checking_in(), self._visit() as visit:
            self.state.member()
            sent = visit.run_commands()  # those that a crash or a lost connection left over
            if self.state.ended:
                return CheckIn(0, 0, sent, 0.0, self.state.ended)
            polled = visit.poll(wait_seconds)
            taken, refused = visit.collect() if polled.orders_waiting else (0, 0)
            visit.refresh_trust()
            visit.renew()
            Files(visit).move()
            sent += visit.report()
            sent += visit.run_commands()
            after, hold = polled.poll_after_seconds or 0.0, polled.hold_seconds
            return CheckIn(taken, refused, sent, after, self.state.ended, hold)

    def run(
        self,
        stop: threading.Event,
        every: float | None = None,
        told: Callable[[CheckIn | SekishoError], None] = lambda outcome: None,
    ) -> None:
        """Check in until *stop* is set or the device is no longer managed.

        Waits as long as the relay asks for, or *every* seconds; *told* hears of every check-in.
        """
        hold, backoff = 0, rhythm.FIRST_BACKOFF_SECONDS
        while not stop.is_set():
            try:
                done = self.check_in(hold)
                told(done)
                hold, backoff = 0 if every else done.hold_seconds, rhythm.FIRST_BACKOFF_SECONDS
                wait = SHORTEST_PAUSE_SECONDS if hold else done.poll_after_seconds
            except SekishoError as error:
                told(error)
                asked = error.seconds if isinstance(error, AskLaterError) else None
                hold, wait = 0, rhythm.later(asked, backoff)
                backoff = min(backoff * 2, rhythm.LONGEST_BACKOFF_SECONDS)
            if self.state.membership is None:
                return
            stop.wait(every or wait)

    def leave(self, reason: str = "", anyway: bool = False, password: str = "") -> None:
        """Stop being managed and say so; *anyway*: also when the relay cannot be reached.

        ForbiddenError when the policy has another password of the agent's settings.
        """
        with self.file.checking_in():
            with self.file.changing("leaving") as state:
                check_password(state.member().policy, password)
                leaving = Leaving(reason=reason)
                if not any(isinstance(item, Leaving) for item in state.pending):
                    state.pending.append(leaving)
            try:
                with self._visit() as visit:
                    visit.report()
            except SekishoError:
                if not anyway:
                    raise
            with self.file.changing("left") as state:
                state.forget(f"Left: {reason}" if reason else "Left.", self.clock())

    @contextmanager
    def _visit(self) -> Iterator[Visit]:
        with self._relay() as relay:
            yield Visit(self.file, relay, self.clock, self.timing)
