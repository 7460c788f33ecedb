"""The API's view of certificates and of the settings that hold."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from flask import Blueprint

from management.access import Permission
from management.api.operations import operation
from management.configuration import certificates, settings_list
from management.web import context, reading
from runtime.clock import utc_now

bp = Blueprint("configuration_api", __name__, url_prefix="/api/v1")


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateAnswer:
    """One certificate or key; what is empty does not apply to it."""

    what: str
    stands: Literal["idle", "ok", "warn", "bad"]
    said: str
    mend: str
    """What would mend it; empty when nothing is to be done."""
    fingerprint: str
    subject: str
    issuer: str
    starts_at: datetime | None
    ends_at: datetime | None
    """Null: a key without an end."""
    relay_id: UUID | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificates:
    """Every certificate and key that browsers, devices, relays, connectors and updates rest on."""

    certificates: tuple[CertificateAnswer, ...]


@operation(bp, "/certificates", Permission.VIEW)
def list_certificates() -> Certificates:
    """List every certificate and key with its end and what mends it, in the console's order."""
    with reading() as session:
        rows = certificates.list_all(context(), session, utc_now())
    return Certificates(certificates=tuple(map(_certificate, rows)))


def _certificate(row: certificates.Shown) -> CertificateAnswer:
    return CertificateAnswer(
        what=str(row.what),
        stands=row.finding.tone.value,
        said=str(row.finding.said),
        mend=str(row.finding.mend or ""),
        fingerprint=row.fingerprint,
        subject=row.subject,
        issuer=row.issuer,
        starts_at=row.starts_at,
        ends_at=row.ends_at,
        relay_id=row.relay_id,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingAnswer:
    """One setting of the server."""

    name: str
    variable: str
    """The environment's name for it."""
    value: str
    """What holds now."""
    origin: Literal["default", "file", "environment"]
    default: str
    after_restart: str | None
    """What holds after the next start, where that differs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingsAnswer:
    """The settings that hold."""

    settings: tuple[SettingAnswer, ...]
    problem: str
    """What is wrong with those of the next start; empty: nothing."""


@operation(bp, "/settings", Permission.CHANGE_SETTINGS)
def list_settings() -> SettingsAnswer:
    """List the settings that hold and where each comes from; passwords are masked."""
    rows, problem = settings_list.list_settings(context().settings)
    return SettingsAnswer(settings=tuple(map(_setting, rows)), problem=problem)


def _setting(row: settings_list.Shown) -> SettingAnswer:
    return SettingAnswer(
        name=row.name,
        variable=row.variable,
        value=row.value,
        origin=row.origin.value,
        default=row.default,
        after_restart=row.after_restart,
    )
