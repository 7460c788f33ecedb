"""A pass that ends at any line of the connector: afterwards Exchange has what is wanted."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

import exchange_connector
from exchange_connector.sync import Look
from tests.exchange_connector.bed import Bed

HERE = str(exchange_connector.__path__[0])
PLACES = 12


class _KilledError(BaseException):
    """Nobody catches it, as nobody catches a death."""


class _Lines:
    """Counts the lines of the connector that run, and ends the run at one of them."""

    def __init__(self, last: int = sys.maxsize) -> None:
        self.count, self.last = 0, last

    def __call__(self, frame: FrameType, event: str, _: Any) -> Callable[..., Any] | None:
        if not frame.f_code.co_filename.startswith(HERE):
            return None
        if event == "line":
            self.count += 1
            if self.count == self.last:
                raise _KilledError
        return self


@contextmanager
def traced(lines: _Lines) -> Iterator[None]:
    before = sys.gettrace()
    sys.settrace(lines)
    try:
        yield
    finally:
        sys.settrace(before)


def test_a_run_that_ends_at_any_line_is_finished_by_the_next(bed: Bed) -> None:
    for name in ("ada", "bob"):
        bed.exchange.add_phone(name, f"{name}1")
        bed.exchange.mailboxes[name].blocked.add("FOREIGN")
    devices = [bed.enrol(f"{name}@corp.test", f"{name}1") for name in ("ada", "bob")]
    bed.settings(block_limit=1000)
    bed.pair()
    bed.run_pass()
    everything = _Lines()
    bed.say(devices[0], rooted=True)
    with traced(everything):
        bed.run_pass()
    assert bed.exchange.blocked() >= {("ada", "ada1")}
    assert everything.count > 500

    for number in range(PLACES):
        rooted = bool(number % 2)
        for device in devices:
            bed.say(device, rooted=rooted)
        bed.open()
        with suppress(_KilledError), traced(_Lines(everything.count * number // PLACES + 1)):
            bed.run_pass(look=Look.ALL)
        bed.open()
        outcome = bed.run_pass()
        assert (outcome.exchange_problem, outcome.management_problem) == ("", "")

        ours = {("ada", "ada1"), ("bob", "bob1")}
        foreign = {("ada", "FOREIGN"), ("bob", "FOREIGN")}
        assert bed.exchange.blocked() == (foreign | ours if rooted else foreign), number
        assert bed.exchange.allowed() == (set() if rooted else ours), number
        assert bed.partnership("ada1").applied == ("block" if rooted else "allow")
        assert bed.partnership("ada1").overridden_at is None
