"""The console's menu. Each feature adds its entry here; what a role may not see is left out."""

from dataclasses import dataclass

from flask import current_app, request

from management.access import IN_GROUPS, Permission, who_asks
from management.texts import Text
from management.texts import lazy as _l


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the menu: where it leads, its words, its Bootstrap icon, who sees it."""

    endpoint: str
    label: Text
    icon: str
    permission: Permission = Permission.VIEW
    also: tuple[str, ...] = ()
    """Further blueprints whose pages belong here."""

    def is_here(self) -> bool:
        """Return whether the page on show belongs to this entry (same blueprint)."""
        return request.blueprint in (self.endpoint.partition(".")[0], *self.also)


MENU = (
    Entry("overview.dashboard", _l("Dashboard"), "speedometer2"),
    Entry("devices.index", _l("Devices"), "phone"),
    Entry("commands.index", _l("Commands"), "send"),
    Entry(
        "enrolment.index",
        _l("Enrolment"),
        "person-plus",
        also=(
            "enrolment_keys",
            "registrations",
            "reminders",
            "enrolment_users",
            "allow_list",
            "unlisted",
            "directory",
            "terms",
            "agent_packages",
        ),
    ),
    Entry("groups.index", _l("Groups"), "collection"),
    Entry("policies.index", _l("Policies"), "shield-check", also=("policies_apple",)),
    Entry("consequences.index", _l("Consequences"), "bell"),
    Entry("dry_run.index", _l("Dry runs"), "clipboard-data"),
    Entry("canary.index", _l("Trials"), "signpost-split"),
    Entry("apps.index", _l("Apps"), "bag"),
    Entry("store.index", _l("App store"), "shop"),
    Entry("mail_access.index", _l("Mail access"), "envelope-check"),
    Entry("updates.index", _l("Updates"), "arrow-repeat"),
    Entry("relays.index", _l("Relays"), "hdd-network"),
    Entry("jobs.index", _l("Jobs"), "list-task"),
    Entry("certificates.index", _l("Certificates"), "patch-check"),
    Entry("audit.index", _l("Audit trail"), "journal-text", Permission.READ_AUDIT),
    Entry("deleted.index", _l("Deleted"), "trash"),
    Entry("safety.index", _l("Safety"), "shield-exclamation"),
    Entry(
        "verification.index",
        _l("Verification"),
        "clipboard-check",
        Permission.CHANGE_SETTINGS,
    ),
    Entry(
        "settings.index",
        _l("Settings"),
        "gear",
        Permission.CHANGE_SETTINGS,
        also=("outgoing_mail",),
    ),
    Entry(
        "administrators.index",
        _l("Administrators"),
        "people",
        Permission.MANAGE_ADMINISTRATORS,
        also=("roles", "sessions"),
    ),
)


def entries() -> list[Entry]:
    """Return the entries that whoever asks may see."""
    identity = who_asks()
    return [
        entry
        for entry in MENU
        if identity is not None and identity.may(entry.permission) and is_open(entry.endpoint)
    ]


def is_open(endpoint: str) -> bool:
    """Return whether there is such a page, and no limit to groups keeps out whoever asks."""
    view, identity = current_app.view_functions.get(endpoint), who_asks()
    limited = identity is not None and identity.is_limited
    return view is not None and (not limited or bool(getattr(view, IN_GROUPS, True)))
