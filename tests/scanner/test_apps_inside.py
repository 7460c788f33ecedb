"""Apps that an app carries, and sets of split packages, are judged like an app of their own."""

import io
import json
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from contracts.scan import Verdict
from patterns.opened import OpenSet
from scanner import judgement_rules
from scanner.again import judge_again
from scanner.cli import scan as command
from scanner.deep_analysis import deepen
from scanner.evidence import Finding
from scanner.isolation import scan_file
from scanner.scan import MOST_JUDGED
from tests.scanner.conftest import Scan, rules_of
from tests.scanner.samples.dex_writer import write_dex
from tests.scanner.samples.sample import (
    Sample,
    build,
    classes_of,
    manifest,
    read_pair,
    read_sample,
)
from tests.scanner.sign_apk import File, Signer, key
from tests.scanner.test_container import EICAR, archive

SPY = read_pair("sms_forwarder")
HONEST = read_sample("""
@launcher
class Main(Activity):
    def onCreate(self, state):
        super().onCreate(state)
        Toast.makeText(self, "hello", 1).show()
""")
TRUSTED = "org.thoughtcrime.securesms"


def signed(sample: Sample, name: str = "one") -> bytes:
    """Build *sample*, signed with the key of that name."""
    return File.of(build(sample)).signed(v2=[Signer(key=key("rsa2048", name))]).bytes()


def carrying(files: dict[str, bytes]) -> bytes:
    return signed(replace(HONEST, files=files))


def places(result: dict[str, Any], rule: str) -> list[str]:
    return [one["where"] for one in result["findings"] if one["rule"] == rule]


def verdict(result: dict[str, Any]) -> Verdict:
    """Judge as the parent of the scanning process does."""
    findings = [Finding(**one) for one in result["findings"]]
    return judgement_rules.judge(findings, result["skipped"])


# Apps that an app carries.


def test_an_app_inside_is_judged_with_its_own_manifest_and_code(scan_here: Scan) -> None:
    result = scan_here(carrying({"assets/plugin.apk": signed(SPY.sample)}))

    assert result["package"] == HONEST.package
    assert places(result, "sms_forwarder")[0].startswith("assets/plugin.apk!/classes.dex at 0x")
    assert verdict(result) is Verdict.SUSPICIOUS


def test_an_honest_app_inside_changes_nothing(scan_here: Scan) -> None:
    result = scan_here(carrying({"assets/plugin.apk": signed(SPY.near_miss)}))

    assert rules_of(result) == set()
    assert verdict(result) is Verdict.CLEAN


def test_an_unsigned_app_inside_is_no_fault_of_the_one_around_it(scan_here: Scan) -> None:
    result = scan_here(carrying({"assets/theme.apk": build(HONEST)}))

    assert places(result, "signature_missing") == ["assets/theme.apk!/signature"]
    assert verdict(result) is Verdict.CLEAN


def test_a_changed_copy_inside_is_told_by_its_signer(scan_here: Scan) -> None:
    copy = signed(replace(HONEST, package=TRUSTED))

    result = scan_here(carrying({"assets/messenger.apk": copy}))

    assert places(result, "repackaged_app") == ["assets/messenger.apk!/signature"]
    assert verdict(result) is Verdict.MALICIOUS


def test_an_app_in_an_archive_in_an_app_is_found_once(scan_here: Scan) -> None:
    middle = carrying({"assets/inner.zip": archive({"spy.apk": signed(SPY.sample)})})

    result = scan_here(carrying({"assets/middle.apk": middle}))

    (place,) = places(result, "sms_forwarder")
    assert place.startswith("assets/middle.apk!/assets/inner.zip!/spy.apk!/classes.dex at 0x")


def test_code_of_an_app_inside_still_counts_for_the_one_around_it(scan_here: Scan) -> None:
    only_code = archive({"classes.dex": entry(build(SPY.sample), "classes.dex")})
    plain = replace(SPY.near_miss, classes={}, files={"assets/code.jar": only_code})

    assert scan_here(signed(plain))["features"]["references"]


