"""Which settings hold, where each comes from, and how to change it."""

import os
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from enum import StrEnum

from flask_babel import lazy_gettext as _l
from flask_babel.speaklater import LazyString
from sqlalchemy.engine import make_url

from management.settings import Settings
from runtime import settings as files
from runtime.errors import ConfigurationError

WORDS: dict[str, LazyString] = {
    "database_url": _l("The database; empty: the embedded one in the data folder"),
    "host": _l("Address on which the console listens"),
    "port": _l("Port of console, API and connectors (HTTPS)"),
    "public_name": _l("Name under which browsers and devices reach this machine"),
    "console_url": _l("Address of the console in links and for passkeys"),
    "devices_port": _l("Port of the relay on this machine for devices"),
    "link_port": _l("Port of the link to the relay on this machine"),
    "local_relay": _l("Whether a relay runs on this machine"),
    "jobs_health_port": _l("Port for watching the jobs process"),
    "signer_health_port": _l("Port for watching the signer"),
    "relay_seconds": _l("Pause between two visits to a relay, in seconds"),
    "poll_seconds": _l("How often devices poll, in seconds"),
    "digest_seconds": _l("How often devices prove contact, in seconds"),
    "connector_seconds": _l("How often Exchange connectors compare and act, in seconds"),
    "workers": _l("Most processes that do background work at once"),
    "uploads_bytes": _l("Most bytes of app files that are kept"),
    "undo_seconds": _l("How long a wipe or bulk command can be taken back, in seconds"),
    "encryption_key_days": _l(
        "Age at which the key that opens reports gets its successor, in days"
    ),
    "fact_days": _l("How long the past of a device can be replayed, in days"),
    "attestation_days": _l("How often Android devices prove their system anew, in days"),
    "attestation_roots": _l("File of further root certificates for attestation"),
    "attestation_boot_keys": _l("Keys of systems of other makers that pass attestation"),
    "attestation_status": _l("File of revoked attestation keys"),
    "audit_days": _l("How long the audit trail is kept, in days"),
    "audit_file": _l("File that gets each checkpoint of the audit trail"),
    "audit_syslog": _l("Syslog server that gets each checkpoint of the audit trail"),
    "log_level": _l("How much the logs say"),
}


class Origin(StrEnum):
    """Where a value comes from."""

    DEFAULT = "default"
    FILE = "file"
    ENVIRONMENT = "environment"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """One setting."""

    name: str
    variable: str
    value: str
    origin: Origin
    default: str
    after_restart: str | None
    """What holds after the next start, where that differs from now."""


def list_settings(
    loaded: Settings, environment: Mapping[str, str] | None = None
) -> tuple[list[Shown], str]:
    """Return the settings that this process holds, and what is wrong with those of the next start.

    Passwords in the database's address are masked.
    """
    environment = {**(os.environ if environment is None else environment)}
    environment["SEKISHO_HOME"] = str(loaded.home)
    try:
        following, problem = files.load(Settings, environment=environment, home=loaded.home), ""
    except ConfigurationError as error:
        following, problem = loaded, str(error)
    origins = {} if problem else files.origins(Settings, loaded.home, environment)
    rows = []
    for field in fields(Settings):
        if field.name == "home":
            continue
        now, then = (_words(field.name, getattr(one, field.name)) for one in (loaded, following))
        rows.append(
            Shown(
                name=field.name,
                variable=f"SEKISHO_{field.name.upper()}",
                value=now,
                origin=Origin(origins.get(field.name, "default")),
                default="" if field.default is MISSING else _words(field.name, field.default),
                after_restart=then if then != now else None,
            )
        )
    return rows, problem


def _words(name: str, value: object) -> str:
    if name == "database_url" and value:
        return make_url(str(value)).render_as_string(hide_password=True)
    return str(value)
