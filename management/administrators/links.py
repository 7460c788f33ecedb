"""Where a one-time link leads."""

from flask import url_for

from management.web import context


def link_of(token: str) -> str:
    """Return the whole address of the set-up page for *token*, by the settings."""
    path = url_for("administrators.setup", token=token)
    return f"{context().settings.console_origin}{path}"
