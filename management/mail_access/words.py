"""How the pages of mail access say their states."""

import shlex
from dataclasses import dataclass

from contracts.certificates import fingerprint
from management.keys import Keys
from management.mail_access.authorities import certifies_console
from management.mail_access.matching import Match
from management.mail_access.rules import AllowedStates, AutomaticFor
from management.mail_access.states import ConnectorState, WipeState
from management.settings import Settings
from management.texts import lazy as _l
from management.words import Word

MATCHES = {
    Match.SURE: Word("ok", "link-45deg", _l("Sure")),
    Match.BY_HAND: Word("ok", "person-check", _l("Matched by hand")),
    Match.UNSURE: Word("warn", "question-circle", _l("Unsure")),
    Match.PROPOSED: Word("info", "lightbulb", _l("Proposed")),
    Match.NONE: Word("idle", "dash-circle", _l("Unmanaged")),
    Match.UNMATCHED: Word("idle", "person-x", _l("Unmatched by hand")),
}
CONNECTOR_STATES = {
    ConnectorState.NORMAL: Word("ok", "check-circle", _l("Normal")),
    ConnectorState.WAITING: Word("info", "hourglass-split", _l("Waiting for connection")),
    ConnectorState.WARNING: Word("warn", "exclamation-triangle", _l("Silent for over 5 minutes")),
    ConnectorState.DISCONNECTED: Word("bad", "x-octagon", _l("Disconnected for over 9 minutes")),
    ConnectorState.DISABLED: Word("idle", "slash-circle", _l("Disabled")),
}
EVENTS = {
    "wanted": Word("info", "signpost", _l("Decided")),
    "held": Word("warn", "hourglass-split", _l("Waits for confirmation")),
    "confirmed": Word("info", "person-check", _l("Confirmed")),
    "matched": Word("info", "link-45deg", _l("Matching changed")),
    "applied": Word("ok", "check-circle", _l("Done at the mail server")),
    "failed": Word("bad", "x-octagon", _l("Failed at the mail server")),
    "overridden": Word("warn", "person-exclamation", _l("Overridden in Exchange")),
    "exception": Word("info", "person-gear", _l("Said by an administrator")),
    "renamed": Word("info", "arrow-left-right", _l("Mailbox renamed")),
    "doors": Word("info", "door-closed", _l("Other doors")),
    "wipe": Word("warn", "eraser", _l("Wipe")),
}
ONLY = {
    "held": _l("Waiting for confirmation"),
    "exception": _l("With an exception"),
    "grace": _l("Grace is running"),
    "not_done": _l("Not done yet"),
    "failed": _l("Failed at the mail server"),
    "overridden": _l("Overridden in Exchange"),
    "doors": _l("Blocked, other doors open"),
    "done_block": _l("Blocked by the connector"),
    "wiping": _l("A wipe is not over"),
}
"""What the list can be narrowed to: the keys of `listing.ONLY`."""
ALLOWED_STATES = {
    AllowedStates.HEALTHY_ONLY: _l("Healthy only"),
    AllowedStates.HEALTHY_AND_OUT_OF_SYNC: _l("Healthy and out of sync"),
    AllowedStates.HEALTHY_AND_NON_COMPLIANT: _l("Healthy, out of sync and not compliant"),
}
AUTOMATIC_FOR = {
    AutomaticFor.ALL: _l("All enrolled phones"),
    AutomaticFor.CHOSEN: _l("Only phones chosen one by one"),
}
WHEN_SILENT = {
    "": _l("Choose ..."),
    "hold": _l("Keep its blocks (fail closed)"),
    "open": _l("Take its blocks back (fail open)"),
}
WIPE_STATES = {
    WipeState.QUEUED: Word("info", "hourglass-split", _l("Queued")),
    WipeState.DONE: Word("warn", "eraser", _l("Ordered at the mail server")),
    WipeState.ACKNOWLEDGED: Word("ok", "check-circle", _l("Acknowledged by the phone")),
    WipeState.FAILED: Word("bad", "x-octagon", _l("Failed")),
    WipeState.EXPIRED: Word("idle", "clock-history", _l("Expired")),
    WipeState.CANCELLED: Word("idle", "slash-circle", _l("Taken back")),
}
RELEASE_STATES = {
    "updated": Word("ok", "check-circle", _l("Updated to")),
    "failed": Word("warn", "exclamation-triangle", _l("Update failed")),
    "refused": Word("bad", "x-octagon", _l("Release refused")),
}
DOORS = {
    "activesync": "ActiveSync",
    "imap": "IMAP",
    "pop": "POP",
    "ews": "EWS",
    "owa": "OWA",
    "mapi": "MAPI",
}


CLOSABLE = {door: name for door, name in DOORS.items() if door != "activesync"}


def other_doors(open_doors: str | None) -> list[str]:
    """Return the ways to a mailbox that stay open beside ActiveSync."""
    return [
        DOORS[one] for one in (open_doors or "").split() if one in DOORS and one != "activesync"
    ]


@dataclass(frozen=True, slots=True)
class PairingText:
    """What a person carries from the console to the machine beside Exchange."""

    code: str
    """The one-time secret, a dot, and the fingerprint of the CA that certifies this console."""
    command: str
    gate_command: str
    """The same for an inline gate."""
    own_authority: bool
    """False: the console shows a certificate of the company's own CA, whose file is needed too."""


def pairing_text(keys: Keys, settings: Settings, secret: str) -> PairingText:
    """Return the code and the exact command for *secret*."""
    own = certifies_console(keys)
    code = f"{secret}.{fingerprint(keys.ca_certificate())}" if own else secret
    join = {
        "--management": f"https://{settings.public_name}:{settings.port}",
        "--code": code,
        **({} if own else {"--management-ca": "company-ca.pem"}),
    }
    exchange = {
        "--exchange-url": "https://exchange.example.com/PowerShell",
        "--exchange-user": "EXAMPLE\\sekisho",
        "--name": "exchange",
    }
    server = {"--server": "https://mail.example.com", "--name": "gate"}
    return PairingText(
        code,
        _command("sekisho exchange-connector pair", {**join, **exchange}),
        _command("sekisho exchange-connector gate pair", {**join, **server}),
        own,
    )


def _command(words: str, options: dict[str, str]) -> str:
    lines = [f"{name} {shlex.quote(value)}" for name, value in options.items()]
    return " \\\n  ".join([words, *lines])
