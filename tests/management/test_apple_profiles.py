"""Apple's configuration profiles made from policies: every key, readable, always the same."""

import plistlib
import subprocess
from base64 import b64decode
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import pkcs7
from flask import Flask
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from management import certificates
from management.access import Role
from management.audit.models import AuditEntry
from management.context import Context
from management.keys import Keys, prepare
from management.policies.apple.building import WITHHELD, build
from management.policies.apple.keys import NAMES, REQUIRED, Key
from management.policies.apple.mapping import APPLE
from management.policies.apple.profile import profile_for
from management.policies.catalogue.all import BY_NAME, CATEGORIES
from management.policies.inheritance import Link
from management.policies.rules import Requirements
from management.policies.schema import Category, Kind, Setting
from management.policies.service import create_policy, ensure_default_policy
from management.policies.values import LARGEST, Reader
from runtime.clock import utc_now
from runtime.errors import UnavailableError
from tests.management.clients import ConsoleClient, api_client, own_code, signed_in_client

POLICY = UUID("6b1f5a50-0000-4000-8000-000000000004")
NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
IOS = {
    f"{category.name}.{setting.name}": setting
    for category in CATEGORIES
    for setting in category.settings
    if "ios" in setting.platforms
}
BASE64 = "TUlJ" * 30
RESTRICTIONS = "com.apple.applicationaccess"


def root_pem() -> str:
    return certificates.pem(certificates.authority(ec.generate_private_key(ec.SECP256R1()), NOW))


ROOT = root_pem()


def split(names: str) -> list[str]:
    return names.split()


TYPES: dict[str, type] = {
    **dict.fromkeys(
        split("""
            forcePIN allowSimple requireAlphanumeric AutoJoin HIDDEN_NETWORK SSL PreventMove
            allowFingerprintForUnlock allowCamera allowScreenShot allowFilesUSBDriveAccess
            allowPersonalHotspotModification allowEnterpriseAppTrust allowAppInstallation
            allowAppRemoval allowSystemAppRemoval allowAccountModification
            allowEraseContentAndSettings requireManagedPasteboard allowAirDrop allowCloudBackup
            allowOpenFromManagedToUnmanaged allowCloudKeychainSync forceEncryptedBackup
            allowAssistantWhileLocked IncomingMailServerUseSSL OutgoingMailServerUseSSL
            OutgoingPasswordSameAsIncomingPassword PayloadRemovalDisallowed
        """),
        bool,
    ),
    **dict.fromkeys(
        split("""
            minLength minComplexChars maxPINAgeInDays pinHistory maxInactivity maxGracePeriod
            maxFailedAttempts ProxyServerPort IncomingMailServerPortNumber
            OutgoingMailServerPortNumber MailNumberOfPastDaysToSync OnDemandMatchAppEnabled
            XAuthEnabled ExtendedAuthEnabled UIToggleEnabled PayloadVersion TargetDeviceType
        """),
        int,
    ),
    **dict.fromkeys(
        split("""
            LockScreenFootnote FilterType SSID_STR EncryptionType Password UserName UserPassword
            PayloadCertificateUUID ProxyType ProxyServer VPNType UserDefinedName RemoteAddress
            RemoteIdentifier LocalIdentifier AuthenticationMethod AuthName AuthPassword
            CommRemoteAddress XAuthName XAuthPassword LocalIdentifierType ProtocolType VPNUUID
            Host EmailAddress EmailAccountDescription EmailAccountType OutgoingPassword
            IncomingMailServerAuthentication OutgoingMailServerAuthentication IncomingPassword
            IncomingMailServerHostName OutgoingMailServerHostName IncomingMailServerUsername
            OutgoingMailServerUsername PayloadType PayloadIdentifier PayloadUUID
            PayloadDisplayName PayloadDescription PayloadScope
        """),
        str,
    ),
    **dict.fromkeys(
        split("""
            AcceptEAPTypes PayloadCertificateAnchorUUID DenyListURLs allowListedAppBundleIDs
            blockedAppBundleIDs Interfaces TunnelConfigurations
        """),
        list,
    ),
    **dict.fromkeys(["EAPClientConfiguration", "IKEv2", "PPP", "IPSec", "AlwaysOn"], dict),
}
"""Key -> type, as Apple's schema has it; two stand for different types in different places."""


