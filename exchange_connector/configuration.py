"""What pairing leaves in the connector's folder, and how its secrets lie there.

``connector.toml`` says who we are and where management and Exchange are; ``management-ca.pem`` is
the only authority whose certificate management may show; ``credentials.sealed`` holds our signing
key and what we sign in with at Exchange (a password, or the private key of a certificate),
encrypted (Fernet) under ``secret.key``, which only we may read.
"""

import json
import os
import tomllib
from dataclasses import asdict, dataclass, field
from pathlib import Path
from uuid import UUID

from cryptography.fernet import Fernet, InvalidToken
from joserfc.jwk import ECKey
from pydantic import TypeAdapter, ValidationError

from contracts import keys as jwk
from exchange_connector.backends import online, psrp
from exchange_connector.backends.opening import Server
from runtime.errors import ConfigurationError

PAIRED = "connector.toml"
AUTHORITY = "management-ca.pem"
KEY_FILE = "secret.key"
CREDENTIALS = "credentials.sealed"
NOT_PAIRED = (
    "This connector is not paired. Make a code in the console under Mail access, Connectors, and "
    "run the command that is shown there."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Paired:
    """The content of ``connector.toml``."""

    connector_id: UUID
    name: str
    management: str
    """For example ``https://sekisho.example.com:8443``."""
    exchange_url: str
    exchange_user: str = ""
    exchange_auth: str = "basic"
    exchange_ca: str = ""
    """PEM file of the CA that certifies Exchange; empty: the system's."""
    tenant: str = ""
    """Of Exchange Online; empty: Exchange on premises."""
    app_id: str = ""
    login_url: str = ""
    order_key: dict[str, str] = field(default_factory=dict)
    """Management's order-signing key (public JWK): only it can order a wipe."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """The secrets."""

    key: ECKey
    exchange_password: str = ""
    certificate: str = ""
    """PEM of the private key and certificate with which we sign in at Exchange."""


_PAIRED = TypeAdapter(Paired)


def is_paired(folder: Path) -> bool:
    """Tell whether *folder* holds a pairing."""
    return (folder / PAIRED).exists()


def save(folder: Path, paired: Paired, credentials: Credentials, authority: str) -> None:
    """Write a pairing; ``connector.toml`` comes last, so that a torn write is no pairing."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)
    if not (folder / KEY_FILE).exists():
        keep_text(folder / KEY_FILE, Fernet.generate_key().decode())
    secrets = {
        "key": jwk.private_json(credentials.key),
        "exchange_password": credentials.exchange_password,
        "certificate": credentials.certificate,
    }
    sealed = _fernet(folder).encrypt(json.dumps(secrets).encode()).decode()
    keep_text(folder / CREDENTIALS, sealed)
    keep_text(folder / AUTHORITY, authority)
    lines = [f"{name} = {_toml(value)}" for name, value in asdict(paired).items()]
    keep_text(folder / PAIRED, "\n".join(lines) + "\n")


def load(folder: Path) -> tuple[Paired, Credentials]:
    """Return the pairing; ConfigurationError says what is missing or wrong."""
    if not is_paired(folder):
        raise ConfigurationError(NOT_PAIRED)
    try:
        paired = _PAIRED.validate_python(tomllib.loads((folder / PAIRED).read_text("utf-8")))
        secrets = json.loads(_fernet(folder).decrypt((folder / CREDENTIALS).read_bytes()))
    except InvalidToken:
        raise ConfigurationError(
            f"{CREDENTIALS} was not sealed with this {KEY_FILE}. Pair again."
        ) from None
    except (OSError, tomllib.TOMLDecodeError, ValidationError) as error:
        raise ConfigurationError(f"The pairing in {folder} cannot be read: {error}") from None
    return paired, Credentials(
        jwk.read_private(secrets["key"]), secrets["exchange_password"], secrets["certificate"]
    )


def secrets(credentials: Credentials) -> tuple[str, ...]:
    """Return every secret text, for whoever must not show one."""
    inner = [line for line in credentials.certificate.splitlines() if "-----" not in line]
    return tuple(one for one in (credentials.exchange_password, *inner) if one)


def exchange_server(paired: Paired, credentials: Credentials) -> Server:
    """Return where Exchange is and how we sign in there."""
    if paired.tenant:
        return online.Tenant(
            tenant=paired.tenant,
            app_id=paired.app_id,
            certificate=credentials.certificate,
            exchange_url=paired.exchange_url,
            login_url=paired.login_url,
            ca_file=paired.exchange_ca,
        )
    return psrp.Server(
        url=paired.exchange_url,
        user=paired.exchange_user,
        password=credentials.exchange_password,
        auth=paired.exchange_auth,
        certificate=credentials.certificate,
        ca_file=paired.exchange_ca,
    )


def keep_server(
    server: Server, connector_id: UUID, name: str, management: str, order_key: dict[str, str]
) -> tuple[Paired, str, str]:
    """Return what `exchange_server` reads: the pairing, the password, the certificate."""
    if isinstance(server, online.Tenant):
        paired = Paired(
            connector_id=connector_id,
            name=name,
            management=management,
            order_key=order_key,
            exchange_url=server.exchange_url,
            exchange_ca=server.ca_file,
            tenant=server.tenant,
            app_id=server.app_id,
            login_url=server.login_url,
        )
        return paired, "", server.certificate
    paired = Paired(
        connector_id=connector_id,
        name=name,
        management=management,
        order_key=order_key,
        exchange_url=server.url,
        exchange_user=server.user,
        exchange_auth=server.auth,
        exchange_ca=server.ca_file,
    )
    return paired, server.password, server.certificate


def _toml(value: object) -> str:
    if isinstance(value, dict):
        pairs = (f"{name} = {json.dumps(str(one))}" for name, one in value.items())
        return "{ " + ", ".join(pairs) + " }"
    return json.dumps(str(value))


def _fernet(folder: Path) -> Fernet:
    path = folder / KEY_FILE
    try:
        if os.name == "posix" and path.stat().st_mode & 0o077:
            raise ConfigurationError(f"Others may read {path}; run: chmod 600 {path}")
        return Fernet(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{path} cannot be read: {error}. Pair again.") from None


def keep_text(path: Path, text: str) -> None:
    """Replace *path* as a whole, readable by us alone."""
    fresh = path.with_name(path.name + ".new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
