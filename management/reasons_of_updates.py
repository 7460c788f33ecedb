"""What updates say of themselves in English while they run and at their end; see `reasons`."""

from flask_babel import lazy_gettext
from flask_babel.speaklater import LazyString


def _l(english: str) -> tuple[str, LazyString]:
    return english, lazy_gettext(english)


SENTENCES = (
    _l("Queued."),
    _l("Asking %(address)s what is new."),
    _l("Release not fetched: %(inner)s"),
    _l("Something beside the patterns was not taken: %(inner)s"),
    _l("Release %(version)s is here for the connectors."),
    _l("Agent package %(version)s is here."),
    _l("Agent package %(version)s is handed out now."),
    _l("Agent package %(version)s is not handed out: %(inner)s"),
    _l("Its file was deleted. Upload it again."),
    _l(
        "It is another app than the package that is handed out now, so phones would not take it "
        "for its update. Withdraw the old one first if that is meant."
    ),
    _l(
        "An administrator chose what is handed out, so it is kept here and not handed out by "
        "itself. Hand it out below, or let the download page follow the update source."
    ),
    _l(
        "It is not newer than the package that is handed out. Only an administrator goes back: "
        "hand an older one out by hand."
    ),
    _l(
        "It is not what the source's signed list says of it (package, signer or version code). "
        "Publish it again."
    ),
    _l("It needs release %(version)s of this server; this is %(ours)s. Update the server first."),
    _l(
        "It has %(size)s bytes, and there is room for %(room)s. Delete some apps, or raise the "
        "setting uploads_bytes."
    ),
    _l(
        "List %(issue)s of revoked attestation keys is in use: %(keys)s keys, %(new)s new, "
        "%(gone)s taken back."
    ),
    _l("List of revoked attestation keys not taken: %(inner)s"),
    _l(
        "It takes back %(lost)s of the %(before)s keys of the list before it. Its publisher does "
        "not say that this is meant, so the list before it stays in use. If it is meant, publish "
        "it with --fewer-revoked."
    ),
    _l(
        "It says that it was published on %(at)s, which is not yet. Check the publisher's clock "
        "and this server's."
    ),
    _l(
        "The source offers list %(offered)s of %(at)s; list %(known)s of %(before)s is in use and "
        "younger. Publish the list again."
    ),
    _l("It has %(length)s bytes, more than %(most)s."),
    _l("It names %(found)s keys, and the source says %(said)s. Publish it again."),
    _l("The list names more than %(count)s keys."),
    _l("The list names %(text)s, which is no serial number."),
    _l("The list is no list of revoked attestation keys (%(form)s)."),
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
