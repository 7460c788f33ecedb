"""What is checked, each live: it asks the real thing now and says what it saw."""

import logging
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime

from management.context import Context
from management.verification import outer_checks as outer
from management.verification import own_checks as own
from management.verification import relay_checks as relay
from management.verification import rules
from management.verification.rules import Finding, Sentence
from management.verification.rules import sentence as _l
from runtime.errors import SekishoError

AT_ONCE = 6
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Check:
    """One check: its name in addresses and output, its title, and what does it."""

    name: str
    title: Sentence
    run: Callable[[Context, datetime], Finding]


CHECKS = (
    Check("database", _l("Database"), own.database),
    Check("room", _l("Free space"), own.room),
    Check("keys", _l("Key files"), own.secrets),
    Check("clock", _l("Clock"), own.clock),
    Check("certificate", _l("Certificate of the console"), own.console_certificate),
    Check("name", _l("Name of this server"), own.public_name),
    Check("signer", _l("Signer"), own.signer),
    Check("jobs", _l("Jobs process"), own.jobs),
    Check("work", _l("Background work"), own.work),
    Check("relays", _l("Communication servers"), relay.relays),
    Check("doors", _l("Where devices connect"), relay.device_doors),
    Check(
        "relay_certificates", _l("Certificates of communication servers"), relay.relay_certificates
    ),
    Check("device_certificates", _l("Certificates of devices"), outer.device_certificates),
    Check("mail", _l("Exchange connectors"), outer.mail),
    Check("outgoing_mail", _l("Outgoing mail"), outer.outgoing_mail),
    Check("patterns", _l("Patterns"), outer.patterns),
    Check("update_source", _l("Update source"), outer.update_source),
    Check("scanner", _l("Scanner"), outer.scanner),
    Check("enforcement", _l("Enforcement"), own.enforcement),
    Check("administrators", _l("Administrators"), own.administrators),
    Check("audit", _l("Audit trail"), own.trail),
)


def find(name: str) -> Check | None:
    """Return the check called *name*."""
    return next((one for one in CHECKS if one.name == name), None)


def run(check: Check, context: Context, now: datetime) -> Finding:
    """Do one check; one that fails is a finding too."""
    try:
        return check.run(context, now)
    except SekishoError as error:
        return rules.broken(error)
    except Exception as error:  # the edge: whatever is broken must be shown, not hidden
        log.exception("A check could not be done.", extra={"check": check.name})
        return rules.broken(error)


def run_all(context: Context, now: datetime) -> Iterator[tuple[Check, Finding]]:
    """Do every check, some at once; yield them in their order as they are done."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        found = [pool.submit(run, check, context, now) for check in CHECKS]
        for check, future in zip(CHECKS, found, strict=True):
            yield check, future.result()
