"""Says in the visitor's language what rules, signer, devices and other processes said in English.

Judgements, decisions and refusals are stored or raised once, in English, for the audit trail and
the API. The sentences below are theirs; one that is not there is shown as it was said, and
`tests/management/console/test_stored_sentences.py` finds it in the code.
"""

from management import (
    reasons_of_access,
    reasons_of_devices,
    reasons_of_exchange,
    reasons_of_invitations,
    reasons_of_mail,
    reasons_of_outgoing_mail,
    reasons_of_people,
    reasons_of_relays,
    reasons_of_server,
    reasons_of_sources,
    reasons_of_updates,
    reasons_of_work,
)
from management.sentences import Catalogue
from management.words import RULES, SOURCES

_CATALOGUES = (
    reasons_of_access,
    reasons_of_devices,
    reasons_of_exchange,
    reasons_of_invitations,
    reasons_of_mail,
    reasons_of_outgoing_mail,
    reasons_of_people,
    reasons_of_relays,
    reasons_of_server,
    reasons_of_sources,
    reasons_of_updates,
    reasons_of_work,
)


def reason(said: str) -> str:
    """Return what was *said* in the visitor's language, or as it is.

    Sentences may follow each other, and a rule may stand before one (``not_rooted: ...``).
    """
    rule, mark, rest = said.partition(": ")
    if mark and rule in RULES:
        return f"{RULES[rule]}: {reason(rest)}"
    return _CATALOGUE.told(said) or said


def is_known(said: str) -> bool:
    """Return whether `reason` knows the whole of what was *said*."""
    return _CATALOGUE.told(said) is not None


def _values(values: dict[str, str]) -> dict[str, str]:
    """Return what fills the gaps; a sentence or word of ours within is told too."""
    if (source := values.get("source", "")) in SOURCES:
        values["source"] = str(SOURCES[source])
    return values | {name: reason(values[name]) for name in ("inner", "state") if name in values}


# What _l is given there is found by pybabel (see translations/babel.cfg).
_CATALOGUE = Catalogue((pair for one in _CATALOGUES for pair in one.SENTENCES), _values)
