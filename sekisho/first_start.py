"""All set-up that the basic model needs, done again harmlessly at every start."""

from dataclasses import dataclass
from datetime import datetime

from communication import pairing
from contracts import keys as public_keys
from management import upgrading
from management.administrators import queries as administrators
from management.administrators import service as administrator_service
from management.context import Context, open_context
from management.keys import Keys
from management.keys import prepare as prepare_keys
from management.policies import service as policies
from management.relays import service as relays
from management.settings import Settings
from management.updates import service as updates


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """Where everything is, for the person who started it."""

    console: str
    devices: str
    """Empty: no communication server runs here."""
    setup_link: str | None
    """For the first administrator; None once there is one."""


def prepare(settings: Settings, now: datetime) -> Prepared:
    """Make keys, certificates, database, pattern set and the local relay where they are missing."""
    settings.home.mkdir(mode=0o700, parents=True, exist_ok=True)
    names = server_names(settings)
    prepare_keys(settings.home / "keys", now, names)
    upgrading.upgrade(settings)
    context = open_context(settings)
    link_certificate = ""
    if settings.local_relay:
        link_certificate = _local_relay(settings, context.keys, names, now)
    link = _fill(context, link_certificate, now)
    context.database.close()
    return Prepared(
        console=f"https://{settings.public_name}:{settings.port}/",
        devices=devices_url(settings) if settings.local_relay else "",
        setup_link=link,
    )


def server_names(settings: Settings) -> list[str]:
    """Return the names and addresses that our certificates are for."""
    return list(dict.fromkeys([settings.public_name, "localhost", "127.0.0.1", "::1"]))


def devices_url(settings: Settings) -> str:
    """Return where devices reach the communication server."""
    return f"https://{settings.public_name}:{settings.devices_port}"


def _local_relay(settings: Settings, keys: Keys, names: list[str], now: datetime) -> str:
    """Pair with the communication server on this machine; return its link certificate (PEM)."""
    folder = settings.home / "communication"
    has_certificate = (folder / "tls.pem").exists() and (folder / "tls.key").exists()
    issued = (
        ((folder / "tls.pem").read_text("ascii"), (folder / "tls.key").read_text("ascii"))
        if has_certificate
        else keys.issue_server_certificate(names, now)
    )
    return pairing.prepare(folder, public_keys.public_jwk(keys.link_key()), names, *issued)


def _fill(context: Context, link_certificate: str, now: datetime) -> str | None:
    """Put what must be there into the database; return the first administrator's set-up link."""
    settings = context.settings
    with context.database.transaction("first start") as session:
        policies.ensure_default_policy(session, now)
        updates.install_shipped(session, settings, now)
        if settings.local_relay:
            relays.ensure_local_relay(
                session,
                link_url=f"https://127.0.0.1:{settings.link_port}",
                link_certificate=link_certificate,
                devices_url=devices_url(settings),
                ca_certificate=context.keys.ca_certificate(),
                now=now,
            )
        if administrators.count_administrators(session):
            return None
        token = administrator_service.make_setup_link(session, now)
    return f"https://{settings.public_name}:{settings.port}/setup?token={token}"
