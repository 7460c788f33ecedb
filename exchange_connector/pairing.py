"""Pairs this connector with management, and trusts nobody before the code says whom.

The console shows one text, ``SECRET.FINGERPRINT``: a one-time secret of 16 characters and the
base64url SHA-256 of management's CA certificate (43 characters). The person who carries the text
carries the trust, both ways:

1. The CA certificate is fetched from management over TLS that is not verified: anybody on the way
   may put in another one.
2. Its SHA-256 must be the FINGERPRINT, else nothing more is sent and pairing ends with an error.
3. Only then the secret goes out, over TLS that is verified against this very certificate and the
   name in the address. It comes with our new public key, in a request signed by that key, and
   works once, for 15 minutes.
4. The certificate stays in the connector's folder as the only authority for management.

A company that put its own certificate on the console gives its CA's file with ``--management-ca``;
step 1 and 2 fall away then.
"""

import hmac
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import httpx
from joserfc.jwk import ECKey

from contracts import connector as messages
from contracts import keys as jwk
from contracts.certificates import fingerprint
from exchange_connector import authority, configuration
from exchange_connector.backends.opening import Server, try_out
from exchange_connector.management_client import ManagementClient, translated
from runtime.clock import utc_now
from runtime.errors import ConfigurationError, ForbiddenError, UnavailableError


@dataclass(frozen=True, slots=True, kw_only=True)
class Invitation:
    """What the person who pairs said about management."""

    management: str
    code: str
    """``SECRET`` or ``SECRET.FINGERPRINT``."""
    fingerprint: str = ""
    management_ca: str = ""
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish(Invitation):
    """And about Exchange."""

    exchange: Server


@dataclass(frozen=True, slots=True)
class Joined:
    """What a used code gave."""

    said: messages.Paired
    key: ECKey
    authority: str
    """PEM of the only CA to trust for management."""


def pair(folder: Path, wish: Wish) -> configuration.Paired:
    """Pair and write everything into *folder*.

    Exchange is tried first, so that a wrong password uses up no code.
    """
    require_unpaired(folder)
    try_out(wish.exchange)
    joined = join(wish, "exchange")
    said = joined.said
    paired, password, certificate = configuration.keep_server(
        wish.exchange, said.connector_id, wish.name, wish.management, said.order_key or {}
    )
    credentials = configuration.Credentials(joined.key, password, certificate)
    configuration.save(folder, paired, credentials, joined.authority)
    return paired


def require_unpaired(folder: Path) -> None:
    """Raise ConfigurationError when *folder* holds a pairing."""
    if configuration.is_paired(folder):
        raise ConfigurationError(
            f"{folder} is paired already. Disable that connector in the console and remove "
            f"{configuration.PAIRED} to pair anew."
        )


def join(wish: Invitation, kind: messages.Kind) -> Joined:
    """Use the code up and return what it gave."""
    secret, trusted = _authority(wish)
    key = jwk.new_key()
    with ManagementClient(wish.management, trusted, key, jwk.thumbprint(key)) as management:
        said = management.pair(secret, wish.name, version("sekisho"), kind)
    return Joined(said, key, trusted)


def _authority(wish: Invitation) -> tuple[str, str]:
    """Return (secret, PEM of the CA to trust)."""
    secret, _, inside = wish.code.strip().partition(".")
    if wish.management_ca:
        return secret, authority.read_given(Path(wish.management_ca), wish.fingerprint)
    expected = wish.fingerprint or inside
    if not expected:
        raise ConfigurationError(
            "The code carries no fingerprint. Copy it whole from the console, or give "
            "--fingerprint."
        )
    found = fetch_authority(wish.management)
    _check_fingerprint(found, expected)
    return secret, found


def trust_again(folder: Path, expected: str, file: Path | None) -> messages.TrustedAuthority:
    """Trust management's CA of today from now on, and return it; tried before it is kept.

    *file*: a CA's certificates, whatever was trusted before. Else management is asked. Either way
    it must have the fingerprint *expected*; without one, the key that is trusted must have signed
    what management answers. A running process follows at its next call.
    """
    paired, credentials = configuration.load(folder)
    before, now = authority.read(folder), utc_now()
    if file:
        text = authority.read_given(file, expected)
    else:
        text = _found(paired.management, expected, before)
    key_id = str(paired.connector_id)
    with ManagementClient(paired.management, text, credentials.key, key_id) as management:
        management.get_mark()
    configuration.keep_text(folder / configuration.AUTHORITY, text)
    return authority.described(text, now)[0]


def _found(address: str, expected: str, before: str) -> str:
    """Return the CA that management shows, if the fingerprint or the known key vouches for it."""
    found = fetch_authority(address)
    if expected:
        _check_fingerprint(found, expected)
        return found
    after = authority.with_successor(before, found, utc_now())
    if fingerprint(found) not in {one.fingerprint for one in authority.described(after, utc_now())}:
        raise ForbiddenError(
            "The CA that is trusted here did not sign the one that management shows. Compare with "
            "the console under Mail access, Connectors, and give --fingerprint."
        )
    return after


def _check_fingerprint(found: str, expected: str) -> None:
    if not hmac.compare_digest(fingerprint(found).encode(), expected.strip().encode()):
        raise ForbiddenError(
            "Management's certificate authority is not the one that was named. Either the address "
            "is wrong or somebody is in between; nothing was sent."
        )


def fetch_authority(address: str) -> str:
    """Return the CA certificate (PEM) that whoever answers at *address* calls its own."""
    with (
        translated(),
        httpx.Client(verify=False, trust_env=False, timeout=20) as http,  # noqa: S501  (step 1)
    ):
        answer = http.get(address.rstrip("/") + "/connector/v1/ca")
    if answer.status_code != 200 or len(answer.content) > 100_000:
        raise UnavailableError(
            f"{address} does not answer as a Sekisho console does (status {answer.status_code})."
        )
    return answer.text
