"""What the pages of mail access share."""

from flask import Blueprint

from management.access import signed_in_name
from management.mail_access.rules import By
from management.web import visitor_address

bp = Blueprint("mail_access", __name__, url_prefix="/mail-access")
"""Its routes stand in ``views``, ``phone_views``, ``connector_views`` and ``settings_views``."""


def by() -> By:
    """Return who is signed in, and from where."""
    return By(signed_in_name(), visitor_address())
