"""Each shipped rule finds what it describes, also under other names and with hidden texts, and
leaves alone an app that differs in behaviour only. One row a rule: ``samples/apps/<rule>.app``.
"""

from base64 import b64encode
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from contracts.scan import Verdict
from patterns import pattern_set, rule_source
from patterns.rule_language import Behaviour
from scanner.isolation import scan_file
from scanner.known_rules import plain
from scanner.limits import DEFAULT
from tests.scanner.build_apk import App, build_apk
from tests.scanner.conftest import Scan, rules_of
from tests.scanner.corpus import real_apk, second_real_apk
from tests.scanner.honest_apps import HONEST, Honest, fetched
from tests.scanner.samples.sample import APPS, DISGUISED, Sample, build, read_pair, read_sample
from tests.scanner.test_container import EICAR, archive

SHIPPED = rule_source.read_source(pattern_set.SHIPPED).rules
RULES = sorted(rule.id for rule in SHIPPED)
LIBRARIES = {rule.id for rule in SHIPPED if isinstance(rule, Behaviour) and rule.library}
"""Rules about versions of honest libraries, which nobody hides and which are texts."""
PACKERS = {rule.id for rule in SHIPPED if rule.id.startswith(("packed_with_", "obfuscated_by_"))}
"""Rules about the names of products; what is packed under other names, `hidden_code` finds."""
OTHER_WAYS = [(rule, way) for rule in RULES for way in read_pair(rule).also]
PHA = {
    "backdoor", "billing-fraud", "denial-of-service", "elevated-privilege-abuse",
    "hostile-downloader", "non-android-threat", "phishing", "ransomware", "rooting", "spam",
    "spyware", "stalkerware", "trojan",
}  # fmt: skip
"""Google's categories of potentially harmful apps."""
BYTES_ONLY = "a program or text for another machine: there is no byte code to follow"
COMMAND = "the command itself is what tells; hidden, it is found by what surrounds it"
NOT_HIDDEN = {
    "appliance_bot_loader": BYTES_ONLY,
    "crypto_miner": BYTES_ONLY,
    "eicar_test_file": BYTES_ONLY,
    "kernel_exploit": BYTES_ONLY,
    "root_installer": COMMAND,
    "root_script": BYTES_ONLY,
    "safety_switch_off": COMMAND,
    "windows_autorun_worm": BYTES_ONLY,
    "windows_script_loader": BYTES_ONLY,
}
"""Rule -> why hiding its texts hides what it looks for."""
KITS = {"metasploit_stage": "staged_payload", "ahmyth_client": "message_store_upload"}
"""Rule that knows a kit by its names -> the one that finds it under other names."""


def test_every_rule_has_a_sample_and_every_sample_a_rule() -> None:
    assert sorted(path.stem for path in APPS.glob("*.app")) == RULES


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_finds_its_sample(rule: str, scan_here: Scan) -> None:
    result = scan_here(build(read_pair(rule).sample))

    found = [finding for finding in result["findings"] if finding["rule"] == rule]
    assert found
    assert all(finding["where"] and finding["evidence"] for finding in found)
    assert result["skipped"] == []


@pytest.mark.parametrize("rule", sorted({*RULES} - {*NOT_HIDDEN} - LIBRARIES - PACKERS))
def test_a_rule_finds_its_sample_under_other_names_and_with_hidden_texts(
    rule: str, scan_here: Scan
) -> None:
    result = scan_here(build(read_pair(rule).sample, DISGUISED))

    assert KITS.get(rule, rule) in rules_of(result)


@pytest.mark.parametrize(("rule", "way"), OTHER_WAYS)
def test_a_rule_finds_other_ways_to_do_the_same(rule: str, way: str, scan_here: Scan) -> None:
    sample = read_pair(rule).also[way]

    assert rule in rules_of(scan_here(build(sample)))
    assert rule in rules_of(scan_here(build(sample, DISGUISED)))


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_leaves_its_near_miss_alone(rule: str, scan_here: Scan) -> None:
    result = scan_here(build(read_pair(rule).near_miss))

    assert rule not in rules_of(result)
    assert result["skipped"] == []


