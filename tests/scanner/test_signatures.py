"""Our verdict on signatures agrees with Android's own tool, on good files and on broken ones."""

import shutil
import struct
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from scanner.container import Archive
from scanner.evidence import Evidence
from scanner.limits import DEFAULT
from scanner.signature_rules import findings_of
from scanner.signatures import SignatureFacts, SignerFacts, Verifier
from scanner.zip_records import END
from tests.scanner.build_apk import DEBUG, OWN, App, build_apk, sign
from tests.scanner.corpus import REAL_SIGNER, real_apk

NOTHING_KNOWN: dict[str, list[dict[str, str]]] = {"official": [], "public_key": []}
V1, V2, V3 = "v1", "v2", "v3"
SETS = [{V1}, {V2}, {V3}, {V1, V2}, {V2, V3}, {V1, V2, V3}]


def ours(path: Path, minimum_sdk: int) -> SignatureFacts:
    data = path.read_bytes()
    archive = Archive(data, "", Evidence(DEFAULT))
    verifier = Verifier(data, archive.directories[0], archive.read, minimum_sdk)
    for part in archive.parts():
        if part.is_listed:
            verifier.check(part.raw_name, part.data)
    return verifier.facts()


def is_good(facts: SignatureFacts) -> bool:
    return bool(facts.signers) and not facts.problems and not facts.unsupported


