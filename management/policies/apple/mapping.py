"""What becomes of every setting for Apple devices, beside the catalogue that it belongs to."""

from collections.abc import Callable, Mapping

from management.policies.apple.accounts import (
    CERTIFICATE_SETTINGS,
    MAIL_SETTINGS,
    certificate_type,
    mail_type,
)
from management.policies.apple.device_settings import DEVICE_SETTINGS
from management.policies.apple.keys import WIFI, Entry, Mapping_
from management.policies.apple.networks import VPN_SETTINGS, WIFI_SETTINGS, vpn_type

APPLE: Mapping_ = {
    **DEVICE_SETTINGS,
    **WIFI_SETTINGS,
    **VPN_SETTINGS,
    **MAIL_SETTINGS,
    **CERTIFICATE_SETTINGS,
}
TYPE_OF_ENTRY: Mapping[str, Callable[[Entry], str]] = {
    "wifi": lambda entry: WIFI,
    "vpn": vpn_type,
    "mail": mail_type,
    "certificates": certificate_type,
}
"""Category with entries -> the payload type of one of them."""
