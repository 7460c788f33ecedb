"""APK signature schemes v2, v3 and v3.1, each signer of them.

https://source.android.com/docs/security/features/apksigning/v2 (and v3, v3-1) define them; which of
several signatures counts, and what makes Android refuse, is as in its verifiers.
"""

from collections.abc import Iterable
from typing import NamedTuple

from scanner import der
from scanner.content_digest import Content
from scanner.signing_block import (
    EVERY_LATER_SDK,
    FIRST_SDK,
    SCHEMES,
    V3,
    Block,
    BrokenSignatureError,
    Scheme,
    Signature,
    number_at,
    prefixed,
    sequence,
)
from scanner.signing_keys import is_signed_by
from scanner.zip_records import Buffer, Directory

STRIPPING_PROTECTION = 0xBEEFF00D
PROOF_OF_ROTATION = 0x3BA06F8C
ROTATION_TARGET = 0x559F8B02
MAXIMUM_SIGNERS = 10
MAXIMUM_PAST = 50
_V2_REFERENCES = {3: V3}


class Algorithm(NamedTuple):
    """How a signature id is to be read."""

    key: str
    content: str
    digest: str
    pss: bool = False
    first_sdk: int = 24


ALGORITHMS = {
    0x0101: Algorithm("RSA", "sha256", "sha256", pss=True),
    0x0102: Algorithm("RSA", "sha512", "sha512", pss=True),
    0x0103: Algorithm("RSA", "sha256", "sha256"),
    0x0104: Algorithm("RSA", "sha512", "sha512"),
    0x0201: Algorithm("EC", "sha256", "sha256"),
    0x0202: Algorithm("EC", "sha512", "sha512"),
    0x0301: Algorithm("DSA", "sha256", "sha256"),
    0x0421: Algorithm("RSA", "verity", "sha256", first_sdk=28),
    0x0423: Algorithm("EC", "verity", "sha256", first_sdk=28),
    0x0425: Algorithm("DSA", "verity", "sha256", first_sdk=28),
}
_STRENGTH = ("sha256", "verity", "sha512")
Told = list[tuple[int, bytes]]


def verify(data: Buffer, directory: Directory, block: Block, minimum_sdk: int) -> list[Scheme]:
    """Return the outcome of each scheme in *block*, for systems from *minimum_sdk* on."""
    content = Content(data, directory, block.start)
    found = []
    for number, name in SCHEMES.items():
        if number in block.pairs:
            lowest = max(minimum_sdk, FIRST_SDK[name])
            try:
                found.append(_verify_scheme(name, block.pairs[number], lowest, content, block))
            except (BrokenSignatureError, der.BrokenDerError) as error:
                found.append(Scheme(name, problem=str(error)))
    return found


def _verify_scheme(name: str, body: bytes, lowest: int, content: Content, block: Block) -> Scheme:
    signers = list(sequence(prefixed(body)[0]))
    if not 1 <= len(signers) <= MAXIMUM_SIGNERS:
        raise BrokenSignatureError(f"it has {len(signers)} signers")
    if name == "v2":
        found = [_verify_v2(signer, lowest, content, block) for signer in signers]
    else:
        found = [_verify_v3(signer, lowest, content) for signer in signers]
    return Scheme(name, tuple(found))


def _verify_v2(signer: bytes, lowest: int, content: Content, block: Block) -> Signature:
    signed, rest = prefixed(signer)
    owner, kinds, attributes = _verify_signer(signed, rest, lowest, content, 0)
    for attribute in sequence(attributes):
        if number_at(attribute) == STRIPPING_PROTECTION:
            scheme = number_at(attribute, 4)
            if _V2_REFERENCES.get(scheme, V3) not in block.pairs and scheme in _V2_REFERENCES:
                raise BrokenSignatureError(f"a signature of scheme v{scheme} was taken away")
    return Signature(owner, FIRST_SDK["v2"], EVERY_LATER_SDK, digests=kinds)


def _verify_v3(signer: bytes, lowest: int, content: Content) -> Signature:
    signed, rest = prefixed(signer)
    first, last = number_at(rest), number_at(rest, 4)
    if first > last:
        raise BrokenSignatureError(f"it is for the systems from {first} to {last}")
    lowest = max(lowest, first)
    owner, kinds, attributes = _verify_signer(signed, rest[8:], lowest, content, 8)
    if _versions(signed) != (first, last):
        raise BrokenSignatureError("the system versions in it differ")
    past: tuple[der.Certificate, ...] = ()
    target = None
    for attribute in sequence(attributes):
        kind = number_at(attribute)
        if kind == PROOF_OF_ROTATION:
            past = _earlier(attribute[4:], owner)
        elif kind == ROTATION_TARGET:
            target = number_at(attribute, 4)
    return Signature(owner, first, last, past, target, kinds)


