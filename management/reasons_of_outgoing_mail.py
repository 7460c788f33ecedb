"""What outgoing mail says in English: wrong settings, and what a mail server did; see `reasons`."""

from flask_babel import lazy_gettext
from flask_babel.speaklater import LazyString


def _l(english: str) -> tuple[str, LazyString]:
    return english, lazy_gettext(english)


SENTENCES = (
    _l("No mail server is entered yet."),
    _l("Checkpoints are being handed out already. Wait until that is over and try again."),
    _l("The mail server is being tried already. Try again in half a minute."),
    _l("Enter the mail server's name or address, without a port."),
    _l("A port is a number from 1 to 65535."),
    _l(
        "Without encryption mail goes only to a server on this machine (localhost, 127.0.0.1). "
        "Choose STARTTLS or TLS."
    ),
    _l("Enter a mail address, like audit@example.com. Only the letters of ASCII are taken."),
    _l(
        "User and password belong together. The password has to be entered again when the server, "
        "the encryption, the CA or the user is changed."
    ),
    _l("User and password may have 500 characters together, and no control characters."),
    _l("This is no certificate as text (PEM, -----BEGIN CERTIFICATE-----)."),
    _l("At most %(number)s addresses; use a list at your mail server."),
    _l("This is no mail address: %(detail)s. Only the letters of ASCII are taken."),
    _l("The mail server %(server)s answered %(asked)s: %(answer)s"),
    _l("The mail server %(server)s cannot be reached: %(detail)s"),
    _l("The mail server %(server)s did not answer in time (%(seconds)s s)."),
    _l(
        "The certificate of the mail server %(server)s is not trusted: %(detail)s. Nothing secret "
        "was sent. Enter its CA, or mend the certificate."
    ),
    _l(
        "The mail server %(server)s offers no STARTTLS, so nothing was sent. Choose TLS (port "
        "465), or have it mended."
    ),
    _l(
        "The mail server %(server)s, or somebody in between, said something in the clear that "
        "would count as secret. Nothing was sent."
    ),
    _l(
        "The mail server %(server)s offers no sign-in by password (AUTH PLAIN or LOGIN), but: "
        "%(detail)s."
    ),
    _l("The mail server %(server)s answers without end."),
    _l("What answers at %(server)s is no mail server."),
    _l("%(host)s is not this machine: without encryption nothing is sent there."),
    _l(
        "The mail server %(server)s took the mail and did not confirm it (%(detail)s): it may "
        "arrive. It is sent again."
    ),
)
