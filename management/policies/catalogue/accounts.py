"""Mail accounts and certificates."""

from flask_babel import lazy_gettext as _l

from management.policies.catalogue.network import HOST
from management.policies.schema import (
    IOS,
    PROFILE,
    Category,
    Kind,
    Setting,
    choice,
    number,
    secret,
    switch,
    text,
)

MAIL = Category(
    name="mail",
    label=_l("Mail account"),
    icon="envelope",
    help=_l(
        "Accounts that the device sets up for its user. {user} and {address} stand for the user."
    ),
    entries=5,
    settings=(
        text("name", _l("Name"), _l("As the user sees it."), 100, required=True),
        choice(
            "protocol",
            _l("Protocol"),
            _l("Exchange also brings calendar and contacts."),
            {"exchange": "Exchange ActiveSync", "imap": "IMAP", "pop": "POP3"},
            "exchange",
            modes=PROFILE,
        ),
        text("server", _l("Server"), _l("Name or address."), 253, pattern=HOST, required=True),
        number(
            "port", _l("Port"), _l("Empty: the protocol's usual port."), 1, 65_535, modes=PROFILE
        ),
        switch(
            "tls",
            _l("Encrypted connection"),
            _l("Off: mail and password travel readable."),
            default=True,
            modes=PROFILE,
        ),
        text("address", _l("Mail address"), _l("The address of the account."), default="{address}"),
        text("account", _l("User name"), _l("For signing in."), default="{address}"),
        secret(
            "password",
            _l("Password"),
            _l("Empty: the device asks its user."),
            1,
            255,
            modes=PROFILE,
        ),
        text(
            "outgoing_server",
            _l("Server for sending (SMTP)"),
            _l("For IMAP and POP3."),
            253,
            pattern=HOST,
            modes=PROFILE,
            when={"protocol": ("imap", "pop")},
        ),
        number(
            "outgoing_port",
            _l("Port for sending"),
            _l("Empty: the usual port."),
            1,
            65_535,
            modes=PROFILE,
            when={"protocol": ("imap", "pop")},
        ),
        choice(
            "past_days",
            _l("Mail on the device"),
            _l("How far back Exchange mail is kept on the device."),
            {
                "3": _l("3 days"),
                "7": _l("1 week"),
                "14": _l("2 weeks"),
                "31": _l("1 month"),
                "0": _l("All"),
            },
            "14",
            modes=PROFILE,
            when={"protocol": ("exchange",)},
        ),
        switch(
            "keep_in_account",
            _l("Messages stay in this account"),
            _l("The user cannot move or forward them from another account."),
            platforms=IOS | {"ios": "5.0"},
        ),
    ),
)

CERTIFICATES = Category(
    name="certificates",
    label=_l("Certificates"),
    icon="patch-check",
    help=_l("Authorities that the device trusts, and keys with which it proves itself."),
    entries=20,
    settings=(
        text("name", _l("Name"), _l("Wi-Fi and VPN refer to it."), 100, required=True),
        Setting(
            name="certificate",
            kind=Kind.CERTIFICATE,
            label=_l("Certificate"),
            help=_l("PEM: the text from BEGIN CERTIFICATE to END CERTIFICATE."),
            most=8_000,
            modes=PROFILE,
        ),
        secret(
            "identity",
            _l("Key and certificate (PKCS #12)"),
            _l("Base64 of a .p12 file, in place of a certificate alone."),
            100,
            12_000,
            pattern=r"[A-Za-z0-9+/\s]+={0,2}\s*",
            modes=PROFILE,
        ),
        secret(
            "identity_password",
            _l("Password of the PKCS #12 file"),
            _l("Empty: it has none."),
            1,
            255,
            modes=PROFILE,
        ),
    ),
)
