"""An explanation of the API in the words of ``sekisho explain``."""

from typing import Any

from management.compliance import in_words


def as_text(device: dict[str, Any], told: dict[str, Any]) -> str:
    """Return what the API says of *device* for people."""
    judgement = told["judgement"]
    return in_words.as_text(
        {
            **judgement,
            "device": {**device, "owner": device["owner_address"]},
            "at": told["at"],
            "policy": {"name": told["policy"], "version": judgement["policy_version"]},
            "pattern_version": told["pattern_version"],
            "not_applicable": told["not_applicable"],
            "facts": dict(sorted(told["facts"].items())),
            "contradictions": told["contradictions"],
        }
    )
