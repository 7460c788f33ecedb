"""Checkpoints: where the trail ended, signed by the signer and handed outside.

A chain that is kept only here proves nothing against whoever owns this machine. What another
machine holds cannot be taken back from there: the trail must still contain it.
"""

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from joserfc.jwk import ECKey
from sqlalchemy import select
from sqlalchemy.orm import Session

from contracts import codec, envelope
from contracts import keys as jwk
from contracts.agent import Handover
from contracts.audit import AuditCheckpoint
from management.audit import queries
from management.audit.models import Checkpoint
from management.audit.outside import Place, places
from management.audit.service import Mark
from management.context import Context
from management.database import locked
from management.signer_client import SignerClient
from runtime.errors import MalformedMessageError, SekishoError, UnauthenticatedError

log = logging.getLogger(__name__)
AT_ONCE = 100
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


def hand_out(context: Context) -> list[str]:
    """Tell each place what it has not been told, oldest first; return what went wrong."""
    wanted = places(context.settings.audit_file, context.settings.audit_syslog)
    problems: dict[str, str] = {}
    with context.database.reading() as session:
        waiting = queries.checkpoints_to_tell(session, AT_ONCE) if wanted else []
    for checkpoint in waiting:
        told = _tell(checkpoint, wanted, problems)
        _note(context, checkpoint.seq, told, problems)
    return list(problems.values())


def _tell(checkpoint: Checkpoint, wanted: list[Place], problems: dict[str, str]) -> list[str]:
    """Return the places that hear of *checkpoint* now; one that failed is not asked again."""
    told = []
    for place in wanted:
        if place.name in checkpoint.told or place.name in problems:
            continue
        try:
            place.tell(checkpoint.token, checkpoint.at)
            told.append(place.name)
        except SekishoError as error:
            problems[place.name] = str(error)
    return told


def _note(context: Context, seq: int, told: list[str], problems: dict[str, str]) -> None:
    with context.database.transaction("note who has the checkpoint") as session:
        wanted = locked(select(Checkpoint).where(Checkpoint.seq == seq), Checkpoint)
        if (row := session.scalars(wanted).first()) is not None:
            row.told = [*row.told, *(one for one in told if one not in row.told)]
            row.problem = " ".join(problems.values())[:1000]
            row.waiting = bool(problems)


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
    """Read back what was handed to a file, or what a syslog server wrote down.

    A line may have anything before its token. Only what this server's order-signing key, or one
    before it, signed is believed.
    """
    with path.open("rb") as file:
        text = file.read(MOST_BYTES + 1)
    if len(text) > MOST_BYTES:
        raise MalformedMessageError(f"{path} is larger than {MOST_BYTES // 1024**2} MiB.")
    return _believed(text.decode("utf-8", "replace").splitlines(), _keys(signer))


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
