"""Which cmdlets the service account needs, with which parameters, and which role gives them. Pure.

Roles are those of Exchange's own table of permissions; `docs/exchange.md` has the recipe for a role
that holds nothing else.
"""

from collections.abc import Mapping, Set
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Need:
    """One cmdlet, the parameters that we use, its role, and what does not work without it."""

    parameters: frozenset[str]
    role: str
    without: str


NEEDED: Mapping[str, Need] = {
    "Get-MobileDevice": Need(
        frozenset({"ResultSize", "Filter", "Identity"}), "Mail Recipients", "no phone is found"
    ),
    "Get-CASMailbox": Need(
        frozenset({"ResultSize", "Filter", "Identity"}),
        "Organization Client Access",
        "lists and other doors cannot be read",
    ),
    "Set-CASMailbox": Need(
        frozenset({"Identity", "ActiveSyncAllowedDeviceIDs", "ActiveSyncBlockedDeviceIDs"}),
        "Mail Recipients",
        "nothing can be allowed or blocked",
    ),
    "Get-MobileDeviceStatistics": Need(
        frozenset({"Mailbox", "Identity"}), "Mail Recipients", "the last sync is unknown"
    ),
    "Clear-MobileDevice": Need(
        frozenset({"Identity", "AccountOnly", "Confirm"}),
        "Mail Recipients",
        "no phone can be wiped through the mail server",
    ),
}
OPTIONAL_PARAMETERS = frozenset({"AccountOnly"})
"""Exchange 2013 has no account-only wipe."""


def missing_right(
    cmdlet: str, known: bool, parameters: Set[str] | None, also: Set[str] = frozenset()
) -> str:
    """Return what is missing and which role gives it, or nothing.

    *parameters*: those that the account may use; None when the server does not say. *also*: those
    that a setting needs beside the usual ones.
    """
    need = NEEDED[cmdlet]
    if not known:
        return f'Missing: the role "{need.role}" gives it. Without it {need.without}.'
    if parameters is None:
        return ""
    absent = sorted((need.parameters | also) - OPTIONAL_PARAMETERS - parameters)
    if not absent:
        return ""
    return (
        f'Parameters missing: {", ".join(absent)}. Add them to the role entry (role "{need.role}").'
    )
