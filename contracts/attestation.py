"""What secure hardware of an Android device says of a key that it made. Pure.

The leaf of the certificate chain carries it as the extension `EXTENSION`:
https://source.android.com/docs/security/features/keystore/attestation#attestation-extension. Who
believes it has checked the chain first (`management.attestation`).
"""

from dataclasses import dataclass
from enum import IntEnum
from hashlib import sha256
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from contracts import der
from contracts.types import Short
from runtime.errors import MalformedMessageError

EXTENSION = "1.3.6.1.4.1.11129.2.1.17"
"""OID of `KeyDescription` in a certificate."""
PROVISIONING = "1.3.6.1.4.1.11129.2.1.30"
"""OID that marks a certificate as issued over the network, for a short time."""
ROOT_OF_TRUST, OS_VERSION, OS_PATCH_LEVEL = 704, 705, 706
"""Tags in an AuthorizationList."""
LONGEST_CHALLENGE = 128
Challenge = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{43}$")]
"""32 bytes, base64url without padding."""
Chain = Annotated[
    tuple[Annotated[str, Field(max_length=12_000, pattern=r"^[A-Za-z0-9+/]+={0,2}$")], ...],
    Field(max_length=10),
]
"""Certificates from the attested key to the root: Base64 of DER."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AskAttestation:
    """Order: make a key in secure hardware with this challenge, and send its chain."""

    kind: Literal["ask_attestation"] = "ask_attestation"
    challenge: Challenge


@dataclass(frozen=True, slots=True, kw_only=True)
class Attestation:
    """Report: the answer to `AskAttestation`; the key itself may be thrown away."""

    kind: Literal["attestation"] = "attestation"
    challenge: Challenge
    chain: Chain = ()
    because: Short = ""
    """Why there is no chain."""


class SecurityLevel(IntEnum):
    """Where a key lives."""

    SOFTWARE = 0
    TRUSTED_ENVIRONMENT = 1
    STRONG_BOX = 2


class BootState(IntEnum):
    """What verified boot found when the device started."""

    VERIFIED = 0
    """The maker's system, untouched."""
    SELF_SIGNED = 1
    """A system that the owner signed."""
    UNVERIFIED = 2
    """Anything: the boot loader did not look."""
    FAILED = 3


@dataclass(frozen=True, slots=True)
class RootOfTrust:
    """How the device started."""

    boot_key: bytes
    is_locked: bool
    """Whether the boot loader is."""
    boot_state: BootState


@dataclass(frozen=True, slots=True)
class KeyDescription:
    """What is said of the key and of the device, as far as hardware vouches for it."""

    attestation_level: SecurityLevel
    key_level: SecurityLevel
    challenge: bytes
    root_of_trust: RootOfTrust | None
    os_version: str | None
    """Dotted, without zeros at the end."""
    patch_level: str | None
    """``YYYY-MM``"""


def read_key_description(extension: bytes) -> KeyDescription:
    """Return what the extension says; MalformedMessageError, TooLargeError for anything else.

    Tags that are not known are passed over, because newer systems have more.
    """
    fields = der.read(extension).sequence()
    if len(fields) != 8:
        raise MalformedMessageError(f"A KeyDescription has 8 fields, not {len(fields)}.")
    _version, level, _key_version, key_level, challenge, _id, _software, hardware = fields
    said = _authorizations(hardware)
    version, patch = said.get(OS_VERSION), said.get(OS_PATCH_LEVEL)
    return KeyDescription(
        attestation_level=SecurityLevel(_one_of(SecurityLevel, level)),
        key_level=SecurityLevel(_one_of(SecurityLevel, key_level)),
        challenge=_bounded(challenge.octets()),
        root_of_trust=_root(said[ROOT_OF_TRUST]) if ROOT_OF_TRUST in said else None,
        os_version=None if version is None else dotted(version.whole()),
        patch_level=None if patch is None else month(patch.whole()),
    )


def enrolment_challenge(enrolment_key: str, enrolment_id: UUID) -> bytes:
    """Return the challenge with which a device makes its signing key.

    Management wrote the enrolment key, so a chain made for another invitation proves nothing here.
    """
    return sha256(b"sekisho attestation 1\0" + enrolment_id.bytes + enrolment_key.encode()).digest()


def renewal_challenge(device_id: UUID, renewal_id: UUID) -> bytes:
    """Return the challenge with which a device makes the signing key of a renewal."""
    return sha256(b"sekisho renewal 1\0" + device_id.bytes + renewal_id.bytes).digest()


def dotted(version: int) -> str | None:
    """Return a version ``MMmmss`` as text; None for 0 and for what is none."""
    if not 10_000 <= version < 1_000_000:
        return None
    parts = [version // 10_000, version // 100 % 100, version % 100]
    while len(parts) > 1 and parts[-1] == 0:
        parts.pop()
    return ".".join(map(str, parts))


def month(level: int) -> str | None:
    """Return a patch level ``YYYYMM`` as ``YYYY-MM``; None for 0 and for what is no month."""
    year, number = divmod(level, 100)
    return f"{year}-{number:02d}" if 2000 <= year <= 9999 and 1 <= number <= 12 else None


def _authorizations(found: der.Element) -> dict[int, der.Element]:
    said: dict[int, der.Element] = {}
    for one in found.sequence():
        if one.tag_class != der.CONTEXT or one.number in said:
            raise MalformedMessageError(f"Tag {one.number} does not belong there, or comes twice.")
        said[one.number] = one.only_child()
    return said


def _root(found: der.Element) -> RootOfTrust:
    fields = found.sequence()
    if len(fields) not in (3, 4):
        raise MalformedMessageError(f"A RootOfTrust has 3 or 4 fields, not {len(fields)}.")
    if len(fields) == 4:
        fields[3].octets()
    return RootOfTrust(
        boot_key=_bounded(fields[0].octets()),
        is_locked=fields[1].flag(),
        boot_state=BootState(_one_of(BootState, fields[2])),
    )


def _one_of(kinds: type[IntEnum], found: der.Element) -> int:
    number = found.whole(der.ENUMERATED)
    if number not in set(kinds):
        raise MalformedMessageError(f"{number} is no {kinds.__name__}.")
    return number


def _bounded(said: bytes) -> bytes:
    if len(said) > LONGEST_CHALLENGE:
        raise MalformedMessageError(f"A value is longer than {LONGEST_CHALLENGE} bytes.")
    return said
