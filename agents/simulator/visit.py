"""One visit of an enrolled device at a relay, step by step; each step is saved when it is done."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from agents.simulator import orders, phone, renewing, reports, rhythm, store, trust
from agents.simulator.relay_client import Identity, Polled, RelayClient
from agents.simulator.state import DeviceState, KeptReport, StateFile
from contracts import following, keys
from contracts.agent import CommandKind, CommandResult, PollToken, ReportPost, RunCommand
from runtime.errors import RefusedError, SekishoError, UnauthenticatedError
from runtime.process import crash_point

WIPE_TRIES = 3
"""How often a wipe waits for its report to be stored; then it happens all the same."""
MOST_PAGES = 50


@dataclass(frozen=True, slots=True)
class Timing:
    """What an agent decides itself about time."""

    resend_after: timedelta = timedelta(minutes=15)
    """A report that was stored and not acknowledged for so long is sent again."""
    trust_refresh: timedelta = timedelta(hours=6)


@dataclass(frozen=True, slots=True)
class Visit:
    """A device at *relay*."""

    file: StateFile
    relay: RelayClient
    clock: Callable[[], datetime]
    timing: Timing

    def poll(self, wait_seconds: int = 0) -> Polled:
        """Return whether orders wait, and when to poll next.

        A token that no longer holds is renewed once.
        """
        state = self.file.read()
        member, every = state.member(), rhythm.interval(state)
        place = (member.epoch, member.order_seq, every, wait_seconds)
        try:
            polled = self.relay.poll(self._token(), *place)
        except UnauthenticatedError:
            polled = self.relay.poll(self._new_token(), *place)
        return replace(polled, poll_after_seconds=rhythm.next_poll(polled, every))

    def _token(self) -> PollToken:
        token = self.file.read().token
        relay_now = self.clock() + timedelta(seconds=self.relay.ahead_seconds)
        if token is None or token.expires_at <= relay_now:
            return self._new_token()
        return token

    def _new_token(self) -> PollToken:
        token = self.relay.fetch_token(identity(self.file.read()))
        with self.file.changing("token") as state:
            state.token = token
        return token

    def collect(self) -> tuple[int, int]:
        """Take all orders in their turn; return how many were taken and refused."""
        taken = refused = 0
        for _ in range(MOST_PAGES):
            state = self.file.read()
            member = state.member()
            page = self.relay.fetch_orders(identity(state), member.epoch, member.order_seq)
            if any(orders.under_another_key(state, sealed) for sealed in page.orders):
                self.refresh_trust(at_once=True)
            outcomes = [self._take(sealed) for sealed in page.orders]
            taken += sum(outcomes)
            refused += len(outcomes) - sum(outcomes)
            if not any(outcomes):
                break
        return taken, refused

    def _take(self, sealed: str) -> bool:
        """Take one order, or note why not."""
        with self.file.changing("order") as state:
            member, local = state.member(), self.clock()
            encryption_key = orders.opening_key(state, sealed)
            try:
                order = orders.open_order(sealed, encryption_key, orders.order_key(state))
                orders.check_turn(order, member)
            except orders.RefusedOrderError as error:
                if error.problem == "forged" and orders.under_former_key(state, sealed):
                    return False  # written before the key changed; it comes again under the new one
                missing = f"{member.epoch}:{member.order_seq}"
                evidence = missing if error.problem == "gap" else sealed
                now = orders.management_time(state, local)
                orders.note_problem(state, error.problem, str(error), evidence, now)
                return False
            orders.take(state, member, order, local)
            return True

    def renew(self) -> None:
        """Ask for new keys and a certificate in good time."""
        now = orders.management_time(self.file.read(), self.clock())
        if renewing.is_due(self.file.read(), now):
            with self.file.changing("renew") as state:
                renewing.begin(state, now)

    def report(self) -> int:
        """Say all that is to be said, first what no relay seems to hold; return how many."""
        due = reports.due_again(self.file.read(), self.clock(), self.timing.resend_after)
        for report in due:
            self._post(report)
        sent = len(due)
        while True:
            with self.file.changing("report") as state:
                packed = reports.pack(state, state.member(), self.clock())
            if packed is None:
                return sent
            self._post(packed)
            sent += 1

    def _post(self, report: KeptReport) -> None:
        state = self.file.read()
        epoch = state.member().epoch
        post = ReportPost(epoch=epoch, seq=report.seq, sealed=report.sealed)
        crash_point("before effect device post")
        self.relay.post_report(identity(state), post)
        crash_point("after effect device post")
        with self.file.changing("stored") as state:
            for kept in state.reports:
                if kept.seq == report.seq:
                    kept.stored_at = self.clock()

    def run_commands(self) -> int:
        """Carry out what was acknowledged and say what came of it; return the reports sent."""
        sent = 0
        while waiting := self.file.read().to_run:
            if waiting[0].command is CommandKind.WIPE:
                return sent + self._wipe(waiting[0])
            with self.file.changing("command") as state:
                _run(state, state.to_run.pop(0), self.clock())
            sent += self.report()
        return sent

    def _wipe(self, command: RunCommand) -> int:
        """Report first, because afterwards there is no key to report with; then empty the phone.

        A relay that does not take the report cannot hold off the wipe for long.
        """
        with self.file.changing("wipe") as state:
            now = orders.management_time(state, self.clock())
            if state.wipe_tries == 0:
                state.pending.append(_result(command, "done", now, "Everything is erased."))
            state.wipe_tries += 1
            last_try = state.wipe_tries >= WIPE_TRIES
        sent = 0
        try:
            sent = self.report()
        except SekishoError:
            if not last_try:
                raise
        with self.file.changing("wiped") as state:
            phone.perform(state.phone, command, now)
            state.forget("Wiped by management.", now)
        return sent

    def refresh_trust(self, at_once: bool = False) -> None:
        """Now and then take a newer statement of management about keys and relays."""
        state, now = self.file.read(), self.clock()
        asked = None if at_once else state.trust_asked_at
        if asked is not None and timedelta() <= now - asked < self.timing.trust_refresh:
            return
        fetched = self.relay.fetch_trust(state.trust_tag)
        with self.file.changing("trust") as state:
            state.trust_asked_at = now
            if fetched is not None:
                take_trust(state, *fetched, local=now)


def learn_anew(file: StateFile, url: str, clock: Callable[[], datetime]) -> bool:
    """Ask without TLS's help for a newer statement, which proves itself; tell whether it came.

    So a device that slept while every certificate changed is not locked out.
    """
    before, relay = file.read().known_trust(), RelayClient(url, None, clock)
    try:
        fetched = relay.fetch_trust()
    except SekishoError:
        return False
    finally:
        relay.close()
    if fetched is not None:
        with file.changing("trust anew") as state:
            take_trust(state, *fetched, local=clock())
    return file.read().known_trust() != before


def identity(state: DeviceState) -> Identity:
    """Return as whom an enrolled device signs its requests."""
    former = keys.read_private(state.former_signing_key) if state.former_signing_key else None
    return Identity(keys.read_private(state.signing_key), state.member().device_id, former)


def _run(state: DeviceState, command: RunCommand, local: datetime) -> None:
    now = orders.management_time(state, local)
    try:
        result = _result(command, "done", now, _perform(state, command, now))
    except RefusedError as error:
        result = _result(command, "failed", now, str(error))
        result = replace(result, try_again=isinstance(error, phone.NotNowError))
    if command.command is CommandKind.SCAN_NOW:
        state.apps_said = None
    state.note(now, f"Command {command.command} {result.state}: {result.detail}")
    state.pending.append(result)


def _perform(state: DeviceState, command: RunCommand, now: datetime) -> str:
    if command.command is CommandKind.RENEW_KEYS:
        renewing.begin(state, now)
        return "New keys are made, and management is asked for their certificate."
    if command.command is CommandKind.INSTALL_APP:
        return store.install_as_ordered(state, command.arguments)
    return phone.perform(state.phone, command, now)


def _result(
    command: RunCommand, outcome: reports.Outcome, at: datetime, detail: str
) -> CommandResult:
    return CommandResult(command_id=command.command_id, state=outcome, at=at, detail=detail)


def take_trust(state: DeviceState, token: str, tag: str, local: datetime) -> None:
    """Take a newer statement, and move to another relay when it says so; or note what is wrong."""
    at = orders.management_time(state, local)
    try:
        statement = following.follow(state.known_trust(), token)
        if following.newer(state.known_trust(), statement):
            state.note(at, f"Management's statement {statement.issue} taken.")
            state.trust = statement
            state.fingerprint = keys.thumbprint(keys.read_public(statement.order_signing_key))
            state.relay_url = trust.best_relay(statement, state.relay_url)
        state.trust_tag = tag
    except RefusedError as error:
        orders.note_problem(state, "replayed", str(error), token, at)
    except SekishoError as error:
        orders.note_problem(state, "forged", str(error), token, at)
