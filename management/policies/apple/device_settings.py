"""What becomes of passcode, locks, web protection and apps in a profile. Pure data."""

import re
from contextlib import suppress
from typing import Any

from flask_babel import lazy_gettext as _l

from management.policies.apple.keys import (
    LOCK_SCREEN,
    PASSCODE,
    PROFILE,
    RESTRICTIONS,
    WEB_FILTER,
    Entry,
    Key,
    Mapped,
    Mapping_,
    as_it_is,
    if_on,
    keys,
    nowhere,
    number,
    one_of,
)
from management.policies.schema import Words

MOST_SITES = 500
"""Apple's limit for the list of sites that do not open."""
_AGENT = _l("The agent does this; Apple's profiles have no setting for it.")
_MDM = _l("An order of Apple's MDM protocol does this, no profile.")
_MANAGED = _l("Counts for apps and accounts that MDM manages.")


def _passcode(path: str, value: Any = as_it_is) -> Mapped:
    return keys(Key(payload=PASSCODE, path=path, value=value))


def _lock(
    path: str,
    said: bool = False,
    *,
    supervised: bool = False,
    since: str = "",
    note: Words = "",
) -> Mapped:
    return keys(_restriction(path, said, supervised, since, note))


def _restriction(
    path: str, said: bool = False, supervised: bool = False, since: str = "", note: Words = ""
) -> Key:
    return Key(
        payload=RESTRICTIONS,
        path=path,
        value=if_on(said),
        supervised=supervised,
        since=since,
        note=note,
    )


def _symbols_of_quality(value: Any, entry: Entry) -> int | None:
    asked: int = entry.get("minimum_symbols") or 1
    return asked if value == "complex" else None


def _sites(value: Any, entry: Entry) -> list[str] | None:
    """Return what Apple compares with addresses: no scheme, no wildcard, names as browsers say."""
    found = list(dict.fromkeys(_site(one) for one in value))
    return found[:MOST_SITES] or None


def _site(site: str) -> str:
    host, slash, path = re.sub(r"^(https?://)?(\*\.)?", "", site).partition("/")
    with suppress(UnicodeError):  # no browser opens such a name; it stays as it was asked
        host = host if host.isascii() else host.encode("idna").decode("ascii")
    return f"{host}{slash}{path}"


def _apps(path: str, rule: str, value: Any = as_it_is) -> Key:
    return Key(
        payload=RESTRICTIONS,
        path=path,
        value=value,
        when={"rule": (rule,)},
        supervised=True,
        since="15.0",
    )


_ALLOWED, _BLOCKED = "allowListedAppBundleIDs", "blockedAppBundleIDs"

