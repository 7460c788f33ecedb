"""What every view works with."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol, cast

from flask import current_app, g, request
from sqlalchemy.orm import Session

from management.access import Identity, who_asks
from management.context import Context
from management.database import BEHALF, VIA
from management.limits import LIMIT, Limit


def context() -> Context:
    """Return the server's settings, database, keys and signer."""
    return cast(Context, current_app.extensions["sekisho"])


class Proofs(Protocol):
    """Asks who is signed in to prove it again: `management.administrators.step_up`."""

    def require_fresh(self, by_passkey: bool = True) -> None: ...

    def require_code(self, code: str) -> None: ...


def proofs() -> Proofs:
    """Return what asks for a proof, for the features that administrators are built on."""
    return cast(Proofs, current_app.extensions["sekisho-proofs"])


@contextmanager
def transaction(name: str) -> Iterator[Session]:
    """Open the request's one transaction that writes; *name* says what it does.

    Work that it queues runs on behalf of who asks.
    """
    identity = who_asks()
    with context().database.transaction(name) as session:
        session.info[BEHALF] = identity.name if identity else ""
        session.info[VIA] = g.get("token_label", "")
        keep_to_groups(session, identity, reads_only=False)
        for begun in g.pop("sekisho_on_transaction", ()):
            begun(session)
        yield session


def reading() -> AbstractContextManager[Session]:
    """Open a transaction that only reads."""
    return reader()()


def reader() -> Callable[[], AbstractContextManager[Session]]:
    """Return what opens `reading` transactions for who asks, also after the request: files are
    sent while they are read.
    """
    database, identity = context().database, who_asks()

    @contextmanager
    def open_reading() -> Iterator[Session]:
        with database.reading() as session:
            keep_to_groups(session, identity, reads_only=True)
            yield session

    return open_reading


def keep_to_groups(session: Session, identity: Identity | None, reads_only: bool) -> None:
    """Let *session* see only what an administrator sees who is limited to groups."""
    if identity is not None and identity.groups is not None:
        session.info[LIMIT] = Limit(identity.groups, identity.name, reads_only)


def visitor_address() -> str:
    """Return the address the request came from, for the audit trail."""
    return request.remote_addr or ""


def is_fragment() -> bool:
    """Return whether htmx asks for a part of a page."""
    return "HX-Request" in request.headers and "HX-Boosted" not in request.headers
