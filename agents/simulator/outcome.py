"""What a run of a simulated fleet came to, for people and for machines."""

import time
from dataclasses import asdict
from typing import Any

from agents.simulator.tally import Tally, percentile

_COLUMNS = (
    ("devices", "devices"),
    ("enrolled", "enrolled"),
    ("check_ins", "check-ins"),
    ("polls", "polls"),
    ("reports", "reports"),
    ("orders", "orders done"),
    ("told_later", "told later"),
)


class Progress:
    """The line that shows how a run goes."""

    def __init__(self, tally: Tally, devices: int) -> None:
        self._tally, self._devices = tally, devices
        self._began = self._at = time.monotonic()
        self._polls = 0

    def line(self) -> str:
        """Return where the run stands; the rate is since the last call."""
        tally, now = self._tally, time.monotonic()
        polls = tally.sum_of("polls")
        rate = (polls - self._polls) / max(now - self._at, 0.001)
        self._polls, self._at = polls, now
        return (
            f"{now - self._began:4.0f} s  enrolled {tally.sum_of('enrolled')}/{self._devices}  "
            f"polls {rate:.1f}/s  reports {tally.sum_of('reports')}  "
            f"orders done {tally.sum_of('orders')}  refusals {tally.refusal_count()}"
        )


def as_fields(tally: Tally, seconds: float) -> dict[str, Any]:
    """Return everything as JSON values."""
    return {
        "as_expected": not tally.unexpected,
        "seconds": round(seconds, 1),
        "profiles": {str(profile): asdict(done) for profile, done in tally.profiles.items()},
        "answers": [
            {"request": kind, "status": status, "count": count}
            for (kind, status), count in sorted(tally.answers.items())
        ],
        "refusals": [
            {"by": who, "what": what, "why": why, "count": count}
            for (who, what, why), count in sorted(tally.refusals.items())
        ],
        "latency_ms": {kind: _latency(times) for kind, times in _all_times(tally).items()},
        "unexpected": [
            {"what": what, "count": count} for what, count in tally.unexpected.most_common()
        ],
    }


def _latency(times: list[float]) -> dict[str, float]:
    found = {"p50": percentile(times, 0.5), "p95": percentile(times, 0.95)}
    return {name: round(seconds * 1000, 1) for name, seconds in found.items()}


def _all_times(tally: Tally) -> dict[str, list[float]]:
    every = [seconds for times in tally.times.values() for seconds in times]
    return {"all": every} | dict(sorted(tally.times.items()))


def as_text(tally: Tally, seconds: float) -> str:
    """Return the summary."""
    fields = as_fields(tally, seconds)
    return "\n".join(
        [
            *_profiles(tally),
            "",
            "Answers of the relay:",
            *(f"  {_answers(tally, kind)}" for kind in sorted(tally.times)),
            f"Latency: {_milliseconds(fields['latency_ms']['all'])} over all.",
            *_refused(tally),
            "",
            *_verdict(tally),
        ]
    )


def _profiles(tally: Tally) -> list[str]:
    lines = ["profile      " + "".join(f"{title:>12}" for _, title in _COLUMNS)]
    for profile, done in tally.profiles.items():
        numbers = "".join(f"{getattr(done, name):>12}" for name, _ in _COLUMNS)
        lines.append(f"{profile:<13}{numbers}")
    return lines


def _answers(tally: Tally, kind: str) -> str:
    counts = ", ".join(
        f"{status} x{count}" for (of, status), count in sorted(tally.answers.items()) if of == kind
    )
    return f"{kind:<11} {counts}; {_milliseconds(_latency(tally.times[kind]))}"


def _milliseconds(found: dict[str, float]) -> str:
    return f"p50 {found['p50']} ms, p95 {found['p95']} ms"


def _refused(tally: Tally) -> list[str]:
    if not tally.refusals:
        return []
    lines = ["Refused:"]
    for (who, what, why), count in sorted(tally.refusals.items()):
        lines.append(f"  {count:>6} x  {who}: {what}: {why}")
    return lines


def _verdict(tally: Tally) -> list[str]:
    tried = sum(done.tried for done in tally.profiles.values())
    refused = sum(done.refused for done in tally.profiles.values())
    lines = [f"Hostile messages: {tried} sent, {refused} refused."] if tried else []
    learnt = sum(done.clock_set for done in tally.profiles.values())
    lines += [f"Wrong clocks: {learnt} set right by the relay's answer."] if learnt else []
    if not tally.unexpected:
        return [*lines, "Everything was as expected."]
    found = [f"  {count:>6} x  {what}" for what, count in tally.unexpected.most_common()]
    return [*lines, "NOT as expected:", *found]