def test_few_rules_depend_on_texts_or_names() -> None:
    assert {*NOT_HIDDEN, *KITS} <= {*RULES}
    assert len({*NOT_HIDDEN, *KITS}) <= (len(RULES) - len(LIBRARIES | PACKERS)) // 5


def test_the_set_covers_every_category_and_says_what_it_is_sure_of() -> None:
    rules = rule_source.read_source(pattern_set.SHIPPED).rules

    assert len(rules) >= 40
    assert {rule.category for rule in rules} >= PHA
    assert [rule.id for rule in rules if not (rule.technique or rule.reference)] == [
        "eicar_test_file"
    ]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("encoded", [False, True], ids=["plain", "base64"])
def test_the_test_file_is_found_in_other_writings(
    encoding: str, encoded: bool, scan_here: Scan
) -> None:
    text = EICAR.decode().encode(encoding)
    hidden = b64encode(b"1" + text) if encoded else text

    assert "eicar_test_file" in rules_of(scan_here(archive({"res/raw/a": hidden})))


def test_a_behaviour_names_the_places_in_the_code(scan_here: Scan) -> None:
    result = scan_here(build(read_pair("sms_forwarder").sample))

    (finding,) = (one for one in result["findings"] if one["rule"] == "sms_forwarder")
    assert finding["where"].startswith("classes.dex at 0x")
    assert (
        "Inbox;->onReceive uses Landroid/telephony/SmsMessage;->getMessageBody"
        in (finding["evidence"])
    )
    assert "Courier;->run uses Ljava/io/OutputStream;->write" in finding["evidence"]
    assert finding["technique"] == "T1636.004"


def test_a_packer_weighs_nothing_and_says_its_name(scan_here: Scan) -> None:
    wrong = []
    for rule in (one for one in SHIPPED if one.id in PACKERS):
        found = [
            one
            for one in scan_here(build(read_pair(rule.id).sample))["findings"]
            if one["rule"] == rule.id
        ]
        told = {(one["severity"], one["family"], one["technique"][:5]) for one in found}
        wrong += [] if told == {("note", rule.family, "T1406")} else [rule.id]

    assert wrong == []


PACKER_CLASSES = [
    ("com.stub", "StubApp", "packed_with_jiagu"),
    ("com.qihoo.util", "StubApplication", "packed_with_jiagu"),
    ("com.tencent.StubShell", "TxAppEntry", "packed_with_legu"),
    ("com.wrapper.proxyapplication", "WrapperProxyApplication", "packed_with_legu"),
    ("com.secneo.apkwrapper", "ApplicationWrapper", "packed_with_bangcle"),
    ("com.shell", "SuperApplication", "packed_with_ijiami"),
    ("s.h.e.l.l", "S", "packed_with_ijiami"),
    ("com.baidu.protect", "StubApplication", "packed_with_baidu"),
    ("com.ali.mobisecenhance", "StubApplication", "packed_with_ali"),
    ("com.netease.nis.wrapper", "Entry", "packed_with_yidun"),
    ("com.kiwisec", "KiwiSecApplication", "packed_with_kiwisec"),
    ("com.luoyesiqiu.shell", "ProxyApplication", "packed_with_dpt"),
]


@pytest.mark.parametrize(("package", "name", "rule"), PACKER_CLASSES)
def test_a_packer_is_known_by_its_first_class(
    package: str, name: str, rule: str, scan_here: Scan
) -> None:
    stub = f"app(package={package!r})\napplication(name='{package}.{name}')\n"
    stub += f"class {name}(Application):\n    pass\n"
    shown = f"Toast.makeText(self, '{package}.{name}', 1).show()"
    honest = f"@launcher\nclass Main(Activity):\n    def onCreate(self, s):\n        {shown}\n"

    assert rule in rules_of(scan_here(build(read_sample(stub))))
    assert rules_of(scan_here(build(read_sample(honest)))) == {"signature_missing"}


# Honest apps, made and signed by others.


def grave(result: dict[str, Any]) -> list[dict[str, Any]]:
    return [one for one in result["findings"] if one["severity"] in ("medium", "high")]


