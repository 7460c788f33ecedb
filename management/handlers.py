"""Which function does which kind of background work, by name, so that nothing is imported early."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from importlib import import_module
from typing import TYPE_CHECKING, Any

from runtime.errors import ConfigurationError

if TYPE_CHECKING:
    from management.context import Context

Progress = Callable[[str], None]
Handler = Callable[["Context", dict[str, Any], Progress], None]
Visit = Callable[["Context"], None]

HANDLERS = {
    "commands.dispatch": "management.commands.work:dispatch",
    "commands.bulk": "management.commands.work:queue_bulk",
    "commands.expire": "management.commands.work:expire",
    "enrolment.epochs": "management.enrolment.epochs:begin_epochs",
    "devices.forget_facts": "management.devices.work:forget",
    "agent_packages.announce": "management.agent_packages.work:announce",
    "terms.ask": "management.terms.work:ask",
    "enrolment.forget": "management.enrolment.work:forget",
    "enrolment.mail": "management.enrolment.mail_work:send",
    "allow_list.count": "management.enrolment.work:count_unlisted",
    "allow_list.apply": "management.enrolment.work:apply_list",
    "groups.settle": "management.groups.work:settle",
    "groups.move": "management.groups.work:move",
    "listing.fold": "management.listing.work:fold",
    "listing.check": "management.listing.work:check",
    "policies.spread": "management.compliance.work:spread_policy",
    "relays.watch": "management.relays.work:watch",
    "api.forget": "management.api.work:forget",
    "apps.scan": "management.apps.work:scan",
    "apps.retro_hunt": "management.apps.work:retro_hunt",
    "apps.recheck": "management.apps.work:recheck",
    "apps.analyse": "management.apps.work:analyse",
    "apps.look_up": "management.apps.work:look_up",
    "apps.end_approvals": "management.apps.work:end_approvals",
    "apps.forget_claims": "management.apps.work:forget_claims",
    "store.spread": "management.store.work:spread",
    "attestation.take_back": "management.attestation.work:take_back",
    "search.check": "management.search.work:check",
    "audit.checkpoint": "management.audit.work:checkpoint",
    "audit.purge": "management.audit.work:purge",
    "deleted.forget": "management.deleted.work:forget",
    "updates.run": "management.updates.work:run",
    "updates.announce": "management.updates.work:announce",
    "mail_access.decide": "management.mail_access.work:decide",
    "mail_access.try": "management.mail_access.trial:run",
    "mail_access.say": "management.mail_access.work:say",
    "mail_access.sign_wipes": "management.mail_access.work:sign_wipes",
    "dry_run.run": "management.dry_run.work:run",
    "canary.give": "management.canary.work:give",
    "canary.back": "management.canary.work:give_back",
    "consequences.follow": "management.consequences.work:follow",
}
"""Queued work: kind -> function taking context, payload and progress; it must bear repetition."""

LOOPS = {
    "visit relays": "management.check_in.visit:visit_all",
    "judge devices": "management.compliance.work:judge_due",
    "look again": "management.consequences.work:look_again",
    "watch trials": "management.canary.work:watch",
    "end dry runs": "management.dry_run.work:end_abandoned",
    "take looks over": "management.audit.work:take_looks_over",
    "take notes over": "management.audit.work:take_notes_over",
}
"""What threads of the jobs process do again and again: name -> function taking the context."""

BEFORE_ACTIVATION = "management.apps.candidates:try_set"
"""What says why a person must look before a pattern set goes live: takes context, its folder and
progress. `updates` calls it by this name, because `apps` builds on `updates`."""


@dataclass(frozen=True, slots=True)
class FromSource:
    """What an update source brings beside pattern sets, which come whatever becomes of it."""

    take: str
    """Takes it: context, the open source (`updater.trust`), its address, what says a line. It tells
    and keeps its own failures."""
    component: str
    """Takes the session and returns the `updates.rules.Component` that page and API show."""


FROM_SOURCE = (
    FromSource(
        "management.updates.releases:take",
        "management.updates.releases:component",
    ),
    FromSource(
        "management.agent_packages.from_source:take",
        "management.agent_packages.queries:component",
    ),
    FromSource(
        "management.attestation.from_source:take",
        "management.attestation.queries:component",
    ),
)
"""`updates` calls them by these names, because some of these features build on `updates`."""


@dataclass(frozen=True, slots=True)
class Scheduled:
    """Work that is queued once in each slot of *every*."""

    kind: str
    every: timedelta


SCHEDULE = (
    Scheduled("commands.dispatch", timedelta(minutes=5)),
    Scheduled("commands.expire", timedelta(minutes=5)),
    Scheduled("api.forget", timedelta(hours=6)),
    Scheduled("enrolment.forget", timedelta(hours=6)),
    Scheduled("agent_packages.announce", timedelta(hours=1)),
    Scheduled("terms.ask", timedelta(hours=1)),
    Scheduled("devices.forget_facts", timedelta(days=1)),
    Scheduled("listing.fold", timedelta(minutes=5)),
    Scheduled("listing.check", timedelta(days=1)),
    Scheduled("search.check", timedelta(days=1)),
    Scheduled("relays.watch", timedelta(minutes=15)),
    Scheduled("mail_access.decide", timedelta(minutes=5)),
    Scheduled("mail_access.sign_wipes", timedelta(minutes=5)),
    Scheduled("updates.run", timedelta(minutes=15)),
    Scheduled("apps.end_approvals", timedelta(minutes=5)),
    Scheduled("apps.forget_claims", timedelta(days=1)),
    Scheduled("store.spread", timedelta(minutes=5)),
    Scheduled("audit.checkpoint", timedelta(hours=1)),
    Scheduled("audit.purge", timedelta(days=1)),
    Scheduled("deleted.forget", timedelta(days=1)),
)
"""``updates.run`` asks itself whether the administrator's schedule says so; the others catch up."""


def find_handler(kind: str) -> Handler:
    """Return the function for *kind*; ConfigurationError when this release has none."""
    where = HANDLERS.get(kind)
    if where is None:
        raise ConfigurationError(f"This release does not know work of kind {kind!r}.")
    found: Handler = resolve(where)
    return found


def resolve(where: str) -> Any:
    """Return what ``module:name`` names."""
    module, _, name = where.partition(":")
    return getattr(import_module(module), name)
