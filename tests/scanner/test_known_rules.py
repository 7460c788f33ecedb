"""Who poses as a known app is told; its publisher, and who has a like name, is not."""

from collections.abc import Mapping
from typing import Any

from scanner.known_rules import is_nearly, plain, published

BANK: dict[str, Any] = {
    "package": "com.example.bank",
    "publisher": "Example",
    "sha256": ["0" * 64],
    "labels": ["Example Bank"],
    "also": ["com.example.bank.lite"],
}
STORE: dict[str, Any] = {
    "package": "org.wares.apps.gms",
    "publisher": "Wares",
    "sha256": [],
    "labels": ["Wares Store"],
    "also": ["org.wares.beta"],
}
NEXT: dict[str, Any] = {**STORE, "package": "org.wares.pay", "labels": ["Wares Pay"], "also": []}


def told(package: str, label: str, *known: Mapping[str, Any], signer: str = "f" * 64) -> list[str]:
    features = {"package": package, "label": label, "labels": [label], "signers": [signer]}
    rules = {"public_key": (), "official": known or (BANK, STORE, NEXT)}
    return [finding.rule for finding in published(features, rules)]


def test_a_known_name_is_no_reason_to_be_called_like_another_publishers_app() -> None:
    for name in (STORE["package"], "org.wares.beta", NEXT["package"]):
        assert told(name, "Example Bank") == ["lookalike_label"], name
    assert told("com.example.bank.lite", "Wares Pay") == ["lookalike_label"]
    assert told("com.example.bank", "Wares Pay") == ["repackaged_app", "lookalike_label"]


def test_apps_of_one_publisher_may_be_called_alike() -> None:
    assert told("org.wares.beta", "Wares Pay") == []
    assert told("org.wares.pay", "Wares Store") == []
    assert told("com.example.bank.lite", "Example Bank") == []
    assert told("com.example.bank", "Example Bank", signer="0" * 64) == []


def test_a_short_last_word_is_a_name_of_a_family_where_no_key_is_known() -> None:
    assert told("org.wares.apps.ims", "Other") == []
    assert told("org.wares.apps.gm", "Other") == []
    assert told("org.wares.apps.ims", "Wares Store") == ["lookalike_label"]
    assert told("org.vares.apps.gms", "Other") == ["lookalike_package"]
    assert told("org.wares.apps.gm5", "Other") == ["lookalike_package"]
    with_key = {**STORE, "sha256": ["0" * 64]}
    assert told("org.wares.apps.ims", "Other", with_key) == ["lookalike_package"]
    assert told("org.wares.apps.ims", "Other", with_key, signer="0" * 64) == []
    assert is_nearly("org.wares.apps.ims", STORE["package"])


def test_marks_on_letters_and_capitals_between_small_ones_make_no_other_label() -> None:
    assert told("a.b", "Exámple Bänk") == ["lookalike_label"]
    assert told("a.b", "ExampIe Bank") == ["lookalike_label"]
    assert told("a.b", "Exampie Bank") == []
    for label in ("ᴇxᴀᴍᴘʟᴇ ʙᴀɴᴋ", "Eꓫample ꓐank", "Example Banк", "Ехаmрlе Bаnk"):
        assert told("a.b", label) == ["lookalike_label"], label
    assert plain("WhatЅАpp") == plain("WhatsApp")
    assert plain("WiFi Inbox") == plain("wifi inbox")
    assert plain("카카오톡") == plain("카카오톡") != plain("카카오")


def test_marks_of_japanese_make_other_words_and_several_capitals_are_several_letters() -> None:
    assert plain("バス") != plain("ハス")
    assert plain("ポスト") != plain("ホスト")
    assert plain("WaIIet") == plain("Wallet")
    assert plain("AIipay") == plain("Alipay")
    assert plain("AI Camera") != plain("Al Camera")