def _versions(signed: bytes) -> tuple[int, int]:
    rest = prefixed(prefixed(signed)[1])[1]
    return number_at(rest), number_at(rest, 4)


def _verify_signer(
    signed: bytes, rest: bytes, lowest: int, content: Content, skip: int
) -> tuple[der.Certificate, tuple[str, ...], bytes]:
    """Return (owner, digests that count, attributes); *skip* bytes of versions precede those."""
    signatures, rest = prefixed(rest)
    public_key, _ = prefixed(rest)
    told = _told(signatures)
    counted = _that_count(told, lowest)
    for number, value in counted:
        if not _holds(number, public_key, value, signed):
            raise BrokenSignatureError("the signature is wrong")
    digests, rest = prefixed(signed)
    certificates, rest = prefixed(rest)
    contents = _told(digests)
    if [number for number, _ in contents] != [number for number, _ in told]:
        raise BrokenSignatureError("digests and signatures are of different kinds")
    owner = _owner(certificates, public_key)
    kinds = {ALGORITHMS[number].content for number, _ in counted}
    for number, value in contents:
        known = ALGORITHMS.get(number)
        if known and known.content in kinds and value != content.digest(known.content):
            raise BrokenSignatureError("the file was changed after it was signed")
    return owner, tuple(sorted(kinds)), prefixed(rest[skip:])[0]


def _told(pairs: bytes) -> Told:
    return [(number_at(pair), prefixed(pair[4:])[0]) for pair in sequence(pairs)]


def _that_count(told: Told, lowest: int) -> Told:
    """Return the strongest signature for each system that knows more algorithms than the last."""
    best: dict[int, tuple[int, bytes]] = {}
    for number, value in told:
        known = ALGORITHMS.get(number)
        if known is None:
            continue
        other = best.get(known.first_sdk)
        if other is None or _strength(number) > _strength(other[0]):
            best[known.first_sdk] = (number, value)
    if not best:
        raise BrokenSignatureError("it names no known algorithm")
    if lowest < min(best):
        raise BrokenSignatureError(f"systems before {min(best)} know none of its algorithms")
    return list(best.values())


def _strength(number: int) -> int:
    return _STRENGTH.index(ALGORITHMS[number].content)


def _holds(number: int, public_key: bytes, value: bytes, signed: bytes) -> bool:
    known = ALGORITHMS[number]
    return is_signed_by(public_key, value, signed, known.digest, known.pss, known.key)


def _owner(certificates: bytes, public_key: bytes) -> der.Certificate:
    found = [der.certificate(body) for body in sequence(certificates)]
    if not found or found[0].public_key != public_key:
        raise BrokenSignatureError("the key is not the certificate's")
    return found[0]


def _earlier(lineage: bytes, owner: der.Certificate) -> tuple[der.Certificate, ...]:
    """Return the certificates before *owner*; each has signed its successor."""
    if number_at(lineage) != 1:
        raise BrokenSignatureError("its proof of rotation is of an unknown version")
    found: list[der.Certificate] = []
    algorithm = 0
    for node in _nodes(lineage[4:]):
        algorithm = _check_node(node, found, algorithm)
    if not found or found[-1].der != owner.der:
        raise BrokenSignatureError("its proof of rotation leads to another certificate")
    return tuple(found[:-1])


def _nodes(body: bytes) -> Iterable[bytes]:
    nodes = list(sequence(body))
    if len(nodes) > MAXIMUM_PAST:
        raise BrokenSignatureError(f"its proof of rotation has {len(nodes)} steps")
    return nodes


def _check_node(node: bytes, found: list[der.Certificate], algorithm: int) -> int:
    """Check one step and append its certificate; return the algorithm of the next step."""
    signed, rest = prefixed(node)
    signature, _ = prefixed(rest[8:])
    body, tail = prefixed(signed)
    certificate = der.certificate(body)
    if found:
        known = algorithm in ALGORITHMS and number_at(tail) == algorithm
        if not known or not _holds(algorithm, found[-1].public_key, signature, signed):
            raise BrokenSignatureError("its proof of rotation is not signed by the key before")
    if certificate.der in {earlier.der for earlier in found}:
        raise BrokenSignatureError("its proof of rotation returns to an earlier certificate")
    found.append(certificate)
    return number_at(rest, 4)
