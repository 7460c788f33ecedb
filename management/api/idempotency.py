"""A POST that is sent again is carried out once: ``Idempotency-Key``.

As in draft-ietf-httpapi-idempotency-key-header: the same key with another request is 422, a
repetition while the first is under way 409, and a later one gets the first answer again. That
something was done is kept in the transaction that does it.
"""

import re
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from uuid import UUID

from flask import request
from sqlalchemy import delete
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session
from werkzeug.exceptions import Conflict, UnprocessableEntity

from management.access import signed_in
from management.api.conditional import hooks
from management.api.models import ApiAnswer
from management.web import context
from runtime.clock import utc_now
from runtime.errors import MalformedMessageError

HEADER = "Idempotency-Key"
KEPT = timedelta(days=1)
PATTERN = r'^"?[A-Za-z0-9_.:/+=-]{1,255}"?$'
UNDER_WAY = (
    "The same request is being carried out, or was and its answer got lost. Look at the result, or "
    "ask again in a moment."
)
SHOWN_ONCE = (
    "This was carried out already, and its answer is not kept: it holds a secret that is shown "
    "once. If it got lost, ask for a new one with another Idempotency-Key."
)


@dataclass(slots=True)
class Once:
    """One request that is carried out once."""

    administrator_id: UUID
    key_hash: str
    request_hash: str

    def stored(self) -> tuple[int, str] | None:
        """Return status and answer of the first time; None: this is the first time."""
        with context().database.reading() as session:
            row = self._row(session)
        if row is None or row.made_at + KEPT <= utc_now():
            return None
        if row.request_hash != self.request_hash:
            raise UnprocessableEntity(
                "This Idempotency-Key belongs to another request. Use a new one for each."
            )
        if not row.status:
            raise Conflict(UNDER_WAY)
        if not row.answer:
            raise Conflict(SHOWN_ONCE)
        return row.status, context().keys.unseal(row.answer)

    def claim(self, session: Session) -> None:
        """Note in the transaction that does it that it is done."""
        known = self._row(session)
        if known is not None and known.made_at + KEPT > utc_now():
            raise Conflict(UNDER_WAY)
        if known is not None:
            session.delete(known)
            session.flush()
        try:
            session.add(self._new())
            session.flush()
        except IntegrityError:
            raise Conflict(UNDER_WAY) from None

    def keep(self, status: int, answer: str) -> None:
        """Keep the answer for whoever asks again; empty: it is shown once and not kept."""
        with context().database.transaction("keep an answer") as session:
            row = self._row(session)
            if row is None:
                row = self._new()
                session.add(row)
            row.status, row.answer = status, answer and context().keys.seal(answer)

    def _row(self, session: Session) -> ApiAnswer | None:
        return session.get(ApiAnswer, (self.administrator_id, self.key_hash))

    def _new(self) -> ApiAnswer:
        return ApiAnswer(
            administrator_id=self.administrator_id,
            key_hash=self.key_hash,
            request_hash=self.request_hash,
            made_at=utc_now(),
        )


def begin(is_file: bool) -> Once | None:
    """Return what the request's key stands for; None without one.

    A file is not read for it: its request is known by address and length.
    """
    key = request.headers.get(HEADER)
    if key is None:
        return None
    if not re.fullmatch(PATTERN, key):
        raise MalformedMessageError(f"{HEADER} has 1 to 255 letters, digits or -_.:/+=.")
    body = str(request.content_length).encode() if is_file else request.get_data()
    said = f"{request.method} {request.full_path}\0".encode() + body
    hashed = sha256(key.strip('"').encode()).hexdigest()
    once = Once(signed_in().administrator_id, hashed, sha256(said).hexdigest())
    hooks().append(once.claim)
    return once


def forget(session: Session) -> None:
    """Delete what was kept for a day."""
    session.execute(delete(ApiAnswer).where(ApiAnswer.made_at <= utc_now() - KEPT))
