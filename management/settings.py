"""The management server's settings, read once at start."""

import socket
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import Field

from runtime import settings

Port = Annotated[int, Field(ge=1, le=65_535)]
Seconds = Annotated[float, Field(gt=0, le=86_400)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Each field is ``SEKISHO_<NAME>`` in the environment or ``name`` in ``sekisho.toml``."""

    home: Path
    """The data folder; every file that management writes is below it."""
    database_url: str = ""
    """Empty: the embedded database in the data folder. Else an SQLAlchemy URL."""
    host: str = "0.0.0.0"  # noqa: S104  (administrators come from other machines)
    """Address the console listens on."""
    port: Port = 8443
    """Console, API and connectors (HTTPS)."""
    public_name: str = field(default_factory=socket.gethostname)
    """The name under which browsers and devices reach this machine."""
    console_url: Annotated[str, Field(pattern=r"^(https://[^/?#@\s]+)?$")] = ""
    """Where browsers reach the console (``https://NAME`` or ``https://NAME:PORT``), which passkeys
    and links hold for. Empty: ``https://`` with `public_name` and `port`."""
    devices_port: Port = 4343
    """Of the communication server on this machine; goes into QR codes."""
    link_port: Port = 4344
    """Link to the communication server on this machine."""
    local_relay: bool = True
    """Run a communication server on this machine; off: pair one elsewhere in the console."""
    jobs_health_port: Port = 8444
    """`/healthz` and `/metrics` of the jobs process, on loopback."""
    signer_health_port: Port = 8445
    """`/healthz` and `/metrics` of the signer, on loopback."""
    relay_seconds: Seconds = 2.0
    """Pause between two visits to a relay."""
    poll_seconds: Annotated[int, Field(ge=1, le=86_400)] = 900
    """How often devices poll."""
    digest_seconds: Annotated[int, Field(ge=1, le=86_400)] = 43_200
    """How often devices prove contact."""
    connector_seconds: Annotated[int, Field(ge=1, le=86_400)] = 60
    """How often Exchange connectors compare and act."""
    workers: Annotated[int, Field(ge=1, le=64)] = 2
    """Most processes that do background work at once."""
    uploads_bytes: Annotated[int, Field(ge=1024**2)] = 50 * 1024**3
    """Most bytes of app files that are kept."""
    undo_seconds: Annotated[int, Field(ge=0, le=86_400)] = 60
    """How long a wipe and every bulk command can be taken back before it goes out."""
    encryption_key_days: Annotated[int, Field(ge=180, le=3650)] = 365
    """So old the key that devices seal reports to gets; then its successor follows by itself."""
    fact_days: Annotated[int, Field(ge=1, le=36_500)] = 400
    """So long the past of a device can be replayed; older entries of the log are forgotten."""
    attestation_days: Annotated[int, Field(ge=1, le=365)] = 7
    """So often Android devices whose policy asks for it prove their system anew."""
    attestation_roots: str = ""
    """File (PEM) of root certificates whose attestation counts beside Google's."""
    attestation_boot_keys: Annotated[
        str, Field(pattern=r"^([0-9A-Fa-f]{64}(\s*,\s*[0-9A-Fa-f]{64})*)?$")
    ] = ""
    """SHA-256 of the keys (verified boot keys, hexadecimal, with commas) that signed systems of
    other makers than the phone's; with a locked boot loader such a system passes attestation."""
    attestation_status: str = ""
    """File of revoked attestation keys as Google publishes it (JSON). Empty:
    `attestation-status.json` in the data folder, if it is there."""
    audit_days: Annotated[int, Field(ge=30, le=36_500)] = 1095
    """So long entries of the audit trail are kept; what goes leaves a trace that is checked."""
    audit_file: str = ""
    """File, best on another machine, that gets each signed checkpoint of the trail as a line."""
    audit_syslog: str = ""
    """Syslog server that gets them too: ``udp://HOST:PORT`` or ``tcp://HOST:PORT``."""
    log_level: str = "INFO"
    """DEBUG, INFO, WARNING or ERROR."""

    @property
    def console_origin(self) -> str:
        """Where browsers reach the console, as they write it themselves: RFC 6454."""
        told = urlsplit(self.console_url or f"https://{self.public_name}:{self.port}")
        port = "" if told.port in {None, 443} else f":{told.port}"
        name = told.hostname or ""
        return f"https://{f'[{name}]' if ':' in name else name}{port}"


def load() -> Settings:
    """Return the settings; ConfigurationError names what is wrong."""
    return settings.load(Settings, home=settings.home())