def apksigner(path: Path, minimum_sdk: int) -> tuple[bool, set[str], set[str]]:
    """Return (verifies, schemes, certificate digests) as Android's tool says."""
    done = subprocess.run(
        [
            *("apksigner", "verify", "-v", "--print-certs"),
            *("--min-sdk-version", str(minimum_sdk), str(path)),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    lines = done.stdout.splitlines()
    schemes = {
        line.split()[2]
        for line in lines
        if line.startswith("Verified using v") and line.endswith("true")
    }
    digests = {line.split()[-1] for line in lines if "certificate SHA-256 digest" in line}
    return done.returncode == 0, schemes, digests


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory) -> Callable[[set[str]], Path]:
    folder = tmp_path_factory.mktemp("signed")
    unsigned = build_apk(
        folder / "none.apk", App(schemes=frozenset(), minimum_sdk=21, target_sdk=29)
    )

    def make(schemes: set[str]) -> Path:
        out = folder / f"{'-'.join(sorted(schemes))}.apk"
        if not out.exists():
            sign(unsigned, out, OWN, frozenset(schemes), 24)
        return out

    return make


@pytest.mark.parametrize("schemes", SETS, ids=lambda names: "-".join(sorted(names)))
def test_good_files_agree_with_apksigner(
    schemes: set[str], signed: Callable[[set[str]], Path]
) -> None:
    lowest = 21 if V1 in schemes else (24 if V2 in schemes else 28)
    good, told, digests = apksigner(signed(schemes), lowest)
    facts = ours(signed(schemes), lowest)

    assert good
    assert is_good(facts), facts
    assert {signer.sha256 for signer in facts.signers} == digests
    assert set(facts.signers[0].schemes) == schemes
    assert told <= schemes


def test_the_real_app_agrees_with_apksigner() -> None:
    good, schemes, digests = apksigner(real_apk(), 19)
    facts = ours(real_apk(), 19)

    assert good
    assert is_good(facts)
    assert digests == {REAL_SIGNER} == {signer.sha256 for signer in facts.signers}
    assert set(facts.signers[0].schemes) == schemes == {V1, V2}
    assert facts.signers[0].subject == "CN=Android Debug, O=Android, C=US"


def flip(path: Path, needle: bytes, offset: int = 0) -> None:
    body = bytearray(path.read_bytes())
    body[body.index(needle) + offset] ^= 1
    path.write_bytes(body)


def rewritten(path: Path, change: Callable[[str, bytes], bytes | None]) -> None:
    """Write the archive anew without signing block; *change* may alter or drop (None) entries."""
    with zipfile.ZipFile(path) as old:
        entries = [(name, old.read(name)) for name in old.namelist()]
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for name, body in entries:
            kept = change(name, body)
            if kept is not None:
                new.writestr(name, kept)


def in_entry_data(path: Path) -> None:
    flip(path, b"resources.arsc", 20)


def in_directory(path: Path) -> None:
    body = bytearray(path.read_bytes())
    body[body.rindex(b"PK\x01\x02") + 12] ^= 1  # a time
    path.write_bytes(body)


def in_signature(path: Path) -> None:
    flip(path, struct.pack("<I", 0x7109871A), 60)


def block_size(path: Path) -> None:
    flip(path, b"APK Sig Block 42", -8)


def end_record(path: Path) -> None:
    body = path.read_bytes()
    end = body.rindex(END)
    path.write_bytes(body[:end] + body[end : end + 20] + struct.pack("<H", 4) + b"more")


def entry_changed(path: Path) -> None:
    rewritten(path, lambda name, body: body + b" " if name == "resources.arsc" else body)


def entry_dropped(path: Path) -> None:
    rewritten(path, lambda name, body: None if name == "resources.arsc" else body)


def manifest_changed(path: Path) -> None:
    rewritten(
        path,
        lambda name, body: body.replace(b"=", b"+", 1) if name.endswith("/MANIFEST.MF") else body,
    )


def signature_file_changed(path: Path) -> None:
    rewritten(path, lambda name, body: body + b"\r\n" if name.endswith(".SF") else body)


def block_changed(path: Path) -> None:
    def change(name: str, body: bytes) -> bytes:
        return body[:-5] + bytes([body[-5] ^ 1]) + body[-4:] if name.endswith(".RSA") else body

    rewritten(path, change)


def block_stripped(path: Path) -> None:
    rewritten(path, lambda name, body: body)


def entry_added(path: Path) -> None:
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("assets/new.bin", b"new")


@pytest.mark.parametrize(
    ("schemes", "damage"),
    [
        ({V2, V3}, in_entry_data),
        ({V2}, in_directory),
        ({V3}, in_directory),
        ({V2}, in_signature),
        ({V2}, block_size),
        ({V2}, end_record),
        ({V1}, entry_changed),
        ({V1}, entry_dropped),
        ({V1}, entry_added),
        ({V1}, manifest_changed),
        ({V1}, signature_file_changed),
        ({V1}, block_changed),
        ({V1, V2, V3}, block_stripped),
        ({V1, V2}, block_stripped),
        ({V1, V2}, entry_added),
    ],
    ids=lambda value: value.__name__ if callable(value) else "-".join(sorted(value)),
)
def test_broken_files_agree_with_apksigner(
    schemes: set[str],
    damage: Callable[[Path], None],
    signed: Callable[[set[str]], Path],
    tmp_path: Path,
) -> None:
    path = tmp_path / "broken.apk"
    shutil.copyfile(signed(schemes), path)
    damage(path)
    lowest = 21 if V1 in schemes else (24 if V2 in schemes else 28)

    assert not apksigner(path, lowest)[0]
    facts = ours(path, lowest)
    assert not is_good(facts)
    assert next(f.rule for f in findings_of(facts, "x", NOTHING_KNOWN)) in (
        "signature_broken",
        "signature_missing",
    )


def test_metadata_may_be_added_to_a_v1_signed_app(
    signed: Callable[[set[str]], Path], tmp_path: Path
) -> None:
    path = tmp_path / "more.apk"
    shutil.copyfile(signed({V1}), path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("META-INF/channel", b"")

    assert apksigner(path, 21)[0]
    assert is_good(ours(path, 21))


def test_an_unsigned_app_is_told(signed: Callable[[set[str]], Path]) -> None:
    facts = ours(signed({V1}).with_name("none.apk"), 21)

    assert [finding.rule for finding in findings_of(facts, "x", NOTHING_KNOWN)] == [
        "signature_missing"
    ]


def test_the_debug_key_is_unwanted_at_most(tmp_path: Path) -> None:
    facts = ours(build_apk(tmp_path / "debug.apk", App(key=DEBUG)), 24)

    (finding,) = findings_of(facts, "x", NOTHING_KNOWN)
    assert (finding.rule, finding.severity) == ("debug_key", "low")


def test_a_name_that_only_contains_android_debug_is_no_debug_key() -> None:
    signer = SignerFacts("00", "CN=Not CN=Android Debug at all", "", "", ("v2",))

    assert not list(findings_of(SignatureFacts((signer,)), "x", NOTHING_KNOWN))
