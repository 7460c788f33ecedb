"""What updates say of themselves in English while they run and at their end; see `reasons`."""

from flask_babel import lazy_gettext
from flask_babel.speaklater import LazyString


def _l(english: str) -> tuple[str, LazyString]:
    return english, lazy_gettext(english)


SENTENCES = (
    _l("Queued."),
    _l("Asking %(address)s what is new."),
    _l("Release not fetched: %(inner)s"),
    _l("Release %(version)s is here for the connectors."),
    _l("The source holds no pattern set yet."),
    _l("Version %(version)s is the newest and is active."),
    _l(
        "The source offers version %(version)s. It stays off, because an administrator went back "
        "from version %(held)s: a newer one will be taken by itself, and this one can be "
        "activated under Installed pattern sets."
    ),
    _l("The source offers version %(version)s; this server already had %(newest)s."),
    _l("Version %(version)s is new (%(size)s)."),
    _l("Downloading: %(size)s of %(file)s."),
    _l("Checking it and putting it in place."),
    _l("Trying it: %(done)s of %(total)s files read."),
    _l("Updated to version %(version)s (rules: %(rules)s)."),
    _l("Version %(version)s waits for a person. %(inner)s"),
    _l("%(inner)s The pattern set in use stays active."),
    _l("%(name)s cancelled it; the pattern set in use stayed as it was."),
    _l("Interrupted; the pattern set in use stayed as it was. Try again."),
    _l(
        "Interrupted; the pattern set in use stayed as it was. Try again. Its last error: %(inner)s"
    ),
)
