"""Libraries of others are found with their versions, and rules about versions count right."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.scan import Verdict
from patterns import pattern_set, rule_source
from patterns.opened import OpenSet, open_data, open_set
from patterns.rule_language import Behaviour
from runtime.errors import MalformedMessageError
from scanner.again import judge_again
from scanner.isolation import scan_file
from scanner.libraries import is_between, version_in
from tests.scanner.conftest import Scan, rules_of
from tests.scanner.corpus import real_apk
from tests.scanner.samples.sample import build, read_pair, read_sample
from tests.scanner.test_again import ABOUT, features_of

RANGES = {
    rule.id: rule.library
    for rule in rule_source.read_source(pattern_set.SHIPPED).rules
    if isinstance(rule, Behaviour) and rule.library
}
AFFECTED = [
    ("okhttp_pinning_bypassed", "2.7.3 3.0.0 3.1.1", "2.7.4 2.7.5 3.1.2 3.12.13 4.0.0"),
    ("okhttp_host_names_confused", "3.0.0 3.14.9 4.9.1", "2.7.5 4.9.2 4.12.0 5.0.0"),
    ("gson_writes_inner_classes", "2.8.5 2.8.8", "2.8.9 2.10 2.13.2"),
    ("bcrypt_wrong_password", "1.65 1.66", "1.46 1.64 1.67 1.70"),
    ("play_services_open_intents", "15.0.1 18.0.1", "18.0.2 18.1.0 18.9.0"),
    ("jackson_deep_nesting", "2.9.8 2.12.6 2.13.0 2.13.2", "2.12.6.1 2.12.7 2.13.2.1 2.14.0"),
    ("protobuf_deep_nesting", "3.19.6 3.25.4 4.26.1 4.28.1", "3.25.5 4.27.5 4.28.2 4.29.0"),
    ("zip4j_leaves_folder", "1.2.4 1.3.2", "1.3.3 2.0"),
    ("cordova_list_ignored", "3.6.4 4.0.2 4.1.0", "4.1.1 5.0.0 12.0.1"),
    ("openssl_heartbleed", "1.0.1 1.0.1a 1.0.1f", "1.0.0t 1.0.1g 1.0.1u 1.0.2 1.1.1"),
    ("openssl_endless_certificate", "1.0.2u 1.0.2zc 1.1.0l 1.1.1m 3.0.1", "1.0.2zd 1.1.1n 3.0.2"),
    ("libpng_long_palette", "1.0.63 1.2.50 1.4.16 1.5.23 1.6.18", "1.2.54 1.4.17 1.5.24 1.6.37"),
    ("libvpx_encoder_overflow", "1.8.0 1.13.0", "1.13.1 1.14.0 1.16.0"),
    ("curl_long_host_name", "7.69.0 7.88.1 8.3.0", "7.68.0 8.4.0 8.11.0"),
    ("libupnp_long_search", "1.6.6 1.6.17", "1.6.18 1.14.1"),
]
"""Rule, versions with the hole, versions without, as the advisories name them."""


@pytest.mark.parametrize(("rule", "holes", "mended"), AFFECTED, ids=[row[0] for row in AFFECTED])
def test_a_rule_knows_the_versions_of_the_advisory(rule: str, holes: str, mended: str) -> None:
    def holds(version: str) -> bool:
        return any(is_between(version, one.since, one.before) for one in RANGES[rule])

    assert [version for version in holes.split() if not holds(version)] == []
    assert [version for version in mended.split() if holds(version)] == []


def test_every_rule_about_a_library_is_compared_with_its_advisory() -> None:
    assert sorted(RANGES) == sorted(row[0] for row in AFFECTED)


@given(st.lists(st.integers(0, 99_999), min_size=2, max_size=6))
def test_a_version_is_found_in_any_text_and_lies_before_the_next(numbers: list[int]) -> None:
    version = ".".join(map(str, numbers))
    later = ".".join(map(str, [*numbers[:-1], numbers[-1] + 1]))

    assert version_in(f"name/{version}\n") == version
    assert is_between(version, "", later)
    assert is_between(version, version, later)
    assert not is_between(later, "", version)
    assert is_between(f"{version}a", version, f"{version}z")
    assert is_between(f"{version}z", version, f"{version}za")


def test_a_text_without_a_version_has_none() -> None:
    assert version_in("name/seven") == ""


def test_the_finding_names_library_version_and_place(scan_here: Scan) -> None:
    result = scan_here(build(read_pair("openssl_heartbleed").sample))

    (finding,) = (one for one in result["findings"] if one["rule"] == "openssl_heartbleed")
    assert finding["where"] == "lib/arm64-v8a/libnative.so at 0x8"
    assert finding["evidence"].startswith("openssl 1.0.1f: OpenSSL 1.0.1f 6 Jan 2014")
    assert finding["reference"].endswith("CVE-2014-0160")


@pytest.mark.parametrize(
    "text",
    [
        'app(package="org.example.list")\nclass Names:\n    def text(self):\n'
        '        return "okhttp/3.1.1"',
        'file("lib/arm64-v8a/libnative.so", b"\\x7fELF" + b"OpenSSL 1.0.1f 6 Jan 2014")',
        'file("assets/about.txt", "libcurl/8.3.0 and libpng version 1.2.50")',
        'file("assets/pom.properties", "version=2.9.8")',
    ],
    ids=["names in code", "wants a library", "licences", "another file"],
)
def test_who_only_mentions_a_version_does_not_contain_the_library(
    text: str, scan_here: Scan
) -> None:
    result = scan_here(build(read_sample(text)))

    assert result["features"]["libraries"] == {}
    assert not rules_of(result) & RANGES.keys()


def test_a_real_app_with_an_old_library_is_told_but_stays_what_it_was(shipped: Path) -> None:
    result = scan_file(real_apk(), shipped)

    (found,) = (one for one in result.findings if one.rule == "okhttp_host_names_confused")
    assert found.evidence == "okhttp 3.11.0: okhttp/3.11.0"
    assert found.where.startswith("classes.dex at 0x")
    assert result.verdict in (Verdict.CLEAN, Verdict.UNWANTED)


def test_a_new_hole_is_found_without_reading_the_files_again(
    shipped: Path, tmp_path: Path, opened: OpenSet
) -> None:
    features = features_of(build(read_pair("zip4j_leaves_folder").near_miss), shipped)
    assert not {one.rule for one in judge_again(features, opened.data).findings} & RANGES.keys()

    source = tmp_path / "source"
    source.mkdir()
    for name in ("libraries.toml", "yara"):
        (source / name).symlink_to(pattern_set.SHIPPED / name)
    text = f'[[rule]]\nid = "news"{ABOUT}library = [{{ name = "zip4j", before = "1.3.4" }}]\n'
    (source / "behaviours.toml").write_text(text)
    pattern_set.build(source, tmp_path / "set.zip", "2.0")
    pattern_set.unpack(tmp_path / "set.zip", tmp_path / "set")
    judged = judge_again(json.loads(json.dumps(features)), open_data(str(tmp_path / "set")))

    assert [one.rule for one in judged.findings if one.severity == "medium"] == ["news"]
    assert judged.needs_file == ()


def test_libraries_are_no_rules_of_their_own(shipped: Path) -> None:
    compiled = {rule.identifier for rule in open_set(str(shipped)).yara}

    assert "library_okhttp" in compiled
    assert pattern_set.read_manifest(shipped).rules == len(
        rule_source.read_source(pattern_set.SHIPPED).rules
    )


GOOD = '[[library]]\nname = "one"\nkind = "elf"\nversion = "one/[0-9]\\\\.[0-9]"\n'
Write = Callable[[str], Path]


@pytest.mark.parametrize(
    ("libraries", "rule", "said"),
    [
        (GOOD * 2, '{ name = "one", before = "1.0" }', "Two libraries are called one."),
        (GOOD, '{ name = "two", before = "1.0" }', "libraries.toml does not know two."),
        (GOOD, '{ name = "one" }', "before"),
        (GOOD, '{ name = "one", before = "soon" }', "before"),
        (GOOD.replace("[0-9]\\\\.", "("), '{ name = "one", before = "1.0" }', "toml, one: "),
        (GOOD + "colour = 1\n", '{ name = "one", before = "1.0" }', "colour"),
    ],
    ids=["twice", "unknown", "no end", "no version", "no expression", "mistyped"],
)
def test_a_set_whose_libraries_are_not_in_order_is_not_built(
    libraries: str, rule: str, said: str, tmp_path: Path
) -> None:
    (tmp_path / "libraries.toml").write_text(libraries)
    (tmp_path / "behaviours.toml").write_text(f'[[rule]]\nid = "a_rule"{ABOUT}library = [{rule}]\n')

    with pytest.raises(MalformedMessageError) as caught:
        rule_source.read_source(tmp_path)

    assert said in str(caught.value)