def entry(apk: bytes, name: str) -> bytes:
    return zipfile.ZipFile(io.BytesIO(apk)).read(name)


def test_more_apps_than_are_judged_are_told(scan_here: Scan) -> None:
    one = signed(HONEST)
    many = {f"assets/{number}.apk": one for number in range(MOST_JUDGED + 2)}

    result = scan_here(carrying(many))

    assert sum("more apps than are judged" in reason for reason in result["skipped"]) == 2
    assert verdict(result) is Verdict.UNSCANNABLE


def test_a_broken_manifest_inside_is_told(scan_here: Scan) -> None:
    broken = archive({"AndroidManifest.xml": b"\x03\x00\x08\x00" + b"\xff" * 40})

    result = scan_here(carrying({"assets/a.apk": broken}))

    assert any("assets/a.apk!/AndroidManifest.xml" in reason for reason in result["skipped"])


# Sets of split packages.


def split_of(sample: Sample, name: str) -> Sample:
    """Return *sample* as a split package with its code, but without its components."""
    return replace(sample, split=name, classes={}, permissions=())


def with_classes(sample: Sample, *wanted: str) -> bytes:
    """Return the signed package of *sample* with those of its classes whose names end so."""
    code = [one for one in classes_of(SPY.sample) if one.name.rstrip(";").endswith(wanted)]
    body = archive({"AndroidManifest.xml": manifest(sample), "classes.dex": write_dex(code)})
    return File.of(body).signed(v2=[Signer(key=key("rsa2048", "one"))]).bytes()


BASE = with_classes(SPY.sample, "Inbox")
"""The receiver of the spy; the code that sends is in a split."""
REST = with_classes(split_of(SPY.sample, "courier"), "Courier")


def a_set(base: bytes, **splits: bytes) -> bytes:
    about = json.dumps({"package_name": SPY.sample.package}).encode()
    more = {f"{name}.apk": body for name, body in splits.items()}
    return archive({"manifest.json": about, "base.apk": base, **more}, zipfile.ZIP_STORED)


def test_a_behaviour_that_is_spread_over_splits_is_found(scan_here: Scan) -> None:
    whole = scan_here(a_set(BASE, courier=REST))

    assert (whole["package"], whole["skipped"]) == (SPY.sample.package, [])
    assert whole["splits"] == ["base.apk", "courier.apk"]
    (place,) = places(whole, "sms_forwarder")
    assert place.startswith("base.apk!/classes.dex at 0x")
    assert verdict(whole) is Verdict.SUSPICIOUS


def test_an_honest_set_is_clean_and_says_who_signed_it(scan_here: Scan) -> None:
    honest = a_set(signed(HONEST), de=signed(split_of(HONEST, "config.de")))

    result = scan_here(honest)

    assert [one["sha256"] for one in result["signers"]] == [key("rsa2048", "one").sha256]
    assert result["permissions"] == [*HONEST.permissions]
    assert "nested_app" not in result["features"]["traits"]
    assert (rules_of(result), verdict(result)) == (set(), Verdict.CLEAN)


def test_a_split_decides_and_is_named(scan_here: Scan) -> None:
    split = replace(split_of(HONEST, "extra"), files={"assets/test.txt": EICAR})

    result = scan_here(a_set(signed(HONEST), extra=signed(split)))

    assert places(result, "eicar_test_file") == ["extra.apk!/assets/test.txt at 0x0"]
    assert verdict(result) is Verdict.MALICIOUS


def test_a_split_of_another_signer_is_suspicious(scan_here: Scan) -> None:
    result = scan_here(a_set(signed(HONEST), de=signed(split_of(HONEST, "config.de"), "two")))

    assert places(result, "signature_splits_differ") == ["de.apk!/signature"]
    assert verdict(result) is Verdict.SUSPICIOUS


