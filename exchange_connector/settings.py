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
    discovery_seconds: Seconds = 300
    """How often everything Exchange knows is read anew; changes act each cycle regardless."""
    exchange_timeout_seconds: Annotated[int, Field(ge=10, le=3600)] = 120
    log_level: str = "INFO"


def load() -> Settings:
    """Return the settings; ConfigurationError names what is wrong."""
    return settings.load(Settings, part="connector", folder=settings.home() / "connector")
