"""Which way leads to Exchange: remote PowerShell on premises, or the REST API of Online."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

from exchange_connector.backends import online, psrp
from exchange_connector.backends.cmdlets import Exchange, Tally

Server = psrp.Server | online.Tenant


@dataclass(frozen=True, slots=True)
class Backend:
    """Opens sessions at one Exchange."""

    session: Callable[[Callable[[str], None], Tally], AbstractContextManager[Exchange]]
    """Takes who remembers the open session's name, and where calls are counted."""
    close_left_over: Callable[[str], None]
    """Closes the session of this name, which a process left that died."""


def backend(server: Server, timeout_seconds: int = 60) -> Backend:
    """Return the backend that speaks to *server*."""
    if isinstance(server, online.Tenant):
        tenant = online.Online(server, timeout_seconds)
        return Backend(lambda remember, tally: tenant.session(tally), lambda name: None)
    return Backend(
        lambda remember, tally: psrp.session(server, timeout_seconds, remember, tally),
        lambda name: psrp.close_left_over(server, name, timeout_seconds),
    )


def try_out(server: Server) -> None:
    """Sign in and out again; raises what `Backend.session` raises."""
    with backend(server).session(lambda name: None, Tally()):
        pass
