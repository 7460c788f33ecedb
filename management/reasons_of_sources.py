"""What update sources and the scanner's processes end with, for `management.reasons`."""

from flask_babel import lazy_gettext
from flask_babel.speaklater import LazyString


def _l(english: str) -> tuple[str, LazyString]:
    return english, lazy_gettext(english)


SENTENCES = (
    _l("the update took too long"),
    _l(
        "The source calls this pattern set %(version)s, but it calls itself %(version2)s. "
        "Publish it again."
    ),
    _l("%(what)s is going on already. Wait until it is over and try again."),
    _l("%(named)s is larger than %(value)s bytes."),
    _l("%(named)s names more than %(value)s keys."),
    _l("%(named)s names %(inner)s, which is no serial number."),
    _l('%(named)s is no list of revoked attestation keys ({"entries": {...}}).'),
    _l("The address of an update source has no user name, question mark or hash sign. %(value)s"),
    _l("This is no address of an update source. %(value)s"),
    _l("The address cannot be read: %(inner)s. %(value)s"),
    _l("%(url)s sent %(count)s bytes in %(seconds)s s"),
    _l("%(path)s does not exist"),
    _l("%(path)s is not a file"),
    _l("%(url)s did not answer in time"),
    _l("%(url)s cannot be reached: %(inner)s"),
    _l("%(url)s broke off: %(inner)s"),
    _l("%(url)s cannot be read: %(inner)s"),
    _l("The pattern set takes longer than %(value)s seconds to open, so it was refused."),
    _l(
        "%(inner)s. Check the source's address, the network and the certificate, then update again."
    ),
    _l("%(inner)s. Mend the source's server, then update again."),
    _l("The source was refused: %(inner)s. Publish to it again."),
    _l(
        "%(inner)s. The source is too slow or does not answer; check it and the network, then"
        " update again."
    ),
    _l(
        "The source shows older files than it did before, or a mixture of old and new "
        "(%(inner)s). Somebody may be putting outdated patterns in place of new ones. Publish"
        " again from the newest state of the source."
    ),
    _l(
        "%(url)s is not readable as TUF metadata: it was cut off, or the address leads to "
        "something else. Check the source's address, then update again."
    ),
    _l(
        "This server could not keep what it downloaded: %(inner)s. Check free space and "
        "rights of the data folder."
    ),
    _l("%(url)s is another root. Publish to the source again."),
    _l("The source no longer lists %(target)s."),
    _l("root.json is larger than %(value)s bytes. %(value2)s"),
    _l("This is TUF metadata, but not of the root role. %(value)s"),
    _l(
        "root.json asks for %(threshold)s signatures in the role %(name)s but holds only "
        "%(known)s of its keys, so nothing could ever be trusted. %(value)s"
    ),
    _l("This is not TUF metadata. %(value)s"),
    _l("root.json does not carry enough valid signatures of its own root keys. %(value)s"),
    _l("it is empty"),
    _l("it is larger than %(file_bytes)s bytes"),
    _l("it needs more processor time or memory than the limit"),
    _l("the scanner was ended by %(status)s"),
    _l("the scanner ended with status %(status)s"),
    _l("There is no file %(path)s."),
    _l("%(path)s cannot be read: %(inner)s."),
    _l("the scanner's answer cannot be read"),
    _l("the scanner was ended from outside, twice"),
    _l("it took more than %(seconds)s s"),
    _l("the scanner said more than the limit"),
    _l("%(path)s is not the file that was scanned."),
    _l(
        "%(url)s is longer than its publisher signed for or than any such file may be; "
        "reading stopped there. The source was damaged or tampered with: publish to it again."
    ),
    _l(
        "No update repository is at this address: %(url)s does not exist. Check the source's "
        "address; it is the folder that holds 'metadata' and 'targets'."
    ),
    _l(
        "The source lists %(url)s but does not hold it. A copy of it may be unfinished: "
        "update again later, or publish to it again."
    ),
    _l(
        "What the source shows has expired (%(inner)s). Either it was not signed anew in time"
        " or somebody holds newer patterns back. Run 'sekisho update sign-timestamp' where "
        "the source is published (for root: 'renew-root'), and check this server's clock."
    ),
    _l(
        "%(url)s is not signed with the keys that this server trusts (%(inner)s). If the "
        "publisher started the source afresh, enter its new root.json; otherwise somebody is "
        "tampering with the source."
    ),
    _l(
        "%(url)s is not the file that its publisher signed (%(inner)s): it was cut off, "
        "damaged or tampered with. Update again; if it stays, publish to the source again."
    ),
    _l("It takes back %(lost)s of the %(before)s keys of the list before it."),
    _l("Opening the pattern set ended its process (status %(status)s), so it was refused."),
)
