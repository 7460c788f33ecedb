"""Coverage-guided fuzzing of every parser that reads strange bytes (atheris, libFuzzer's options).

    python -m tests.scanner.fuzz CORPUS_FOLDER... [-runs=N] [-max_total_time=SECONDS]

The first byte of an input chooses the parser. A parser may refuse with its own error; everything
else (another exception, a hang, hunger) ends the process with a status that is not 0. Inputs that
reach new code are written to the first folder.
"""

import contextlib
import json
import random
import re
import sys
import tempfile
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["scanner"]):
    from scanner import app_traits, constant_rules, der, jar_signature, signing_block, starts
    from scanner.again import judge_again
    from scanner.app_code import AppCode
    from scanner.base64_text import code_in, from_base64
    from scanner.binary_xml import ANDROID, MAXIMUM_ATTRIBUTES, BinaryXml
    from scanner.block_signatures import verify
    from scanner.chunks import BrokenChunkError
    from scanner.container import Archive, Part
    from scanner.dense_formats import end_of
    from scanner.dex import BrokenDexError, Dex
    from scanner.evidence import Evidence
    from scanner.libraries import is_between, version_in
    from scanner.limits import MEBIBYTE, Limits
    from scanner.manifest_reader import read_manifest
    from scanner.manifest_values import NAME
    from scanner.resources import MAXIMUM_VALUES, Resources
    from scanner.scan import scan
    from scanner.signatures import Verifier, signed_directory
    from scanner.unpacking import gunzip
    from scanner.zip_records import directories, looks_like_archive

from patterns import pattern_set
from patterns.opened import OpenSet, open_set
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
_FOLLOWED = (
    "Landroid/widget/Toast;->makeText",
    "Landroid/content/Context;->startActivity",
    "Landroid/widget/Toast;->show",
)
_STEP = app_traits.STUB_CLAUSE["steps"][0]
_NUMBERED = {
    "2": {"equals": [1], "matches": "", "constant": None, "comes_from": [], "not_from": []}
}
_EXPRESSIONS = (
    r"^https?://", r"\bsu\b", r"(?i)content://sms", r"pm (un)?install", r"^[a-c]+d?$", r"a.b|cd",
    r"/system/(bin|xbin)/", r"x{2}y", r"chmod 0?[46]755 ",
)  # fmt: skip
_NOISE = random.Random(1).randbytes(app_traits.PAYLOAD_BYTES)
_LATEST = "9999999.0"
starts.FEW = 0  # so that small inputs reach the call graph, and what looks at numbers, too
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
    """Read a manifest: refused, or with a package. What it refers to may stand behind it."""
    table = data[data.find(b"\x02\x00\x0c\x00") :]
    with contextlib.suppress(BrokenChunkError):
        assert read_manifest(data, Resources(lambda: table)).package


def xml(data: bytes) -> None:
    """Walk any binary XML."""
    with contextlib.suppress(BrokenChunkError):
        for element in BinaryXml(data).elements():
            assert len(element) <= MAXIMUM_ATTRIBUTES
            element.given(NAME)
            element.named("name", ANDROID)


def table(data: bytes) -> None:
    """Look values up in resources."""
    found = Resources(lambda: data)
    for resource_id in (0x7F010000, 0x7F010001, 0x7F020000):
        assert len(found.values(resource_id)) <= MAXIMUM_VALUES
        assert all(found.texts(resource_id))


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
        for arguments in ({}, _NUMBERED):
            step = {**_STEP, "call": _FOLLOWED, "arguments": arguments}
            clause = {**app_traits.STUB_CLAUSE, "component": "", "methods": [], **start}
            asked = {**clause, "digest": f"{start}{arguments}", "steps": [step]}
            code.ask(asked, ["Lorg/example/sample/Main;"])
    found = code.traits("Lorg/example/sample/Main;", ["Lorg/example/sample/Main;"])
    code.notes(found)


def constants(data: bytes) -> None:
    """Look for texts that a rule asks for: never wrongly no."""
    text = data[1:].decode("utf-8", "ignore")
    expression = _EXPRESSIONS[data[0] % len(_EXPRESSIONS)] if data else _EXPRESSIONS[0]
    body = text.encode()
    if re.search(expression, text):
        assert constant_rules._may_match(expression, body, (0, len(body)))


def versions(data: bytes) -> None:
    """Find a version and compare it."""
    version = version_in(data.decode("latin-1"))
    if version:
        assert is_between(version, version, _LATEST)
        assert not is_between(version, "", version)


def payload(data: bytes) -> None:
    """Tell what is encrypted from what is dense by its build."""
    assert 0 <= end_of(data) <= len(data)
    from_base64(data, MEBIBYTE)
    assert len([*code_in(data)]) <= len(data)
    app_traits.is_payload(data * (1 + app_traits.PAYLOAD_BYTES // max(1, len(data))))
    app_traits.is_payload(data + _NOISE)


def whole(data: bytes) -> None:
    """Scan a file of any bytes."""
    _scan(data)


def app(data: bytes) -> None:
    """Scan an app of any manifest, code, resources and asset."""
    names = (b"AndroidManifest.xml", b"classes.dex", b"resources.arsc", b"assets/a")
    _scan(_archive(zip(names, data.split(b"\xfe\xfe"), strict=False)))


def packages(data: bytes) -> None:
    """Scan a set of two packages: each has a manifest, and one the code."""
    base, split, code, *_ = [*data.split(b"\xfe\xfe"), b"", b""]
    inside = (
        _archive([(b"AndroidManifest.xml", base), (b"classes.dex", code)]),
        _archive([(b"AndroidManifest.xml", split)]),
    )
    _scan(_archive(zip((b"base.apk", b"split.apk"), inside, strict=True)))


def _archive(files: Iterable[tuple[bytes, bytes]]) -> bytes:
    return Zip(entries=[Entry(name=name, body=body, method=0) for name, body in files]).bytes()


def _scan(data: bytes) -> None:
    found = scan(data, _shipped(), LIMITS)
    assert json.loads(json.dumps(found)) == found
    judge_again(found["features"], _shipped().data)


@cache
def _shipped() -> OpenSet:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pattern_set.build(pattern_set.SHIPPED, folder / "set.zip", "1.1")
        pattern_set.unpack(folder / "set.zip", folder / "set")
        return open_set(str(folder / "set"))


PARSERS: tuple[Callable[[bytes], None], ...] = (
    archive, manifest, xml, table, code, block, pairs, jar, certificate, members,
    program, constants, versions, payload, whole, app, packages,
)  # fmt: skip
"""The order is the kept corpus's: add at the end."""


def one_input(data: bytes) -> None:
    """Let the parser that the first byte names read the rest."""
    if data:
        PARSERS[data[0] % len(PARSERS)](data[1:])


if __name__ == "__main__":
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
