"""What a check may find, and how bad that is."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from management.certificates import urgency
from runtime.errors import SekishoError

ROOM_BYTES = (5 * 1024**3, 1024**3)
"""Less free space than this is a warning, an error."""
PATTERN_DAYS = (14, 60)
JOB_SILENT_SECONDS = 60.0
RELAY_SILENT_SECONDS = (60.0, 300.0)


class Tone(StrEnum):
    """How a check ended; the worst last."""

    IDLE = "idle"
    """Not used here, so there is nothing to check."""
    OK = "ok"
    WARN = "warn"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Sentence:
    """An English sentence with gaps, which a page may say in another language."""

    text: str
    values: Mapping[str, object] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.text % self.values


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found: how it stands, what would mend it, and on which page."""

    tone: Tone
    said: Sentence
    mend: Sentence | None = None
    where: str = ""
    """Endpoint of the console's page where it is mended."""


def sentence(text: str, **values: object) -> Sentence:
    """Return *text*, whose gaps ``%(name)s`` take *values*; import it as ``_l`` for pybabel."""
    return Sentence(text, values)


_l = sentence


def ok(said: Sentence) -> Finding:
    """Return that all is well."""
    return Finding(Tone.OK, said)


def moment(at: datetime | None) -> str:
    """Return when that was, for people."""
    return f"{at:%Y-%m-%d %H:%M:%S} UTC" if at else "never"


def worst(findings: Iterable[Finding]) -> Tone:
    """Return the worst of the tones; idle when there is nothing."""
    return max((found.tone for found in findings), key=list(Tone).index, default=Tone.IDLE)


def broken(error: Exception) -> Finding:
    """Return what is said when a check itself fails; errors of ours say what mends them."""
    if isinstance(error, SekishoError):
        return Finding(Tone.BAD, Sentence("%(error)s", {"error": error}))
    return Finding(
        Tone.BAD,
        _l("The check could not be done: %(error)s", error=str(error) or type(error).__name__),
        _l("Mend what the sentence names, then check again."),
    )


def ends(end: datetime, now: datetime, mend: Sentence, where: str = "", whose: str = "") -> Finding:
    """Return how a certificate stands that ends at *end*; *whose* when there are several."""
    left = end - now
    values: dict[str, object] = {"day": f"{end:%Y-%m-%d}", "days": left.days, "whose": whose}
    if left <= timedelta():
        ended, of = _l("It ended on %(day)s."), _l("%(whose)s: it ended on %(day)s.")
        return Finding(Tone.BAD, _with(of if whose else ended, values), mend, where)
    ending = _l("It ends on %(day)s, in %(days)s days.")
    of = _l("%(whose)s: it ends on %(day)s, in %(days)s days.")
    said = _with(of if whose else ending, values)
    tone = {"ok": Tone.OK, "bad": Tone.BAD}.get(urgency(left.days), Tone.WARN)
    return ok(said) if tone is Tone.OK else Finding(tone, said, mend, where)


def _with(said: Sentence, values: Mapping[str, object]) -> Sentence:
    return Sentence(said.text, values)


def room(free: int) -> Finding:
    """Return how the data folder stands with *free* bytes."""
    said = _l("%(gigabytes)s GB are free for the data folder.", gigabytes=f"{free / 1024**3:.1f}")
    if free >= ROOM_BYTES[0]:
        return Finding(Tone.OK, said)
    tone = Tone.BAD if free < ROOM_BYTES[1] else Tone.WARN
    return Finding(
        tone, said, _l("Make room on that disk: without it no report and no update is taken.")
    )


def patterns_age(version: str, installed_at: datetime, now: datetime, mend: Sentence) -> Finding:
    """Return how old the active pattern set is."""
    days = (now - installed_at).days
    said = _l(
        "Set %(version)s has been here for %(days)s days.", version=version, days=max(days, 0)
    )
    if days < PATTERN_DAYS[0]:
        return Finding(Tone.OK, said)
    tone = Tone.BAD if days >= PATTERN_DAYS[1] else Tone.WARN
    return Finding(tone, said, mend, "updates.index")


def silence(contact_at: datetime | None, problem: str, now: datetime) -> Tone:
    """Return how a relay stands that answered last at *contact_at*."""
    if contact_at is None:
        return Tone.BAD
    silent = (now - contact_at).total_seconds()
    if silent > RELAY_SILENT_SECONDS[1]:
        return Tone.BAD
    return Tone.WARN if problem or silent > RELAY_SILENT_SECONDS[0] else Tone.OK
