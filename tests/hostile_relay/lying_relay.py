"""A relay that lies: it passes everything on to a real one, except what a test lets it forge."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from contracts import codec
from contracts.agent import PollAnswer, SealedOrders
from management.keys import Keys
from tests.agents import breaking_relay
from tests.agents.breaking_relay import PREFIX, Answered, Asked
from tests.agents.relay_process import RelayProcess


class LyingRelay:
    """Honest until told otherwise; `be_honest` forgets all lies."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.be_honest()

    def serve(self, asked: Asked) -> Answered:
        """Answer with a lie, or as the real relay does."""
        path = PREFIX + asked.path
        self.seen.append((path, asked.body))
        lie = self.lie(asked.method, path)
        return asked.pass_on(asked) if lie is None else Answered(*lie)

    def be_honest(self) -> None:
        self.orders: list[str] | None = None
        """What every device gets when it asks for orders."""
        self.says_nothing_is_new = False
        self.takes_reports_and_drops_them = False
        self.trust: str | None = None
        self.answer: list[str] | None = None
        """The answer to every enrolment."""
        self.answers: dict[str, tuple[int, bytes, dict[str, str]]] = {}
        """Path -> status, body and headers, whatever was asked."""
        self.seen: list[tuple[str, bytes]] = []
        """What devices sent: path and body."""

    def lie(self, method: str, path: str) -> tuple[int, bytes, dict[str, str]] | None:
        """Return status, body and headers of a lie, or None to be honest."""
        route = path.partition("?")[0]
        if route in self.answers:
            return self.answers[route]
        lie = self._particular(method, route)
        return None if lie is None else (*lie, {})

    def _particular(self, method: str, route: str) -> tuple[int, bytes] | None:
        if route == "/agent/v1/trust" and self.trust is not None:
            return 200, self.trust.encode()
        if route == "/agent/v1/poll" and self.says_nothing_is_new:
            return 204, b""
        if route == "/agent/v1/poll" and self.orders is not None:
            return 200, codec.write(PollAnswer(orders_waiting=len(self.orders)))
        if route == "/agent/v1/orders" and self.orders is not None:
            return 200, codec.write(SealedOrders(orders=tuple(self.orders)))
        if route == "/agent/v1/reports" and self.takes_reports_and_drops_them:
            return 202, b""
        if method == "GET" and "/enrolments/" in route and self.answer is not None:
            return 200, codec.write(SealedOrders(orders=tuple(self.answer)))
        return None


@contextmanager
def running(folder: Path, real: RelayProcess, own: Keys) -> Iterator[LyingRelay]:
    """Listen on a free port with a certificate that devices accept."""
    folder.mkdir()
    with breaking_relay.running(folder, real, own) as front:
        relay = LyingRelay(front.url)
        front.broken = relay.serve
        yield relay
