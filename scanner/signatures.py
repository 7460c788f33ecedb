"""Who signed an APK, and does it hold: schemes v1, v2, v3 and v3.1 together."""

from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import NamedTuple

from scanner import block_signatures, signing_block
from scanner.jar_signature import JarSignature
from scanner.signing_block import FIRST_SDK, Scheme, Signature
from scanner.signing_keys import describe
from scanner.zip_records import Buffer, Directory

V1_FORBIDDEN_TARGET = 30
"""Android 11 refuses apps that target it or a later one and carry only a v1 signature."""


class SignerFacts(NamedTuple):
    """One certificate, and the schemes under which its signature was verified."""

    sha256: str
    subject: str
    not_before: str
    not_after: str
    schemes: tuple[str, ...]
    key: str = ""
    """Kind and length in bits; empty: unknown."""
    rotated_from: tuple[str, ...] = ()
    """SHA-256 of the signer's earlier certificates, the oldest first."""


class SignatureFacts(NamedTuple):
    """All signatures of one APK."""

    signers: tuple[SignerFacts, ...] = ()
    problems: tuple[tuple[str, str], ...] = ()
    """(scheme, what is wrong): some Android version that the app is for would refuse it."""
    gaps: tuple[tuple[str, str], ...] = ()
    """(scheme, which versions find no signature that they need)."""
    oddities: tuple[tuple[str, str], ...] = ()
    """(scheme, what no honest tool writes, but Android does not look at)."""
    weak: tuple[str, ...] = ()
    """Keys and digests that can be forged with effort."""
    current: tuple[str, ...] = ()
    """SHA-256 of the certificates that the newest Android takes the app's signers to be."""

    def holds(self) -> bool:
        """Whether every Android version that the app is for accepts the signature."""
        return bool(self.signers) and not self.problems and not self.gaps


class Verifier:
    """Verifies the block at once and takes the entries one by one for v1."""

    def __init__(
        self,
        data: Buffer,
        directory: Directory,
        read: Callable[[bytes], bytes | None],
        minimum_sdk: int,
        target_sdk: int | None = None,
    ) -> None:
        self._minimum, self._target = minimum_sdk, target_sdk or minimum_sdk
        self._malformed = _malformed(directory)
        block = signing_block.find_block(data, directory)
        self._oddities = block.oddities
        self._schemes = (
            block_signatures.verify(data, directory, block, minimum_sdk) if block.pairs else []
        )
        self._is_v1_needed = minimum_sdk < FIRST_SDK["v2"] or not self._schemes
        names = {record.name: None for record in directory.records} if self._is_v1_needed else {}
        self._jar = JarSignature(names, read)

    def check(self, name: bytes, digest: Callable[[str], bytes]) -> None:
        """Take one listed entry, of which *digest* gives those by name."""
        self._jar.check(name, digest)

    def facts(self) -> SignatureFacts:
        """Return the outcome after all entries came by."""
        jar = self._jar.outcome()
        by_name = {scheme.name: scheme for scheme in [*([jar] if jar else []), *self._schemes]}
        used = {name for name in by_name if self._is_used(name, by_name)}
        problems = [(name, by_name[name].problem) for name in used if by_name[name].problem]
        oddities = [
            (s.name, s.problem) for s in by_name.values() if s.name not in used and s.problem
        ]
        if self._malformed:
            problems.append(("file", self._malformed))
        if not problems:
            problems += _taken_away(by_name, self._jar.other_schemes)
            problems += _overlaps(by_name)
            problems += _disagreements({name: by_name[name] for name in used})
        oddities += [("block", what) for what in self._oddities]
        good = [scheme for scheme in by_name.values() if not scheme.problem]
        return SignatureFacts(
            signers=_signers(good),
            problems=tuple(sorted(problems)),
            gaps=tuple(self._gaps(by_name)),
            oddities=tuple(oddities),
            weak=_weak(good),
            current=_current(by_name),
        )

    def _is_used(self, name: str, there: dict[str, Scheme]) -> bool:
        """Whether some system from the app's minimum on looks at the scheme."""
        if name == "v2":
            return self._minimum < FIRST_SDK["v3"] or not there.keys() & {"v3", "v3.1"}
        return name != "v1" or self._is_v1_needed

    def _gaps(self, there: dict[str, Scheme]) -> list[tuple[str, str]]:
        gaps = []
        if self._is_v1_needed and "v1" not in there and self._schemes:
            gaps.append(("v1", "systems before Android 7.0, which the app is for, find none"))
        if not self._schemes and there and self._target >= V1_FORBIDDEN_TARGET:
            gaps.append(("v2", "Android 11 and later want it from an app that targets them"))
        if "v3" in there and there["v3"].signatures:
            gaps += _uncovered(there, max(self._minimum, FIRST_SDK["v3"]))
        return gaps


