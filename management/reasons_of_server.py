"""What refusals around the server, its signer and its audit trail say, for `management.reasons`."""

from flask_babel import lazy_gettext
from flask_babel.speaklater import LazyString


def _l(english: str) -> tuple[str, LazyString]:
    return english, lazy_gettext(english)


SENTENCES = (
    _l("This change was sent by another site."),
    _l("%(path)s is larger than %(value)s MiB."),
    _l("It is signed by a key that is not this server's."),
    _l("SEKISHO_AUDIT_SYSLOG is %(r)s; write udp://HOST:PORT or tcp://HOST:PORT."),
    _l("%(path)s cannot be written (%(inner)s)."),
    _l("This mail has no attached file %(value)s. Save the whole mail as it came (.eml)."),
    _l("This mail has more than %(value)s parts."),
    _l("A date is written as year-month-day."),
    _l("A server certificate needs at least one name or address."),
    _l("%(r)s is neither a DNS name nor an IP address."),
    _l("The database is busy or cannot be reached (%(inner)s). Try again."),
    _l(
        "Two changes met at the same records and this one gave way: nothing of it was kept. "
        "Try again."
    ),
    _l(
        "This approval also covers devices outside of your groups. Ask an approver without "
        "such a limit."
    ),
    _l("You have %(value)s views. Delete one first."),
    _l(
        "This filter is %(length)s characters long; a view takes %(most)s at most. Leave filters "
        "out, or paste fewer numbers."
    ),
    _l(
        "This name is %(length)s characters long; the name of a view has %(most)s at most. "
        "Shorten it."
    ),
    _l(
        "The filter %(name)s is %(length)s characters long; it takes %(most)s at most. Shorten it, "
        "then save the view."
    ),
    _l("There is no such view."),
    _l("Only %(owner)s, who saved this view, deletes it."),
    _l("A log is a ZIP named HOST_VERSION_TIME.zip."),
    _l("The log is larger than it may be."),
    _l("the name has no address"),
    _l("%(host)s is no name of a server"),
    _l("The mail is larger than %(value)s bytes."),
    _l("it has more than one line"),
    _l("This is no mail address: %(address)s."),
    _l("This cannot be a header of a mail: %(inner)s"),
    _l("There is no such place in the list. Start at the first page."),
    _l("The setting %(name)s is longer than 4000 characters."),
    _l("%(what)s on the server itself, as the signer's user or root."),
    _l("The values for a package name another order-signing key."),
    _l(
        "Wipes are resumed with an approver's code, or by `sekisho resume` on the server as "
        "the signer's user or root."
    ),
    _l("There is no approver %(name)s."),
    _l(
        "%(name)s is no approver. Whoever runs the signer makes one on the server: `sekisho "
        "approver add %(name2)s`."
    ),
    _l("A set names each command once."),
    _l("These commands need no approval: %(free)s."),
    _l("The signer knows no such set; it forgets sets after a week."),
    _l(
        "The audit trail ends at entry %(seq)s, but at %(before)s it ended at entry %(seq2)s:"
        " entries were removed, or an older database was put in its place. After a restore, "
        "run `sekisho audit forget REASON` on the server, as the signer's user or root."
    ),
    _l("Audit entry %(seq)s is not the one that was there at %(before)s."),
    _l("The order signer does not answer (%(what)s). Start it with `sekisho management signer`."),
    _l("This code is wrong or was used before."),
    _l(
        "%(name)s has a one-time code device already. An owner replaces one for signing in "
        "under Administrators; `sekisho approver remove` on the server ends an approver's."
    ),
    _l("The signer knows no one-time code device of this person."),
    _l("Too many wrong codes. Try again in %(seconds)s seconds."),
    _l("A trust statement must name the signer's own keys."),
    _l("The number %(issue)s is far above %(highest)s."),
    _l("Something else waits by now; look at it again."),
    _l("The syslog server %(server)s:%(server2)s cannot be reached (%(inner)s)."),
    _l("Audit entry %(last_seq)s is missing: the next one there is %(seq)s."),
    _l("Audit entry %(seq)s does not follow the entry before it."),
    _l("Audit entry %(seq)s (%(action)s, %(at)s) was changed."),
    _l("Audit entry %(seq)s is not the one that was there on %(at)s."),
    _l(
        "The clock of this server jumped %(way)s by %(inner)s. Check the date and time, then "
        "resume enforcement."
    ),
    _l("%(approvers_needed)s approvers must prove that they want it."),
    _l("An approver other than whoever asked must approve it."),
    _l(
        "Devices are not told of this before it is confirmed: %(new)s. Run `sekisho trust "
        "confirm` on the server, as the signer's user or root."
    ),
)
