"""Who we are at Exchange Online: an application of the tenant that signs in with a certificate."""

import re
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from msal.application import ConfidentialClientApplication

from exchange_connector.backends.online_http import Http, origin
from runtime.clock import utc_now
from runtime.errors import ConfigurationError, UnavailableError

LOGIN_URL = "https://login.microsoftonline.com"
EXCHANGE_URL = "https://outlook.office365.com"
_TENANT = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,250}[A-Za-z0-9])?")
_EXAMPLE = "openssl pkcs12 -in app.pfx -out app.pem -nodes"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenant:
    """Which tenant, and as which application."""

    tenant: str
    """``example.onmicrosoft.com`` or the tenant's id."""
    app_id: str
    certificate: str = field(repr=False)
    """PEM of the application's private key and certificate."""
    exchange_url: str = EXCHANGE_URL
    """Another one in national clouds."""
    login_url: str = LOGIN_URL
    ca_file: str = ""
    """PEM of the CA that certifies both addresses; empty: the system's."""

    def __post_init__(self) -> None:
        """Raise ConfigurationError for what cannot be right."""
        if not _TENANT.fullmatch(self.tenant):
            raise ConfigurationError(f"{self.tenant[:100]!r} is no name or id of a tenant.")
        try:
            UUID(self.app_id)
        except ValueError:
            raise ConfigurationError(
                f"{self.app_id[:100]!r} is no application (client) id: copy it from the "
                "application's registration."
            ) from None
        for address in (self.exchange_url, self.login_url):
            origin(address)


@dataclass(frozen=True, slots=True)
class KeyPair:
    """The application's private key and certificate, each as PEM."""

    private_key: str = field(repr=False)
    certificate: str
    expires_at: datetime


def read_key_pair(pem: str) -> KeyPair:
    """Return what *pem* holds; ConfigurationError says what is wrong with it."""
    content = pem.encode()
    try:
        key = load_pem_private_key(content, None)
        certificate = x509.load_pem_x509_certificate(content)
    except (TypeError, ValueError):
        raise ConfigurationError(
            "The certificate's file must hold the private key without a password and the "
            f"certificate, both as PEM. From a .pfx file: {_EXAMPLE}"
        ) from None
    if not isinstance(key, RSAPrivateKey) or key.key_size < 2048:
        raise ConfigurationError("The application's key must be RSA with at least 2048 bits.")
    form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if key.public_key().public_bytes(*form) != certificate.public_key().public_bytes(*form):
        raise ConfigurationError("The private key does not belong to the certificate in the file.")
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    return KeyPair(
        private,
        certificate.public_bytes(Encoding.PEM).decode(),
        certificate.not_valid_after_utc,
    )


class Tokens:
    """Fetches access tokens and keeps one as long as it is good."""

    def __init__(self, tenant: Tenant, http: Http) -> None:
        self._tenant, self._http = tenant, http
        self._pair = read_key_pair(tenant.certificate)
        self._app: ConfidentialClientApplication | None = None

    def get(self) -> str:
        """Return a token; ConfigurationError when Microsoft refuses this application."""
        if self._pair.expires_at <= utc_now():
            raise ConfigurationError(
                f"The application's certificate ended on {self._pair.expires_at:%Y-%m-%d}. "
                "Register a new one at the application and pair again."
            )
        scope = f"{self._tenant.exchange_url.rstrip('/')}/.default"
        try:
            self._app = self._app or self._open()
            answer = self._app.acquire_token_for_client([scope])  # type: ignore[no-untyped-call]
        except ValueError as error:  # msal's word for an answer that it does not understand
            raise UnavailableError(f"Microsoft's sign-in cannot be used: {error}") from None
        return self._read(answer)

    def forget(self) -> None:
        """Fetch a new token the next time: Exchange refused this one."""
        self._app = None

    def _open(self) -> ConfidentialClientApplication:
        return ConfidentialClientApplication(  # type: ignore[no-untyped-call]
            self._tenant.app_id,
            authority=f"{self._tenant.login_url.rstrip('/')}/{self._tenant.tenant}",
            client_credential={
                "private_key": self._pair.private_key,
                "public_certificate": self._pair.certificate,
            },
            http_client=self._http,
            instance_discovery=False,  # the host is configured, nobody else is asked about it
        )

    @staticmethod
    def _read(answer: object) -> str:
        said = answer if isinstance(answer, dict) else {}
        token = said.get("access_token")
        if isinstance(token, str) and token.isascii() and token.isprintable():
            return token
        error = str(said.get("error", ""))
        why = str(said.get("error_description") or error or "no token came")[:500]
        if error in ("temporarily_unavailable", "server_error"):
            raise UnavailableError(f"Microsoft's sign-in is busy: {why}")
        raise ConfigurationError(
            f"Microsoft refuses this connector's application: {why} Check tenant, application "
            "and certificate, and pair again."
        )
