"""What becomes of mail accounts and certificates in a profile. Pure data."""

import base64
import binascii
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from flask_babel import lazy_gettext as _l

from management.policies.apple.keys import (
    CERTIFICATE,
    EXCHANGE,
    IDENTITY,
    MAIL,
    ROOT,
    Entry,
    Key,
    Mapping_,
    Value,
    always,
    as_it_is,
    keys,
    number,
    one_of,
)

_EITHER = ("imap", "pop")
_HIDDEN_TRUST = _l("Installed by hand, the user must also trust it in the settings of iOS.")


def mail_type(entry: Entry) -> str:
    """Return the payload type of a mail account."""
    return EXCHANGE if entry.get("protocol") == "exchange" else MAIL


def certificate_type(entry: Entry) -> str:
    """Return the payload type of a certificate: with its key, of a root, or another."""
    if entry.get("identity"):
        return IDENTITY
    found = _read(entry.get("certificate"))
    return ROOT if found is not None and found.issuer == found.subject else CERTIFICATE


def _read(pem: Any) -> x509.Certificate | None:
    try:
        return x509.load_pem_x509_certificate(str(pem).encode())
    except ValueError:
        return None


def _der(value: Any, entry: Entry) -> bytes | None:
    found = _read(value)
    return found.public_bytes(Encoding.DER) if found is not None else None


def _file(value: Any, entry: Entry) -> bytes | None:
    try:
        return base64.b64decode("".join(value.split()), validate=True)
    except (binascii.Error, ValueError):
        return None


def _exchange(path: str, value: Value = as_it_is) -> Key:
    return Key(path=path, value=value, when={"protocol": ("exchange",)})


def _mail(path: str, value: Value = as_it_is) -> Key:
    return Key(path=path, value=value, when={"protocol": _EITHER})


def _ways(incoming: str, outgoing: str) -> tuple[Key, Key]:
    return _mail(incoming), _mail(outgoing)


MAIL_SETTINGS: Mapping_ = {
    "mail.name": keys(Key(path="PayloadDisplayName"), _mail("EmailAccountDescription")),
    "mail.protocol": keys(
        _mail("EmailAccountType", one_of({"imap": "EmailTypeIMAP", "pop": "EmailTypePOP"})),
        _mail("IncomingMailServerAuthentication", always("EmailAuthPassword")),
        _mail("OutgoingMailServerAuthentication", always("EmailAuthPassword")),
        _mail("OutgoingPasswordSameAsIncomingPassword", always(True)),
        because=None,
    ),
    "mail.server": keys(_exchange("Host"), _mail("IncomingMailServerHostName")),
    "mail.port": keys(
        _mail("IncomingMailServerPortNumber"),
        because=_l("Apple's Exchange accounts take no port."),
    ),
    "mail.tls": keys(
        _exchange("SSL"), *_ways("IncomingMailServerUseSSL", "OutgoingMailServerUseSSL")
    ),
    "mail.address": keys(Key(path="EmailAddress")),
    "mail.account": keys(
        _exchange("UserName"),
        *_ways("IncomingMailServerUsername", "OutgoingMailServerUsername"),
    ),
    "mail.password": keys(_exchange("Password"), *_ways("IncomingPassword", "OutgoingPassword")),
    "mail.outgoing_server": keys(_mail("OutgoingMailServerHostName")),
    "mail.outgoing_port": keys(_mail("OutgoingMailServerPortNumber")),
    "mail.past_days": keys(_exchange("MailNumberOfPastDaysToSync", number)),
    "mail.keep_in_account": keys(Key(path="PreventMove", since="5.0")),
}

CERTIFICATE_SETTINGS: Mapping_ = {
    "certificates.name": keys(Key(path="PayloadDisplayName")),
    "certificates.certificate": keys(
        Key(path="PayloadContent", value=_der, when={"identity": (None,)}, note=_HIDDEN_TRUST),
        because=_l("The entry has a key with its certificate; that one is used."),
    ),
    "certificates.identity": keys(
        Key(path="PayloadContent", value=_file), because=_l("It is no file in base64.")
    ),
    "certificates.identity_password": keys(Key(path="Password"), because=""),
}
