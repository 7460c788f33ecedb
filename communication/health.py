"""Whether this server is well, and its numbers for Prometheus."""

import sqlite3
import time
from collections.abc import Iterator, Mapping

from prometheus_client.core import REGISTRY, CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from communication.front import Front
from communication.parts import Parts
from runtime.health import Check


def checks(parts: Parts) -> dict[str, Check]:
    """Return what must be content for `/healthz` to say 200."""

    def mailbox() -> str | None:
        try:
            parts.mailbox.counts()
        except sqlite3.Error as error:
            return f"The mailbox cannot be read: {error}."
        return None

    def room() -> str | None:
        return parts.mailbox.room.problem(parts.mailbox.unused_bytes)

    return {"mailbox": mailbox, "room": room}


class Numbers(Collector):
    """Read when somebody asks, so that a poll pays nothing for them."""

    def __init__(self, parts: Parts, fronts: Mapping[str, Front]) -> None:
        self._parts, self._fronts = parts, fronts

    def collect(self) -> Iterator[Metric]:
        """Yield the numbers."""
        inbound, outbound, devices, _ = self._parts.mailbox.counts()
        came = self._parts.management_at
        for name, says, value in (
            ("inbound_waiting", "Messages that wait for management", inbound),
            ("outbound_waiting", "Orders that wait for devices or to be discarded", outbound),
            ("devices_known", "Devices known", devices),
            ("polls", "Polls answered since the start", self._parts.board.polls),
            ("management_silence_seconds", "Since management last called; -1: never", _ago(came)),
        ):
            yield GaugeMetricFamily(f"sekisho_communication_{name}", says, value)
        answers = CounterMetricFamily(
            "sekisho_communication_answers", "Answers given", labels=("port", "status")
        )
        for port, front in self._fronts.items():
            for status, count in dict(front.answered).items():
                answers.add_metric((port, str(status)), count)
        yield answers


def _ago(seconds: float) -> float:
    return time.time() - seconds if seconds else -1.0


def register(parts: Parts, fronts: Mapping[str, Front]) -> None:
    """Offer the numbers to `runtime.health.metrics`."""
    REGISTRY.register(Numbers(parts, fronts))
