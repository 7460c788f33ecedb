"""A test relay with a management of its own: honest until a clause makes it lie to the agent.

It plays both ends of `docs/agent-protocol.md` for one agent, writes down all that the agent does,
and keeps what the agent says in its reports.
"""

import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TypeVar
from urllib.parse import parse_qs
from uuid import UUID

from agents.conformance.listening import Answered, Asked
from agents.conformance.office import Office
from agents.conformance.probe import expect
from contracts import codec, envelope, keys
from contracts.agent import (
    EnrolmentPost,
    EnrolmentRequest,
    PollAnswer,
    PollToken,
    Report,
    ReportItem,
    ReportPost,
    SealedOrders,
)
from contracts.request_signature import AGENT, ClockSkewError, verify_request
from runtime.clock import utc_now
from runtime.errors import SekishoError, UnauthenticatedError

PREFIX = "/agent/v1"
LOOK_SECONDS = 0.05
JSON = {"Content-Type": "application/json"}
Item = TypeVar("Item")
Hook = Callable[[Asked], Answered | None]
"""May answer instead of the honest relay; None: it does not."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A request and how it was answered."""

    at: float
    """Seconds of a clock that never jumps."""
    asked: Asked
    status: int


@dataclass
class Stage(Office):
    """See the module. All is read and written under `lock`."""

    patience_seconds: float = 120.0
    hook: Hook | None = None
    clock_ahead: timedelta = timedelta()
    """Of the relay; only request signatures and Date follow it."""
    poll_after: int = 1
    posts: list[EnrolmentPost] = field(default_factory=list)
    answers: tuple[str, ...] = ()
    """To the enrolment."""
    shown: tuple[str, ...] | None = None
    """What a hostile relay gives as orders instead."""
    reports: list[Report] = field(default_factory=list)
    signers: list[str] = field(default_factory=list)
    """Thumbprint of the key that signed each."""
    seen: list[Seen] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    """What the agent did that no clause would wait for."""
    tokens: set[str] = field(default_factory=set)

    # --- what the agent did ---

    def until(self, done: Callable[[], bool], missing: str) -> None:
        """Wait until *done*; BrokenError with what is *missing* when patience ends."""
        give_up = time.monotonic() + self.patience_seconds
        while True:
            with self.lock:
                if done():
                    return
            expect(time.monotonic() < give_up, f"{missing} within {self.patience_seconds:.0f} s.")
            time.sleep(LOOK_SECONDS)

    def after_polls(self, count: int = 2) -> None:
        """Wait until the agent polled some more: it had its chance to do wrong."""
        start = len(self.seen)
        self.until(lambda: self.count("/poll", start) >= count, "The agent did not poll")

    def until_held(self, seq: int) -> None:
        """Wait until a poll says that the device holds order *seq* of this epoch."""
        place = {f"after={seq}", f"epoch={self.epoch}"}

        def named() -> bool:
            last = [one.asked.target.partition("?")[2] for one in self.to("/poll")[-3:]]
            return any(place <= set(query.split("&")) for query in last)

        self.until(named, f"No poll named order {seq} of epoch {self.epoch}")

    def count(self, path: str, start: int = 0) -> int:
        """Return how many requests to a route came since request number *start*."""
        return len(self.to(path, start))

    def to(self, path: str, start: int = 0) -> list[Seen]:
        """Return the requests to a route since request number *start*."""
        return [one for one in self.seen[start:] if one.asked.path == PREFIX + path]

    def said(self, kind: type[Item], start: int = 0) -> list[Item]:
        """Return the items of one kind in the reports since report number *start* of all."""
        items: list[ReportItem] = [item for one in self.reports[start:] for item in one.items]
        return [item for item in items if isinstance(item, kind)]

    # --- the relay ---

    def answer(self, asked: Asked) -> Answered:
        """Answer one request and write it down."""
        with self.lock:
            answered = (self.hook(asked) if self.hook else None) or self._honest(asked)
            self.seen.append(Seen(time.monotonic(), asked, answered.status))
        date = utc_now() + self.clock_ahead
        answered.headers.setdefault("Date", f"{date:%a, %d %b %Y %H:%M:%S} GMT")
        return answered

    def _honest(self, asked: Asked) -> Answered:
        route = asked.path.removeprefix(PREFIX)
        if (asked.method, route) == ("GET", "/trust"):
            return Answered(200, self.statement().encode(), {"Content-Type": "text/plain"})
        if (asked.method, route) == ("POST", "/enrolments"):
            return self._enrolment(asked)
        if (asked.method, route) == ("GET", "/poll"):
            return self._poll(asked)
        try:
            self._verify(asked, route)
        except ClockSkewError as error:
            return problem(401, str(error), "urn:sekisho:clock-skew")
        except SekishoError as error:
            self.faults.append(f"{asked.method} {route[:60]}: {error}")
            return problem(401, str(error))
        return self._signed(asked, route)

    def _verify(self, asked: Asked, route: str) -> None:
        if self.request is None:
            raise UnauthenticatedError("No enrolment was posted.")
        enrolling = route.startswith("/enrolments/")
        who = self.request.enrolment_id if enrolling else self.device_id
        try:
            self._verify_by(asked, who, self.request)
        except ClockSkewError:
            raise
        except UnauthenticatedError:
            if self.renewing is None:
                raise
            self._verify_by(asked, who, self.renewing)

    def _verify_by(self, asked: Asked, who: UUID, keeper: EnrolmentRequest) -> None:
        key = keys.raw_public(keys.read_public(keeper.signing_key))
        verify_request(
            *(asked.method, "https://relay" + asked.target, asked.headers, asked.body),
            lambda key_id: key if key_id == str(who) else None,
            AGENT,
            utc_now() + self.clock_ahead,
        )

    def _signed(self, asked: Asked, route: str) -> Answered:
        if asked.method == "GET" and route.startswith("/enrolments/"):
            orders = SealedOrders(orders=self.answers)
            again = Answered(202, b"", {"Retry-After": "1"})
            return Answered(200, codec.write(orders), dict(JSON)) if self.answers else again
        if (asked.method, route) == ("POST", "/token"):
            token = PollToken(
                token=secrets.token_urlsafe(48), expires_at=utc_now() + timedelta(hours=1)
            )
            self.tokens.add(token.token)
            return Answered(200, codec.write(token), dict(JSON))
        if (asked.method, route) == ("GET", "/orders"):
            found = SealedOrders(orders=self._waiting(asked))
            return Answered(200, codec.write(found), dict(JSON))
        if (asked.method, route) == ("POST", "/reports"):
            return self._report(asked)
        return problem(404, "The test relay has nothing here.")

    def _enrolment(self, asked: Asked) -> Answered:
        try:
            post = codec.read(EnrolmentPost, asked.body)
            token = envelope.decrypt(post.sealed, self.encryption_key)
            request = codec.read(EnrolmentRequest, envelope.unverified_payload(token))
            envelope.verify(token, envelope.ENROLMENT, keys.read_public(request.signing_key))
        except SekishoError as error:
            self.faults.append(f"The enrolment request cannot be opened: {error}")
            return problem(400, str(error))
        self.posts.append(post)
        self.request = request
        return Answered(202, b"", {"Retry-After": "1"})

    def _poll(self, asked: Asked) -> Answered:
        _, _, token = asked.headers.get("authorization", "").partition(" ")
        if token not in self.tokens:
            return problem(401, "This is no token of this relay.")
        headers = {"Sekisho-Poll-After": str(self.poll_after)}
        waiting = self._waiting(asked)
        if not waiting:
            return Answered(204, b"", headers)
        body = codec.write(PollAnswer(orders_waiting=len(waiting)))
        return Answered(200, body, JSON | headers)

    def _waiting(self, asked: Asked) -> tuple[str, ...]:
        if self.shown is not None:
            return self.shown
        query = parse_qs(asked.target.partition("?")[2])
        try:
            place = tuple(int(query.get(name, ["0"])[0]) for name in ("epoch", "after"))
        except ValueError:
            return ()
        return tuple(sealed for epoch, seq, sealed in self.mailbox if (epoch, seq) > place)[:50]

    def _report(self, asked: Asked) -> Answered:
        try:
            post = codec.read(ReportPost, asked.body)
            signer, opened = self._opened(envelope.decrypt(post.sealed, self.encryption_key))
            report = codec.read(Report, opened)
        except SekishoError as error:
            self.faults.append(f"A report cannot be opened: {error}")
            return problem(400, str(error))
        self._take(post, report, signer)
        return Answered(202)

    def _opened(self, token: str) -> tuple[EnrolmentRequest, bytes]:
        """Return whose key signed *token*, and what it says."""
        if self.renewing is not None:
            with suppress(UnauthenticatedError):
                key = keys.read_public(self.renewing.signing_key)
                return self.renewing, envelope.verify(token, envelope.REPORT, key)
        present = self.asked_for()
        key = keys.read_public(present.signing_key)
        return present, envelope.verify(token, envelope.REPORT, key)

    def _take(self, post: ReportPost, report: Report, signer: EnrolmentRequest) -> None:
        number = f"Report {report.seq} of epoch {report.epoch}"
        if (post.epoch, post.seq) != (report.epoch, report.seq):
            self.faults.append(f"{number} was posted as {post.seq} of {post.epoch}.")
        if report.iss != self.device_id:
            self.faults.append(f"{number} is by {report.iss}, not by {self.device_id}.")
        if report.epoch != self.epoch or report.seq <= self.taken:
            return  # of before, or repeated
        if report.seq != self.taken + 1:
            self.faults.append(f"{number} came after report {self.taken}.")
            return
        self.taken = report.seq
        self.reports.append(report)
        self.signers.append(keys.thumbprint(keys.read_public(signer.signing_key)))
        if signer is self.renewing:
            self.request, self.renewing = signer, None


def problem(status: int, detail: str, kind: str = "about:blank") -> Answered:
    """Return an RFC 9457 document."""
    body = codec.write(_Problem(type=kind, status=status, detail=detail))
    return Answered(status, body, {"Content-Type": "application/problem+json"})


@dataclass(frozen=True)
class _Problem:
    type: str
    status: int
    detail: str


def near(at: datetime, expected: datetime, seconds: float = 300.0) -> bool:
    """Return whether two instants are about the same."""
    return abs((at - expected).total_seconds()) <= seconds
