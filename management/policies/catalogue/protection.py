"""Web protection, control of apps and the scan for malware."""

from flask_babel import lazy_gettext as _l

from management.policies.catalogue.network import PACKAGE
from management.policies.schema import (
    ANDROID,
    OWNER,
    PROFILE,
    SUPERVISED,
    Category,
    Kind,
    Setting,
    choice,
    lines,
    number,
    switch,
)

SITE = r"(https?://)?(\*\.)?[A-Za-z0-9\u0080-\uffff.-]{1,253}(:[0-9]{1,5})?(/\S{0,500})?"
_SITES = _l("Hosts or addresses, one a line; *. in front means every host below.")
_PACKAGES = _l("Package names or bundle ids, one a line.")

WEB_PROTECTION = Category(
    name="web_protection",
    label=_l("Web protection"),
    icon="globe",
    help=_l("Which sites are kept from the device."),
    settings=(
        switch(
            "enabled",
            _l("Check visited sites"),
            _l("The agent compares addresses with the pattern set before they open."),
        ),
        choice(
            "level",
            _l("Level"),
            _l("High also stops what is merely new or unusual."),
            {"low": _l("Low"), "normal": _l("Normal"), "high": _l("High")},
            "normal",
        ),
        switch(
            "user_may_pass",
            _l("The user may go on after a warning"),
            _l("Never for addresses that you block by name."),
        ),
        lines(
            "allowed",
            _l("Always allowed"),
            _SITES,
            SITE,
            1000,
            example="*.example.org",
        ),
        lines("blocked", _l("Always blocked"), _SITES, SITE, 1000, example="bad.example"),
        switch(
            "warn_open_wifi",
            _l("Warn of unprotected Wi-Fi"),
            _l("Also of networks whose certificates are forged."),
            default=True,
        ),
    ),
)

APP_CONTROL = Category(
    name="app_control",
    label=_l("App control"),
    icon="bag-check",
    help=_l("Which apps must, may and must not be on the device. Named apps win over categories."),
    settings=(
        choice(
            "rule",
            _l("What is not named"),
            _l("Whether apps in none of the lists may be used."),
            {"allow": _l("May be used"), "block": _l("Is blocked")},
            "allow",
            modes=(*PROFILE, *SUPERVISED),
        ),
        lines(
            "required",
            _l("Required apps"),
            _PACKAGES,
            PACKAGE,
            500,
            example="com.example.app",
        ),
        switch(
            "install_required",
            _l("Install required apps without asking"),
            _l("Otherwise the user is asked."),
            default=True,
            modes=(*PROFILE, *SUPERVISED),
        ),
        lines("allowed", _l("Allowed apps"), _PACKAGES, PACKAGE, 1000, example="com.example.app"),
        lines(
            "blocked",
            _l("Blocked apps"),
            _PACKAGES,
            PACKAGE,
            1000,
            example="com.example.app",
            modes=(*PROFILE, *SUPERVISED),
        ),
        Setting(
            name="blocked_categories",
            kind=Kind.CHOICES,
            label=_l("Blocked categories"),
            help=_l("Kinds of apps, as the pattern set and the stores sort them."),
            default=(),
            choices={
                "games": _l("Games"),
                "social": _l("Social networks"),
                "video": _l("Video and music"),
                "dating": _l("Dating"),
                "gambling": _l("Gambling"),
                "file_sharing": _l("File sharing"),
                "vpn": _l("VPN and proxies"),
                "remote_control": _l("Remote control"),
                "ai": _l("AI assistants"),
            },
            modes=(*PROFILE, *SUPERVISED),
        ),
        switch(
            "block_system_apps",
            _l("Lists hold for apps of the manufacturer too"),
            _l("Off: what came with the device is left alone."),
            platforms=ANDROID,
            modes=OWNER,
        ),
    ),
)

MALWARE_SCAN = Category(
    name="malware_scan",
    label=_l("Malware scan"),
    icon="bug",
    help=_l("When the device checks its apps, and what it does with a find."),
    settings=(
        switch(
            "on_install",
            _l("Check each new app"),
            _l("Before it is opened for the first time."),
            default=True,
        ),
        choice(
            "schedule",
            _l("Check all apps"),
            _l("Known apps are checked again because patterns learn."),
            {"daily": _l("Daily"), "weekly": _l("Weekly"), "never": _l("Never")},
            "daily",
        ),
        number(
            "hour",
            _l("At (hour of the day)"),
            _l("Local time of the device, 0 to 23."),
            0,
            23,
            default=12,
        ),
        switch(
            "update_first",
            _l("Update patterns before"),
            _l("The check waits for the newest pattern set."),
            default=True,
        ),
        switch(
            "files",
            _l("Check downloaded files"),
            _l("APK files in storage, also when they are not installed."),
            platforms=ANDROID,
        ),
        choice(
            "on_find",
            _l("When malware is found"),
            _l("What the agent does by itself; the violation is reported in any case."),
            {
                "tell": _l("Tell the user"),
                "ask": _l("Ask the user to remove it"),
                "remove": _l("Remove it"),
            },
            "ask",
        ),
        switch(
            "only_charging",
            _l("Full checks only while charging"),
            _l("Saves battery; a device that is never charged at that hour checks later."),
        ),
    ),
)
