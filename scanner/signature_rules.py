"""What the signatures of an app say about it. Pure."""

from collections.abc import Iterator

from scanner.evidence import Finding
from scanner.signatures import SignatureFacts, SignerFacts

PLACE = "signature"


def findings_of(facts: SignatureFacts, now: str = "") -> Iterator[Finding]:
    """Yield what is remarkable about the signatures themselves; *now* is RFC 3339.

    What signers are known for is the business of `scanner.known_rules`.
    """
    yield from _broken(facts)
    yield from _weaknesses(facts)
    for signer in facts.signers:
        yield from _of_signer(signer.sha256, signer.subject)
        yield from _age(signer, now)


def _broken(facts: SignatureFacts) -> Iterator[Finding]:
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
    for scheme, what in facts.oddities:
        is_block = scheme == "block"
        yield Finding(
            "signature_block_odd" if is_block else "signature_unused_broken",
            "medium" if is_block else "note",
            f"{PLACE} {scheme}",
            f"{what}.",
            "The signing block is built as no honest tool builds it"
            if is_block
            else "A signature that no system looks at does not hold",
            "evasive-container" if is_block else "",
        )
    if not facts.signers and not facts.problems:
        yield Finding(
            "signature_missing",
            "low",
            PLACE,
            "The file carries no signature; Android would not install it.",
            "The app is not signed",
            "unwanted",
        )


def _weaknesses(facts: SignatureFacts) -> Iterator[Finding]:
    for scheme, what in facts.gaps:
        yield Finding(
            "signature_gap",
            "note",
            f"{PLACE} {scheme}",
            f"{what}.",
            "Some Android versions would not install the app",
        )
    for what in facts.weak:
        yield Finding(
            "weak_signature",
            "low",
            PLACE,
            f"{what}; somebody with means could sign in the publisher's name.",
            "The signature is weak",
            "vulnerable",
        )


def _age(signer: SignerFacts, now: str) -> Iterator[Finding]:
    if signer.rotated_from:
        yield Finding(
            "signer_rotated",
            "note",
            PLACE,
            f"{signer.subject} follows {', '.join(signer.rotated_from)}, each signed by the one"
            " before.",
            "The publisher changed the key and proves it",
        )
    if now and signer.not_after and signer.not_after < now:
        yield Finding(
            "signer_expired",
            "note",
            PLACE,
            f"{signer.subject} was valid until {signer.not_after}. Android does not check that.",
            "The signer's certificate has expired",
        )


def _of_signer(sha256: str, subject: str) -> Iterator[Finding]:
    if "CN=Android Debug" in subject.split(", "):
        yield Finding(
            "debug_key",
            "low",
            PLACE,
            f"{subject}, SHA-256 {sha256}",
            "Signed with a developer's debug key",
            "unwanted",
        )
