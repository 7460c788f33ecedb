"""For which address passkeys are made and asked: the settings say it, no request does."""

from management.administrators.passkey_proofs import Site
from management.web import context


def site() -> Site:
    """Return the console's site."""
    return Site(context().settings.console_origin)
