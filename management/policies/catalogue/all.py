"""The whole catalogue, in the order of the console."""

from management.policies.catalogue.accounts import CERTIFICATES, MAIL
from management.policies.catalogue.feature_locks import FEATURE_LOCKS
from management.policies.catalogue.general import GENERAL
from management.policies.catalogue.network import VPN, WIFI
from management.policies.catalogue.passcode import PASSCODE
from management.policies.catalogue.protection import APP_CONTROL, MALWARE_SCAN, WEB_PROTECTION
from management.policies.schema import Category

CATEGORIES: tuple[Category, ...] = (
    GENERAL,
    PASSCODE,
    FEATURE_LOCKS,
    WIFI,
    VPN,
    MAIL,
    CERTIFICATES,
    WEB_PROTECTION,
    APP_CONTROL,
    MALWARE_SCAN,
)
BY_NAME = {category.name: category for category in CATEGORIES}
COMPLIANCE = "compliance"
"""The criteria (`policies.rules.Requirements`), inherited like a category."""
NAMES = (*BY_NAME, COMPLIANCE)