DEVICE_SETTINGS: Mapping_ = {
    "general.report_minutes": nowhere(_AGENT),
    "general.roaming_report_minutes": nowhere(_AGENT),
    "general.poll_minutes": nowhere(_AGENT),
    "general.keep_agent": keys(
        Key(
            payload=PROFILE,
            path="PayloadRemovalDisallowed",
            value=if_on(True),
            supervised=True,
            note=_l("The user cannot remove this profile."),
        )
    ),
    "general.user_settings": nowhere(_AGENT),
    "general.large_downloads_on_wifi_only": nowhere(_AGENT),
    "general.log_detail": nowhere(_AGENT),
    "general.log_days": nowhere(_AGENT),
    "general.support_contact": nowhere(_AGENT),
    "general.lock_screen_text": keys(
        Key(payload=LOCK_SCREEN, path="LockScreenFootnote", supervised=True, since="9.3.1")
    ),
    "passcode.required": _passcode("forcePIN", if_on(True)),
    "passcode.quality": keys(
        Key(
            payload=PASSCODE,
            path="requireAlphanumeric",
            value=one_of({"letters_and_digits": True, "complex": True}),
        ),
        Key(payload=PASSCODE, path="minComplexChars", value=_symbols_of_quality),
        because=_l("Any passcode will do; Apple has no key that asks for digits."),
    ),
    "passcode.minimum_length": _passcode("minLength"),
    "passcode.minimum_symbols": _passcode("minComplexChars"),
    "passcode.no_simple": _passcode("allowSimple", if_on(False)),
    "passcode.maximum_age_days": _passcode("maxPINAgeInDays"),
    "passcode.history": _passcode("pinHistory"),
    "passcode.lock_after_minutes": _passcode("maxInactivity"),
    "passcode.grace_minutes": _passcode("maxGracePeriod", number),
    "passcode.wipe_after_failures": _passcode("maxFailedAttempts"),
    "passcode.no_biometrics": _lock("allowFingerprintForUnlock", since="7.0"),
    "feature_locks.no_camera": _lock("allowCamera", supervised=True),
    "feature_locks.no_screen_capture": _lock("allowScreenShot"),
    "feature_locks.no_external_storage": _lock(
        "allowFilesUSBDriveAccess", supervised=True, since="13.1"
    ),
    "feature_locks.no_tethering": _lock(
        "allowPersonalHotspotModification",
        supervised=True,
        since="12.2",
        note=_l("The hotspot stays as it is: switch it off before."),
    ),
    "feature_locks.no_unknown_sources": _lock("allowEnterpriseAppTrust", since="9.0"),
    "feature_locks.no_app_install": _lock("allowAppInstallation", supervised=True, since="4.0"),
    "feature_locks.no_app_removal": keys(
        _restriction("allowAppRemoval", supervised=True, since="6.0"),
        _restriction("allowSystemAppRemoval", supervised=True, since="11.0"),
    ),
    "feature_locks.no_account_changes": _lock(
        "allowAccountModification", supervised=True, since="7.0"
    ),
    "feature_locks.no_factory_reset": _lock(
        "allowEraseContentAndSettings", supervised=True, since="8.0"
    ),
    "feature_locks.keep_work_clipboard": keys(
        _restriction("requireManagedPasteboard", True, since="15.0", note=_MANAGED),
        _restriction("allowOpenFromManagedToUnmanaged", since="15.0", note=_MANAGED),
    ),
    "feature_locks.keep_work_documents": _lock(
        "allowOpenFromManagedToUnmanaged", since="7.0", note=_MANAGED
    ),
    "feature_locks.no_airdrop": _lock("allowAirDrop", supervised=True, since="7.0"),
    "feature_locks.no_cloud_backup": _lock("allowCloudBackup", since="5.0"),
    "feature_locks.no_keychain_sync": _lock("allowCloudKeychainSync", since="7.0"),
    "feature_locks.encrypted_backup": _lock("forceEncryptedBackup", True, since="4.0"),
    "feature_locks.no_assistant_when_locked": _lock("allowAssistantWhileLocked", since="5.1"),
    "web_protection.enabled": nowhere(_AGENT),
    "web_protection.level": nowhere(_AGENT),
    "web_protection.user_may_pass": nowhere(_AGENT),
    "web_protection.allowed": nowhere(
        _l("Apple's filter opens everything that is not blocked by name; nothing is to be allowed.")
    ),
    "web_protection.blocked": keys(
        Key(
            payload=WEB_FILTER,
            path="DenyListURLs",
            value=_sites,
            supervised=True,
            since="14.5",
            note=_l("The first 500; Apple takes no more. Compared as part of the address."),
        )
    ),
    "web_protection.warn_open_wifi": nowhere(_AGENT),
    "app_control.rule": keys(
        _apps(_ALLOWED, "block", lambda value, entry: []),
        because=_l("Every app that is not blocked may be used."),
    ),
    "app_control.required": keys(_apps(_ALLOWED, "block"), because=_MDM),
    "app_control.install_required": nowhere(_MDM),
    "app_control.allowed": keys(
        _apps(_ALLOWED, "block"),
        because=_l("Every app that is not blocked may be used."),
    ),
    "app_control.blocked": keys(
        _apps(_BLOCKED, "allow", lambda value, entry: value or None),
        because=_l("Every app that is not allowed is blocked."),
    ),
    "app_control.blocked_categories": nowhere(
        _l("Apple's profiles name single apps; which app is of a category, the agent knows.")
    ),
    "malware_scan.on_install": nowhere(_AGENT),
    "malware_scan.schedule": nowhere(_AGENT),
    "malware_scan.hour": nowhere(_AGENT),
    "malware_scan.update_first": nowhere(_AGENT),
    "malware_scan.on_find": nowhere(_AGENT),
    "malware_scan.only_charging": nowhere(_AGENT),
}
