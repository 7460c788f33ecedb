"""Checkpoints: where the trail ended, signed by the signer and handed outside.

A chain that is kept only here proves nothing against whoever owns this machine. What another
machine holds cannot be taken back from there: the trail must still contain it.
"""

import fcntl
import logging
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from joserfc.jwk import ECKey
from sqlalchemy import select
from sqlalchemy.orm import Session

from contracts import codec, envelope
from contracts import keys as jwk
from contracts.agent import Handover
from contracts.audit import AuditCheckpoint
from management.audit import queries
from management.audit.models import Checkpoint
from management.audit.outside import Place, mailbox, places
from management.audit.outside_mail import checkpoint_lines, is_mail
from management.audit.service import Mark
from management.context import Context
from management.database import locked
from management.outgoing_mail.queries import find_outgoing_mail
from management.outgoing_mail.service import server_of
from management.outgoing_mail.smtp import UncertainError, UnreachableError
from management.signer_client import SignerClient
from runtime.errors import MalformedMessageError, SekishoError, UnauthenticatedError
from runtime.process import crash_point

log = logging.getLogger(__name__)
BUSY = "Checkpoints are being handed out already. Wait until that is over and try again."
AT_ONCE = 1000
MOST_BYTES = 64 * 1024 * 1024
"""Of a file of checkpoints that is read back: one an hour for some twenty years."""


@dataclass(frozen=True, slots=True)
class Outside:
    """What a file of checkpoints says: what can be believed of it, and what is wrong with it."""

    marks: list[Mark]
    problems: list[str]


def make(context: Context) -> AuditCheckpoint | None:
    """Have the trail's present end signed, and remember it; None while nothing was added.

    Raises RefusedError when the signer saw the trail end further on before.
    """
    with context.database.reading() as session:
        end, before = queries.last_entry(session), queries.last_checkpoint(session)
    if end is None:
        return None
    token = context.signer.checkpoint(end.seq, end.mac)
    found = codec.read(AuditCheckpoint, envelope.unverified_payload(token))
    if before is not None and before.seq == end.seq:
        return None
    with context.database.transaction("note audit checkpoint") as session:
        if session.get(Checkpoint, found.seq) is None:
            session.add(Checkpoint(seq=found.seq, at=found.at, token=token))
    return found


def is_behind(context: Context) -> bool:
    """Tell whether `make` would have something signed."""
    with context.database.reading() as session:
        end, before = queries.last_entry(session), queries.last_checkpoint(session)
    return end is not None and (before is None or before.seq != end.seq)


def places_outside(context: Context) -> list[Place]:
    """Return every place outside that the settings name."""
    settings = context.settings
    with context.database.reading() as session:
        row = find_outgoing_mail(session)
    found = places(settings.audit_file, settings.audit_syslog)
    if row is None:
        return found
    server = partial(server_of, row, context.keys)
    return found + [mailbox(to, server, settings.public_name) for to in row.checkpoints_to]


def hand_out(context: Context) -> list[str]:
    """Tell each place what it has not been told, oldest first; return what went wrong.

    One process at a time: what another is just sending would look as if it had died on the way.
    """
    with _alone(context) as alone:
        return _hand_out(context, places_outside(context)) if alone else [BUSY]


