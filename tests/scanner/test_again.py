"""Judging an app again from its kept features says what a scan of the file would say."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.scan import Verdict
from patterns.opened import OpenSet, open_data, open_set
from scanner.again import OLDER, Again, judge_again
from scanner.known_rules import is_nearly, plain
from scanner.limits import DEFAULT
from scanner.scan import scan
from tests.scanner.build_apk import App, build_apk
from tests.scanner.conftest import Make
from tests.scanner.corpus import real_apk, second_real_apk
from tests.scanner.test_container import EICAR, archive

ABOUT = """
title = "For tests"
severity = "medium"
category = "trojan"
meaning = "It does what is tested here."
why = "Nobody else does what is tested here."
"""
YARA = """rule {name} {{ meta:
 title = "For tests" severity = "high" category = "trojan" technique = "T1404"
 meaning = "It carries the marker of the tests." why = "Nobody else uses this very marker text."
 strings: $a = "{text}" condition: $a }}
"""


def features_of(data: bytes, folder: Path) -> dict[str, Any]:
    """Return the kept features as management gets them back from its database."""
    kept: dict[str, Any] = json.loads(json.dumps(scan(data, open_set(str(folder)), DEFAULT)))
    return dict(kept["features"])


def again(features: dict[str, Any], folder: Path) -> Again:
    return judge_again(features, open_data(str(folder)))


@pytest.mark.parametrize("apk", [real_apk, second_real_apk], ids=["first", "second"])
def test_the_same_set_says_the_same_without_the_file(
    apk: Callable[[], Path], opened: OpenSet
) -> None:
    said = scan(apk().read_bytes(), opened, DEFAULT)

    judged = judge_again(json.loads(json.dumps(said["features"])), opened.data)

    assert [finding._asdict() for finding in judged.findings] == said["findings"]
    assert judged.needs_file == ()
    assert len(json.dumps(said["features"])) < 64 * 1024


def test_a_new_rule_over_manifest_and_known_calls_needs_no_file(make: Make, tmp_path: Path) -> None:
    app = App(permissions=["android.permission.READ_SMS"], calls=["Ljava/lang/System;->gc()V"])
    asks = f'[[rule]]\nid = "old"{ABOUT}[rule.all]\ncalls = ["Ljava/lang/System;->exit"]\n'
    features = features_of(
        build_apk(tmp_path / "a.apk", app).read_bytes(), make(behaviours_toml=asks)
    )
    reads = (
        f'[[rule]]\nid = "reads"{ABOUT}[rule.all]\npermissions = ["android.permission.READ_SMS"]\n'
    )
    ends = f'{reads}calls = ["Ljava/lang/System;->exit"]\n'

    judged = again(features, make(behaviours_toml=reads))
    assert (judged.verdict, [f.rule for f in judged.findings]) == (Verdict.SUSPICIOUS, ["reads"])
    assert judged.needs_file == ()
    judged = again(features, make(behaviours_toml=ends))
    assert (judged.verdict, judged.needs_file) == (Verdict.CLEAN, ())


def test_what_was_never_looked_for_needs_the_file_only_when_all_else_holds(
    make: Make, tmp_path: Path
) -> None:
    app = App(permissions=["android.permission.READ_SMS"], calls=["Ljava/lang/System;->gc()V"])
    nothing = f'[[rule]]\nid = "old"{ABOUT}target_sdk_below = 5\n'
    data = build_apk(tmp_path / "a.apk", app).read_bytes()
    features = features_of(data, make(behaviours_toml=nothing))

    def rule(permission: str, *more: str) -> str:
        return "\n".join(
            (
                f'[[rule]]\nid = "new"{ABOUT}[rule.all]',
                f'permissions = ["android.permission.{permission}"]',
                *more,
            )
        )

    call = 'calls = ["Ljava/lang/System;->gc"]'
    code = '[[rule.code]]\nsteps = [{ call = ["Ljava/lang/System;->gc"] }]'
    for more in (call, code):
        assert again(features, make(behaviours_toml=rule("READ_SMS", more))).needs_file == ("new",)
        assert again(features, make(behaviours_toml=rule("CAMERA", more))).needs_file == ()
        scanned = scan(data, open_set(str(make(behaviours_toml=rule("READ_SMS", more)))), DEFAULT)
        assert [finding["rule"] for finding in scanned["findings"]] == ["new"]


def test_an_answer_about_code_is_kept_and_serves_rules_with_the_same_question(
    make: Make, tmp_path: Path
) -> None:
    data = build_apk(tmp_path / "a.apk", App(calls=["Ljava/lang/System;->gc()V"])).read_bytes()
    code = '[[rule.code]]\nsteps = [{ call = ["Ljava/lang/System;->gc"] }]'
    features = features_of(data, make(behaviours_toml=f'[[rule]]\nid = "old"{ABOUT}{code}'))

    judged = again(
        features, make(behaviours_toml=f'[[rule]]\nid = "new"{ABOUT}no_launcher = false\n{code}')
    )

    assert [finding.rule for finding in judged.findings] == ["new"]
    assert "talk uses Ljava/lang/System;->gc" in judged.findings[0].evidence


def test_only_yara_rules_that_changed_need_the_file(make: Make) -> None:
    one, two = (
        YARA.format(name="one_rule", text="marker"),
        YARA.format(name="two_rule", text="x9x9x"),
    )
    data = archive({"a": b"here is a marker"})
    features = features_of(data, make(yara__a_yar=one))

    judged = again(features, make(yara__a_yar=f"/* moved */\n{two}\n{one}"))
    assert ([f.rule for f in judged.findings], judged.needs_file) == (["one_rule"], ("two_rule",))
    judged = again(features, make(yara__a_yar=one.replace("marker", "markers")))
    assert (judged.findings, judged.needs_file) == ((), ("one_rule",))
    assert judged.verdict is Verdict.UNSCANNABLE  # it is no app


def test_lists_and_known_signers_are_judged_without_the_file(make: Make, tmp_path: Path) -> None:
    app = App(
        package="com.example.messenger",
        label="Messengerly",
        files={"assets/x.zip": archive({"x": EICAR})},
    )
    nothing = make(behaviours_toml=f'[[rule]]\nid = "old"{ABOUT}target_sdk_below = 5\n')
    said = scan(build_apk(tmp_path / "a.apk", app).read_bytes(), open_set(str(nothing)), DEFAULT)
    features = json.loads(json.dumps(said))["features"]
    (signer,), ((entry, where),) = (
        features["signers"],
        [(h, w) for h, w in features["hashes"].items() if w == "assets/x.zip"],
    )

    def listed(kind: str, value: str) -> Again:
        rule = f'[[rule]]\nid = "in_list"{ABOUT}kind = "{kind}"\nvalues_file = "known.txt"\n'
        return again(
            features,
            make(lists__a_toml=rule, **{"lists__known.txt": f"# remark\n{value} Family\n"}),
        )

    assert [f.rule for f in listed("package", "com.example.messenger").findings] == ["in_list"]
    assert [f.rule for f in listed("signer", signer).findings] == ["in_list"]
    assert [f.where for f in listed("sha256", entry + "0" * 32).findings] == [where]
    assert listed("signer", "0" * 64).findings == ()

    def known(package: str, label: str, features: dict[str, Any] = features) -> list[str]:
        text = (
            f'[[official]]\npackage = "{package}"\npublisher = "Example"\n'
            f'sha256 = ["{"0" * 64}"]\nlabels = ["{label}"]\n'
        )
        old = f'[[rule]]\nid = "old"{ABOUT}target_sdk_below = 5\n'
        return [
            f.rule for f in again(features, make(signers_toml=text, behaviours_toml=old)).findings
        ]

    assert known("com.example.messenger", "Other") == ["repackaged_app"]
    assert known("com.example.messanger", "Other") == ["lookalike_package"]
    assert known("org.another.app", "MESSENGERLY") == ["lookalike_label"]
    assert known("org.another.app", " " * 100 + "MESSENGERLY") == ["lookalike_label"]
    assert known("org.another.app", "Other") == []

    translated = {**features, "labels": [features["label"], "Andere"]}
    earlier = {name: value for name, value in features.items() if name != "labels"}
    assert known("org.another.app", "ANDERE", translated) == ["lookalike_label"]
    assert known("org.another.app", "MESSENGERLY", earlier) == ["lookalike_label"]
    assert known("org.another.app", "ANDERE", earlier) == []


def test_features_of_an_older_scanner_say_nothing(opened: OpenSet) -> None:
    judged = judge_again({"v": 1, "calls": []}, opened.data)

    assert (judged.verdict, judged.needs_file) == (Verdict.UNSCANNABLE, (OLDER,))


@given(st.text(min_size=12, max_size=40), st.integers(0, 11), st.characters())
def test_one_letter_makes_a_look_alike(name: str, at: int, letter: str) -> None:
    changed = name[:at] + letter + name[at + 1 :]

    assert is_nearly(changed, name) == (changed != name)
    assert is_nearly(name[:at] + name[at + 1 :], name) or len(name) < 11
    assert not is_nearly(name, name)


@pytest.mark.parametrize(
    "text", ["WhatsApp", "whats app", "Wh\u0430tsApp", "\uff37hatsApp", "What5App"]
)
def test_labels_are_compared_as_people_read_them(text: str) -> None:
    assert plain(text) == "whatsapp"