def assert_typed(content: dict[str, Any], kind: str, within: str = "") -> None:
    """Check each key of a payload, also of those inside it."""
    for name, value in content.items():
        wanted = TYPES.get(name)
        if name == "SharedSecret":
            wanted = bytes if within == "IPSec" else str
        if name == "PayloadContent":
            wanted = bytes
        assert wanted is not None and type(value) is wanted, (kind, name, value)
        if isinstance(value, dict):
            assert_typed(value, kind, name)
        for one in value if isinstance(value, list) else []:
            if isinstance(one, dict):
                assert_typed(one, kind, name)


def payloads(asked: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return what a profile of *asked* holds, by type; at most one of each."""
    whole = plistlib.loads(profile_for(asked, POLICY, 3, "Standard"))
    found = {one["PayloadType"]: one for one in whole["PayloadContent"]}
    assert len(found) == len(whole["PayloadContent"])
    return found


def said(payload: dict[str, Any]) -> dict[str, Any]:
    """Return a payload without what every payload has."""
    common = {"PayloadType", "PayloadVersion", "PayloadIdentifier", "PayloadUUID"}
    return {name: value for name, value in payload.items() if name not in common}


# --- the mapping ---


def test_every_apple_setting_has_a_key_or_a_reason_and_nothing_else_is_mapped() -> None:
    assert APPLE.keys() == IOS.keys()
    for name, mapped in APPLE.items():
        assert mapped.keys or str(mapped.because or ""), name


def test_what_a_key_needs_is_never_less_than_what_the_setting_says() -> None:
    def numbers(version: str) -> tuple[int, ...]:
        return tuple(int(part) for part in version.split(".") if part)

    for name, setting in IOS.items():
        wanted = numbers(setting.platforms["ios"])
        for key in APPLE[name].keys:
            assert numbers(key.since) >= wanted or _is_of_today(wanted), (name, key.path)
            if setting.modes_on("ios") == ("supervised",):
                assert key.supervised or setting.name == "always_on", (name, key.path)


def _is_of_today(version: tuple[int, ...]) -> bool:
    """Tell whether every iOS that still gets any update knows it anyhow."""
    return version < (12,)


def test_every_payload_that_a_key_names_has_a_name_for_people() -> None:
    named: set[str] = {key.payload for one in APPLE.values() for key in one.keys if key.payload}
    assert (named | set(REQUIRED)) <= set(NAMES)


# --- single settings ---


def test_a_passcode_becomes_apples_passcode_payload() -> None:
    asked = {
        "required": True,
        "quality": "complex",
        "minimum_length": 8,
        "minimum_symbols": 2,
        "no_simple": True,
        "maximum_age_days": 90,
        "history": 5,
        "lock_after_minutes": 3,
        "grace_minutes": "15",
        "wipe_after_failures": 10,
        "no_biometrics": True,
    }
    found = payloads({"passcode": asked})
    assert said(found["com.apple.mobiledevice.passwordpolicy"]) == {
        "forcePIN": True,
        "requireAlphanumeric": True,
        "minLength": 8,
        "minComplexChars": 2,
        "allowSimple": False,
        "maxPINAgeInDays": 90,
        "pinHistory": 5,
        "maxInactivity": 3,
        "maxGracePeriod": 15,
        "maxFailedAttempts": 10,
    }
    assert said(found["com.apple.applicationaccess"]) == {"allowFingerprintForUnlock": False}


def test_a_lock_that_is_off_says_nothing() -> None:
    off = {setting.name: False for setting in BY_NAME["feature_locks"].settings}
    assert payloads({"feature_locks": off}) == {}
    on = dict.fromkeys(off, True)
    restrictions = said(payloads({"feature_locks": on})["com.apple.applicationaccess"])
    assert restrictions["allowCamera"] is False
    assert restrictions["forceEncryptedBackup"] is True
    assert restrictions["allowOpenFromManagedToUnmanaged"] is False


def test_enterprise_wifi_refers_to_the_certificates_of_the_same_profile() -> None:
    found = payloads(
        {
            "certificates": [
                {"name": "radius", "certificate": ROOT},
                {"name": "me", "identity": BASE64, "identity_password": "p12"},
            ],
            "wifi": [
                {
                    "name": "会社",
                    "security": "enterprise",
                    "eap": "tls",
                    "identity": "aoi",
                    "certificate": "me",
                    "authority": "radius",
                    "hidden": True,
                    "join": False,
                    "proxy_host": "proxy.example",
                    "proxy_port": 3128,
                }
            ],
        }
    )
    root, own = found["com.apple.security.root"], found["com.apple.security.pkcs12"]
    assert x509.load_der_x509_certificate(root["PayloadContent"])
    assert own["PayloadContent"] == b64decode(BASE64) and own["Password"] == "p12"
    assert said(found["com.apple.wifi.managed"]) == {
        "PayloadDisplayName": "会社",
        "SSID_STR": "会社",
        "EncryptionType": "WPA2",
        "HIDDEN_NETWORK": True,
        "AutoJoin": False,
        "ProxyType": "Manual",
        "ProxyServer": "proxy.example",
        "ProxyServerPort": 3128,
        "PayloadCertificateUUID": own["PayloadUUID"],
        "EAPClientConfiguration": {
            "AcceptEAPTypes": [13],
            "UserName": "aoi",
            "PayloadCertificateAnchorUUID": [root["PayloadUUID"]],
        },
    }


def test_a_tunnel_that_is_always_on_stands_where_apple_wants_it() -> None:
    tunnel = {
        "name": "Office",
        "protocol": "ikev2",
        "server": "vpn.example",
        "authentication": "shared_secret",
        "account": "aoi",
        "shared_secret": "open sesame",
        "always_on": True,
        "apps": ["com.example.app"],
    }
    found = said(payloads({"vpn": [tunnel]})["com.apple.vpn.managed"])
    assert found["VPNType"] == "AlwaysOn" and "IKEv2" not in found
    assert found["AlwaysOn"]["TunnelConfigurations"] == [
        {
            "ProtocolType": "IKEv2",
            "Interfaces": ["Cellular", "WiFi"],
            "RemoteAddress": "vpn.example",
            "RemoteIdentifier": "vpn.example",
            "LocalIdentifier": "aoi",
            "AuthenticationMethod": "SharedSecret",
            "SharedSecret": "open sesame",
        }
    ]
    left_out = build({"vpn": [tunnel]}, POLICY).left_out
    assert [one.setting.name for one in left_out] == ["apps"]

    split = payloads({"vpn": [tunnel | {"always_on": False}]})["com.apple.vpn.managed.applayer"]
    assert split["VPNUUID"] == split["PayloadUUID"]
    assert split["IKEv2"]["SharedSecret"] == "open sesame"
    assert split["OnDemandMatchAppEnabled"] == 1


@pytest.mark.parametrize(
    ("protocol", "authentication", "where", "wanted"),
    [
        ("ikev2", "password", "IKEv2", {"AuthenticationMethod": "None", "ExtendedAuthEnabled": 1}),
        ("ipsec", "shared_secret", "IPSec", {"XAuthEnabled": 1, "SharedSecret": b"open sesame"}),
        ("l2tp", "shared_secret", "PPP", {"CommRemoteAddress": "vpn.example", "AuthName": "aoi"}),
    ],
)
def test_other_tunnels_say_who_they_are(
    protocol: str, authentication: str, where: str, wanted: dict[str, Any]
) -> None:
    tunnel = {
        "name": "Office",
        "protocol": protocol,
        "server": "vpn.example",
        "authentication": authentication,
        "account": "aoi",
        "always_on": False,
        authentication: "open sesame",
    }
    found = payloads({"vpn": [tunnel]})["com.apple.vpn.managed"]
    assert wanted.items() <= found[where].items()


def test_mail_accounts_are_of_two_kinds() -> None:
    usual = {"name": "Mail", "server": "mx.example", "tls": True, "keep_in_account": True}
    exchange = usual | {"protocol": "exchange", "account": "a", "past_days": "0", "port": 444}
    found = said(payloads({"mail": [exchange]})["com.apple.eas.account"])
    assert found == {
        "PayloadDisplayName": "Mail",
        "Host": "mx.example",
        "SSL": True,
        "UserName": "a",
        "MailNumberOfPastDaysToSync": 0,
        "PreventMove": True,
    }
    assert [one.setting.name for one in build({"mail": [exchange]}, POLICY).left_out] == ["port"]
    imap = usual | {"protocol": "imap", "outgoing_server": "smtp.example", "password": "secret"}
    found = payloads({"mail": [imap]})["com.apple.mail.managed"]
    assert found["EmailAccountType"] == "EmailTypeIMAP"
    assert found["IncomingPassword"] == found["OutgoingPassword"] == "secret"
    without = build({"mail": [usual | {"protocol": "imap"}]}, POLICY)
    assert without.payloads == ()
    lost = {"name", "protocol", "server", "tls", "keep_in_account"}
    assert {one.setting.name for one in without.left_out} == lost


def test_apps_are_blocked_by_name_or_all_but_the_named() -> None:
    lists = {"required": ["com.a"], "allowed": ["com.b", "com.a"], "blocked": ["com.c"]}
    open_ = said(payloads({"app_control": {"rule": "allow", **lists}})[RESTRICTIONS])
    assert open_ == {"blockedAppBundleIDs": ["com.c"]}
    closed = said(payloads({"app_control": {"rule": "block", **lists}})[RESTRICTIONS])
    assert closed == {"allowListedAppBundleIDs": ["com.a", "com.b"]}


def test_sites_are_written_as_apple_compares_them_and_not_more_than_it_takes() -> None:
    sites = ["*.bad.example", "https://bad.example/a", "例え.テスト"]
    found = payloads({"web_protection": {"blocked": sites}})["com.apple.webcontent-filter"]
    assert found["FilterType"] == "BuiltIn"
    assert found["DenyListURLs"] == ["bad.example", "bad.example/a", "xn--r8jz45g.xn--zckzah"]
    many = [f"{number}.example" for number in range(1000)]
    found = payloads({"web_protection": {"blocked": many}})["com.apple.webcontent-filter"]
    assert found["DenyListURLs"] == many[:500]


def test_a_withheld_secret_is_told_and_what_cannot_be_without_it_too() -> None:
    asked = {
        "certificates": [{"name": "me", "identity": WITHHELD}],
        "wifi": [
            {"name": "a", "security": "enterprise", "eap": "tls", "certificate": "me"},
            {"name": "b", "security": "personal", "passphrase": WITHHELD},
        ],
    }
    built = build(asked, POLICY)
    assert [one.kind for one in built.payloads] == ["com.apple.wifi.managed"] * 2
    told = {f"{one.category.name}.{one.setting.name}" for one in built.left_out}
    assert told == {
        "certificates.identity",
        "certificates.name",
        "wifi.passphrase",
        "wifi.certificate",
    }


def test_a_file_that_is_no_base64_is_left_out() -> None:
    built = build({"certificates": [{"name": "me", "identity": "AAAAA"}]}, POLICY)
    assert built.payloads == ()
    assert {one.setting.name for one in built.left_out} == {"name", "identity"}


# --- the whole ---


def test_the_same_version_is_the_same_file_and_the_next_one_replaces_it() -> None:
    asked = {"wifi": [{"name": "a", "security": "open", "join": True}], "passcode": {"history": 3}}
    first = profile_for(asked, POLICY, 3, "Standard")
    assert profile_for(dict(reversed(asked.items())), POLICY, 3, "Standard") == first
    one, two = plistlib.loads(first), plistlib.loads(profile_for(asked, POLICY, 4, "Standard"))
    assert one["PayloadUUID"] != two["PayloadUUID"]
    assert one["PayloadIdentifier"] == two["PayloadIdentifier"]
    assert one["PayloadContent"] == two["PayloadContent"]  # accounts are changed in place
    other = plistlib.loads(profile_for(asked, UUID(int=1), 3, "Standard"))
    assert other["PayloadContent"][0]["PayloadUUID"] != one["PayloadContent"][0]["PayloadUUID"]


def test_only_what_a_policy_keeps_cannot_be_removed() -> None:
    kept = plistlib.loads(profile_for({"general": {"keep_agent": True}}, POLICY, 1, "x"))
    assert kept["PayloadRemovalDisallowed"] is True and kept["PayloadContent"] == []
    free = plistlib.loads(profile_for({"general": {"keep_agent": False}}, POLICY, 1, "x"))
    assert "PayloadRemovalDisallowed" not in free
    assert (free["PayloadType"], free["PayloadScope"]) == ("Configuration", "System")


TEXTS = st.text(st.characters(exclude_categories=["Cc"]), min_size=1, max_size=20)
HOSTS = st.from_regex(r"[a-z0-9]([a-z0-9.-]{0,20}[a-z0-9])?", fullmatch=True)
NAMES_OF_ENTRIES = st.sampled_from(["a", "会社 <&>", "{user}", "\ud800\uffff b"])


def value_of(setting: Setting) -> st.SearchStrategy[Any]:
    """Return values that the catalogue allows for a setting, and None: not asked."""
    match setting.kind:
        case Kind.SWITCH:
            return st.booleans()
        case Kind.NUMBER:
            return st.none() | st.integers(setting.least, setting.most)
        case Kind.CHOICE:
            return st.sampled_from(list(setting.choices))
        case Kind.CHOICES:
            return st.lists(st.sampled_from(list(setting.choices)), max_size=3)
        case Kind.LINES:
            return st.lists(HOSTS, max_size=4)
        case Kind.CERTIFICATE:
            return st.sampled_from([None, ROOT, "no certificate"])
        case Kind.SECRET:
            return st.sampled_from([None, BASE64, "open sesame <&> 1", "A", WITHHELD])
    known = NAMES_OF_ENTRIES if setting.name in ("name", "certificate", "authority") else TEXTS
    return known if setting.required else st.none() | known


def entries_of(category: Category) -> st.SearchStrategy[Any]:
    entry = st.fixed_dictionaries(
        {one.name: value_of(one) for one in category.settings if "ios" in one.platforms}
    )
    return st.lists(entry, max_size=3) if category.entries else entry


ASKED = st.fixed_dictionaries({}, optional={one.name: entries_of(one) for one in CATEGORIES})


@settings(max_examples=60, deadline=None)
@given(ASKED, TEXTS)
def test_any_settings_make_a_profile_that_can_be_read(asked: dict[str, Any], name: str) -> None:
    profile = profile_for(asked, POLICY, 1, name)
    assert len(profile) < 16 * LARGEST
    whole = plistlib.loads(profile)
    assert profile_for(asked, POLICY, 1, name) == profile
    units = [one["PayloadUUID"] for one in whole["PayloadContent"]]
    assert len(set(units)) == len(units)
    for one in whole.pop("PayloadContent"):
        assert_typed(one, one["PayloadType"])
        assert set(REQUIRED.get(one["PayloadType"], ())) <= one.keys()
        uses = {one.get("PayloadCertificateUUID")} | set(
            one.get("EAPClientConfiguration", {}).get("PayloadCertificateAnchorUUID", [])
        )
        assert uses - {None} <= set(units)
    assert_typed(whole, "Configuration")


@settings(max_examples=60, deadline=None)
@given(ASKED)
def test_what_is_asked_stands_in_the_profile_or_under_what_is_not_in_it(
    asked: dict[str, Any],
) -> None:
    built = build(asked, POLICY)
    left_out = {(one.category.name, one.entry, one.setting.name) for one in built.left_out}
    paths = {path for payload in built.payloads for path in payload.lines}
    for category in CATEGORIES:
        content = asked.get(category.name) or ()
        for entry in content if category.entries else [content]:
            for name, value in dict(entry).items():
                if value is None or value is False or value in ("", []):
                    continue
                known = {said for which, _entry, said in left_out if which == category.name}
                if APPLE[f"{category.name}.{name}"].because is None:
                    continue  # the type of the payload says it
                keys = {key.path for key in APPLE[f"{category.name}.{name}"].keys}
                assert name in known or keys & paths, (category.name, name, value)


def test_values_for_which_apple_has_no_key_are_named() -> None:
    asked = {"passcode": {"quality": "digits"}, "app_control": {"rule": "allow"}}
    reasons = {one.setting.name: str(one.because) for one in build(asked, POLICY).left_out}
    assert "Any passcode will do" in reasons["quality"] and "may be used" in reasons["rule"]


def test_every_key_of_the_mapping_has_a_type_in_apples_schema() -> None:
    def last(key: Key) -> str:
        return key.path.rpartition(".")[2]

    known = TYPES.keys() | {"SharedSecret", "PayloadContent"}
    assert {last(key) for one in APPLE.values() for key in one.keys} <= known


def test_the_largest_settings_stay_small_enough_for_a_device(context: Context) -> None:
    reader = Reader(context.keys, {})
    sites = [f"{'a' * 150}{number}.example" for number in range(500)]
    asked = {
        "web_protection": {"blocked": sites},
        "app_control": {"rule": "allow", "blocked": sites},
    }
    found = reader.read(asked)
    assert reader.errors == {}
    assert len(profile_for(found, POLICY, 1, "&" * 100)) < 2 * LARGEST


# --- signed, in the console and in the API ---

SECRETS = ("open sesame 1", "mail password 2")
ASKED_OF_ALL = {
    "wifi": [{"name": "Office", "security": "personal", "passphrase": SECRETS[0]}],
    "mail": [
        {"name": "Mail", "protocol": "exchange", "server": "mx.example", "password": SECRETS[1]}
    ],
    "general": {"report_minutes": 60},
}


@pytest.fixture
def policy_id(context: Context) -> UUID:
    """A policy that inherits its mail account."""
    reader = Reader(context.keys, {})
    asked = reader.read(ASKED_OF_ALL)
    own = {name: entry for name, entry in asked.items() if name != "mail"}
    with context.database.transaction("make policies") as session:
        ensure_default_policy(session, utc_now() - timedelta(days=1))
        made = [Requirements(), {"mail": asked["mail"]}, "keeper", "test", utc_now()]
        parent = create_policy(session, "Parent", *made)  # type: ignore[arg-type]
        link = Link(parent_id=parent.id, inherited=("mail",))
        child = create_policy(
            session, "Field 営業", Requirements(), own, "keeper", "test", utc_now(), link
        )
        return child.id


def opened(signed: bytes, ca: str, tmp_path: Path) -> dict[str, Any]:
    """Return the profile inside, as OpenSSL verifies it under the CA."""
    (tmp_path / "ca.pem").write_text(ca)
    (tmp_path / "signed.der").write_bytes(signed)
    command = ["openssl", "smime", "-verify", "-inform", "der", "-in", "signed.der"]
    done = subprocess.run(
        [*command, "-CAfile", "ca.pem"], cwd=tmp_path, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    found: dict[str, Any] = plistlib.loads(done.stdout)
    return found


def test_the_file_is_signed_and_holds_what_is_asked_of_a_device(
    console: ConsoleClient, context: Context, policy_id: UUID, tmp_path: Path
) -> None:
    form = {"address": "aoi@example.org", "secrets": "yes"}
    answer = console.post(f"/policies/{policy_id}/apple", data=form)
    assert answer.mimetype == "application/x-apple-aspen-config"
    named = answer.headers["Content-Disposition"]
    assert "Field-%E5%96%B6%E6%A5%AD-1.mobileconfig" in named and named.isascii()
    found = opened(answer.data, context.keys.ca_certificate(), tmp_path)
    assert found["PayloadDisplayName"] == "Field 営業"
    wifi, mail = found["PayloadContent"]
    assert (wifi["Password"], mail["Password"]) == SECRETS
    assert mail["EmailAddress"] == mail["UserName"] == "aoi@example.org"
    with pytest.raises(AssertionError, match=r"erification|digest"):
        opened(answer.data.replace(b"Office", b"0ffice"), context.keys.ca_certificate(), tmp_path)


def test_without_asking_for_secrets_none_is_in_the_file(
    console: ConsoleClient, context: Context, policy_id: UUID, tmp_path: Path
) -> None:
    answer = console.post(f"/policies/{policy_id}/apple", data={"address": ""})
    found = opened(answer.data, context.keys.ca_certificate(), tmp_path)
    wifi, mail = found["PayloadContent"]
    assert wifi["SSID_STR"] == "Office" and "Password" not in wifi
    assert not {"Password", "EmailAddress", "UserName"} & mail.keys()
    assert all(secret.encode() not in answer.data for secret in SECRETS)


def test_each_download_is_audited(
    console: ConsoleClient, context: Context, policy_id: UUID
) -> None:
    console.post(f"/policies/{policy_id}/apple", data={"secrets": "yes"})
    with context.database.reading() as session:
        entry = session.scalars(
            select(AuditEntry).where(AuditEntry.action == "policy.apple_profile")
        ).one()
        assert entry.subject == str(policy_id)
        assert entry.details == {"version": 1, "secrets": True, "address": ""}


def test_the_page_shows_keys_and_reasons_but_no_secret(
    console: ConsoleClient, app: Flask, context: Context, policy_id: UUID
) -> None:
    page = console.get(f"/policies/{policy_id}/apple").text
    for wanted in ("com.apple.wifi.managed", "SSID_STR", "com.apple.eas.account", "Office"):
        assert wanted in page
    assert "Report every (minutes)" in page
    assert not any(secret in page for secret in SECRETS)
    assert f"/policies/{policy_id}/apple" in console.get(f"/policies/{policy_id}").text

    reader = signed_in_client(app, context, "reader", Role.READ_ONLY)
    assert "SSID_STR" in reader.get(f"/policies/{policy_id}/apple").text
    assert reader.post(f"/policies/{policy_id}/apple").status_code == 403
    wrong = console.post(f"/policies/{policy_id}/apple", data={"address": "nobody"})
    assert wrong.status_code == 422 and "Enter a mail address" in wrong.text


def test_the_api_says_and_hands_out_the_same(
    app: Flask, context: Context, policy_id: UUID, tmp_path: Path
) -> None:
    owner = api_client(app, context, "program", Role.OWNER)
    at = f"/api/v1/policies/{policy_id}/apple-profile"
    preview = owner.get(f"{at}/preview")
    keys = {
        (one["type"], key["key"]): key
        for one in preview.get_json()["payloads"]
        for key in one["keys"]
    }
    secret = keys["com.apple.wifi.managed", "Password"]
    assert secret["setting"] == "wifi.passphrase"
    assert secret["is_secret"] and secret["value"] is None
    assert keys["com.apple.eas.account", "EmailAddress"]["value"] == "{address}"
    assert not any(secret in preview.text for secret in SECRETS)
    left_out = {one["setting"]: one["because"] for one in preview.get_json()["left_out"]}
    assert "agent" in left_out["general.report_minutes"]

    open_one = owner.get(f"{at}?address=aoi@example.org").get_json()
    kept = opened(b64decode(open_one["profile"]), context.keys.ca_certificate(), tmp_path)
    assert "Password" not in kept["PayloadContent"][1]
    assert owner.get(f"{at}?secrets=true").status_code == 400, "no secret for a token alone"
    said = {"address": "aoi@example.org"}
    assert owner.post(f"{at}/with-secrets", json=said).status_code == 400
    wrong = owner.post(f"{at}/with-secrets", json={**said, "code": "000000"})
    assert wrong.status_code == 403
    proved = {**said, "code": own_code(context, "program")}
    answer = owner.post(f"{at}/with-secrets", json=proved).get_json()
    found = opened(b64decode(answer["profile"]), context.keys.ca_certificate(), tmp_path)
    assert found["PayloadContent"][1]["Password"] == SECRETS[1]
    assert answer["file_name"].endswith("-1.mobileconfig")
    assert owner.get(f"{at}?address=nobody").status_code == 400
    reader = api_client(app, context, "reader", Role.READ_ONLY)
    assert reader.get(at).status_code == 403


def test_the_signer_stays_until_it_runs_out(tmp_path: Path) -> None:
    def signer(days: int) -> x509.Certificate:
        keys = prepare(tmp_path / "keys", NOW + timedelta(days=days))
        found = pkcs7.load_der_pkcs7_certificates(keys.sign_profile(b"x"))
        return next(one for one in found if one.issuer != one.subject)

    first = signer(0)
    assert signer(1700) == first
    later = signer(1810)
    assert later != first
    assert later.public_key() == first.public_key()


def test_a_data_folder_of_an_earlier_release_is_told_what_makes_the_signer(tmp_path: Path) -> None:
    prepare(tmp_path / "keys", NOW)
    for name in ("profile.pem", "profile.sealed"):
        (tmp_path / "keys" / name).unlink()
    with pytest.raises(UnavailableError, match="sekisho set-up"):
        Keys(tmp_path / "keys").sign_profile(b"x")
    assert prepare(tmp_path / "keys", NOW).sign_profile(b"x")
