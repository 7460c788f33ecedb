"""A policy as a configuration profile of Apple: one property list, the same for the same policy."""

import plistlib
import re
from typing import Any
from uuid import UUID, uuid5

from management.policies.apple.building import (
    Built,
    Payload,
    apple_uuid,
    build,
    clean_text,
    of_profile,
    shown_payloads,
)
from management.policies.apple.keys import PROFILE
from management.policies.schema import Settings

MEDIA_TYPE = "application/x-apple-aspen-config"
IDENTIFIER = "org.sekisho.policy"
IPHONE_OR_IPAD = 1


def profile_for(settings: Settings, policy_id: UUID, version: int, name: str) -> bytes:
    """Return the profile as XML; *settings* are those of an Apple device, secrets opened.

    What cannot be said in a profile is left out (`building.build` tells what). A newer version of
    the policy replaces an older one on the device, because the identifier stays.
    """
    return written(build(settings, policy_id), policy_id, version, name)


def written(built: Built, policy_id: UUID, version: int, name: str) -> bytes:
    """Return the profile of what is *built*."""
    identifier = f"{IDENTIFIER}.{policy_id}"
    payloads = [one for one in shown_payloads(built) if one.kind != PROFILE]
    return plistlib.dumps(
        {
            **of_profile(built),
            "PayloadType": PROFILE,
            "PayloadVersion": 1,
            "PayloadIdentifier": identifier,
            "PayloadUUID": apple_uuid(uuid5(policy_id, f"version {version}")),
            "PayloadDisplayName": clean_text(name),
            "PayloadDescription": f"Sekisho: {clean_text(name)} ({version})",
            "PayloadScope": "System",
            "TargetDeviceType": IPHONE_OR_IPAD,
            "PayloadContent": [_payload(one, identifier) for one in payloads],
        }
    )


def _payload(payload: Payload, identifier: str) -> dict[str, Any]:
    return {
        **payload.content(),
        "PayloadType": payload.kind,
        "PayloadVersion": 1,
        "PayloadIdentifier": f"{identifier}.{payload.uuid}",
        "PayloadUUID": apple_uuid(payload.uuid),
    }


def file_name(policy: str, version: int) -> str:
    """Return how the file of a version of the policy named *policy* is called."""
    safe = re.sub(r"[^\w.-]+", "-", policy)[:60].strip("-._") or "policy"
    return f"{safe}-{version}.mobileconfig"