@pytest.mark.parametrize("app", [real_apk, second_real_apk])
def test_a_real_app_is_at_most_unwanted(app: Any, scan_here: Scan) -> None:
    result = scan_here(app().read_bytes(), DEFAULT)

    assert grave(result) == []
    assert result["skipped"] == []


@pytest.mark.parametrize("app", HONEST, ids=lambda app: app.package)
def test_further_honest_apps_are_at_most_unwanted(app: Honest, scan_here: Scan) -> None:
    result = scan_here(fetched(app), DEFAULT)

    assert result["package"] == app.package
    assert grave(result) == []
    assert result["skipped"] == []


# Whole apps, built, signed and scanned in the child.


@pytest.mark.parametrize(
    ("rule", "verdict"),
    [
        ("staged_payload", Verdict.MALICIOUS),
        ("sms_forwarder", Verdict.SUSPICIOUS),
        ("certificate_errors_ignored", Verdict.UNWANTED),
    ],
)
def test_severity_makes_the_verdict(
    rule: str, verdict: Verdict, shipped: Path, tmp_path: Path
) -> None:
    path = tmp_path / "app.apk"
    path.write_bytes(build(read_pair(rule).sample))

    assert scan_file(path, shipped).verdict is verdict


def test_a_changed_copy_of_a_known_app_is_malicious(shipped: Path, tmp_path: Path) -> None:
    app = App(package="org.thoughtcrime.securesms")

    result = scan_file(build_apk(tmp_path / "app.apk", app), shipped)

    assert result.verdict is Verdict.MALICIOUS
    (finding,) = (one for one in result.findings if one.rule == "repackaged_app")
    assert finding.category == "impersonation"


OFFICIAL = rule_source.read_source(pattern_set.SHIPPED).signers.official
POSES = {"lookalike_label", "lookalike_package", "repackaged_app"}


def poses(package: str, label: str, scan_here: Scan) -> set[str]:
    """Return what is told of an unsigned app that is called so."""
    app = replace(Sample(), package=package, application={"label": label})
    return rules_of(scan_here(build(app))) & POSES


def test_whoever_poses_as_a_known_app_is_told_and_its_publisher_is_not(scan_here: Scan) -> None:
    wrong = []
    for app in OFFICIAL:
        expected = {"repackaged_app"} if app.sha256 else set()
        for label in app.labels:
            parent, _, last = app.package.rpartition(".")
            near = f"{parent[:-1]}{'x' if parent[-1] != 'x' else 'y'}.{last}"
            told = [
                poses("org.example.other", label, scan_here) == {"lookalike_label"},
                poses("org.example.other", f"Stickers for {label}", scan_here) == set(),
                poses(near, "Another", scan_here) == {"lookalike_package"},
                poses(app.package, label, scan_here) == expected,
                *(poses(other, label, scan_here) == set() for other in app.also),
            ]
            wrong += [] if all(told) else [f"{app.package}, {label}: {told}"]

    assert wrong == []
    assert sum(len(app.labels) for app in OFFICIAL) >= 30


def test_a_label_or_a_package_belongs_to_one_publisher() -> None:
    owners: dict[str, set[str]] = {}
    for app in OFFICIAL:
        for name in (app.package, *app.also, *map(plain, app.labels)):
            owners.setdefault(name, set()).add(app.publisher)

    assert [name for name, publishers in owners.items() if len(publishers) > 1] == []
    assert len({app.package for app in OFFICIAL}) == len(OFFICIAL)


def test_an_app_hidden_under_another_name_is_suspicious(shipped: Path, tmp_path: Path) -> None:
    hidden = build_apk(tmp_path / "hidden.apk", App(package="org.example.hidden")).read_bytes()
    disguised = build_apk(tmp_path / "a.apk", App(files={"assets/logo.png": hidden}))
    honest = build_apk(tmp_path / "b.apk", App(files={"assets/watch.apk": hidden}))

    assert scan_file(disguised, shipped).verdict is Verdict.SUSPICIOUS
    assert scan_file(honest, shipped).verdict is Verdict.CLEAN
