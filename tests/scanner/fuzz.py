"""Coverage-guided fuzzing of every parser that reads strange bytes (atheris, libFuzzer's options).

    python -m tests.scanner.fuzz CORPUS_FOLDER... [-runs=N] [-max_total_time=SECONDS]

The first byte of an input chooses the parser. A parser may refuse with its own error; everything
else (another exception, a hang, hunger) ends the process with a status that is not 0. Inputs that
reach new code are written to the first folder.
"""

import contextlib
import json
import sys
from collections.abc import Callable

import atheris

with atheris.instrument_imports(include=["scanner"]):
    from scanner import app_traits, der, jar_signature, signing_block
    from scanner.app_code import AppCode
    from scanner.binary_xml import BinaryXml
    from scanner.block_signatures import verify
    from scanner.chunks import BrokenChunkError
    from scanner.container import Archive, Part
    from scanner.dex import BrokenDexError, Dex
    from scanner.evidence import Evidence
    from scanner.limits import MEBIBYTE, Limits
    from scanner.manifest import read_manifest
    from scanner.resources import find_string
    from scanner.signatures import Verifier, signed_directory
    from scanner.unpacking import gunzip
    from scanner.zip_records import directories, looks_like_archive

from tests.scanner.raw_zip import Entry, Zip
from tests.scanner.sign_apk import V2, V3, V31, File

LIMITS = Limits(
    entry_bytes=MEBIBYTE,
    total_bytes=4 * MEBIBYTE,
    ratio_free_bytes=64 * 1024,
    entries=2000,
    seconds=30,
)
_EMPTY = File.of(Zip(entries=[Entry(name=b"a", body=b"b")]).bytes())
_FOLLOWED = ("Landroid/content/Context;->startActivity", "Landroid/widget/Toast;->show")
_STEP = app_traits.STUB_CLAUSE["steps"][0]
_CALLS = ("Ljava/lang/String;->length", "Lb;->c", "La;-><init>")


def archive(data: bytes) -> None:
    """Read every part of an archive, and its signatures."""
    evidence = Evidence(LIMITS)
    looks_like_archive(data)
    found = Archive(data, "", evidence)
    verifier = None
    if found.directories:
        verifier = Verifier(data, signed_directory(found.directories), found.read, 1, 34)
    for part in found.parts():
        assert len(part.data) <= max(LIMITS.entry_bytes, len(data)) + 1
        part.offset(max(0, len(part.data) - 1))
        if verifier and part.is_listed:
            verifier.check(part.raw_name, part.digest)
    assert evidence.unpacked_bytes <= LIMITS.total_bytes + LIMITS.entry_bytes + 2 * len(data)
    if verifier:
        verifier.facts()
    json.dumps([finding._asdict() for finding in evidence.all_findings()])


def manifest(data: bytes) -> None:
    """Read a manifest: refused, or with a package."""
    with contextlib.suppress(BrokenChunkError):
        assert read_manifest(data).package


def xml(data: bytes) -> None:
    """Walk any binary XML."""
    with contextlib.suppress(BrokenChunkError):
        for element in BinaryXml(data).elements():
            assert len(element.attributes) <= 100


def table(data: bytes) -> None:
    """Look a text up in resources."""
    assert isinstance(find_string(data, 0x7F010000), str)


def code(data: bytes) -> None:
    """Search the tables of byte code."""
    with contextlib.suppress(BrokenDexError):
        Dex(data).calls(_CALLS)


def block(data: bytes) -> None:
    """Verify whatever stands where the signing block stands."""
    file = File(_EMPTY.entries + data, _EMPTY.directory, _EMPTY.end).bytes()
    found = next(directories(file, 10))
    verify(file, found, signing_block.find_block(file, found), 24)


def pairs(data: bytes) -> None:
    """Verify a well-formed block of any v2, v3 and v3.1 bodies."""
    pieces = data.split(b"\xfe\xfe")[:3]
    body = list(zip((V2, V3, V31), pieces, strict=False))
    file = File(_EMPTY.entries, _EMPTY.directory, _EMPTY.end, body).bytes()
    found = next(directories(file, 10))
    for scheme in verify(file, found, signing_block.find_block(file, found), 24):
        assert scheme.problem or scheme.signatures


def jar(data: bytes) -> None:
    """Verify a v1 signature whose three files are anything."""
    parts = [*data.split(b"\xfe\xfe"), b"", b""][:3]
    names = (b"META-INF/MANIFEST.MF", b"META-INF/A.SF", b"META-INF/A.RSA")
    files = dict(zip(names, parts, strict=True))
    signature = jar_signature.JarSignature([*files, b"a"], files.get)
    signature.check(b"a", Part("a", b"b").digest)
    assert signature.outcome() is not None


def certificate(data: bytes) -> None:
    """Read a certificate."""
    with contextlib.suppress(der.BrokenDerError):
        der.certificate(data)


def members(data: bytes) -> None:
    """Unpack gzip."""
    assert len(gunzip(data, MEBIBYTE).data) <= MEBIBYTE


def program(data: bytes) -> None:
    """Follow byte code from wherever a rule may begin; what is damaged is told, never raised."""
    code = AppCode(Evidence(LIMITS))
    code.add("classes.dex", data, b"digest")
    code.references((*app_traits.REFERENCES, *_FOLLOWED))
    for start in ({"component": "x"}, {"extends": ["Landroid/app/Activity;"]}, {}):
        step = {**_STEP, "call": _FOLLOWED}
        clause = {**app_traits.STUB_CLAUSE, "component": "", "methods": [], **start}
        code.ask({**clause, "digest": str(start), "steps": [step]}, ["Lorg/example/Main;"])
    code.traits("Lorg/example/Main;", ["Lorg/example/Main;"])


PARSERS: tuple[Callable[[bytes], None], ...] = (
    archive, manifest, xml, table, code, block, pairs, jar, certificate, members,
    program,
)  # fmt: skip
"""The order is the kept corpus's: add at the end."""


def one_input(data: bytes) -> None:
    """Let the parser that the first byte names read the rest."""
    if data:
        PARSERS[data[0] % len(PARSERS)](data[1:])


if __name__ == "__main__":
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
