"""Who signed an APK, and does it hold: schemes v1, v2, v3 and v3.1 together."""

from collections.abc import Callable
from hashlib import sha256
from typing import NamedTuple

from scanner import der, signing_block
from scanner.jar_signature import JarSignature
from scanner.signing_block import BrokenSignatureError, Scheme
from scanner.zip_records import Buffer, Directory

FIRST_WITH_V2 = 24
"""Android 7.0; older systems read only v1."""


class SignerFacts(NamedTuple):
    """One certificate, and the schemes under which its signature was verified."""

    sha256: str
    subject: str
    not_before: str
    not_after: str
    schemes: tuple[str, ...]


class SignatureFacts(NamedTuple):
    """All signatures of one APK."""

    signers: tuple[SignerFacts, ...] = ()
    problems: tuple[tuple[str, str], ...] = ()
    """(scheme, what is wrong)."""
    unsupported: tuple[tuple[str, str], ...] = ()


class Verifier:
    """Verifies the block at once and takes the entries one by one for v1."""

    def __init__(
        self,
        data: Buffer,
        directory: Directory,
        read: Callable[[bytes], bytes | None],
        minimum_sdk: int,
    ) -> None:
        self._schemes: list[Scheme] = []
        try:
            block = signing_block.find_block(data, directory)
            if block is not None:
                self._schemes = signing_block.verify(data, directory, block)
        except BrokenSignatureError as error:
            self._schemes = [Scheme("v2", problem=str(error))]
        needed = minimum_sdk < FIRST_WITH_V2 or not self._schemes
        names = {record.name: None for record in directory.records} if needed else {}
        self._jar = JarSignature(names, read)

    def check(self, name: bytes, data: bytes) -> None:
        """Take one listed entry."""
        self._jar.check(name, data)

    def facts(self) -> SignatureFacts:
        """Return the outcome after all entries came by."""
        jar = self._jar.outcome()
        schemes = [*([jar] if jar else []), *self._schemes]
        problems = [(s.name, s.problem) for s in schemes if s.problem and not s.is_unsupported]
        there = {scheme.name for scheme in self._schemes}
        problems += [
            (f"v{number}", "the v1 signature says it was there: taken away")
            for number in sorted(self._jar.other_schemes & {2, 3})
            if f"v{number}" not in there
        ]
        unsupported = tuple((s.name, s.problem) for s in schemes if s.is_unsupported)
        return SignatureFacts(_signers(schemes), tuple(problems), unsupported)


def _signers(schemes: list[Scheme]) -> tuple[SignerFacts, ...]:
    found: dict[str, tuple[der.Certificate, list[str]]] = {}
    for scheme in schemes:
        for certificate in scheme.certificates:
            digest = sha256(certificate.der).hexdigest()
            known = found.setdefault(digest, (certificate, []))[1]
            if scheme.name not in known:
                known.append(scheme.name)
    return tuple(
        SignerFacts(digest, c.subject, c.not_before, c.not_after, tuple(names))
        for digest, (c, names) in found.items()
    )
