"""The Exchange connector's settings, read once at start."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field

from runtime import settings

Seconds = Annotated[float, Field(gt=0, le=86_400)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """``SEKISHO_CONNECTOR_<NAME>`` in the environment, or ``[connector]`` in sekisho.toml."""

    folder: Path
    """The connector's own folder; nothing outside it is read or written."""
    health_port: Annotated[int, Field(ge=1, le=65_535)] = 8447
    """Of /healthz and /metrics, loopback only."""
    discovery_seconds: Seconds = 3600
    """How often everything Exchange knows is read anew, and every list compared with what is
    wanted; changes act each cycle regardless."""
    delta_seconds: Seconds = 300
    """How often Exchange is asked, with one call, which phones are new."""
    statistics_per_pass: Annotated[int, Field(ge=0, le=1000)] = 10
    """How many mailboxes are asked at each of these looks when their phones last synchronised."""
    settling_seconds: Annotated[float, Field(ge=0, le=86_400)] = 900
    """An entry that is missing so soon after it was made is not taken for removed by hand: other
    domain controllers learn of it later."""
    release_trial_seconds: Annotated[float, Field(ge=5, le=3600)] = 300
    """Within which a newer release must reach management and finish a pass, else the former one
    runs again."""
    exchange_timeout_seconds: Annotated[int, Field(ge=10, le=3600)] = 120
    log_level: str = "INFO"


def load() -> Settings:
    """Return the settings; ConfigurationError names what is wrong."""
    return settings.load(Settings, part="connector", folder=settings.home() / "connector")
