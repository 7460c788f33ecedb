"""Passkeys (W3C Web Authentication Level 3): what a browser is asked, and what its answer proves.

The one file that knows the library. Nothing here knows the database or the request.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlsplit
from uuid import UUID

import webauthn
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from webauthn.helpers import parse_authentication_credential_json
from webauthn.helpers.exceptions import WebAuthnException
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from management.administrators import rules
from runtime.errors import MalformedMessageError

LARGEST_ANSWER = 32 * 1024
LONGEST_ID = 1023
"""Bytes of a credential id (WebAuthn 4, "Credential ID")."""
ANSWER_WITHIN_MS = 120_000
_BROKEN = (
    WebAuthnException,
    InvalidSignature,
    UnsupportedAlgorithm,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
    RecursionError,
    OverflowError,
)
"""What the library raises on answers that no browser sends, besides its own errors."""

Read = TypeVar("Read")


@dataclass(frozen=True, slots=True)
class Site:
    """Where the console is by its settings; never where a request says it is."""

    origin: str

    @property
    def name(self) -> str:
        """The relying party's id: passkeys hold for this name only."""
        return urlsplit(self.origin).hostname or ""

    @property
    def is_address(self) -> bool:
        """Whether it is an IP address, for which there are no passkeys."""
        return rules.is_address(self.name)


@dataclass(frozen=True, slots=True)
class NewPasskey:
    """What a browser made."""

    credential_id: bytes
    public_key: bytes
    counter: int
    synced: bool


@dataclass(frozen=True, slots=True)
class Answer:
    """Which passkey answers, and for whom it says it was made; proves nothing yet."""

    credential_id: bytes
    user_handle: bytes | None


@dataclass(frozen=True, slots=True)
class Proof:
    """What an answer proves beside holding the key."""

    counter: int
    knows_person: bool
    """The authenticator asked for a PIN or a finger (user verification)."""


def creation_options(
    site: Site, owner: UUID, name: str, known: Sequence[bytes], challenge: bytes
) -> str:
    """Return what ``navigator.credentials.create`` takes, as JSON.

    Only passkeys that name their owner themselves (discoverable): so the sign-in page never has to
    tell a stranger which keys an account has.
    """
    options = webauthn.generate_registration_options(
        rp_id=site.name,
        rp_name="Sekisho",
        user_id=owner.bytes,
        user_name=name,
        challenge=challenge,
        timeout=ANSWER_WITHIN_MS,
        exclude_credentials=[PublicKeyCredentialDescriptor(id=one) for one in known],
        authenticator_selection=AuthenticatorSelectionCriteria(
            resident_key=ResidentKeyRequirement.REQUIRED,
            user_verification=UserVerificationRequirement.PREFERRED,
        ),
    )
    return webauthn.options_to_json(options)


def request_options(site: Site, challenge: bytes, known: Sequence[bytes] = ()) -> str:
    """Return what ``navigator.credentials.get`` takes, as JSON; *known*: only these."""
    options = webauthn.generate_authentication_options(
        rp_id=site.name,
        challenge=challenge,
        timeout=ANSWER_WITHIN_MS,
        allow_credentials=[PublicKeyCredentialDescriptor(id=one) for one in known],
        user_verification=UserVerificationRequirement.PREFERRED,
    )
    return webauthn.options_to_json(options)


def read_new(site: Site, challenge: bytes, said: str) -> NewPasskey:
    """Return the passkey that a browser made for *challenge*; MalformedMessageError else."""
    made = _read(
        lambda: webauthn.verify_registration_response(
            credential=_bounded(said),
            expected_challenge=challenge,
            expected_rp_id=site.name,
            expected_origin=site.origin,
        )
    )
    if len(made.credential_id) > LONGEST_ID:
        raise MalformedMessageError("This passkey's id is too long.")
    return NewPasskey(
        made.credential_id, made.credential_public_key, made.sign_count, made.credential_backed_up
    )


def read_answer(said: str) -> Answer:
    """Return whose answer this claims to be; MalformedMessageError when it is none."""
    read = _read(lambda: parse_authentication_credential_json(_bounded(said)))
    return Answer(read.raw_id, read.response.user_handle)


def prove(site: Site, challenge: bytes, said: str, public_key: bytes) -> Proof:
    """Return what *said* proves for the holder of *public_key*; MalformedMessageError else.

    The counter is the caller's to compare: only a right signature makes it worth believing.
    """
    proved: Any = _read(
        lambda: webauthn.verify_authentication_response(
            credential=_bounded(said),
            expected_challenge=challenge,
            expected_rp_id=site.name,
            expected_origin=site.origin,
            credential_public_key=public_key,
            credential_current_sign_count=0,
        )
    )
    return Proof(proved.new_sign_count, proved.user_verified)


def to_text(binary: bytes) -> str:
    """Return *binary* as base64url, as browsers write it."""
    return webauthn.helpers.bytes_to_base64url(binary)


def to_bytes(text: str) -> bytes:
    """Return what `to_text` was given."""
    return webauthn.base64url_to_bytes(text)


def _bounded(said: str) -> str:
    if len(said) > LARGEST_ANSWER:
        raise MalformedMessageError("This is longer than the answer of any passkey.")
    return said


def _read(step: Callable[[], Read]) -> Read:
    try:
        return step()
    except _BROKEN as error:
        raise MalformedMessageError("The passkey's answer does not hold.") from error
