"""Who may be asked for the file of an app. Pure."""

from datetime import timedelta
from enum import StrEnum

VALID_FOR = timedelta(days=7)


class RequestState(StrEnum):
    """What became of one request."""

    ORDERED = "ordered"
    SENT = "sent"
    """All parts lie with a relay."""
    DONE = "done"
    REFUSED = "refused"
    """The device does not send it, and says why."""
    FAILED = "failed"
    EXPIRED = "expired"


OPEN = (RequestState.ORDERED, RequestState.SENT)


def may_ask(ownership: str, company: bool, personal: bool) -> bool:
    """Tell whether a device of this ownership may be asked for the apps on it."""
    return personal if ownership == "personal" else company
