"""APK signature scheme v1: a signed JAR (JAR File Specification, "Signed JAR File").

MANIFEST.MF holds a digest of each entry, NAME.SF digests of MANIFEST.MF, and NAME.RSA, .DSA or .EC
a PKCS #7 signature of NAME.SF.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Callable, Iterable

from scanner import der
from scanner.signing_block import Scheme
from scanner.signing_keys import is_signed_by

MANIFEST = b"META-INF/MANIFEST.MF"
MAXIMUM_BYTES = 32 * 1024 * 1024
MAXIMUM_SIGNERS = 10
_SIGNATURE = re.compile(rb"META-INF/([^/]{1,200})\.(RSA|DSA|EC)", re.IGNORECASE)
_SECTION_END = re.compile(rb"(?:\r\n|\n|\r(?!\n)){2,}")
_DIGESTS = {
    "sha-512": "sha512",
    "sha-384": "sha384",
    "sha-256": "sha256",
    "sha-1": "sha1",
    "sha1": "sha1",
}
_DIGEST_OIDS = {
    "1.3.14.3.2.26": "sha1",
    "2.16.840.1.101.3.4.2.1": "sha256",
    "2.16.840.1.101.3.4.2.2": "sha384",
    "2.16.840.1.101.3.4.2.3": "sha512",
}
_MESSAGE_DIGEST = "1.2.840.113549.1.9.4"
_SIGNED_DATA = "1.2.840.113549.1.7.2"


class BrokenJarError(Exception):
    """The signature does not hold; the text says why. Stays inside the scanner."""


class JarSignature:
    """Verifies v1: signature and manifest at once, each entry when it comes by."""

    def __init__(self, names: Iterable[bytes], read: Callable[[bytes], bytes | None]) -> None:
        self._signers: list[der.Certificate] = []
        self._problem = ""
        self._expected: dict[bytes, tuple[str, bytes]] = {}
        self.other_schemes: set[int] = set()
        """What ``X-Android-APK-Signed`` says; such a scheme must be there."""
        blocks = [name for name in names if _SIGNATURE.fullmatch(name)]
        self.is_there = bool(blocks)
        if not blocks:
            return
        try:
            self._verify(blocks[:MAXIMUM_SIGNERS], read)
        except (BrokenJarError, der.BrokenDerError) as error:
            self._problem = str(error)

    def check(self, name: bytes, data: bytes) -> None:
        """Compare one entry with the manifest."""
        if not self.is_there or self._problem or not _needs_digest(name):
            return
        expected = self._expected.pop(name, None)
        if expected is None:
            self._problem = f"{_text(name)} is not signed"
        elif hashlib.new(expected[0], data).digest() != expected[1]:
            self._problem = f"{_text(name)} was changed after it was signed"

    def outcome(self) -> Scheme | None:
        """Return what was found after all entries came by; None: there is no such signature."""
        if not self.is_there:
            return None
        missing = next((name for name in self._expected if _needs_digest(name)), None)
        if not self._problem and missing is not None:
            self._problem = f"{_text(missing)} is signed, but not there"
        return Scheme("v1", () if self._problem else tuple(self._signers), self._problem)

    def _verify(self, blocks: list[bytes], read: Callable[[bytes], bytes | None]) -> None:
        manifest = _read(read, MANIFEST)
        sections = _sections(manifest)
        for block in blocks:
            file_name = block.rsplit(b".", 1)[0] + b".SF"
            body = _read(read, file_name)
            self._signers.append(_verify_block(_read(read, block), body))
            main, *named = _sections(body)
            self._note_schemes(main[1])
            _check_manifest(main[1], named, manifest, sections)
            self._keep({_name(fields) for _, fields in named}, sections)

    def _note_schemes(self, main: dict[str, str]) -> None:
        for word in main.get("x-android-apk-signed", "").split(","):
            if word.strip().isdigit():
                self.other_schemes.add(int(word))

    def _keep(self, signed: set[bytes], sections: list[tuple[bytes, dict[str, str]]]) -> None:
        """Keep the digests of the entries that this signer signed (and every signer before)."""
        kept = {}
        for _, fields in sections[1:]:
            name = _name(fields)
            if name in signed:
                kept[name] = _digest(fields, "-digest")
        if len(self._signers) > 1:
            kept = {name: digest for name, digest in kept.items() if name in self._expected}
        self._expected = kept


def _verify_block(block: bytes, signed: bytes) -> der.Certificate:
    """Check a PKCS #7 SignedData (RFC 2315 section 9) over *signed*; return its signer."""
    kind, content, *_ = der.inside(block)
    if der.oid(kind) != _SIGNED_DATA:
        raise BrokenJarError("its signature block is no PKCS #7 signature")
    fields = der.inside(content.body)
    certificates = [
        der.certificate(value.whole)
        for field in fields
        if field.tag == 0xA0
        for value in der.values(field.body)
        if value.tag == der.SEQUENCE
    ]
    signer = der.inside(fields[-1].body) if fields[-1].tag == der.SET else []
    if len(signer) < 5:
        raise BrokenJarError("its signature block names no signer")
    issuer, serial = [*der.values(signer[1].body)][:2]
    owner = next(
        (c for c in certificates if c.issuer == issuer.whole and c.serial == serial.body), None
    )
    if owner is None:
        raise BrokenJarError("its signature block lacks the signer's certificate")
    return _check_signer(owner, signer, signed)


