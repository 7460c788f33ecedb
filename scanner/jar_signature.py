"""APK signature scheme v1: a signed JAR (JAR File Specification, "Signed JAR File").

MANIFEST.MF holds a digest of each entry, NAME.SF digests of MANIFEST.MF, and NAME.RSA, .DSA or .EC
a PKCS #7 signature of NAME.SF.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Callable, Iterable
from typing import NamedTuple

from scanner import der
from scanner.signing_block import Scheme, Signature
from scanner.signing_keys import is_signed_by

MANIFEST = b"META-INF/MANIFEST.MF"
MAXIMUM_BYTES = 32 * 1024 * 1024
MAXIMUM_SIGNERS = 10
_SIGNATURE = re.compile(rb"META-INF/([^/]{1,200})\.(RSA|DSA|EC)", re.IGNORECASE)
_SECTION_END = re.compile(rb"(?:\r\n|\n|\r(?!\n)){2,}")
_PLAIN_SECTION = re.compile(
    r"Name: ([\x20-\x7e]+)\r\n([A-Za-z0-9-]+): ([\x20-\x7e]+)\r\n\r\n(?![\r\n])"
)
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


class _Section(NamedTuple):
    raw: bytes
    """With the empty line that ends it."""
    fields: dict[str, str]
    name: bytes


class BrokenJarError(Exception):
    """The signature does not hold; the text says why. Stays inside the scanner."""


class JarSignature:
    """Verifies v1: signature and manifest at once, each entry when it comes by."""

    def __init__(self, names: Iterable[bytes], read: Callable[[bytes], bytes | None]) -> None:
        self._signers: dict[bytes, Signature] = {}
        self._problem = ""
        self._expected: dict[bytes, tuple[str, bytes]] = {}
        self._seen: set[bytes] = set()
        self.other_schemes: set[int] = set()
        """What ``X-Android-APK-Signed`` says; such a scheme must be there."""
        self._names = set(names)
        blocks = sorted(name for name in self._names if _SIGNATURE.fullmatch(name))
        self.is_there = bool(blocks)
        if not blocks:
            return
        try:
            if len(blocks) > MAXIMUM_SIGNERS:
                raise BrokenJarError(f"it has {len(blocks)} signers")
            self._verify(blocks, read)
        except (BrokenJarError, der.BrokenDerError) as error:
            self._problem = str(error)

    def check(self, name: bytes, digest: Callable[[str], bytes]) -> None:
        """Compare one entry, of which *digest* gives those by name, with the manifest."""
        if not self.is_there or self._problem or not _needs_digest(name):
            return
        expected = self._expected.pop(name, None)
        if expected is None:
            twice = f"{_text(name)} is there twice"
            self._problem = twice if name in self._seen else f"{_text(name)} is not signed"
        elif digest(expected[0]) != expected[1]:
            self._problem = f"{_text(name)} was changed after it was signed"
        self._seen.add(name)

    def outcome(self) -> Scheme | None:
        """Return what was found after all entries came by; None: there is no such signature."""
        if not self.is_there:
            return None
        missing = next((name for name in self._expected if _needs_digest(name)), None)
        if not self._problem and missing is not None:
            self._problem = f"{_text(missing)} is signed, but not there"
        signatures = () if self._problem else tuple(self._signers.values())
        return Scheme("v1", signatures, self._problem)

    def _verify(self, blocks: list[bytes], read: Callable[[bytes], bytes | None]) -> None:
        manifest = _read(read, MANIFEST)
        sections = _sections(manifest)
        names = [section.name for section in sections[1:]]
        if len(set(names)) < len(names):
            raise BrokenJarError("MANIFEST.MF names an entry twice")
        if missing := next((n for n in names if _needs_digest(n) and n not in self._names), b""):
            raise BrokenJarError(f"MANIFEST.MF names {_text(missing)}, which is not there")
        for index, block in enumerate(blocks):
            file_name = block.rsplit(b".", 1)[0] + b".SF"
            body = _read(read, file_name)
            owner, digest = _verify_block(_read(read, block), body)
            main, *named = _sections(body)
            if "signature-version" not in main.fields:
                raise BrokenJarError(f"{_text(file_name)} names no version")
            self._note_schemes(main.fields)
            _check_manifest(main.fields, named, manifest, sections)
            kinds = self._keep({section.name for section in named}, sections, index == 0)
            self._signers[owner.der] = Signature(owner, digests=tuple(sorted({digest, *kinds})))

    def _note_schemes(self, main: dict[str, str]) -> None:
        for word in main.get("x-android-apk-signed", "").split(","):
            if word.strip().isdigit():
                self.other_schemes.add(int(word))

    def _keep(self, signed: set[bytes], sections: list[_Section], is_first: bool) -> set[str]:
        """Keep the digests of the entries that this signer signed (and every signer before)."""
        kept = {one.name: _digest(one.fields) for one in sections[1:] if one.name in signed}
        if not is_first:
            kept = {name: digest for name, digest in kept.items() if name in self._expected}
        self._expected = kept
        return {kind for kind, _ in kept.values()}


def _verify_block(block: bytes, signed: bytes) -> tuple[der.Certificate, str]:
    """Check a PKCS #7 SignedData (RFC 2315 section 9) over *signed*; return signer and digest."""
    kind, content = _two(der.inside(block))
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
    issuer, serial = _two([*der.values(signer[1].body)])
    owner = next(
        (c for c in certificates if c.issuer == issuer.whole and c.serial == serial.body), None
    )
    if owner is None:
        raise BrokenJarError("its signature block lacks the signer's certificate")
    return _check_signer(owner, signer, signed)


