"""What the pages of mail access share."""

from flask import Blueprint
from flask_babel import gettext as _

from management.access import signed_in_name
from management.mail_access.rules import By
from management.web import visitor_address
from runtime.errors import RefusedError

bp = Blueprint("mail_access", __name__, url_prefix="/mail-access")
"""Its routes stand in ``views`` and the modules that end in ``_views``."""
MOST = 1000
"""So many phones are named at once."""


def by() -> By:
    """Return who is signed in, and from where."""
    return By(signed_in_name(), visitor_address())


def read_ids(said: list[str]) -> list[int]:
    """Return the phones that a form or address names; RefusedError for none and for very many."""
    ids = sorted({int(one) for one in said if one.isascii() and one.isdigit() and len(one) < 19})
    if not ids:
        raise RefusedError(_("Tick the phones first."))
    if len(ids) > MOST:
        raise RefusedError(_("Tick at most %(most)s phones at once.", most=MOST))
    return ids
