"""What the mail of invitations says in English; see `reasons`."""

from flask_babel import lazy_gettext
from flask_babel.speaklater import LazyString


def _l(english: str) -> tuple[str, LazyString]:
    return english, lazy_gettext(english)


SENTENCES = (
    _l("A device enrolled by this invitation already."),
    _l("The invitation is cancelled."),
    _l("The invitation has expired. Invite the person again."),
    _l("This key is nobody’s own, so there is no address."),
    _l("Mail cannot go to this address. Only the letters of ASCII are taken."),
    _l("A device of this person enrolled after the invitation was made."),
    _l("A mail to this person is on its way already."),
    _l("This invitation was mailed %(number)s times. Invite the person again."),
    _l("This person got a mail within the last day."),
    _l("%(number)s mails to this address are on their way already."),
    _l(
        "This address got %(number)s mails since %(first)s UTC, and %(most)s a day are the most. "
        "The next can go out after %(again)s UTC."
    ),
    _l(
        "Your account had %(number)s invitations mailed since %(first)s UTC. Many more at once "
        "would be taken for spam, and the token may be in wrong hands. So many again can go out "
        "after %(again)s UTC."
    ),
    _l("The mail goes out for a newer invitation of the same person."),
    _l("At most %(number)s people get a mail at once. Remind the others afterwards."),
    _l("The choice has changed since you looked at it. Look at it again."),
    _l("Nobody who was invited is awaited."),
    _l("Too many invitations match. Add a word to the filter."),
    _l("Choose English, Japanese or both."),
    _l("The job that had to send it ended without doing so. Remind again."),
    _l(
        "%(number)s mails are on their way already, and %(most)s at most may be. Wait until they "
        "are out, or cancel them under Jobs."
    ),
    _l(
        "Not all invitations could be mailed, after %(number)s attempts. Registrations says which. "
        "The last answer: %(inner)s"
    ),
    _l(
        "The mail server %(server)s took the mail and did not confirm it (%(detail)s): it may "
        "arrive."
    ),
)
