"""Where a setting stands in Apple's configuration profiles, as data. Pure.

Types, keys, ranges and versions are those of Apple's published schema of profiles (repository
``apple/device-management``, folder ``mdm/profiles``).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from flask_babel import lazy_gettext as _l

from management.policies.schema import Words

Entry = Mapping[str, Any]
"""What stands beside a value: an entry of a list, or the whole category."""
Value = Callable[[Any, Entry], Any]
"""Returns what stands in the profile, or None when the value asks for nothing there."""

PROFILE = "Configuration"
PASSCODE = "com.apple.mobiledevice.passwordpolicy"
RESTRICTIONS = "com.apple.applicationaccess"
LOCK_SCREEN = "com.apple.shareddeviceconfiguration"
WEB_FILTER = "com.apple.webcontent-filter"
WIFI = "com.apple.wifi.managed"
VPN = "com.apple.vpn.managed"
APP_VPN = "com.apple.vpn.managed.applayer"
EXCHANGE = "com.apple.eas.account"
MAIL = "com.apple.mail.managed"
IDENTITY = "com.apple.security.pkcs12"
CERTIFICATE = "com.apple.security.pkcs1"
ROOT = "com.apple.security.root"

NAMES: Mapping[str, Words] = {
    PROFILE: _l("The profile itself"),
    PASSCODE: _l("Passcode"),
    RESTRICTIONS: _l("Restrictions"),
    LOCK_SCREEN: _l("Lock screen message"),
    WEB_FILTER: _l("Web content filter"),
    WIFI: _l("Wi-Fi"),
    VPN: _l("VPN"),
    APP_VPN: _l("VPN for single apps"),
    EXCHANGE: _l("Exchange account"),
    MAIL: _l("Mail account"),
    IDENTITY: _l("Key and certificate"),
    CERTIFICATE: _l("Certificate"),
    ROOT: _l("Root certificate"),
}
FIXED: Mapping[str, Mapping[str, Any]] = {WEB_FILTER: {"FilterType": "BuiltIn"}}
"""Payload -> what always stands in it."""
REQUIRED: Mapping[str, tuple[str, ...]] = {
    WIFI: ("SSID_STR",),
    VPN: ("VPNType", "UserDefinedName"),
    APP_VPN: ("VPNType", "UserDefinedName", "VPNUUID"),
    EXCHANGE: ("Host",),
    MAIL: ("EmailAccountType", "IncomingMailServerHostName", "OutgoingMailServerHostName"),
    IDENTITY: ("PayloadContent",),
    CERTIFICATE: ("PayloadContent",),
    ROOT: ("PayloadContent",),
}
"""Payload -> keys without which Apple refuses it, or which make no sense left out."""


@dataclass(frozen=True, slots=True)
class Reference:
    """Stands for the UUID of the payload that a certificate entry becomes."""

    name: str


class OwnUuid:
    """Stands for the UUID of the payload in which it is found."""


OWN_UUID = OwnUuid()


def as_it_is(value: Any, entry: Entry) -> Any:
    """Return *value*."""
    return value


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """One key of a payload that a setting decides."""

    path: str
    """Names of nested dictionaries joined by dots; a number is a place in a list."""
    payload: str = ""
    """Its type; empty: that of the entry."""
    value: Value = as_it_is
    when: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    """Setting beside it -> its values for which the key is used."""
    supervised: bool = False
    """Whether devices take it only under supervision."""
    since: str = ""
    """The oldest version of iOS that knows it; empty: all of today's."""
    note: Words = ""

    def counts_in(self, entry: Entry) -> bool:
        """Tell whether the key is used beside what else *entry* says."""
        return all(entry.get(name) in values for name, values in self.when.items())


@dataclass(frozen=True, slots=True, kw_only=True)
class Mapped:
    """What becomes of one setting."""

    keys: tuple[Key, ...] = ()
    because: Words | None = ""
    """Why it stands in no profile; beside keys: where none of them says anything.

    None: the payload's type says it.
    """


Mapping_ = Mapping[str, Mapped]
"""``CATEGORY.SETTING`` -> what becomes of it."""


def keys(*found: Key, because: Words | None = "") -> Mapped:
    """Return what becomes of a setting with these keys."""
    return Mapped(keys=found, because=because)


def nowhere(because: Words) -> Mapped:
    """Return what becomes of a setting that no profile carries."""
    return Mapped(because=because)


def always(said: Any) -> Value:
    """Return a value that is *said* whatever the setting is."""
    return lambda value, entry: said


def if_on(said: Any) -> Value:
    """Return a value that is *said* when a switch is on, else nothing."""
    return lambda value, entry: said if value is True else None


def one_of(said: Mapping[str, Any]) -> Value:
    """Return a value that *said* tells for a choice; nothing for others."""
    return lambda value, entry: said.get(value)


def number(value: Any, entry: Entry) -> int:
    """Return a choice of digits as a number."""
    return int(value)


def as_bytes(value: Any, entry: Entry) -> bytes:
    """Return a text as data."""
    return str(value).encode()