@contextmanager
def _alone(context: Context) -> Iterator[bool]:
    """Tell whether nobody else hands out; the kernel takes the lock from a process that dies."""
    descriptor = os.open(context.settings.home, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield _locks(descriptor)
    finally:
        os.close(descriptor)


def _locks(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _hand_out(context: Context, wanted: list[Place]) -> list[str]:
    while wanted:
        with context.database.reading() as session:
            waiting = queries.checkpoints_to_tell(session, AT_ONCE)
        problems = _tell_each(context, wanted, waiting)
        if waiting:
            _settle(context, waiting, {place.name for place in wanted}, " ".join(problems))
        if problems or len(waiting) < AT_ONCE:
            return problems
    return []


def _tell_each(context: Context, wanted: list[Place], waiting: list[Checkpoint]) -> list[str]:
    """Return what went wrong. A mail server that is away is tried once, not for each mailbox."""
    problems, away = [], False
    for place in wanted:
        if away and place.says_again:
            continue
        try:
            problems.append(_tell(context, place, waiting))
        except UnreachableError as error:
            problems.append(str(error))
            away = True
    return list(filter(None, problems))


def _settle(context: Context, told: list[Checkpoint], names: set[str], problem: str) -> None:
    with context.database.transaction("note who waits for checkpoints") as session:
        for row in _locked(session, told):
            row.waiting = not names <= set(row.told)
            row.problem = problem[:1000] if row.waiting else ""


def _tell(context: Context, place: Place, waiting: list[Checkpoint]) -> str:
    """Tell *place*; return why it stopped, or nothing. UnreachableError: its server is away."""
    left = [one for one in waiting if place.name not in one.told]
    for at in range(0, len(left), place.at_once):
        new = left[at : at + place.at_once]
        doubted: list[int] = []
        if place.says_again:
            new, doubted = _begin(context, place, new)
        try:
            if new:
                place.tell(new, bool(doubted))
        except UncertainError as error:
            return str(error)
        except SekishoError as error:
            if place.says_again:
                _note(context, place, [one for one in new if one.seq not in doubted], told=False)
            if isinstance(error, UnreachableError):
                raise
            return str(error)
        crash_point("after effect checkpoints told")
        _note(context, place, new, told=True)
    return ""


def _begin(
    context: Context, place: Place, new: list[Checkpoint]
) -> tuple[list[Checkpoint], list[int]]:
    """Note that *new* go to *place* now, so that a death on the way is known.

    Return those that nobody else took there meanwhile, and which of them may be there already.
    """
    with context.database.transaction("note where checkpoints go") as session:
        rows = [row for row in _locked(session, new) if place.name not in row.told]
        doubted = [row.seq for row in rows if place.name in row.begun]
        for row in rows:
            row.begun = _with(row.begun, place.name)
    return rows, doubted


def _note(context: Context, place: Place, new: list[Checkpoint], *, told: bool) -> None:
    with context.database.transaction("note who has the checkpoints") as session:
        for row in _locked(session, new):
            row.begun = [one for one in row.begun if one != place.name]
            row.told = _with(row.told, place.name) if told else row.told


def _locked(session: Session, some: list[Checkpoint]) -> list[Checkpoint]:
    wanted = select(Checkpoint).where(Checkpoint.seq.in_([one.seq for one in some]))
    return list(session.scalars(locked(wanted.order_by(Checkpoint.seq), Checkpoint)))


def _with(names: list[Any], name: str) -> list[Any]:
    return names if name in names else [*names, name]


def held(session: Session, signer: SignerClient, most: int | None = None) -> list[Mark]:
    """Return what the trail must contain: the signer's own last checkpoint and those noted here.

    *most*: only so many of the newest.
    """
    marks = [_mark(one.token) for one in queries.list_checkpoints(session, most)]
    if text := signer.status()["checkpoint"]:
        said = codec.read(AuditCheckpoint, text)
        marks.append(Mark(said.seq, said.mac, said.at))
    return marks


def read_file(path: Path, signer: SignerClient) -> Outside:
    """Read back what was handed to a file, a saved mail, or what a syslog server wrote down.

    A line may have anything before its token. Only what this server's order-signing key, or one
    before it, signed is believed.
    """
    with path.open("rb") as file:
        content = file.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise MalformedMessageError(f"{path} is larger than {MOST_BYTES // 1024**2} MiB.")
    if is_mail(content):
        lines = checkpoint_lines(content)
    else:
        lines = content.decode("utf-8", "replace").splitlines()
    return _believed(lines, _keys(signer))


def _believed(lines: Iterable[str], keys: dict[str, ECKey]) -> Outside:
    found = Outside([], [])
    for number, line in enumerate(lines, 1):
        token = line.split()[-1] if line.split() else ""
        if not token:
            continue
        try:
            key = keys.get(envelope.claimed_signer(token))
            if key is None:
                raise UnauthenticatedError("It is signed by a key that is not this server's.")
            envelope.verify(token, envelope.AUDIT, key)
            found.marks.append(_mark(token))
        except SekishoError as error:
            found.problems.append(f"Line {number} is no checkpoint of this server. {error}")
    return found


def _mark(token: str) -> Mark:
    said = codec.read(AuditCheckpoint, envelope.unverified_payload(token))
    return Mark(said.seq, said.mac, said.at)


def _keys(signer: SignerClient) -> dict[str, ECKey]:
    """Return the order-signing keys up to the present one, by thumbprint."""
    status = signer.status()
    earlier = (
        codec.read(Handover, envelope.unverified_payload(token)) for token in status["succession"]
    )
    public = [status["public_key"], *(one.order_signing_key for one in earlier)]
    keys = [jwk.read_public(one) for one in public]
    return {jwk.thumbprint(key): key for key in keys}
