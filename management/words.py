"""How the console says each state: its tone (colour), icon and word, always all three."""

from dataclasses import dataclass

from management.texts import Text
from management.texts import lazy as _l


@dataclass(frozen=True, slots=True)
class Word:
    """A state for people. *tone* is ``ok``, ``warn``, ``bad``, ``idle`` or ``info``."""

    tone: str
    icon: str
    label: Text | str


DEVICE_STATES = {
    "healthy": Word("ok", "check-circle", _l("Healthy")),
    "non_compliant": Word("bad", "x-octagon", _l("Not compliant")),
    "out_of_sync": Word("warn", "exclamation-triangle", _l("Out of sync")),
    "inactive": Word("idle", "moon", _l("Inactive")),
    "not_enrolled": Word("idle", "dash-circle", _l("Not enrolled")),
}
CHECKS = {
    "ok": Word("ok", "check-circle", _l("In order")),
    "idle": Word("idle", "dash-circle", _l("Not used")),
    "warn": Word("warn", "exclamation-triangle", _l("Look at it")),
    "bad": Word("bad", "x-octagon", _l("Wrong")),
}
COMMAND_STATES = {
    "queued": Word("info", "hourglass-split", _l("Queued")),
    "sent": Word("info", "send", _l("Sent")),
    "acknowledged": Word("info", "inbox", _l("Acknowledged")),
    "done": Word("ok", "check-circle", _l("Done")),
    "failed": Word("bad", "x-octagon", _l("Failed")),
    "expired": Word("warn", "clock-history", _l("Expired")),
    "cancelled": Word("idle", "dash-circle", _l("Cancelled")),
}
OF_DEVICES = {
    "failed": _l("A command failed"),
    "waiting": _l("A command waits"),
}
"""Device has a command: see `listing.rules.DeviceFilter.command`."""
WAITING = {
    "undo": Word("info", "arrow-counterclockwise", _l("Can still be taken back")),
    "approval": Word("warn", "person-check", _l("Waits for an approval")),
    "enforcement": Word("warn", "pause-circle", _l("Waits: enforcement is paused")),
    "retry": Word("info", "arrow-repeat", _l("Failed; is tried again")),
    "return": Word("warn", "box-arrow-in-left", _l("Waits for the device to return")),
    "person": Word("warn", "person-exclamation", _l("Waits for your word")),
}
INCIDENTS = {
    "forged": _l("Forged"),
    "replayed": _l("Replayed"),
    "altered": _l("Altered"),
    "gap": _l("Gap"),
    "foreign": _l("Foreign"),
    "unreadable": _l("Unreadable"),
    "withheld": _l("Withheld"),
    "second_management": _l("Second management server"),
    "forgetful": _l("Loses its memory"),
    "left_before_wipe": _l("Left before its wipe"),
    "claims_identity": _l("Claims to be another"),
}
COMMANDS = {
    "lock": Word("info", "lock", _l("Lock")),
    "unlock": Word("info", "unlock", _l("Unlock")),
    "wipe": Word("bad", "trash3", _l("Wipe everything")),
    "selective_wipe": Word("bad", "eraser", _l("Wipe company data")),
    "reset_passcode": Word("warn", "key", _l("Reset the passcode")),
    "locate": Word("info", "geo-alt", _l("Locate")),
    "scan_now": Word("info", "search", _l("Scan now")),
    "update_now": Word("info", "arrow-repeat", _l("Update now")),
    "message": Word("info", "chat-text", _l("Send a message")),
    "lost_mode": Word("warn", "compass", _l("Lost mode")),
    "install_app": Word("info", "download", _l("Install an app")),
    "remove_app": Word("warn", "x-square", _l("Remove an app")),
    "renew_keys": Word("info", "arrow-clockwise", _l("Renew the keys")),
}
VERDICTS = {
    "clean": Word("ok", "check-circle", _l("Clean")),
    "unwanted": Word("warn", "exclamation-circle", _l("Unwanted")),
    "suspicious": Word("warn", "exclamation-triangle", _l("Suspicious")),
    "malicious": Word("bad", "x-octagon", _l("Malicious")),
    "unscannable": Word("idle", "question-circle", _l("Unscannable")),
    "": Word("idle", "question-circle", _l("Not scanned")),
}
MAIL_ACCESS = {
    "allow": Word("ok", "envelope-check", _l("Allowed")),
    "block": Word("bad", "envelope-slash", _l("Blocked")),
    "leave": Word("idle", "envelope", _l("Left alone")),
    "": Word("idle", "dash-circle", _l("Nothing yet")),
}
JOB_STATES = {
    "queued": Word("info", "hourglass-split", _l("In the queue")),
    "running": Word("info", "play-circle", _l("Running")),
    "done": Word("ok", "check-circle", _l("Done")),
    "failed": Word("bad", "x-octagon", _l("Failed")),
    "cancelled": Word("idle", "dash-circle", _l("Cancelled")),
    "nothing new": Word("ok", "check-circle", _l("Nothing new")),
    "updated": Word("ok", "check-circle", _l("Updated")),
    "waiting": Word("warn", "person-exclamation", _l("Waits for a person")),
}
INVITATION_STATES = {
    "active": Word("info", "hourglass-split", _l("Active")),
    "used": Word("ok", "check-circle", _l("Used")),
    "expired": Word("warn", "clock-history", _l("Expired")),
    "cancelled": Word("idle", "dash-circle", _l("Cancelled")),
}
REGISTRATIONS = {
    "registered": Word("ok", "check-circle", _l("Registered")),
    "awaited": Word("info", "hourglass-split", _l("Not registered yet")),
    "failed": Word("bad", "x-octagon", _l("Failed")),
}
CLIENT_STATES = {
    "operating": Word("ok", "play-circle", _l("Operating")),
    "suspended": Word("warn", "pause-circle", _l("Suspended")),
    "deleted": Word("idle", "dash-circle", _l("Deleted")),
}
COMPONENTS = {
    "release": _l("Release for connectors"),
    "agent_package": _l("Agent package"),
    "revoked_keys": _l("Revoked attestation keys"),
}
"""What an update source brings beside patterns, see `handlers.FROM_SOURCE`."""
AGENT_PACKAGES = {"current": Word("ok", "check-circle", _l("Handed out"))}
USER_STATES = {
    "active": Word("ok", "check-circle", _l("May enrol")),
    "disabled": Word("idle", "dash-circle", _l("Disabled")),
}
ENROLMENT_STATES = {
    "enrolled": Word("ok", "check-circle", _l("Enrolled")),
    "retired": Word("idle", "dash-circle", _l("Retired")),
    "wiped": Word("bad", "trash3", _l("Wiped")),
    "reset": Word("warn", "arrow-counterclockwise", _l("Reset")),
}
FACTS = {
    "enrolment": _l("Enrolment"),
    "asked_policy": _l("Given policy"),
    "asked_since": _l("Asked by policies before"),
    "contact": _l("Contact"),
    "os_version": _l("System version"),
    "security_patch": _l("Security patch"),
    "rooted": _l("Rooted"),
    "encrypted": _l("Storage encrypted"),
    "passcode_set": _l("Screen lock set"),
    "developer_options": _l("Developer options"),
    "usb_debugging": _l("USB debugging"),
    "unknown_sources": _l("Unknown sources"),
    "roaming": _l("Roaming"),
    "sims": _l("SIM"),
    "agent_version": _l("Agent version"),
    "pattern_version": _l("Pattern version"),
    "applied_policy": _l("Applied policy"),
    "not_applied": _l("Could not be applied"),
    "attestation": _l("Proof by the hardware"),
    "attested": _l("What the hardware says"),
    "owner_account": _l("Account of the owner"),
    "mail_state": _l("Mail server says"),
    "packages": _l("Installed apps"),
    "bad_apps": _l("Apps with a verdict"),
}
SOURCES = {
    "agent": _l("agent"),
    "apple_mdm": _l("Apple device management"),
    "scanner": _l("scan"),
    "enrolment": _l("enrolment"),
    "exchange": _l("Exchange"),
    "directory": _l("directory"),
    "attestation": _l("secure hardware"),
}
"""Who said a fact; anybody else is an administrator, named."""
BOOT_STATES = {
    "verified": _l("the maker's system, verified"),
    "self_signed": _l("a system that somebody else signed"),
    "unverified": _l("a system that was not verified"),
    "failed": _l("a system that failed verification"),
}
ACCOUNT_STATES = {
    "active": _l("active"),
    "disabled": _l("disabled"),
    "left": _l("has left"),
}
RULES = {
    "enrolled": _l("Is enrolled"),
    "in_contact": _l("Is in contact"),
    "policy_applied": _l("Policy is applied"),
    "not_rooted": _l("Is not rooted"),
    "attested": _l("Hardware proves the system"),
    "encrypted": _l("Storage is encrypted"),
    "passcode_set": _l("A screen lock is set"),
    "no_developer_options": _l("Developer options are off"),
    "no_usb_debugging": _l("USB debugging is off"),
    "no_unknown_sources": _l("Unknown sources are forbidden"),
    "minimum_os": _l("System is new enough"),
    "os_age": _l("System version is not too old"),
    "minimum_patch": _l("Security patch is of the asked level"),
    "patch_age": _l("Security patch is new enough"),
    "no_malicious_app": _l("No malicious app"),
    "no_suspicious_app": _l("No suspicious app"),
    "no_unwanted_app": _l("No unwanted app"),
    "no_unscannable_app": _l("No unscannable app"),
    "no_forbidden_app": _l("No forbidden app"),
    "owner_active": _l("The owner's account is active"),
    "required_app": _l("Required apps are installed"),
}
SEVERITIES = {
    "low": Word("idle", "chevron-down", _l("Low")),
    "medium": Word("info", "dash", _l("Medium")),
    "high": Word("warn", "chevron-up", _l("High")),
    "critical": Word("bad", "chevron-double-up", _l("Critical")),
}
RISKS = {"none": Word("ok", "shield-check", _l("None")), **SEVERITIES}
FINDINGS = {
    "broken": Word("bad", "x-octagon", _l("Broken")),
    "unknown": Word("warn", "question-octagon", _l("Unknown")),
    "not_applicable": Word("idle", "slash-circle", _l("Cannot be said")),
    "kept": Word("ok", "check-circle", _l("Kept")),
    "stale": Word("warn", "hourglass-bottom", _l("Kept, as far as is known")),
}
CONSEQUENCES = {
    "tell_user": Word("info", "chat-text", _l("The user is told")),
    "tell_administrators": Word("info", "megaphone", _l("Administrators are told")),
    "block_mail": Word("warn", "envelope-slash", _l("Mail is blocked")),
    "move_group": Word("warn", "diagram-3", _l("The device moves to another group")),
    "selective_wipe": Word("bad", "eraser", _l("Company data is wiped")),
}
ROLES = {
    "owner": _l("Owner"),
    "administrator": _l("Administrator"),
    "operator": _l("Operator"),
    "help_desk": _l("Help desk"),
    "read_only": _l("Read only"),
}
PERMISSIONS = {
    "view": _l("See everything but the audit trail"),
    "send_commands": _l("Send commands that destroy nothing; end enrolments"),
    "wipe_devices": _l("Order, approve and take back wipes"),
    "invite": _l("Invite people, make enrolment keys, keep the lists of users and devices"),
    "change_policies": _l("Change policies and groups, give them to devices"),
    "manage_apps": _l("Upload, approve and publish apps"),
    "run_updates": _l("Run updates, activate and roll back pattern sets"),
    "manage_mail_access": _l("Decide on mail access"),
    "manage_relays": _l("Pair relays and connectors, replace certificates"),
    "pause_enforcement": _l("Pause and resume enforcement"),
    "change_settings": _l("Change settings, run the checks"),
    "read_audit": _l("Read the audit trail"),
    "manage_administrators": _l("Manage administrators and roles"),
}
"""What each `access.Permission` allows."""
MAIL_STATES = {
    "allowed": Word("ok", "envelope-check", _l("Allowed")),
    "blocked": Word("bad", "envelope-slash", _l("Blocked")),
    "quarantined": Word("warn", "envelope-exclamation", _l("Quarantined")),
    "devicediscovery": Word("info", "hourglass-split", _l("Being recognised")),
}
"""What a mail server says of a device's mail, as `listing.rules.mail_label` writes it."""
SORTS = {
    "name": _l("Name"),
    "contact": _l("Last proof of contact, newest first"),
    "since": _l("Change of state, newest first"),
}
PLATFORMS = {"android": "Android", "ios": "iOS"}
OWNERSHIP = {"company": _l("Company"), "personal": _l("Personal")}


def word(words: dict[str, Word], state: str | None) -> Word:
    """Return how to say *state*; one of another release is said as it is."""
    return words.get(state or "", Word("idle", "question-circle", state or "?"))


def labels(words: dict[str, Word]) -> dict[str, Text | str]:
    """Return what each state is called."""
    return {state: word.label for state, word in words.items()}
