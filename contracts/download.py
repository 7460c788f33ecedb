"""What the download page of a relay hands out: the agent package and the values inside it.

Management signs the values (`envelope.DOWNLOAD`); they name the key that signed them, and the
device pins that key by its thumbprint. So nobody can put another relay or key beside management's
fingerprint; whether that is the right one, only an invitation says that came another way.
"""

from dataclasses import dataclass
from urllib.parse import quote

from contracts import codec, envelope, keys
from contracts.files import FileSize
from contracts.types import Compact, Instant, Jwk, Name, Sha256, Short
from runtime.errors import MalformedMessageError, UnauthenticatedError


@dataclass(frozen=True, slots=True, kw_only=True)
class DownloadValues:
    """The payload inside an agent package; ``order_signing_key`` is what the device pins."""

    v: int = 1
    relay_url: Name
    enrolment_key: Short
    """Empty: the user scans or types one."""
    order_signing_key: Jwk
    agent_sha256: Sha256
    """Of the package before anything was put into it."""
    issued_at: Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class Download:
    """Body of ``PUT /link/v1/download``: what the page offers; no package: nothing yet."""

    v: int = 1
    tag: Name
    """Stands for the content; the relay tells it in its status."""
    sha256: Sha256 | None = None
    """Of the package, which lies among the relay's files."""
    size_bytes: FileSize | None = None
    package: Short = ""
    version: Short = ""
    signer_sha256: Sha256 | None = None
    values: Compact | None = None
    """`DownloadValues` as a JWS of management."""


def read_values(token: str) -> DownloadValues:
    """Return the values in *token*; UnauthenticatedError unless the key they name signed it."""
    values = codec.read(DownloadValues, envelope.unverified_payload(token))
    envelope.verify(token, envelope.DOWNLOAD, keys.read_public(values.order_signing_key))
    return values


def enrolment_link(relay_url: str, enrolment_key: str, fingerprint: str) -> str:
    """Return the text of the QR code and link: where to enrol, with which key, whom to trust."""
    return (
        f"sekisho://enrol?relay={quote(relay_url, safe='')}"
        f"&key={quote(enrolment_key, safe='')}&fp={fingerprint}"
    )


def link_of(values: DownloadValues) -> str:
    """Return the link with the same content; empty without an enrolment key."""
    if not values.enrolment_key:
        return ""
    fingerprint = keys.thumbprint(keys.read_public(values.order_signing_key))
    return enrolment_link(values.relay_url, values.enrolment_key, fingerprint)


def read_package_value(value: bytes | None) -> DownloadValues:
    """Return what an agent package carries; MalformedMessageError when it carries nothing."""
    if value is None:
        raise MalformedMessageError(
            "Nothing is inside this package: it does not come from a download page."
        )
    try:
        return read_values(value.decode("ascii"))
    except UnicodeDecodeError:
        raise UnauthenticatedError("What is inside this package is not signed.") from None
