"""Says what is wrong with a password, and a secret so that it can be typed."""

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


def secret_of(uri: str) -> str:
    """Return the secret in an otpauth URI in groups of four, for typing."""
    secret = uri.partition("secret=")[2].partition("&")[0]
    return " ".join(secret[at : at + 4] for at in range(0, len(secret), 4))
