"""A simulated device up to its enrolment: whom it believes, what it asks, which relay it is at."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import partial
from hashlib import sha256
from pathlib import Path
from uuid import UUID

from agents.simulator import enrolment, orders, trust
from agents.simulator.relay_client import (
    DistrustedError,
    Heard,
    Identity,
    RelayClient,
    UnreachableError,
)
from agents.simulator.state import DeviceState, StateFile
from agents.simulator.visit import Timing, learn_anew
from contracts import keys
from contracts.agent import (
    AskTerms,
    DeviceDescription,
    Enrolled,
    EnrolmentRefused,
    TrustStatement,
)
from runtime.clock import utc_now
from runtime.errors import RefusedError, UnavailableError


class EnrollingDevice:
    """Kept in *folder*; several programs may use the same folder."""

    def __init__(
        self,
        folder: Path,
        clock: Callable[[], datetime] = utc_now,
        wait: Callable[[float], None] = time.sleep,
        timing: Timing | None = None,
    ) -> None:
        self.file = StateFile(folder)
        self.clock, self.wait, self.timing = clock, wait, timing or Timing()
        self.heard: Heard = lambda *answer: None
        """Told of each answer of a relay."""

    @property
    def state(self) -> DeviceState:
        """A copy of everything it remembers."""
        return self.file.read()

    @property
    def device_id(self) -> UUID:
        """The id management gave; RefusedError before enrolment."""
        return self.state.member().device_id

    # --- enrolment ---

    def enrol(
        self,
        qr: str,
        description: DeviceDescription,
        user_name: str = "",
        user_password: str = "",
        patience: timedelta = timedelta(minutes=2),
        server: str = "",
    ) -> UUID:
        """Enrol and return the device id; the user accepts terms of use, or not, as `set_terms`.

        Raises RefusedError with management's reason, and UnavailableError when no answer came
        within *patience*; calling again goes on with the same request.
        """
        asked = partial(self._enrol, qr, description, user_name, user_password, patience, server)
        try:
            return asked(None)
        except enrolment.TermsAskedError as error:
            if not self.state.phone.accepts_terms:
                raise RefusedError("The terms of use were not accepted.") from None
            return asked(error.terms.version)

    def _enrol(
        self,
        qr: str,
        description: DeviceDescription,
        user_name: str,
        user_password: str,
        patience: timedelta,
        server: str,
        accepted: int | None,
    ) -> UUID:
        deadline = time.monotonic() + patience.total_seconds()
        seconds: float | None = self.begin_enrolment(
            qr, description, user_name, user_password, server, accepted
        )
        while seconds is not None:
            if time.monotonic() + seconds > deadline:
                raise UnavailableError(
                    "Management has not answered the enrolment yet. Is it running, and is its "
                    "relay connected? Enrol again with the same code to go on waiting."
                )
            self.wait(seconds)
            seconds = self.finish_enrolment()
        return self.device_id

    def begin_enrolment(
        self,
        qr: str,
        description: DeviceDescription,
        user_name: str = "",
        user_password: str = "",
        server: str = "",
        accepted_terms: int | None = None,
    ) -> float:
        """Hand in the request; return the seconds after which to call `finish_enrolment`."""
        invitation = trust.read_code(qr, server)
        with self.file.checking_in():
            state = self.state
            if state.membership is not None:
                raise RefusedError("This device is enrolled already. Let it leave first.")
            code = sha256(qr.strip().encode()).hexdigest()
            if state.asked is None or state.asked.code != code:
                statement, invitation = self._first_trust(invitation)
                user, now = (user_name, user_password), self.clock()
                with self.file.changing("ask") as state:
                    enrolment.ask(
                        *(state, invitation, code, statement, description, user, now),
                        accepted_terms,
                    )
            with self._relay() as relay:
                return relay.post_enrolment(self.state.request().body.encode())

    def _first_trust(self, invitation: trust.Invitation) -> tuple[TrustStatement, trust.Invitation]:
        """Ask the one question that TLS cannot protect yet; the fingerprint protects its answer."""
        relay = RelayClient(invitation.relay_url, None, self.clock, heard=self.heard)
        try:
            fetched = relay.fetch_trust()
        finally:
            relay.close()
        if fetched is None:
            raise RefusedError("The relay answered that nothing changed to a first question.")
        return trust.read_first(fetched[0], invitation)

    def finish_enrolment(self) -> float | None:
        """Ask once for the answer: None when enrolled, else the seconds after which to ask again.

        Raises RefusedError with management's reason, `TermsAskedError` when they come first.
        """
        with self.file.checking_in(), self._relay() as relay:
            state = self.state
            asked = state.request()
            signer = keys.read_private(state.signing_key)
            answer = relay.fetch_enrolment(Identity(signer, asked.enrolment_id))
            if answer is None:  # another relay, or one that lost its store
                return relay.post_enrolment(asked.body.encode())
            if isinstance(answer, float):
                return answer
            for sealed in answer.orders:
                if self._take_answer(sealed):
                    return None
            return 5.0

    def _take_answer(self, sealed: str) -> bool:
        """Let a sealed answer decide the enrolment; a false one is noted for the first report."""
        refused, terms = "", None
        with self.file.changing("answer") as state:
            now = self.clock()
            try:
                order = enrolment.read_answer(state, state.request(), sealed)
            except orders.RefusedOrderError as error:
                orders.note_problem(state, error.problem, str(error), sealed, now)
                return False
            if isinstance(order.body, Enrolled):
                enrolment.join(state, order, order.body, now)
            elif isinstance(order.body, AskTerms):
                terms, state.asked = order.body, None
                state.note(now, f"Terms of use shown, version {terms.version}: {terms.title}")
            elif isinstance(order.body, EnrolmentRefused):
                refused = order.body.reason or "no reason given"
                state.asked, state.pending = None, []
                state.note(now, f"Enrolment refused: {refused}")
        if terms is not None:
            raise enrolment.TermsAskedError(terms)
        if refused:
            raise RefusedError(f"Management refused the enrolment: {refused}")
        return True

    @contextmanager
    def _relay(self) -> Iterator[RelayClient]:
        """Yield a connection to the current relay; when it fails, the next one's turn comes."""
        state = self.state
        allowed = trust.certificates(state.known_trust(), state.relay_url)
        ahead = state.relay_ahead_seconds
        relay = RelayClient(state.relay_url, allowed, self.clock, ahead, self.heard)
        try:
            yield relay
        except UnreachableError as error:
            distrusted = isinstance(error, DistrustedError)
            if not (distrusted and learn_anew(self.file, relay.url, self.clock)):
                self._turn_to_next_relay()
            raise
        finally:
            relay.close()
            if relay.ahead_seconds != state.relay_ahead_seconds:
                with self.file.changing("clock") as state:
                    state.relay_ahead_seconds = relay.ahead_seconds

    def _turn_to_next_relay(self) -> None:
        with self.file.changing("next relay") as state:
            listed = [relay.url.rstrip("/") for relay in state.trust.relays] if state.trust else []
            if state.membership is not None and listed:
                place = listed.index(state.relay_url) if state.relay_url in listed else -1
                state.relay_url = listed[(place + 1) % len(listed)]
