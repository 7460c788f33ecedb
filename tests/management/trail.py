"""For each `sekisho` command: the entry in the audit trail that it makes, or why there is none.

Reviewed by hand; `test_trail` proves that no command is missing here, and asks each for its entry.
"""

ELSEWHERE = "is run on another machine, or as a device; this server's trail is not there"
SHOWS_NO_PERSON = "changes nothing and shows no person or device"
BY_API = "speaks with the API, which notes it under the name that the token belongs to"
PROCESS = "is a process; what is done by it has entries of its own"
NO_SERVER = "reads files only; there need not be a server"
PUBLISHES = "is run where pattern sets are published; there need not be a server"
SEES_ADMINISTRATORS = "what administrators see of each other is noted in the console only"

ENTRIES: dict[str, str] = {
    "admin recover": "administrator.recover",
    "admin setup-link": "administrator.setup_link",
    "admin token": "token.make",
    "approver add": "approver.add",
    "approver approve": "signer.approve",
    "approver remove": "approver.remove",
    "approver sets": "look.list",
    "audit checkpoint": "audit.checkpoint",
    "audit forget": "audit.forget",
    "database backup": "database.backup",
    "database facts": "facts.mend",
    "database restored": "database.restored",
    "database upgrade": "database.upgrade",
    "directory import": "directory.import",
    "explain": "look.explanation",
    "pause": "enforcement.pause",
    "resume": "enforcement.resume",
    "trust confirm": "trust.confirm",
    "trust succeed": "trust.succeed",
    "update run": "update.run",
}

NONE: dict[str, str] = {
    "admin list": SEES_ADMINISTRATORS,
    "approver list": SEES_ADMINISTRATORS,
    "approver noted": SEES_ADMINISTRATORS,
    "audit verify": SHOWS_NO_PERSON,
    "communication": ELSEWHERE,
    "conformance": ELSEWHERE,
    "database check": SHOWS_NO_PERSON,
    "database revision": "for developers: writes a file of the source code",
    "demo": PROCESS,
    "demo-world": PROCESS,
    "exchange-connector": ELSEWHERE,
    "management jobs": PROCESS,
    "management signer": PROCESS,
    "management web": PROCESS,
    "pattern": NO_SERVER,
    "remote": BY_API,
    "scan": NO_SERVER,
    "set-up": "makes what is missing, and upgrades with the entry of `database upgrade`",
    "simulate": ELSEWHERE,
    "trust show": SHOWS_NO_PERSON,
    "up": PROCESS,
    "update check": SHOWS_NO_PERSON,
    "update init": PUBLISHES,
    "update publish": PUBLISHES,
    "update renew-root": PUBLISHES,
    "update show": PUBLISHES,
    "update sign-timestamp": PUBLISHES,
    "verify": SHOWS_NO_PERSON,
}
"""A group that stands here stands for all of its commands."""

ASKS = "asks only, and changes nothing: the answer counts people or is a form"
CHALLENGE = "begins a proof; what follows with it is noted"
OWN_LOOK = "how the pages look to one person"
DRAFT = "a draft orders nothing; its confirmation is noted, with number and digest"
REPORTED = "what a paired connector reports; the facts it brings are kept with their source"

UNNOTED: dict[str, str] = {
    "account.choose_language": OWN_LOOK,
    "account.choose_theme": OWN_LOOK,
    "bulk.draft": DRAFT,
    "bulk.new": DRAFT,
    "bulk_api.draft_bulk_command": DRAFT,
    "connector_api.applied": REPORTED,
    "connector_api.partnerships": REPORTED,
    "connector_api.status": REPORTED,
    "connector_api.synced": REPORTED,
    "connector_api.take_log": "a log that was ordered comes; ordering and fetching it are noted",
    "passkeys.ask_again": CHALLENGE,
    "passkeys.ask_for_new": CHALLENGE,
    "reminders_api.preview_reminders": ASKS,
    "sign_in.ask_for_passkey": CHALLENGE,
    "unlisted.count": ASKS,
    "unlisted_api.count_unlisted": ASKS,
}
"""Routes that take a form or a body and make no entry, and why."""
