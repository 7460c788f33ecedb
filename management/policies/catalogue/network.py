"""Wi-Fi networks and VPN connections."""

from flask_babel import lazy_gettext as _l

from management.policies.schema import (
    PROFILE,
    SUPERVISED,
    Category,
    choice,
    lines,
    number,
    secret,
    switch,
    text,
)

HOST = r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?"
PACKAGE = r"[A-Za-z0-9_.-]{1,255}"
_CERTIFICATE = _l("The name of an entry under Certificates.")

WIFI = Category(
    name="wifi",
    label=_l("Wi-Fi"),
    icon="wifi",
    help=_l("Networks that the device joins by itself."),
    entries=20,
    settings=(
        text(
            "name",
            _l("Network name (SSID)"),
            _l("As the access point says it; at most 32 bytes."),
            32,
            required=True,
        ),
        choice(
            "security",
            _l("Protection"),
            _l("Enterprise signs each user in with an account or a certificate."),
            {
                "open": _l("None"),
                "personal": _l("WPA2/WPA3 with a pass phrase"),
                "enterprise": _l("WPA2/WPA3 Enterprise"),
            },
            "personal",
            modes=PROFILE,
        ),
        secret(
            "passphrase",
            _l("Pass phrase"),
            _l("For the protection with a pass phrase."),
            8,
            63,
            modes=PROFILE,
        ),
        choice(
            "eap",
            _l("Method of Enterprise"),
            _l("How users prove themselves to the network."),
            {"peap": "PEAP", "ttls": "EAP-TTLS", "tls": "EAP-TLS"},
            "peap",
            modes=PROFILE,
        ),
        text(
            "identity",
            _l("User name"),
            _l("For Enterprise. {user} and {address} stand for the device's user."),
            example="{user}",
            modes=PROFILE,
        ),
        secret(
            "password",
            _l("Password"),
            _l("For Enterprise with PEAP or TTLS. Empty: the device asks its user."),
            1,
            255,
            modes=PROFILE,
        ),
        text("certificate", _l("Client certificate"), _CERTIFICATE, modes=PROFILE),
        text("authority", _l("Certificate of the network"), _CERTIFICATE, modes=PROFILE),
        switch("hidden", _l("Hidden network"), _l("It does not tell its name."), modes=PROFILE),
        switch(
            "join",
            _l("Join automatically"),
            _l("Off: the user chooses it."),
            default=True,
            modes=PROFILE,
        ),
        text(
            "proxy_host",
            _l("Proxy server"),
            _l("Empty: no proxy."),
            253,
            pattern=HOST,
            platforms={"android": "8.0", "ios": ""},
            modes=PROFILE,
        ),
        number(
            "proxy_port",
            _l("Port of the proxy"),
            _l("Together with the proxy server."),
            1,
            65_535,
            platforms={"android": "8.0", "ios": ""},
            modes=PROFILE,
        ),
    ),
)

VPN = Category(
    name="vpn",
    label=_l("VPN"),
    icon="shield-lock",
    help=_l("Tunnels into the company network."),
    entries=10,
    settings=(
        text("name", _l("Name"), _l("As the user sees it."), 100, required=True),
        choice(
            "protocol",
            _l("Protocol"),
            _l("IKEv2 is built into Android 11 and iOS 8."),
            {"ikev2": "IKEv2", "l2tp": "L2TP/IPsec", "ipsec": "IPsec (XAuth)"},
            "ikev2",
            modes=PROFILE,
        ),
        text("server", _l("Server"), _l("Name or address."), 253, pattern=HOST, required=True),
        choice(
            "authentication",
            _l("Proof of identity"),
            _l("How the device proves itself to the server."),
            {
                "certificate": _l("Certificate"),
                "shared_secret": _l("Shared secret"),
                "password": _l("User name and password"),
            },
            "certificate",
            modes=PROFILE,
        ),
        text(
            "account",
            _l("User name"),
            _l("{user} and {address} stand for the device's user."),
            example="{user}",
            modes=PROFILE,
        ),
        secret(
            "password",
            _l("Password"),
            _l("Empty: the device asks its user."),
            1,
            255,
            modes=PROFILE,
        ),
        secret(
            "shared_secret",
            _l("Shared secret"),
            _l("For the proof by shared secret."),
            8,
            255,
            modes=PROFILE,
        ),
        text("certificate", _l("Client certificate"), _CERTIFICATE, modes=PROFILE),
        switch(
            "always_on",
            _l("Always on"),
            _l("Without the tunnel no app reaches the network."),
            platforms={"android": "7.0", "ios": "8.0"},
            modes=(*PROFILE, *SUPERVISED),
        ),
        lines(
            "apps",
            _l("Only for these apps"),
            _l("Package names or bundle ids, one a line. Empty: for all."),
            PACKAGE,
            100,
            example="com.example.app",
            platforms={"android": "5.0", "ios": "7.0"},
            modes=PROFILE,
        ),
    ),
)
