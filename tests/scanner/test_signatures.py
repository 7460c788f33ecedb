"""Our verdict on signatures agrees with Android's own tool, on good files and on broken ones."""

import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from scanner.container import Archive
from scanner.evidence import Evidence
from scanner.limits import DEFAULT
from scanner.signature_rules import findings_of
from scanner.signatures import SignatureFacts, SignerFacts, Verifier, signed_directory
from tests.scanner.apksig import Apksig
from tests.scanner.build_apk import DEBUG, App, build_apk
from tests.scanner.corpus import REAL_SIGNER, real_apk, second_real_apk
from tests.scanner.sign_apk import EVER, File, Signer, key, lineage
from tests.scanner.signed_corpus import ONE, PROOF, TARGET, THREE, TWO, Corpus

NEITHER = "apksigner forgets a scheme whose list of signers cannot be read; Android refuses the app"
KNOWN_DISAGREEMENTS = {
    " cut off": NEITHER,
    " empty": NEITHER,
    "bit 0 of": NEITHER,
    "two signers v3": "Android refuses two signers for one system, apksigner takes the last",
    "eleven signers": "Android takes ten at most",
    "pss": "Java has no RSASSA-PSS by the name that apksigner asks for",
}
MINIMUM = (21, 24, 28)


@pytest.fixture(scope="module")
def tool() -> Iterator[Apksig]:
    running = Apksig()
    yield running
    running.close()


