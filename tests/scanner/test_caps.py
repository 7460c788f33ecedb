"""What a scan judges is everything; what is kept of it is bounded, and what was cut is told."""

import hashlib
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.scan import Verdict
from patterns.opened import open_data, open_set
from scanner.again import judge_again
from scanner.features import (
    MAXIMUM_COMPONENTS,
    MAXIMUM_HASHES,
    MAXIMUM_KEPT_TEXT,
    kept_components,
)
from scanner.keep import INNER_COMPONENTS
from scanner.scan import scan
from tests.scanner.conftest import SMALL, Make, Scan, rules_of
from tests.scanner.samples.dex_writer import write_dex
from tests.scanner.samples.sample import build, classes_of, manifest, read_pair, read_sample
from tests.scanner.test_again import ABOUT, again
from tests.scanner.test_container import archive

SPY = read_pair("sms_forwarder").sample
DECOY = "@receiver(actions=['org.example.A{0}'])\nclass A{0}(BroadcastReceiver):\n    pass\n"
SAME = "@receiver(actions=['org.example.A'])\nclass A{0}(BroadcastReceiver):\n    pass\n"


def behind(decoy: str, number: int) -> bytes:
    """Build the spy with so many components that stand before its own in the manifest."""
    decoys = read_sample("".join(decoy.format(one) for one in range(number)))
    crowded = replace(SPY, classes={**decoys.classes, **SPY.classes})
    code = write_dex(classes_of(SPY))
    return archive({"AndroidManifest.xml": manifest(crowded), "classes.dex": code})


def kept(result: dict[str, Any]) -> dict[str, Any]:
    return dict(json.loads(json.dumps(result["features"])))


@pytest.mark.parametrize("decoy", [DECOY, SAME], ids=["all different", "all the same"])
def test_a_component_behind_a_thousand_decoys_is_judged(decoy: str, scan_here: Scan) -> None:
    result = scan_here(behind(decoy, MAXIMUM_COMPONENTS + 100))

    assert "sms_forwarder" in rules_of(result)
    assert len(result["features"]["components"]) == MAXIMUM_COMPONENTS
    assert result["features"]["counts"]["components_not_kept"] == 101


def test_a_rule_about_components_that_were_not_kept_needs_the_file(
    make: Make, scan_here: Scan
) -> None:
    rule = f'[[rule]]\nid = "asks"{ABOUT}[rule.all]\nactions = ["org.example.A1050"]\n'
    plain = f'[[rule]]\nid = "plain"{ABOUT}[rule.all]\npermissions = ["x.y.Z"]\n'
    folder = make(behaviours_toml=f"{rule}{plain}")

    different = scan_here(behind(DECOY, MAXIMUM_COMPONENTS + 100))
    same = scan_here(behind(SAME, MAXIMUM_COMPONENTS + 100))

    assert again(kept(different), folder).needs_file == ("asks",)
    assert again(kept(same), folder).needs_file == ()


def test_what_differs_by_name_only_answers_nothing_more(make: Make, scan_here: Scan) -> None:
    features = kept(scan_here(behind(SAME, MAXIMUM_COMPONENTS + 100)))
    action = "android.provider.Telephony.SMS_RECEIVED"
    rule = f'[[rule]]\nid = "asks"{ABOUT}[rule.all]\nactions = ["{action}"]\n'

    said = again(features, make(behaviours_toml=rule))

    assert [one.rule for one in said.findings] == ["asks", "signature_missing"]
    assert said.needs_file == ()


def test_an_app_inside_keeps_less_and_says_so(make: Make, scan_here: Scan) -> None:
    inner = behind(DECOY, INNER_COMPONENTS + 100)
    rule = f'[[rule]]\nid = "asks"{ABOUT}[rule.all]\nactions = ["org.example.A250"]\n'
    folder = make(behaviours_toml=rule)

    result = scan_here(archive({"assets/plugin.apk": inner, "AndroidManifest.xml": manifest(SPY)}))

    assert "sms_forwarder" in rules_of(result)
    (app,) = result["features"]["apps"]
    assert (len(app["components"]), app["components_cut"]) == (INNER_COMPONENTS, True)
    assert again(kept(result), folder).needs_file == ("asks",)


def test_features_from_before_that_was_told_are_judged_as_they_were(
    make: Make, scan_here: Scan
) -> None:
    features = kept(scan_here(build(SPY)))
    del features["components_cut"]
    rule = f'[[rule]]\nid = "asks"{ABOUT}[rule.all]\nactions = ["org.example.A"]\n'

    said = again(features, make(behaviours_toml=rule))

    assert (said.verdict, said.needs_file) == (Verdict.UNWANTED, ())


# Hashes.


def known_bad(make: Make, body: bytes) -> Any:
    rule = f'[[rule]]\nid = "listed_file"{ABOUT}kind = "sha256"\nvalues = ["{{}}"]\n'
    return make(lists__a_toml=rule.format(hashlib.sha256(body).hexdigest()))


@pytest.mark.parametrize("whole", [True, False], ids=["an app", "no app"])
def test_a_known_file_behind_many_small_ones_is_found(whole: bool, make: Make) -> None:
    bad = b"\x7fELF known to be bad"
    small = {f"lib/{n}.so": b"\x7fELF%d" % n for n in range(MAXIMUM_HASHES + 10)}
    app = {"AndroidManifest.xml": manifest(SPY)} if whole else {}
    data = archive({**app, **small, "lib/last.so": bad})
    folder = known_bad(make, bad)

    result = scan(data, open_set(str(folder)), SMALL)

    assert [f["where"] for f in result["findings"] if f["rule"] == "listed_file"] == ["lib/last.so"]
    features = kept(result)
    assert (len(features["hashes"]), features["hashes_cut"]) == (MAXIMUM_HASHES, True)
    assert judge_again(features, open_data(str(folder))).needs_file == ("listed_file",)


def test_a_bare_dex_file_is_compared_with_known_ones(make: Make) -> None:
    body = write_dex(classes_of(SPY))

    result = scan(body, open_set(str(known_bad(make, body))), SMALL)

    assert rules_of(result) == {"listed_file"}


# What is kept.

shapes = st.tuples(st.just("service"), st.text("abc", max_size=2), st.sampled_from("xyz"))


@given(st.lists(shapes, max_size=40), st.integers(1, 30))
def test_what_is_kept_has_every_shape_before_any_twice_over(
    found: list[tuple[str, str, str]], most: int
) -> None:
    chosen, is_cut = kept_components(found, most)
    kinds = {part[2] for part in found}

    assert len(chosen) == min(most, len(found))
    assert is_cut == (len(kinds) > most)
    assert is_cut or {part[2] for part in chosen} == kinds


def test_what_is_too_long_to_keep_takes_no_room_from_others() -> None:
    long, short = ("service", "n", "x" * (MAXIMUM_KEPT_TEXT + 1)), ("service", "m", "y")

    assert kept_components([long, short], 10) == ([[*short]], True)
