"""What becomes of Wi-Fi and VPN in a profile. Pure data."""

from collections.abc import Mapping
from typing import Any

from flask_babel import lazy_gettext as _l

from management.policies.apple.keys import (
    APP_VPN,
    OWN_UUID,
    VPN,
    Entry,
    Key,
    Mapping_,
    Reference,
    Value,
    always,
    as_bytes,
    as_it_is,
    if_on,
    keys,
    one_of,
)

_EAP = "EAPClientConfiguration."
_NOT_ALWAYS = (None, False)
_SPLIT = {"protocol": ("ikev2", "ipsec"), "always_on": _NOT_ALWAYS}
"""The connections that Apple can bind to single apps."""
_NEEDS_SECRET = _l(
    "Apple's L2TP wants a shared secret here, its IPsec that or a certificate. The user must add "
    "it."
)


def vpn_type(entry: Entry) -> str:
    """Return the payload type of a VPN connection."""
    split = all(entry.get(name) in values for name, values in _SPLIT.items())
    return APP_VPN if split and entry.get("apps") else VPN


def _reference(value: Any, entry: Entry) -> Reference:
    return Reference(value)


def _references(value: Any, entry: Entry) -> list[Reference]:
    return [Reference(value)]


def _ike(path: str, value: Value = as_it_is, **when: tuple[Any, ...]) -> tuple[Key, Key]:
    """Return a key of an IKEv2 tunnel: always on it stands elsewhere, and needs supervision."""
    beside: Mapping[str, tuple[Any, ...]] = {"protocol": ("ikev2",), **when}
    return (
        Key(path=f"IKEv2.{path}", value=value, when={**beside, "always_on": _NOT_ALWAYS}),
        Key(
            path=f"AlwaysOn.TunnelConfigurations.0.{path}",
            value=value,
            when={**beside, "always_on": (True,)},
            supervised=True,
            since="8.0",
        ),
    )


def _of(protocol: str, path: str, value: Value = as_it_is, **when: tuple[Any, ...]) -> Key:
    return Key(path=path, value=value, when={"protocol": (protocol,), **when})


def _always_on(path: str, said: Any) -> Key:
    return Key(
        path=f"AlwaysOn.{path}",
        value=if_on(said),
        when={"protocol": ("ikev2",)},
        supervised=True,
        since="8.0",
    )


def _vpn_type(value: Any, entry: Entry) -> str | None:
    if value == "ikev2" and entry.get("always_on"):
        return "AlwaysOn"
    return {"ikev2": "IKEv2", "l2tp": "L2TP", "ipsec": "IPSec"}.get(value)


WIFI_SETTINGS: Mapping_ = {
    "wifi.name": keys(Key(path="SSID_STR"), Key(path="PayloadDisplayName")),
    "wifi.security": keys(
        Key(
            path="EncryptionType",
            value=one_of({"open": "None", "personal": "WPA2", "enterprise": "WPA2"}),
            note=_l("WPA2 joins WPA3 as well."),
        )
    ),
    "wifi.passphrase": keys(Key(path="Password")),
    "wifi.eap": keys(
        Key(
            path=f"{_EAP}AcceptEAPTypes",
            value=one_of({"tls": [13], "ttls": [21], "peap": [25]}),
        )
    ),
    "wifi.identity": keys(Key(path=f"{_EAP}UserName")),
    "wifi.password": keys(Key(path=f"{_EAP}UserPassword")),
    "wifi.certificate": keys(Key(path="PayloadCertificateUUID", value=_reference)),
    "wifi.authority": keys(Key(path=f"{_EAP}PayloadCertificateAnchorUUID", value=_references)),
    "wifi.hidden": keys(Key(path="HIDDEN_NETWORK")),
    "wifi.join": keys(Key(path="AutoJoin", since="5.0")),
    "wifi.proxy_host": keys(Key(path="ProxyType", value=always("Manual")), Key(path="ProxyServer")),
    "wifi.proxy_port": keys(Key(path="ProxyServerPort")),
}

VPN_SETTINGS: Mapping_ = {
    "vpn.name": keys(Key(path="UserDefinedName"), Key(path="PayloadDisplayName")),
    "vpn.protocol": keys(
        Key(path="VPNType", value=_vpn_type), _of("ipsec", "IPSec.XAuthEnabled", always(1))
    ),
    "vpn.server": keys(
        *_ike("RemoteAddress"),
        *_ike("RemoteIdentifier"),
        *_ike("LocalIdentifier", always("")),
        _of("l2tp", "PPP.CommRemoteAddress"),
        _of("ipsec", "IPSec.RemoteAddress"),
    ),
    "vpn.authentication": keys(
        *_ike(
            "AuthenticationMethod",
            one_of({"certificate": "Certificate", "shared_secret": "SharedSecret"}),
            authentication=("certificate", "shared_secret"),
        ),
        *_ike("AuthenticationMethod", always("None"), authentication=("password",)),
        *_ike("ExtendedAuthEnabled", always(1), authentication=("password",)),
        _of(
            "ipsec",
            "IPSec.AuthenticationMethod",
            one_of({"certificate": "Certificate", "shared_secret": "SharedSecret"}),
            authentication=("certificate", "shared_secret"),
        ),
        _of(
            "l2tp",
            "IPSec.AuthenticationMethod",
            always("SharedSecret"),
            authentication=("shared_secret",),
        ),
        because=_NEEDS_SECRET,
    ),
    "vpn.account": keys(
        *_ike("LocalIdentifier"),
        *_ike("AuthName", authentication=("password",)),
        _of("l2tp", "PPP.AuthName"),
        _of("ipsec", "IPSec.XAuthName"),
    ),
    "vpn.password": keys(
        *_ike("AuthPassword"),
        _of("l2tp", "PPP.AuthPassword"),
        _of("ipsec", "IPSec.XAuthPassword"),
    ),
    "vpn.shared_secret": keys(
        *_ike("SharedSecret"),
        *(
            key
            for protocol in ("l2tp", "ipsec")
            for key in (
                _of(protocol, "IPSec.SharedSecret", as_bytes),
                _of(protocol, "IPSec.LocalIdentifierType", always("KeyID")),
            )
        ),
    ),
    "vpn.certificate": keys(
        *_ike("PayloadCertificateUUID", _reference),
        _of("ipsec", "IPSec.PayloadCertificateUUID", _reference),
        because=_l("Apple's L2TP knows no certificates."),
    ),
    "vpn.always_on": keys(
        _always_on("UIToggleEnabled", 0),
        _always_on("TunnelConfigurations.0.ProtocolType", "IKEv2"),
        _always_on("TunnelConfigurations.0.Interfaces", ["Cellular", "WiFi"]),
        because=_l("Apple keeps only IKEv2 always on."),
    ),
    "vpn.apps": keys(
        Key(path="VPNUUID", value=lambda value, entry: OWN_UUID if value else None, when=_SPLIT),
        Key(
            path="OnDemandMatchAppEnabled",
            value=lambda value, entry: 1 if value else None,
            when=_SPLIT,
            since="7.0",
            note=_l("Which apps use it, MDM tells each app; until then none does."),
        ),
        because=_l("Apple binds single apps only to IKEv2 and IPsec that are not always on."),
    ),
}