def signed_directory(directories: Sequence[Directory]) -> Directory:
    """Return the directory that Android reads: its end record's comment ends the file."""
    return next((found for found in directories if found.is_last), directories[0])


def _malformed(directory: Directory) -> str:
    if not directory.is_last:
        return "bytes follow the end record, so Android finds no archive"
    return "the directory is not where the end record says" if directory.shift else ""


def _uncovered(there: dict[str, Scheme], lowest: int) -> list[tuple[str, str]]:
    """Return the systems for which schemes v3 and v3.1 name no signer."""
    newer = there["v3.1"].signatures if "v3.1" in there else ()
    at = lowest
    for signature in sorted([*there["v3"].signatures, *newer], key=lambda one: one.minimum_sdk):
        if signature.minimum_sdk > at:
            break
        at = max(at, signature.maximum_sdk + 1)
    if at > signing_block.EVERY_LATER_SDK:
        return []
    return [("v3", f"no signer is named for systems from API level {at} on")]


def _overlaps(there: dict[str, Scheme]) -> list[tuple[str, str]]:
    """Return which scheme names two signers for one system; Android then takes none."""
    found = []
    for name in ("v3", "v3.1"):
        at = 0
        signatures = there[name].signatures if name in there else ()
        for one in sorted(signatures, key=lambda one: one.minimum_sdk):
            if one.minimum_sdk <= at:
                found.append((name, f"it names two signers for API level {one.minimum_sdk}"))
            at = max(at, one.maximum_sdk)
    return found


def _taken_away(there: dict[str, Scheme], told: set[int]) -> list[tuple[str, str]]:
    found = [
        (f"v{number}", "the v1 signature says it was there: taken away")
        for number in sorted(told & {2, 3})
        if f"v{number}" not in there
    ]
    targets = [s.rotation_sdk for s in there["v3"].signatures] if "v3" in there else []
    newer = there.get("v3.1")
    for target in targets:
        if target is not None and newer is None:
            found.append(("v3.1", "the v3 signature says it was there: taken away"))
        elif target is not None and newer and newer.signatures:
            first = min(signature.minimum_sdk for signature in newer.signatures)
            if first != target:
                found.append(("v3.1", f"it begins at API level {first}, v3 says {target}"))
    return found


def _disagreements(there: dict[str, Scheme]) -> list[tuple[str, str]]:
    """Return where schemes name other signers and no proof of rotation joins them."""
    old = [_certificates(there[name]) for name in ("v1", "v2") if name in there]
    found = []
    if len(old) == 2 and old[0] != old[1]:
        found.append(("v2", "its signer is not the one of v1"))
    for name in ("v3", "v3.1"):
        for signature in there[name].signatures if old and name in there else ():
            oldest = (*signature.past, signature.certificate)[0].der
            if any(certificates != {oldest} for certificates in old):
                found.append((name, "its signer is not the one of the schemes before"))
                break
    return found


def _certificates(scheme: Scheme) -> set[bytes]:
    return {signature.certificate.der for signature in scheme.signatures}


def _signers(schemes: list[Scheme]) -> tuple[SignerFacts, ...]:
    found: dict[str, tuple[Signature, list[str]]] = {}
    for scheme in schemes:
        for signature in scheme.signatures:
            digest = sha256(signature.certificate.der).hexdigest()
            first, names = found.get(digest, (signature, []))
            if scheme.name not in names:
                names.append(scheme.name)
            found[digest] = (signature if signature.past else first, names)
    return tuple(_facts(digest, *signed) for digest, signed in found.items())


def _facts(digest: str, signature: Signature, names: list[str]) -> SignerFacts:
    owner = signature.certificate
    return SignerFacts(
        sha256=digest,
        subject=owner.subject,
        not_before=owner.not_before,
        not_after=owner.not_after,
        schemes=tuple(names),
        key=describe(owner.public_key)[0],
        rotated_from=tuple(sha256(earlier.der).hexdigest() for earlier in signature.past),
    )


def _weak(schemes: list[Scheme]) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for scheme in schemes:
        for signature in scheme.signatures:
            name, is_weak = describe(signature.certificate.public_key)
            if is_weak:
                found[f"the key is only {name}"] = None
    # A v1 digest is only weak where nothing stronger stands beside it.
    if {scheme.name for scheme in schemes} == {"v1"}:
        for signature in schemes[0].signatures:
            if "sha1" in signature.digests:
                found["v1 uses SHA-1"] = None
    return tuple(found)


def _current(there: dict[str, Scheme]) -> tuple[str, ...]:
    for name in ("v3.1", "v3", "v2", "v1"):
        if name in there and there[name].signatures:
            newest = there[name].signatures
            if name.startswith("v3"):
                newest = (max(newest, key=lambda signature: signature.maximum_sdk),)
            return tuple(sha256(signature.certificate.der).hexdigest() for signature in newest)
    return ()