def _check_signer(
    owner: der.Certificate, signer: list[der.Value], signed: bytes
) -> der.Certificate:
    digest = _DIGEST_OIDS.get(der.oid(der.first(signer[2].body)))
    if digest is None:
        raise BrokenJarError("its signature uses an unknown digest")
    attributes = signer[3] if signer[3].tag == 0xA0 else None
    signature = signer[5 if attributes else 4]
    if attributes is not None:
        _check_message_digest(attributes.body, hashlib.new(digest, signed).digest())
        signed = b"\x31" + attributes.whole[1:]  # RFC 2315 section 9.3: signed as a SET
    if not is_signed_by(owner.public_key, signature.body, signed, digest):
        raise BrokenJarError("the signature is wrong")
    return owner


def _check_message_digest(attributes: bytes, expected: bytes) -> None:
    for attribute in der.values(attributes):
        kind, found = [*der.values(attribute.body)][:2]
        if der.oid(kind) == _MESSAGE_DIGEST and der.first(found.body).body == expected:
            return
    raise BrokenJarError("the signature is of another .SF file")


def _check_manifest(
    main: dict[str, str],
    named: list[tuple[bytes, dict[str, str]]],
    manifest: bytes,
    sections: list[tuple[bytes, dict[str, str]]],
) -> None:
    """Compare a .SF file's digests with MANIFEST.MF: as a whole, else section by section."""
    try:
        kind, value = _digest(main, "-digest-manifest")
        if hashlib.new(kind, manifest).digest() == value:
            return
    except BrokenJarError:
        pass
    raw = {_name(fields): body for body, fields in sections[1:]}
    for _, fields in named:
        kind, value = _digest(fields, "-digest")
        if hashlib.new(kind, raw.get(_name(fields), b"")).digest() != value:
            raise BrokenJarError("MANIFEST.MF was changed after it was signed")


def _digest(fields: dict[str, str], suffix: str) -> tuple[str, bytes]:
    """Return (algorithm, value) of the strongest digest."""
    for name, algorithm in _DIGESTS.items():
        if (value := fields.get(name + suffix)) is not None:
            try:
                return algorithm, base64.b64decode(value, validate=True)
            except (binascii.Error, ValueError):
                break
    raise BrokenJarError("it has a section without a readable digest")


def _sections(body: bytes) -> list[tuple[bytes, dict[str, str]]]:
    """Return (bytes with the empty line that ends it, attributes) of each section."""
    found, at = [], 0
    for end in _SECTION_END.finditer(body):
        found.append((body[at : end.end()], _attributes(body[at : end.start()])))
        at = end.end()
    if at < len(body):
        found.append((body[at:], _attributes(body[at:])))
    return found or [(b"", {})]


def _attributes(section: bytes) -> dict[str, str]:
    joined = re.sub(rb"(?:\r\n|\n|\r) ", b"", section)
    fields: dict[str, str] = {}
    for line in joined.splitlines():
        name, colon, value = line.partition(b": ")
        if colon:
            fields.setdefault(
                name.decode("latin-1").lower(), value.decode("utf-8", "surrogateescape")
            )
    return fields


def _name(fields: dict[str, str]) -> bytes:
    return fields.get("name", "").encode("utf-8", "surrogateescape")


def _needs_digest(name: bytes) -> bool:
    return not name.startswith(b"META-INF/") and not name.endswith(b"/")


def _read(read: Callable[[bytes], bytes | None], name: bytes) -> bytes:
    body = read(name)
    if body is None or len(body) > MAXIMUM_BYTES:
        raise BrokenJarError(f"{_text(name)} is missing or cannot be read")
    return body


def _text(name: bytes) -> str:
    return name[:200].decode("utf-8", "replace")