def test_an_unsigned_split_is_told(scan_here: Scan) -> None:
    result = scan_here(a_set(signed(HONEST), de=build(split_of(HONEST, "config.de"))))

    assert places(result, "signature_missing") == ["de.apk!/signature"]
    assert "signature_splits_differ" in rules_of(result)


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ({"a.apk": split_of(HONEST, "a"), "b.apk": split_of(HONEST, "b")}, "without its base"),
        ({"a.apk": HONEST, "b.apk": replace(HONEST, package="org.example.b")}, "holds 2 apps"),
    ],
    ids=["no base", "several apps"],
)
def test_what_is_no_set_of_one_app_is_never_clean(
    members: dict[str, Sample], said: str, scan_here: Scan
) -> None:
    result = scan_here(archive({name: signed(one) for name, one in members.items()}))

    assert any(said in reason for reason in result["skipped"])
    assert verdict(result) is Verdict.UNSCANNABLE


def test_each_of_several_apps_is_judged_alone(scan_here: Scan) -> None:
    apps = {"a.apk": signed(HONEST), "b.apk": signed(replace(SPY.sample, package="org.example.b"))}

    result = scan_here(archive(apps))

    assert places(result, "sms_forwarder")[0].startswith("b.apk!/classes.dex at 0x")
    assert (result["package"], result["splits"]) == ("", [])
    assert verdict(result) is Verdict.SUSPICIOUS


def test_a_split_whose_manifest_cannot_be_read_is_never_clean(scan_here: Scan) -> None:
    broken = archive({"AndroidManifest.xml": b"\x03\x00\x08\x00" + b"\xff" * 40})

    result = scan_here(a_set(signed(HONEST), de=broken))

    assert any("de.apk!/AndroidManifest.xml" in reason for reason in result["skipped"])
    assert verdict(result) is Verdict.UNSCANNABLE


def test_an_app_that_the_base_of_a_set_carries_is_judged(scan_here: Scan) -> None:
    base = carrying({"assets/plugin.apk": signed(SPY.sample)})

    result = scan_here(a_set(base, de=signed(split_of(HONEST, "config.de"))))

    place = places(result, "sms_forwarder")[0]
    assert place.startswith("base.apk!/assets/plugin.apk!/classes.dex at 0x")


# The same from what was kept, and from the outside.


@pytest.mark.parametrize(
    "data",
    [
        carrying({"assets/plugin.apk": signed(SPY.sample)}),
        carrying({"assets/m.apk": signed(replace(HONEST, package=TRUSTED))}),
        a_set(BASE, courier=REST),
        archive({"a.apk": signed(replace(SPY.sample, package="org.b")), "b.apk": signed(HONEST)}),
    ],
    ids=["spy inside", "copy inside", "spread over splits", "two apps"],
)
def test_judging_again_says_what_the_scan_said(
    data: bytes, scan_here: Scan, opened: OpenSet
) -> None:
    result = json.loads(json.dumps(scan_here(data)))

    again = judge_again(result["features"], opened.data)

    told = {(one["rule"], one["where"], one["severity"]) for one in result["findings"]}
    assert {(one.rule, one.where, one.severity) for one in again.findings} == told
    assert (again.verdict, again.needs_file) == (verdict(result), ())


def test_a_set_is_scanned_in_the_child_and_by_the_command(shipped: Path, tmp_path: Path) -> None:
    path = tmp_path / "app.xapk"
    path.write_bytes(a_set(BASE, courier=REST))

    result = scan_file(path, shipped)
    said = CliRunner().invoke(command, ["--json", "--patterns", str(shipped), str(path)])
    deep = deepen(path, result)

    assert (result.verdict, result.splits) == (Verdict.SUSPICIOUS, ("base.apk", "courier.apk"))
    assert said.exit_code == 1
    assert json.loads(said.stdout)["splits"] == ["base.apk", "courier.apk"]
    assert deep.findings[-1].rule == "deep_analysis_gap"
    assert "split packages" in deep.findings[-1].evidence
