"""Says in the visitor's language what rules, signer and devices said in English.

Judgements and decisions are stored once, in English, for the audit trail and the API. The sentences
below are theirs; a sentence that is not here is shown as it was said.
"""

import re
from collections.abc import Iterator

from flask_babel import gettext, lazy_gettext
from flask_babel.speaklater import LazyString


def _l(english: str) -> tuple[str, LazyString]:
    return english, lazy_gettext(english)


# What _l is given is found by pybabel (see translations/babel.cfg).
_SENTENCES = dict(
    (
        _l("it never enrolled"),
        _l("it has not reported yet"),
        _l("its security patch level is unknown"),
        _l("it never said which apps are installed"),
        _l("the enrolment ended: %(state)s"),
        _l("its last signed report is of %(moment)s"),
        _l("root access found (%(source)s)"),
        _l("it never said whether it is rooted (%(source)s)"),
        _l("storage is not encrypted (%(source)s)"),
        _l("it never said whether its storage is encrypted (%(source)s)"),
        _l("no screen lock is set (%(source)s)"),
        _l("it never said whether a screen lock is set (%(source)s)"),
        _l("developer options are on (%(source)s)"),
        _l("it never said whether developer options are on (%(source)s)"),
        _l("USB debugging is on (%(source)s)"),
        _l("it never said whether USB debugging is on (%(source)s)"),
        _l("unknown sources are allowed (%(source)s)"),
        _l("it never said whether unknown sources are allowed (%(source)s)"),
        _l("system version %(version)s, asked %(asked)s"),
        _l("security patch of %(day)s, at most %(days)s days old asked"),
        _l("installed although forbidden: %(packages)s"),
        _l("installed: %(apps)s"),
        _l("missing: %(packages)s"),
        _l("%(policy)s version %(version)s asked, the device has %(has)s"),
        _l("Invite the user again."),
        _l("Wait for its first report."),
        _l("Switch the device on, connect it and open the agent."),
        _l("Open the agent, so that it reports."),
        _l("Restore the manufacturer's system."),
        _l("Switch on encryption."),
        _l("Set a screen lock."),
        _l("Switch off developer options."),
        _l("Switch off USB debugging."),
        _l("Forbid unknown sources."),
        _l("Update the system to %(version)s or later."),
        _l("Install the system's security update."),
        _l("Remove the app."),
        _l("Install the app."),
        _l("Wait for its next check-in, or open the agent."),
        _l("The enrolment key is not known here. Check it, or ask for a new invitation."),
        _l("The invitation has expired. Ask for a new one."),
        _l("The invitation was used by a device already. Ask for a new one."),
        _l("The invitation was cancelled. Ask for a new one."),
        _l("It was not sent in time."),
        _l("The device did not collect it in time."),
        _l("The device never said what became of it."),
        _l("The device enrolled anew; the command is sent again."),
        _l("Taken back by %(name)s."),
        _l("automatic allowing and blocking is switched off"),
        _l("unmanaged phones are left alone by setting"),
    )
)


def _patterns() -> Iterator[tuple[re.Pattern[str], str]]:
    for english in _SENTENCES:
        if "%(" in english:
            pattern = re.sub(r"%\\\((\w+)\\\)s", r"(?P<\1>.+)", re.escape(english))
            yield re.compile(pattern, re.DOTALL), english


_PATTERNS = tuple(_patterns())


def reason(said: str) -> str:
    """Return what was *said* in the visitor's language, or as it is."""
    if said in _SENTENCES:
        return str(_SENTENCES[said])
    for pattern, english in _PATTERNS:
        if (found := pattern.fullmatch(said)) is not None:
            return str(gettext(english, **found.groupdict()))
    return said
