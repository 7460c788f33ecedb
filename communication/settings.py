"""The communication server's settings, read once at start."""

import socket
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from pydantic import Field

from runtime import settings

Port = Annotated[int, Field(ge=1, le=65_535)]
Seconds = Annotated[int, Field(ge=1, le=604_800)]
Count = Annotated[int, Field(ge=1, le=1_000_000)]
Bytes = Annotated[int, Field(ge=64 * 1024, le=2**50)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Each field is ``SEKISHO_COMMUNICATION_<NAME>``, or ``name`` in ``[communication]``."""

    host: str = "0.0.0.0"  # noqa: S104  (devices come from outside)
    """Address that all ports but the health port listen on."""
    devices_port: Port = 4343
    """HTTPS, for agents."""
    http_port: Port = 8080
    """Plain HTTP: leads to the download page."""
    link_port: Port = 4344
    """HTTPS, for management only."""
    health_port: Port = 8446
    """Loopback only: `/healthz` and `/metrics`."""
    public_name: str = field(default_factory=socket.gethostname)
    """The name under which devices reach this server."""
    folder: Path = field(default_factory=lambda: settings.home() / "communication")
    """Mailbox, keys and certificates."""
    poll_seconds: Seconds = 900
    """About how long devices are told to wait between two polls, unless their policy says."""
    live_poll_seconds: Seconds = 5
    """The same for a device that an administrator waits for."""
    token_seconds: Seconds = 86_400
    """How long a poll token holds."""
    held_polls: Count = 2000
    """Most polls that wait (``?wait=``) at once; the others are answered at once."""
    device_messages: Count = 200
    """Most reports of one device that wait for management."""
    device_bytes: Bytes = 16 * 1024 * 1024
    """Most bytes of them."""
    inbound_bytes: Bytes = 2 * 1024**3
    """Most bytes that wait for management in all."""
    outbound_bytes: Bytes = 2 * 1024**3
    """Most bytes that wait for devices in all."""
    files_bytes: Bytes = 20 * 1024**3
    """Most bytes of app store files that lie here for devices."""
    upload_bytes: Bytes = 4 * 1024**3
    """Most bytes of files that devices sent and management has not fetched yet."""
    free_bytes: Bytes = 64 * 1024**2
    """When less is free on its disk, nothing more is taken: emptying the mailbox needs room too."""
    enrolments: Count = 2000
    """Most enrolments that wait at once."""
    enrolments_per_minute: Count = 60
    """Most new enrolments a minute from one address (an IPv6 /64 counts as one)."""
    requests_per_minute: Count = 120
    """Most signed requests a minute from one device."""
    body_seconds: Seconds = 20
    """How long a request's body may take to arrive."""
    log_level: str = "INFO"


def load() -> Settings:
    """Return the settings; ConfigurationError names what is wrong."""
    return settings.load(Settings, part="communication")
