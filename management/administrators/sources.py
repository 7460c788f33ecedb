"""Who proves that somebody is the administrator of a name: the seam of ADR 0051.

The row of each administrator names their source. One more kind is a file that makes a `Source`,
and a row in `SOURCES`. What comes after is the same for all and asks no source: the second proof,
who waits after failures, sessions, roles, the audit trail. A source that this release does not know
proves nothing, so nobody gets in by it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from management import passwords
from management.administrators import rules
from management.administrators.models import LOCAL, NO_PASSWORD, Administrator
from runtime.errors import RefusedError


@dataclass(frozen=True, slots=True)
class Source:
    """One kind of proof."""

    matches: Callable[[Administrator | None, str], bool]
    """Whether this is their password. For nobody: False, and as slow as for somebody."""


def _matches_own(administrator: Administrator | None, password: str) -> bool:
    stored = administrator.password_hash if administrator is not None else NO_PASSWORD
    return passwords.matches(
        None if stored == NO_PASSWORD else stored, password[: rules.LONGEST_PASSWORD]
    )


SOURCES: Mapping[str, Source] = {LOCAL: Source(_matches_own)}
"""Name, as in `Administrator.source`, and what proves by it."""


def password_matches(administrator: Administrator | None, password: str) -> bool:
    """Ask the administrator's source; for nobody, or an unknown source, as slow, and False."""
    source = SOURCES.get(administrator.source if administrator is not None else LOCAL)
    return (
        _matches_own(None, password) if source is None else source.matches(administrator, password)
    )


def is_open(administrator: Administrator) -> bool:
    """Return whether *administrator* may get in at all: enabled, and of a source we know."""
    return administrator.disabled_at is None and administrator.source in SOURCES


def require_known(administrator: Administrator) -> None:
    """Raise RefusedError when this release does not know who proves *administrator*."""
    if administrator.source not in SOURCES:
        raise RefusedError(
            f"{administrator.name} is proved by {administrator.source}, which this release does "
            f"not know: nobody gets in under this name. `sekisho admin recover "
            f"{administrator.name}` on the server gives the account a password of its own."
        )
