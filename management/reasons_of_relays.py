"""What visits to communication servers end with, for `management.reasons`."""

from flask_babel import lazy_gettext
from flask_babel.speaklater import LazyString


def _l(english: str) -> tuple[str, LazyString]:
    return english, lazy_gettext(english)


SENTENCES = (
    _l("It confirmed the wipe."),
    _l("Its answer is too long."),
    _l("The visit failed; the log of the jobs process says why."),
    _l("The relay does not say where it listens; it is of an older release."),
    _l("Give the relay a name of at most %(value)s characters."),
    _l("Choose a log level."),
    _l(
        "What answers at %(link_url)s is no relay of this release (status %(status_code)s). "
        "Is this the port of the link, 4344 unless it was changed?"
    ),
    _l("The relay at %(link_url)s does not answer: %(inner)s."),
    _l("The visit took more than %(value)s s; it goes on with the next one."),
    _l("The communication server answered %(partition)s with %(status_code)s: %(answer)s"),
    _l("The pinned certificate of the communication server cannot be read: %(inner)s."),
    _l("The communication server's answer is larger than %(most)s bytes."),
    _l("The communication server answers strangely. %(inner)s"),
    _l("The communication server does not answer at %(url)s: %(inner)s."),
    _l("No log of this relay is here. Order it first."),
    _l(
        "The communication server lost its memory %(refills)s times in a short while. It is "
        "told all devices again at %(until)s UTC; until then devices that it does not know "
        "are refused there. Look at its disk, and whether two of them share a data folder. "
        "Disable and enable it here to tell it at once."
    ),
    _l("There is no such communication server."),
    _l("%(inner)s, although the communication server says that the device polls."),
    _l("No signed report since %(since)s UTC"),
    _l("There is no such claim."),
    _l("It came back with new keys."),
    _l("%(decided_by)s has decided this already."),
    _l("Management no longer lets this device use its mailbox."),
    _l("%(name)s holds no key: %(inner)s. Pair again."),
    _l("This request was made before; sign it anew."),
    _l(
        "This communication server belongs to the management server with the key %(name)s and"
        " takes orders from no other. To hand it over, run 'sekisho communication code' on it"
        " and pair it anew."
    ),
    _l("The file is %(digest)s, not %(sha256)s; send it again."),
    _l(
        "The files of the app store take %(taken)s MiB, all that this server gives them "
        "(SEKISHO_COMMUNICATION_FILES_BYTES)."
    ),
    _l("No file has this name."),
    _l("Management does not expect this upload from this device now."),
    _l("The file goes on at %(received)s of %(size_bytes)s bytes."),
    _l("This file does not lie here (yet). Ask again later."),
    _l("Management expects no part of this number or size."),
    _l("Files of devices take too much room here; try again later."),
    _l("This part does not lie here."),
    _l("Management expects no such upload here (yet)."),
    _l("More than %(allowed)s %(what)s in a minute; try again in the next one."),
    _l("%(name)s must be an instant like 2026-01-31T12:00:00Z."),
    _l("This enrolment was begun with another key."),
    _l("This server holds as much as it may until management collects it; send this again later."),
    _l("%(count)s enrolments wait here already; try again when management has answered."),
    _l("The orders that wait for devices take too much room."),
    _l("An enrolment needs an id of its own, made at random."),
    _l(
        "Another management server with the same keys speaks with this communication server "
        "(from %(address)s, last at %(at)s UTC). Two servers on copies of one data folder "
        "lose reports: end the one that is not meant."
    ),
    _l("There is no room on this server's disk at the moment; try again later."),
    _l(
        "The device holds order %(ack)s, this server wrote %(outbound_seq)s only. Was it "
        "restored from a backup? Then let the device enrol again."
    ),
    _l(
        "The device left although a %(replace)s was under way, which %(requested_by)s asked "
        "for. It gets the wipe first when it returns; until then treat it as lost."
    ),
    _l("It says that device %(iss)s wrote it."),
    _l("It belongs to enrolment %(enrolment_id)s."),
    _l("No device with this id ever enrolled."),
    _l(
        "Report %(seq)s is signed with the key that the device had before it renewed its "
        "keys: a copy of it is in use, or the device was set back."
    ),
    _l("It reports although it is %(enrolment_state)s."),
    _l(
        "It names the %(inner)s of %(name)s, which is to be wiped, but proves it with no key."
        " Decide under Returned devices whether it is the same."
    ),
    _l("A management server with another key called the relay from %(address)s and was refused."),
    _l(
        "A second management server with the same keys called the relay from %(address)s and "
        "was refused: a copy of this data folder runs elsewhere. End it."
    ),
    _l(
        "Only %(free)s bytes are free on the disk of the communication server, it needs "
        "%(least)s to work. Make room, or let management collect what waits here."
    ),
    _l("it took too long"),
    _l(
        "it shows another certificate than at pairing. If it was set up anew, pair it again; "
        "otherwise somebody is in between"
    ),
)
