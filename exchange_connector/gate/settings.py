"""The inline gate's settings, read once at start."""

from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from runtime import settings

Port = Annotated[int, Field(ge=1, le=65_535)]


def _addresses(said: str) -> str:
    for one in said.split(","):
        ip_address(one.strip())  # ValueError names what is none
    return said


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """``SEKISHO_GATE_<NAME>`` in the environment, or ``[gate]`` in sekisho.toml."""

    folder: Path
    """The gate's own folder; nothing outside it is read or written."""
    host: str = "127.0.0.1"
    """Where it listens, without TLS: the front proxy (nginx) stands before it."""
    port: Port = 8449
    """Where it listens for the front proxy."""
    health_port: Port = 8448
    """Of /healthz and /metrics, loopback only."""
    trusted_proxies: Annotated[str, AfterValidator(_addresses)] = "127.0.0.1,::1"
    """Addresses of front proxies, with commas between; nobody else may speak to the gate."""
    mail_domain: Annotated[str, Field(max_length=200)] = ""
    """Completes user names that phones send without a domain, so that `ada`, `EXAMPLE\\ada` and
    `ada@example.com` are one user."""
    default_access: Literal["allow", "block"] = "allow"
    """What holds for phones that management leaves alone, or that it has never heard of. With
    `block` nothing passes that management did not allow."""
    client_certificate_header: Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{0,60}$")] = ""
    """Header in which the front proxy hands on the phone's certificate (nginx:
    `$ssl_client_escaped_cert`). When it is set, nothing passes without one, and a phone that is
    matched to a device must show that device's."""
    auth_request: bool = False
    """Answer nginx's `auth_request` instead of forwarding; an open request then outlives a
    block."""
    max_body_bytes: Annotated[int, Field(ge=1024, le=2**31)] = 52_428_800
    """Largest message that a phone may send."""
    max_open_requests: Annotated[int, Field(ge=1, le=200_000)] = 20_000
    """Requests under way at the same time; above it the answer is "later" (503)."""
    max_open_requests_per_phone: Annotated[int, Field(ge=1, le=1000)] = 16
    """The same for one phone."""
    answer_seconds: Annotated[int, Field(ge=60, le=7200)] = 3700
    """So long the mail server may be silent within one request: phones wait up to 59 minutes for
    new mail."""
    ask_seconds: Annotated[float, Field(ge=0.05, le=60)] = 0.4
    """How often management is asked whether a decision changed."""
    log_level: str = "INFO"

    def proxies(self) -> frozenset[str]:
        """Return the addresses that may speak to the gate."""
        return frozenset(one.strip() for one in self.trusted_proxies.split(","))


def load() -> Settings:
    """Return the settings; ConfigurationError names what is wrong."""
    return settings.load(Settings, part="gate", folder=settings.home() / "gate")
