"""A relay that never comes to an end of its answer holds up one question, and not for ever."""

import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import datetime

import pytest

from management.context import Context
from management.verification import asking
from management.verification.rules import Finding, Tone, ok
from management.verification.rules import sentence as _l
from runtime.clock import utc_now
from runtime.errors import UnavailableError


@contextmanager
def _endless(part: bytes, pause: float) -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with suppress(OSError):
                line, _ = server.accept()
                with line:
                    line.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n")
                    while True:
                        line.sendall(part)
                        time.sleep(pause)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/healthz"
    thread.join()


@pytest.mark.parametrize(("part", "pause"), [(b" " * 65536, 0), (b" ", 0.02)], ids=("long", "slow"))
def test_an_answer_without_end_is_left(
    part: bytes, pause: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    if pause:
        monkeypatch.setattr(asking, "WHOLE_SECONDS", 0.3)
    with _endless(part, pause) as url, pytest.raises(UnavailableError, match="too long"):
        asking.healthz(url)


def test_one_at_a_time_asks_the_relays(context: Context) -> None:
    asked, go_on = threading.Event(), threading.Event()

    def check(_context: Context, _now: datetime) -> Finding:
        asked.set()
        assert go_on.wait(60)
        return ok(_l("%(number)s answer.", number=1))

    alone = asking.alone(check)
    with ThreadPoolExecutor() as pool:
        first = pool.submit(alone, context, utc_now())
        assert asked.wait(60)
        second = alone(context, utc_now())
        go_on.set()
    assert (second.tone, "somebody else asks" in second.said.text) == (Tone.WARN, True)
    assert first.result().tone is Tone.OK
    assert alone(context, utc_now()).tone is Tone.OK