def _check_signer(
    owner: der.Certificate, signer: list[der.Value], signed: bytes
) -> tuple[der.Certificate, str]:
    digest = _DIGEST_OIDS.get(der.oid(der.first(signer[2].body)))
    if digest is None:
        raise BrokenJarError("its signature uses an unknown digest")
    attributes = signer[3] if signer[3].tag == 0xA0 else None
    if len(signer) < (6 if attributes else 5):
        raise BrokenJarError("its signature block is cut off")
    signature = signer[5 if attributes else 4]
    if attributes is not None:
        _check_message_digest(attributes.body, hashlib.new(digest, signed).digest())
        signed = b"\x31" + attributes.whole[1:]  # RFC 2315 section 9.3: signed as a SET
    if not is_signed_by(owner.public_key, signature.body, signed, digest):
        raise BrokenJarError("the signature is wrong")
    return owner, digest


def _two(values: list[der.Value]) -> tuple[der.Value, der.Value]:
    if len(values) < 2:
        raise BrokenJarError("its signature block is cut off")
    return values[0], values[1]


def _check_message_digest(attributes: bytes, expected: bytes) -> None:
    for attribute in der.values(attributes):
        kind, found = _two([*der.values(attribute.body)])
        if der.oid(kind) == _MESSAGE_DIGEST and der.first(found.body).body == expected:
            return
    raise BrokenJarError("the signature is of another .SF file")


def _check_manifest(
    main: dict[str, str],
    named: list[_Section],
    manifest: bytes,
    sections: list[_Section],
) -> None:
    """Compare a .SF file's digests with MANIFEST.MF: as a whole, else section by section."""
    by_signtool = "signtool" in main.get("created-by", "")
    if (
        not by_signtool
        and _matches(main, "-digest-manifest-main-attributes", sections[0].raw) is False
    ):
        raise BrokenJarError("the head of MANIFEST.MF was changed after it was signed")
    if _matches(main, "-digest" if by_signtool else "-digest-manifest", manifest):
        return
    raw = {section.name: section.raw for section in sections[1:]}
    for section in named:
        kind, value = _digest(section.fields)
        if hashlib.new(kind, raw.get(section.name, b"")).digest() != value:
            raise BrokenJarError("MANIFEST.MF was changed after it was signed")


def _matches(fields: dict[str, str], suffix: str, body: bytes) -> bool | None:
    """Whether the digest is of *body*; None: there is none."""
    try:
        kind, value = _digest(fields, suffix)
    except BrokenJarError:
        return None
    return hashlib.new(kind, body).digest() == value


def _digest(fields: dict[str, str], suffix: str = "-digest") -> tuple[str, bytes]:
    """Return (algorithm, value) of the strongest digest."""
    for name, algorithm in _DIGESTS.items():
        if (value := fields.get(name + suffix)) is not None:
            try:
                return algorithm, base64.b64decode(value, validate=True)
            except (binascii.Error, ValueError):
                break
    raise BrokenJarError("it has a section without a readable digest")


def _sections(body: bytes) -> list[_Section]:
    text = body.decode("latin-1")  # a letter a byte
    found, at = [], 0
    while at < len(body):
        if plain := _PLAIN_SECTION.match(text, at):  # nearly all are
            name, kind, value = plain.groups()
            fields = {kind.lower(): value, "name": name}
            found.append(_Section(body[at : plain.end()], fields, name.encode()))
            at = plain.end()
        else:
            end = _SECTION_END.search(body, at)
            stop, after = (end.start(), end.end()) if end else (len(body), len(body))
            fields = _attributes(body[at:stop])
            name = fields.get("name", "")
            found.append(_Section(body[at:after], fields, name.encode("utf-8", "surrogateescape")))
            at = after
    return found or [_Section(b"", {}, b"")]


def _attributes(section: bytes) -> dict[str, str]:
    joined = section
    if b"\n " in section or b"\r " in section:
        joined = re.sub(rb"(?:\r\n|\n|\r) ", b"", section)
    fields: dict[str, str] = {}
    for line in joined.splitlines():
        name, colon, value = line.partition(b": ")
        if colon:
            fields.setdefault(
                name.decode("latin-1").lower(), value.decode("utf-8", "surrogateescape")
            )
    return fields


def _needs_digest(name: bytes) -> bool:
    return not name.startswith(b"META-INF/") and not name.endswith(b"/")


def _read(read: Callable[[bytes], bytes | None], name: bytes) -> bytes:
    body = read(name)
    if body is None or len(body) > MAXIMUM_BYTES:
        raise BrokenJarError(f"{_text(name)} is missing or cannot be read")
    return body


def _text(name: bytes) -> str:
    return name[:200].decode("utf-8", "replace")
