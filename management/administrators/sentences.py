"""Says what is wrong with a password in the visitor's language."""

from flask_babel import gettext as _

from management.administrators import rules


def password_sentence(password: str, name: str) -> str:
    """Return why *password* is not taken; empty when it is."""
    sentences = {
        "short": _("Use at least %(count)s characters.", count=rules.SHORTEST_PASSWORD),
        "long": _("Use at most %(count)s characters.", count=rules.LONGEST_PASSWORD),
        "simple": _("This is too simple: use more different characters."),
        "name": _("The password must not contain your name."),
        "common": _("This password is one of the first that attackers try. Choose another."),
    }
    problem = rules.password_problem(password, name)
    return sentences[problem] if problem else ""
