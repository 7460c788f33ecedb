"""What the signatures of an app say about it. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any

from scanner.evidence import Finding
from scanner.signatures import SignatureFacts

PLACE = "signature"


def findings_of(facts: SignatureFacts, package: str, known: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield what is remarkable; *known* is `patterns.rule_source.Signers`."""
    for scheme, problem in facts.problems:
        yield Finding(
            "signature_broken",
            "medium",
            f"{PLACE} {scheme}",
            f"{problem}.",
            "The signature does not hold",
            "evasive-container",
            technique="T1655",
        )
    if not facts.signers and not facts.problems and not facts.unsupported:
        yield Finding(
            "signature_missing",
            "low",
            PLACE,
            "The file carries no signature; Android would not install it.",
            "The app is not signed",
            "unwanted",
        )
    for signer in facts.signers:
        yield from _of_signer(signer.sha256, signer.subject, known)
    yield from _impersonation(facts, package, known)


def _of_signer(sha256: str, subject: str, known: Mapping[str, Any]) -> Iterator[Finding]:
    if "CN=Android Debug" in subject.split(", "):
        yield Finding(
            "debug_key",
            "low",
            PLACE,
            f"{subject}, SHA-256 {sha256}",
            "Signed with a developer's debug key",
            "unwanted",
        )
    for key in known["public_key"]:
        if key["sha256"] == sha256:
            yield Finding(
                "public_key",
                "low",
                PLACE,
                f"{key['name']}, SHA-256 {sha256}",
                "Signed with a key that anybody has",
                "unwanted",
            )


def _impersonation(
    facts: SignatureFacts, package: str, known: Mapping[str, Any]
) -> Iterator[Finding]:
    signers = {signer.sha256 for signer in facts.signers}
    for app in known["official"]:
        if app["package"] == package and not signers & set(app["sha256"]):
            yield Finding(
                "repackaged_app",
                "high",
                PLACE,
                f"{package} is published by {app['publisher']}, but signed with "
                f"{', '.join(sorted(signers)) or 'no valid key'}.",
                f"Changed copy of an app by {app['publisher']}",
                "impersonation",
                technique="T1655.001",
            )
