"""The samples' own writers are right: Android's tools read the same out of what they write."""

import struct
import subprocess
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from patterns import pattern_set, rule_source
from patterns.rule_language import Behaviour
from scanner.manifest_reader import read_manifest
from tests.scanner.samples.dex_model import ClassBody
from tests.scanner.samples.dex_writer import write_dex
from tests.scanner.samples.sample import (
    APPS,
    DISGUISED,
    build,
    classes_of,
    manifest,
    names_of,
    read_pair,
    texts_of,
)

RULES = sorted(path.stem for path in APPS.glob("*.app"))
NAMED = {"metasploit_stage", "ahmyth_client", "obfuscated_by_stringfog"}
"""Rules about names: their near misses have others."""
LIBRARIES = {
    rule.id
    for rule in rule_source.read_source(pattern_set.SHIPPED).rules
    if isinstance(rule, Behaviour) and rule.library
}
"""Rules about versions, which are texts: their near misses have the version that mends it."""


def tables(dex: bytes) -> dict[str, Sequence[object]]:
    """Return strings and the rows of the other tables, without what only tells where data lies."""
    numbers = struct.unpack_from("<14I", dex, 0x38)
    strings = [_text(dex, at) for (at,) in _rows(dex, numbers[0:2], "<I")]
    return {
        "strings": [*strings],
        "types": _rows(dex, numbers[2:4], "<I"),
        "prototypes": [row[:2] for row in _rows(dex, numbers[4:6], "<III")],
        "fields": _rows(dex, numbers[6:8], "<HHI"),
        "methods": _rows(dex, numbers[8:10], "<HHI"),
        "classes": sorted(row[0:3:2] for row in _rows(dex, numbers[10:12], "<8I")),
    }


def _rows(dex: bytes, place: tuple[int, ...], shape: str) -> list[tuple[int, ...]]:
    count, at = place
    size = struct.calcsize(shape)
    return [*struct.iter_unpack(shape, dex[at : at + count * size])]


def _text(dex: bytes, at: int) -> bytes:
    while dex[at] & 0x80:
        at += 1
    return dex[at + 1 : dex.index(0, at + 1)]


def all_classes() -> list[ClassBody]:
    """Return the classes of every sample, each sample in a package of its own."""
    found = []
    for number, rule in enumerate(RULES):
        sample = replace(read_pair(rule).sample, package=f"org.example.n{number}")
        found += [*classes_of(sample), *classes_of(sample, DISGUISED)]
    return [*{one.name: one for one in found}.values()]


def test_smali_puts_the_same_code_together_from_what_baksmali_reads(tmp_path: Path) -> None:
    ours, theirs = tmp_path / "ours.dex", tmp_path / "theirs.dex"
    ours.write_bytes(write_dex(all_classes()))

    run("baksmali", "disassemble", str(ours), "-o", str(tmp_path / "text"))
    run("smali", "assemble", "--api", "24", str(tmp_path / "text"), "-o", str(theirs))
    run("baksmali", "disassemble", str(theirs), "-o", str(tmp_path / "again"))

    assert tables(theirs.read_bytes()) == tables(ours.read_bytes())
    assert texts_below(tmp_path / "again") == texts_below(tmp_path / "text")
    assert sum(path.suffix == ".smali" for path in (tmp_path / "text").rglob("*")) > 200


def texts_below(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): path.read_text("utf-8") for path in folder.rglob("*.smali")
    }


def run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("rule", ["icon_remover", "page_of_a_stranger"])
def test_aapt_reads_our_manifests(rule: str, tmp_path: Path) -> None:
    sample = read_pair(rule).sample
    path = tmp_path / "a.apk"
    path.write_bytes(build(sample))

    said = subprocess.run(
        ["aapt", "dump", "badging", str(path)], capture_output=True, text=True, check=True
    ).stdout
    tree = subprocess.run(
        ["aapt", "dump", "xmltree", str(path), "AndroidManifest.xml"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout

    assert f"package: name='{sample.package}' versionCode='1' versionName='1.0'" in said
    assert "sdkVersion:'24'" in said
    for permission in sample.permissions:
        assert f"uses-permission: name='android.permission.{permission}'" in said
    for component in read_manifest(manifest(sample)).components:
        assert f'"{component.name}"' in tree
        for action in component.actions:
            assert f'"{action}"' in tree
    assert zipfile.ZipFile(path).testzip() is None


@pytest.mark.parametrize("rule", RULES)
def test_sample_and_near_miss_differ_in_behaviour_only(rule: str) -> None:
    pair = read_pair(rule)
    sample, near = classes_of(pair.sample), classes_of(pair.near_miss)

    assert len(pair.difference) > 10
    assert build(pair.sample) != build(pair.near_miss)
    assert pair.sample.files.keys() == pair.near_miss.files.keys()
    assert pair.sample.permissions == pair.near_miss.permissions
    if rule not in NAMED | LIBRARIES:
        assert manifest(pair.sample) == manifest(pair.near_miss)
        assert texts_of(sample) == texts_of(near)
        assert names_of(sample) == names_of(near)


@pytest.mark.parametrize("rule", RULES)
def test_a_disguised_sample_has_no_name_or_text_of_its_own_left(rule: str) -> None:
    sample = read_pair(rule).sample
    plain, hidden = classes_of(sample), classes_of(sample, DISGUISED)
    own = {one.name for one in plain}

    assert not own & {one.name for one in hidden}
    assert not texts_of(plain) & texts_of(hidden) - {""}
    fields = {field.name for one in plain for field, _ in one.fields}
    assert not fields & {field.name for one in hidden for field, _ in one.fields}
