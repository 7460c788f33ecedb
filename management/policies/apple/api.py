"""The API's view of what an iPhone gets from a policy."""

import base64
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar
from uuid import UUID

from flask import Blueprint
from pydantic import Field

from management.access import Permission
from management.api.operations import STRICT, Code, operation
from management.policies import queries
from management.policies.apple import service, shown
from management.policies.apple.building import Built
from management.policies.apple.profile import MEDIA_TYPE
from management.web import context, proofs, reading, transaction

bp = Blueprint("policies_apple_api", __name__, url_prefix="/api/v1")
PROFILE = "/policies/<uuid:policy_id>/apple-profile"
Address = Annotated[str, Field(max_length=254, pattern=r"^([^@\s\x00]+@[^@\s\x00]+)?$")]


@dataclass(frozen=True, slots=True, kw_only=True)
class AppleKey:
    """One key of a payload."""

    setting: str
    """The setting that decides it: `PART.SETTING`."""
    key: str
    """Names of nested dictionaries joined by dots; `0` is the first place of a list."""
    value: Any
    """Null when it is a secret; of data, its size."""
    is_secret: bool
    supervised: bool
    """Whether devices take it only under supervision."""
    minimum_os_version: str
    """Empty: every version."""
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplePayload:
    """One payload of the profile; `Configuration` is the profile itself."""

    type: str
    entry: str
    keys: tuple[AppleKey, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class NotInProfile:
    """A setting that stands nowhere in the profile."""

    setting: str
    """`PART.SETTING`"""
    entry: str
    because: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AppleProfilePreview:
    """What an iPhone gets from a policy, without secrets."""

    policy_id: UUID
    version: int
    payloads: tuple[ApplePayload, ...]
    left_out: tuple[NotInProfile, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AppleProfile:
    """The signed configuration profile."""

    VOLATILE: ClassVar = frozenset({"profile"})

    policy_id: UUID
    version: int
    file_name: str
    media_type: str
    profile: str
    """The file in base64: CMS signed data (DER) around a property list."""
    left_out: tuple[NotInProfile, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileQuery:
    """For whom the file is."""

    address: Address = ""
    """The user's mail address, put in place of `{user}` and `{address}`; empty: the device asks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileWithSecrets:
    """For whom the file with passwords and keys is, and that it is the caller who wants it."""

    __pydantic_config__ = STRICT

    address: Address = ""
    """The user's mail address, put in place of `{user}` and `{address}`; empty: the device asks."""
    code: Code


@operation(bp, "/policies/<uuid:policy_id>/apple-profile/preview", Permission.VIEW, in_groups=True)
def preview_apple_profile(policy_id: UUID) -> AppleProfilePreview:
    """Get what an iPhone gets from a policy, key by key."""
    with reading() as session:
        queries.require_seen(session, policy_id)
        version = queries.current_version(session, policy_id)
    built = service.preview(version)
    return AppleProfilePreview(
        policy_id=policy_id,
        version=version.version,
        payloads=tuple(map(_payload, shown.payloads(built))),
        left_out=_left_out(built),
    )


@operation(bp, PROFILE, Permission.CHANGE_POLICIES, refusals=(409,))
def get_apple_profile(policy_id: UUID, query: ProfileQuery) -> AppleProfile:
    """Get the signed configuration profile of a policy; it goes into the audit trail.

    The device asks its user for passwords, and keys are left out.
    """
    return _handed_out(policy_id, query.address, secrets=False)


@operation(
    bp,
    f"{PROFILE}/with-secrets",
    Permission.CHANGE_POLICIES,
    "POST",
    refusals=(409,),
    answers_secret=True,
)
def make_apple_profile_with_secrets(policy_id: UUID, body: ProfileWithSecrets) -> AppleProfile:
    """Get the signed profile with the policy's passwords and keys; it goes into the audit trail.

    The file is signed, not encrypted: whoever holds it can read them.
    """
    proofs().require_code(body.code)
    return _handed_out(policy_id, body.address, secrets=True)


def _handed_out(policy_id: UUID, address: str, secrets: bool) -> AppleProfile:
    with transaction("hand out an Apple profile") as session:
        made = service.hand_out(session, context().keys, policy_id, address, secrets)
    return AppleProfile(
        policy_id=policy_id,
        version=made.version,
        file_name=made.file_name,
        media_type=MEDIA_TYPE,
        profile=base64.b64encode(made.content).decode(),
        left_out=_left_out(made.built),
    )


def _payload(payload: shown.ShownPayload) -> ApplePayload:
    return ApplePayload(
        type=payload.kind,
        entry=payload.entry,
        keys=tuple(
            AppleKey(
                setting=line.setting,
                key=line.key,
                value=line.value,
                is_secret=line.is_secret,
                supervised=line.supervised,
                minimum_os_version=line.since,
                note=str(line.note),
            )
            for line in payload.lines
        ),
    )


def _left_out(built: Built) -> tuple[NotInProfile, ...]:
    return tuple(
        NotInProfile(
            setting=f"{one.category.name}.{one.setting.name}",
            entry=one.entry,
            because=str(one.because),
        )
        for one in built.left_out
    )