@pytest.fixture(scope="module")
def corpus(tool: Apksig, tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return Corpus(tmp_path_factory.mktemp("signed"), tool)


def ours(
    data: bytes, minimum_sdk: int, target_sdk: int = 29, evidence: Evidence | None = None
) -> SignatureFacts:
    archive = Archive(data, "", evidence or Evidence(DEFAULT))
    if not archive.directories:
        return SignatureFacts()
    directory = signed_directory(archive.directories)
    verifier = Verifier(data, directory, archive.read, minimum_sdk, target_sdk)
    for part in archive.parts():
        if part.is_listed:
            verifier.check(part.raw_name, part.digest)
    return verifier.facts()


def rules(facts: SignatureFacts, now: str = "") -> set[str]:
    return {finding.rule for finding in findings_of(facts, now)}


def test_every_answer_is_apksigners(corpus: Corpus, tool: Apksig, tmp_path: Path) -> None:
    differ, asked = [], 0
    path = tmp_path / "asked.apk"
    for name, data in corpus.files():
        path.write_bytes(data)
        for minimum_sdk in MINIMUM:
            answer, facts = tool.verify(path, minimum_sdk), ours(data, minimum_sdk)
            asked += 1
            agrees = answer.is_good == facts.holds()
            if agrees and answer.is_good:
                agrees = answer.signers == set(facts.current)
                agrees &= answer.schemes <= {s for one in facts.signers for s in one.schemes}
            if not agrees and not any(word in name for word in KNOWN_DISAGREEMENTS):
                differ.append((name, minimum_sdk, answer, facts))
            if not agrees and "pss" not in name:
                assert not facts.holds(), name

    assert differ == []
    assert asked > 900


def test_real_apps_agree_with_apksigner(tool: Apksig) -> None:
    for path in (real_apk(), second_real_apk()):
        answer, facts = tool.verify(path, 19), ours(path.read_bytes(), 19)

        assert answer.is_good
        assert facts.holds(), facts
        assert answer.signers == set(facts.current)
        assert answer.schemes == set(facts.signers[0].schemes) == {"v1", "v2"}

    facts = ours(real_apk().read_bytes(), 19)
    assert facts.signers[0].sha256 == REAL_SIGNER
    assert facts.signers[0].subject == "CN=Android Debug, O=Android, C=US"
    assert facts.signers[0].key.startswith("RSA ")


def test_a_verified_signer_is_told_with_key_and_schemes(corpus: Corpus) -> None:
    (signer,) = ours(corpus.by_tool("told", "v1 v2 v3"), 21).signers

    assert (signer.sha256, signer.key) == (ONE.sha256, "RSA 2048")
    assert signer.schemes == ("v1", "v2", "v3")
    assert signer.not_after == "2039-12-27T00:00:00Z"


def test_a_rotated_key_names_the_keys_before(corpus: Corpus) -> None:
    extra = ("--lineage", corpus.lineage_of(ONE, TWO, THREE))
    facts = ours(corpus.by_tool("rot", "v1 v2 v3", ONE, TWO, THREE, extra=extra), 21)

    (newest,) = (signer for signer in facts.signers if signer.sha256 == THREE.sha256)
    assert newest.rotated_from == (ONE.sha256, TWO.sha256)
    assert facts.current == (THREE.sha256,)
    assert "signer_rotated" in rules(facts)


# Scheme v3.1, which Debian's apksigner does not know: vectors with their answers.


def rotated(
    first: int = 33,
    told: int | None = 33,
    v3_until: int = 32,
    past: tuple[object, ...] = (ONE, TWO),
    spoil: bool = False,
) -> Callable[[File], File]:
    def make(plain: File) -> File:
        attributes = [(TARGET, struct.pack("<I", told))] if told is not None else []
        new = Signer(
            key=TWO,
            sdk=(first, EVER),
            attributes=[(PROOF, lineage(*past))],  # type: ignore[arg-type]
        )
        old = Signer(key=ONE, sdk=(28, v3_until), attributes=attributes)
        made = plain.signed(v2=[Signer(key=ONE)], v3=[old], v31=[new])
        if spoil:
            number, body = made.pairs[-1]
            made.pairs[-1] = (number, body[:-1] + bytes([body[-1] ^ 1]))
        return made

    return make


def without_v31(plain: File) -> File:
    made = rotated()(plain)
    made.pairs.pop()
    return made


def only_v31(plain: File) -> File:
    return plain.signed(v31=[Signer(key=ONE, sdk=(33, EVER))])


@pytest.mark.parametrize(
    ("make", "minimum_sdk", "problem"),
    [
        (rotated(), 24, ""),
        (rotated(), 33, ""),
        (rotated(first=34, told=34, v3_until=33), 24, ""),
        (rotated(v3_until=EVER), 24, ""),
        (rotated(told=None), 24, ""),
        (rotated(first=35, v3_until=34), 24, "v3.1 it begins at API level 35, v3 says 33"),
        (rotated(first=34, told=34, v3_until=32), 24, "v3 no signer is named"),
        (rotated(past=(TWO, ONE)), 24, "v3.1 its proof of rotation leads to another certificate"),
        (rotated(past=(THREE, TWO)), 24, "v3.1 its proof of rotation is not signed by the key"),
        (rotated(past=(TWO,)), 24, "v3.1 its signer is not the one of the schemes before"),
        (rotated(spoil=True), 24, "v3.1 the signature is wrong"),
        (without_v31, 24, "v3.1 the v3 signature says it was there: taken away"),
        (only_v31, 33, ""),
    ],
    ids=range(13),
)
def test_scheme_v31(
    make: Callable[[File], File], minimum_sdk: int, problem: str, corpus: Corpus
) -> None:
    facts = ours(make(File.of(corpus.plain.read_bytes())).bytes(), minimum_sdk)

    said = [f"{scheme} {why}" for scheme, why in (*facts.problems, *facts.gaps)]
    if not problem:
        assert facts.holds(), said
        assert facts.current == ((ONE if make is only_v31 else TWO).sha256,)
    else:
        assert any(why.startswith(problem) for why in said), said


# What is told.


def test_what_is_missing_or_broken_is_told(corpus: Corpus) -> None:
    v1 = corpus.by_tool("v1-told", "v1")

    assert rules(ours(corpus.plain.read_bytes(), 21)) == {"signature_missing"}
    assert rules(ours(v1, 21)) == set()
    assert rules(ours(v1, 21, target_sdk=34)) == {"signature_gap"}
    assert rules(ours(corpus.by_tool("v2-told", "v2"), 21)) == {"signature_gap"}
    assert rules(ours(v1 + b"x", 21)) == {"signature_broken"}


def test_a_doubled_pair_of_the_signing_block_is_told(corpus: Corpus) -> None:
    file = File.of(corpus.by_tool("twice", "v2"))
    file.pairs.append(file.pairs[0])

    assert rules(ours(file.bytes(), 24)) == {"signature_block_odd"}


def test_a_broken_scheme_that_no_system_reads_is_a_note(corpus: Corpus) -> None:
    file = File.of(corpus.by_tool("unused", "v2 v3"))
    file.pairs = [(n, body[:-1] if n == 0x7109871A else body) for n, body in file.pairs]

    assert "signature_broken" in rules(ours(file.bytes(), 24))
    assert rules(ours(file.bytes(), 28)) == {"signature_unused_broken"}


def test_weak_and_expired_keys_are_told(corpus: Corpus) -> None:
    plain = File.of(corpus.plain.read_bytes())
    weak = ours(plain.signed(v2=[Signer(key=key("rsa1024"))]).bytes(), 24)
    good = ours(plain.signed(v2=[Signer(key=ONE)]).bytes(), 24)

    assert rules(weak) == {"weak_signature"}
    assert weak.weak == ("the key is only RSA 1024",)
    assert rules(good, now="2026-11-22T00:00:00Z") == set()
    assert rules(good, now="2041-01-01T00:00:00Z") == {"signer_expired"}


def test_the_debug_key_is_unwanted_at_most(tmp_path: Path) -> None:
    facts = ours(build_apk(tmp_path / "debug.apk", App(key=DEBUG)).read_bytes(), 24)

    (finding,) = findings_of(facts)
    assert (finding.rule, finding.severity) == ("debug_key", "low")


def test_a_name_that_only_contains_android_debug_is_no_debug_key() -> None:
    signer = SignerFacts("00", "CN=Not CN=Android Debug at all", "", "", ("v2",))

    assert rules(SignatureFacts((signer,))) == set()
