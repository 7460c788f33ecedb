"""What a policy's version makes of an Apple device: to be looked at, and as a signed file."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from management.audit.notes import note
from management.keys import Keys
from management.policies import queries
from management.policies.apple.building import WITHHELD, Built, Withheld, build
from management.policies.apple.profile import file_name, written
from management.policies.catalogue.all import BY_NAME
from management.policies.delivery import as_asked
from management.policies.models import Policy, PolicyVersion
from management.policies.schema import Category, Settings
from management.policies.values import SEALED

PLATFORM = "ios"
_HIDDEN = "AAAA"
"""In place of a secret that is looked at; also a file in base64."""
_USERS = ("{user}", "{address}")


@dataclass(frozen=True, slots=True)
class HandedOut:
    """A signed configuration profile as it leaves the server."""

    content: bytes
    built: Built
    version: int
    file_name: str


def preview(version: PolicyVersion) -> Built:
    """Return what a device gets; no secret is opened for it."""
    asked = as_asked(version.settings, PLATFORM, lambda sealed: _HIDDEN, None)
    return build(asked, version.policy_id)


def holds_secrets(version: PolicyVersion) -> bool:
    """Tell whether anything that Apple devices get is secret."""
    asked = as_asked(version.settings, PLATFORM, lambda sealed: WITHHELD, None)
    entries = (
        entry
        for content in asked.values()
        for entry in (content if isinstance(content, list) else [content])
    )
    return any(value is WITHHELD for entry in entries for value in entry.values())


def hand_out(
    session: Session, keys: Keys, policy_id: UUID, address: str, with_secrets: bool
) -> HandedOut:
    """Return the signed profile of the version that holds now; it goes into the audit trail."""
    policy = queries.usable_policy(session, policy_id)
    version = queries.current_version(session, policy_id)
    built, content = _signed(keys, policy, version, address, with_secrets)
    number = version.version
    note(
        session,
        "policy.apple_profile",
        policy_id,
        version=number,
        secrets=with_secrets,
        address=address,
    )
    return HandedOut(content, built, number, file_name(policy.name, number))


def _signed(
    keys: Keys, policy: Policy, version: PolicyVersion, address: str, with_secrets: bool
) -> tuple[Built, bytes]:
    """Return the profile for the user with *address*; empty: for anybody, the device asks.

    Without secrets the device asks its user for passwords, and keys are left out.
    """
    settings = version.settings if address else _of_nobody(version.settings)

    def unseal(sealed: str) -> str | Withheld:
        return keys.unseal(sealed) if with_secrets else WITHHELD

    built = build(as_asked(settings, PLATFORM, unseal, address), policy.id)
    plain = written(built, policy.id, version.version, policy.name)
    return built, keys.sign_profile(plain)


def _of_nobody(settings: Settings) -> dict[str, Any]:
    """Return *settings* without what would name the user, so that the device asks."""
    return {
        name: [_unnamed(BY_NAME[name], entry) for entry in content]
        if isinstance(content, list)
        else content
        for name, content in settings.items()
        if name in BY_NAME
    }


def _unnamed(category: Category, entry: Mapping[str, Any]) -> dict[str, Any]:
    must = {setting.name for setting in category.settings if setting.required}
    return {
        name: value
        for name, value in entry.items()
        if name in must
        or (isinstance(value, Mapping) and SEALED in value)
        or not any(place in str(value) for place in _USERS)
    }
