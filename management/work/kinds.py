"""What each kind of background work is called, where it is seen, and who may stop it."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from management.access import Permission
from management.texts import Text
from management.texts import lazy as _l

Tidy = Callable[[Session, dict[str, Any], str, datetime], None]
"""What else ends with a cancelled job: takes its payload, by whom, when."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of work, for people."""

    title: Text
    endpoint: str = ""
    """The page that shows what it is about."""
    takes: str = ""
    """The field of the payload that the page's address needs, as it is called in both."""
    permission: Permission = Permission.CHANGE_SETTINGS
    """Whoever may start it may stop it and try it again."""
    tidy: str = ""
    """``module:function`` of what else a cancelled one ends. Empty: it cannot be cancelled."""
    again: bool = True
    """A job that ended can be tried again here; else only where it was started."""


KINDS = {
    "apps.scan": Kind(
        _l("Scan of an app"),
        "apps.show",
        "sha256",
        Permission.MANAGE_APPS,
        "management.apps.work:scan_cancelled",
    ),
    "apps.analyse": Kind(
        _l("Deep analysis of an app"),
        "apps.show",
        "sha256",
        Permission.MANAGE_APPS,
        "management.apps.work:analysis_cancelled",
        again=False,
    ),
    "updates.run": Kind(
        _l("Update"),
        "updates.index",
        "",
        Permission.RUN_UPDATES,
        "management.updates.work:cancelled",
        again=False,
    ),
    "dry_run.run": Kind(
        _l("Dry run"),
        "dry_run.show",
        "run_id",
        Permission.CHANGE_POLICIES,
        "management.dry_run.work:cancelled",
        again=False,
    ),
    "commands.bulk": Kind(
        _l("Bulk command"),
        "bulk.show",
        "batch_id",
        Permission.SEND_COMMANDS,
        "management.commands.work:bulk_cancelled",
        again=False,
    ),
    "enrolment.mail": Kind(
        _l("Mail of invitations"),
        "registrations.index",
        "",
        Permission.INVITE,
        "management.enrolment.mail_work:cancelled",
        again=False,
    ),
    "api.forget": Kind(_l("Forgetting of old requests of programs")),
    "commands.dispatch": Kind(_l("Sending of commands"), "commands.index"),
    "commands.expire": Kind(_l("Ending of commands whose time is over"), "commands.index"),
    "enrolment.epochs": Kind(_l("New epochs after a restore"), "devices.index"),
    "devices.forget_facts": Kind(_l("Forgetting of old facts")),
    "agent_packages.announce": Kind(_l("Telling devices of an agent package")),
    "terms.ask": Kind(_l("Asking devices to accept the terms of use")),
    "enrolment.forget": Kind(_l("Forgetting of old enrolments"), "enrolment.index"),
    "allow_list.count": Kind(_l("Comparing devices with the allow-list"), "allow_list.index"),
    "allow_list.apply": Kind(
        _l("Applying the allow-list"),
        "allow_list.index",
        "",
        Permission.CHANGE_SETTINGS,
        "management.enrolment.work:apply_cancelled",
        again=False,
    ),
    "groups.settle": Kind(_l("Policies of a group's devices"), "groups.index"),
    "groups.move": Kind(_l("Moving devices to another group"), "groups.index"),
    "listing.fold": Kind(_l("Folding of the counts of lists")),
    "listing.check": Kind(_l("Check of the lists")),
    "search.check": Kind(_l("Check of the words by which lists are searched")),
    "attestation.take_back": Kind(_l("Taking back proofs by revoked keys"), "updates.index"),
    "policies.spread": Kind(_l("Spreading of a policy"), "policies.show", "policy_id"),
    "relays.watch": Kind(_l("Look at the relays"), "relays.index"),
    "apps.retro_hunt": Kind(_l("Judging known apps by new patterns"), "apps.index"),
    "apps.recheck": Kind(_l("Judging devices whose apps changed"), "apps.index"),
    "apps.look_up": Kind(_l("Judging apps that devices reported"), "apps.index"),
    "apps.end_approvals": Kind(_l("Ending of approvals of apps"), "apps.index"),
    "apps.forget_claims": Kind(
        _l("Forgetting of what no device says of apps any more"), "apps.index"
    ),
    "store.spread": Kind(_l("Telling devices what the app store offers"), "store.index"),
    "audit.checkpoint": Kind(_l("Checkpoint of the audit trail"), "audit.index"),
    "audit.purge": Kind(_l("Forgetting of old entries of the audit trail"), "audit.index"),
    "deleted.forget": Kind(_l("Forgetting of what was deleted"), "deleted.index"),
    "updates.announce": Kind(_l("Telling devices of new patterns"), "updates.index"),
    "mail_access.decide": Kind(_l("Decisions on mail"), "mail_access.index"),
    "mail_access.try": Kind(
        _l("Dry run of mail"),
        "mail_access.trial",
        "digest",
        Permission.MANAGE_MAIL_ACCESS,
        again=False,
    ),
    "mail_access.say": Kind(_l("Noting what the mail server said"), "mail_access.index"),
    "mail_access.sign_wipes": Kind(_l("Signing of wipes through Exchange"), "mail_access.index"),
    "canary.give": Kind(_l("Start of a trial"), "canary.index"),
    "canary.back": Kind(_l("End of a trial"), "canary.index"),
    "consequences.follow": Kind(_l("Consequences of violations"), "consequences.index"),
}
"""Of each kind that `handlers.HANDLERS` names. What keeps things in step with a decision cannot be
cancelled: half of the devices would follow it."""


def kind_of(name: str) -> Kind:
    """Return what is known of a kind; of one from another release only its name."""
    return KINDS.get(name) or Kind(_l("Work of another release"), again=False)
