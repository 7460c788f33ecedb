"""Each shipped rule finds an app that does what it describes, and leaves its neighbour alone."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from contracts.scan import ScanResult, Verdict
from patterns import pattern_set, rule_source
from patterns.opened import OpenSet, RuleData, open_set
from scanner.behaviour_rules import answer_to
from scanner.evidence import Evidence
from scanner.features import Facts
from scanner.isolation import scan_file
from scanner.keep import Keep
from scanner.limits import DEFAULT
from scanner.manifest import Component, Manifest
from tests.scanner.build_apk import App, build_apk, dex
from tests.scanner.conftest import Scan, rules_of
from tests.scanner.test_container import archive

AHMYTH = "Lahmyth/mine/king/ahmyth/"
REMOUNT = "mount -o remount,rw /system"

# In byte code: what hits, and a near miss for each rule.
HITS: dict[str, App] = {
    "metasploit_stage": App(classes=["Lcom/metasploit/stage/Payload;"]),
    "ahmyth_client": App(classes=[f"{AHMYTH}MainService;", f"{AHMYTH}SMSManager;"]),
    "root_installer": App(
        strings=[REMOUNT, "cp /sdcard/su /system/xbin/su; chmod 6755 /system/xbin/su"]
    ),
    "safety_switch_off": App(strings=["settings put global package_verifier_enable 0"]),
}
NEAR_MISSES: dict[str, App] = {
    "metasploit_stage": App(
        classes=["Lcom/metasploit/stage/PayloadViewer;"], strings=["com/metasploit/stage/Payload"]
    ),
    "ahmyth_client": App(
        classes=["Lorg/example/Detector;"], strings=["ahmyth.mine.king.ahmyth", "AhMyth found"]
    ),
    "root_installer": App(
        strings=["/system/xbin/su", "/system/bin/su", "/system/app/Superuser.apk", "which su"]
    ),
    "safety_switch_off": App(strings=["package_verifier_enable", "settings get global x"]),
}


@pytest.mark.parametrize("rule", HITS)
def test_a_rule_over_byte_code_hits(rule: str, scan_here: Scan) -> None:
    result = scan_here(archive({"classes.dex": dex(HITS[rule])}))

    (finding,) = (finding for finding in result["findings"] if finding["rule"] == rule)
    assert finding["where"].startswith("classes.dex at 0x")
    assert finding["evidence"]


@pytest.mark.parametrize("rule", NEAR_MISSES)
def test_a_near_miss_over_byte_code_is_left_alone(rule: str, scan_here: Scan) -> None:
    assert rules_of(scan_here(archive({"classes2.dex": dex(NEAR_MISSES[rule])}))) == set()


def test_a_text_about_a_kit_is_not_the_kit(scan_here: Scan) -> None:
    text = f"{AHMYTH}MainService; {AHMYTH}SMSManager; Lcom/metasploit/stage/Payload;".encode()

    assert rules_of(scan_here(archive({"assets/about.txt": text}))) == set()


# Behaviours: a manifest that has everything, and the same without one trait.


@pytest.fixture(scope="module")
def behaviours(shipped: Path) -> list[dict[str, Any]]:
    return open_set(str(shipped)).behaviours


def perfect(rule: dict[str, Any]) -> tuple[Manifest, set[str]]:
    """Return the manifest and calls of an app with exactly the traits *rule* asks for."""
    some = {kind: list(traits) for kind, traits in rule["some"].items()}
    component = Component(
        "receiver",
        ".R",
        "",
        True,
        tuple(rule["all"]["actions"] + some["actions"]),
        (),
        rule["receiver_priority"],
    )
    guarded = [
        component._replace(permission=permission, actions=())
        for permission in rule["all"]["guarded_by"] + some["guarded_by"]
    ]
    manifest = Manifest(
        "org.example.x",
        permissions=tuple(rule["all"]["permissions"] + some["permissions"]),
        components=(component, *guarded),
    )
    return manifest, set(rule["all"]["calls"] + some["calls"])


def found(manifest: Manifest, calls: set[str], rule: dict[str, Any]) -> bool:
    keep = Keep(OpenSet(None, RuleData("1.0", [rule], {}, [], {})))
    keep.app(manifest, "", [])
    keep.references(calls, calls | set(rule["all"]["calls"] + rule["some"]["calls"]))
    return answer_to(rule, Facts(keep.features(Evidence(DEFAULT)))).holds


def test_each_behaviour_holds_for_its_perfect_app(behaviours: list[dict[str, Any]]) -> None:
    for rule in behaviours:
        assert found(*perfect(rule), rule), rule["id"]


def test_no_behaviour_holds_when_a_trait_is_missing(behaviours: list[dict[str, Any]]) -> None:
    for rule in behaviours:
        manifest, calls = perfect(rule)
        for permission in rule["all"]["permissions"]:
            fewer = tuple(p for p in manifest.permissions if p != permission)
            assert not found(manifest._replace(permissions=fewer), calls, rule), rule["id"]
        for call in rule["all"]["calls"]:
            assert not found(manifest, calls - {call}, rule), rule["id"]
        for index, component in enumerate(manifest.components):
            if component.actions or component.permission:
                fewer_parts = manifest.components[:index] + manifest.components[index + 1 :]
                assert not found(manifest._replace(components=fewer_parts), calls, rule), rule["id"]


def test_a_behaviour_that_wants_no_icon_spares_apps_with_one(
    behaviours: list[dict[str, Any]],
) -> None:
    (rule,) = (rule for rule in behaviours if rule["id"] == "hidden_watcher")
    manifest, calls = perfect(rule)
    launcher = Component("activity", ".M", "", True, (), ("android.intent.category.LAUNCHER",), 0)

    assert not found(manifest._replace(components=(*manifest.components, launcher)), calls, rule)


def test_a_messenger_of_usual_priority_is_no_interceptor(
    behaviours: list[dict[str, Any]],
) -> None:
    (rule,) = (rule for rule in behaviours if rule["id"] == "message_interceptor")
    manifest, calls = perfect(rule)
    usual = tuple(component._replace(priority=100) for component in manifest.components)

    assert not found(manifest._replace(components=usual), calls, rule)


# Whole apps, built, signed and scanned in the child.

INTERCEPTOR = App(
    package="org.example.interceptor",
    permissions=["android.permission.RECEIVE_SMS", "android.permission.INTERNET"],
    calls=[
        "Landroid/telephony/SmsMessage;->getMessageBody()Ljava/lang/String;",
        "Landroid/content/BroadcastReceiver;->abortBroadcast()V",
    ],
    components='<receiver android:name=".R" android:exported="true"><intent-filter'
    ' android:priority="1000"><action android:name="android.provider.Telephony.SMS_RECEIVED"/>'
    "</intent-filter></receiver>",
)
Built = Callable[[App], ScanResult]


@pytest.fixture
def built(shipped: Path, tmp_path: Path) -> Built:
    return lambda app: scan_file(build_apk(tmp_path / "app.apk", app), shipped)


def test_an_app_that_intercepts_messages_is_suspicious(built: Built) -> None:
    result = built(INTERCEPTOR)

    assert result.verdict is Verdict.SUSPICIOUS
    (finding,) = result.findings
    assert (finding.rule, finding.where) == ("message_interceptor", "AndroidManifest.xml")
    assert "abortBroadcast" in finding.evidence


def test_the_same_app_without_the_call_is_clean(built: Built) -> None:
    assert built(replace(INTERCEPTOR, calls=INTERCEPTOR.calls[:1])).verdict is Verdict.CLEAN


def test_an_app_with_a_kit_is_malicious_with_family_and_place(built: Built) -> None:
    result = built(App(classes=["Lcom/metasploit/stage/Payload;"]))

    assert result.verdict is Verdict.MALICIOUS
    (finding,) = result.findings
    assert (finding.rule, finding.family) == ("metasploit_stage", "Metasploit")
    assert finding.where.startswith("classes.dex at 0x")


def test_a_changed_copy_of_a_known_app_is_malicious(built: Built) -> None:
    result = built(App(package="org.thoughtcrime.securesms"))

    assert result.verdict is Verdict.MALICIOUS
    (finding,) = result.findings
    assert (finding.rule, finding.category) == ("repackaged_app", "impersonation")


def test_an_app_hidden_under_another_name_is_suspicious(built: Built, tmp_path: Path) -> None:
    hidden = build_apk(tmp_path / "hidden.apk", App(package="org.example.hidden")).read_bytes()

    assert built(App(files={"assets/logo.png": hidden})).verdict is Verdict.SUSPICIOUS
    assert built(App(files={"assets/watch.apk": hidden})).verdict is Verdict.CLEAN


def test_every_shipped_rule_is_tried_here() -> None:
    rules = {rule.id for rule in rule_source.read_source(pattern_set.SHIPPED).rules}

    assert rules == {
        *HITS,
        "eicar_test_file",  # test_container.py hides it in many places
        "message_interceptor",
        "overlay_banker",
        "hidden_watcher",
        "screen_locker",
        "notification_thief",
    }
