"""Administrators' passkeys: kept, used, renamed, removed."""

from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from uuid import UUID

from sqlalchemy import delete, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from management.administrators import challenges, passkey_proofs, queries, rules
from management.administrators.models import Administrator, Passkey, UsedChallenge
from management.administrators.passkey_proofs import Proof, Site
from management.audit.service import record
from management.keys import Keys
from runtime.errors import MalformedMessageError, NotFoundError, RefusedError

MOST = 20
"""Passkeys of one administrator."""
NOT_OURS = "This passkey is not known here (any more). Sign in with password and code."
NOT_ENOUGH = (
    "This passkey did not ask for a PIN or a finger, so name and password are needed too: "
    "fill them in first."
)
WENT_BACK = (
    "This passkey's counter went back, so a copy of it may exist: it was refused. "
    "Sign in in another way and remove it from your account."
)


@dataclass(frozen=True, slots=True)
class Shown:
    """A passkey whose answer holds, and what it proves."""

    passkey: Passkey
    proof: Proof


def list_passkeys(session: Session, administrator_id: UUID) -> list[Passkey]:
    """Return one administrator's passkeys, the oldest first."""
    wanted = (
        select(Passkey)
        .where(Passkey.administrator_id == administrator_id)
        .order_by(Passkey.created_at, Passkey.id_hash)
    )
    return list(session.scalars(wanted))


def known_ids(session: Session, administrator_id: UUID) -> list[bytes]:
    """Return the credential ids that a browser need not make again."""
    mine = list_passkeys(session, administrator_id)
    return [passkey_proofs.to_bytes(one.credential_id) for one in mine]


def add(
    session: Session, site: Site, owner: UUID, name: str, challenge: bytes, said: str, now: datetime
) -> Passkey:
    """Keep the passkey that a browser made; RefusedError when it is kept already."""
    made = passkey_proofs.read_new(site, challenge, said)
    if session.get(Passkey, _hash(made.credential_id)) is not None:
        raise RefusedError("This passkey is registered already.")
    if len(list_passkeys(session, owner)) >= MOST:
        raise RefusedError(f"{MOST} passkeys are enough; remove one first.")
    spend(session, challenge, now)
    added = Passkey(
        id_hash=_hash(made.credential_id),
        administrator_id=owner,
        name=name[:100],
        credential_id=passkey_proofs.to_text(made.credential_id),
        public_key=passkey_proofs.to_text(made.public_key),
        counter=made.counter,
        synced=made.synced,
        created_at=now,
    )
    session.add(added)
    session.flush()
    return added


def check(session: Session, site: Site, challenge: bytes, said: str) -> Shown:
    """Return what the answer proves; RefusedError or MalformedMessageError when it does not hold.

    The counter is not compared yet: `accept` does, in the transaction that writes.
    """
    answer = passkey_proofs.read_answer(said)
    found = session.get(Passkey, _hash(answer.credential_id))
    if found is None or answer.user_handle not in {None, found.administrator_id.bytes}:
        raise RefusedError(NOT_OURS)
    key = passkey_proofs.to_bytes(found.public_key)
    return Shown(found, passkey_proofs.prove(site, challenge, said, key))


def accept(
    session: Session, keys: Keys, shown: Shown, challenge: bytes, address: str, now: datetime
) -> str:
    """Use the challenge up and count the use; return why not, a sentence, which is audited."""
    spend(session, challenge, now)
    kept = session.scalars(
        select(Passkey)
        .where(Passkey.id_hash == shown.passkey.id_hash)
        .with_for_update()
        .with_hint(Passkey, "WITH (UPDLOCK)", "mssql")
        .execution_options(populate_existing=True)
    ).one_or_none()
    if kept is None:
        return NOT_OURS
    if rules.went_back(kept.counter, shown.proof.counter):
        owner = session.get(Administrator, kept.administrator_id)
        name = owner.name if owner else ""
        details = {"kept": kept.counter, "came": shown.proof.counter}
        record(session, keys, name, "passkey.went_back", kept.name, "", address, details, now)
        return WENT_BACK
    kept.counter, kept.used_at = shown.proof.counter, now
    return ""


def spend(session: Session, challenge: bytes, now: datetime) -> None:
    """Use *challenge* up; RefusedError when it was used before."""
    session.execute(delete(UsedChallenge).where(UsedChallenge.expires_at < now))
    row = UsedChallenge(challenge_hash=_hash(challenge), expires_at=now + 2 * challenges.LIVES)
    try:
        with session.begin_nested():
            session.add(row)
    except IntegrityError:
        raise RefusedError(challenges.TOO_LATE) from None


def rename(session: Session, owner: UUID, id_hash: str, name: str) -> tuple[Passkey, str]:
    """Give one of *owner*'s passkeys another name; return it with the one it had."""
    found = _get(session, owner, id_hash)
    if not name:
        raise MalformedMessageError("Give the passkey a name.")
    before, found.name = found.name, name[:100]
    return found, before


def remove(session: Session, owner: UUID, id_hash: str) -> Passkey:
    """Forget one of *owner*'s passkeys; RefusedError when it is the last second proof."""
    found = _get(session, owner, id_hash)
    administrator = queries.lock_administrator(session, owner)
    others = len(list_passkeys(session, owner)) - 1
    if not others and not administrator.uses_codes:
        raise RefusedError(
            "This is your last second proof. Register another passkey or an authenticator "
            "app first."
        )
    session.delete(found)
    session.flush()
    return found


def remove_all(session: Session, owner: UUID) -> None:
    """Forget all of *owner*'s passkeys: their account is set up anew."""
    session.execute(delete(Passkey).where(Passkey.administrator_id == owner))


def count(session: Session, owner: UUID) -> int:
    """Return how many passkeys *owner* has."""
    wanted = select(func.count()).select_from(Passkey).where(Passkey.administrator_id == owner)
    return session.scalar(wanted) or 0


def _get(session: Session, owner: UUID, id_hash: str) -> Passkey:
    found = session.get(Passkey, id_hash)
    if found is None or found.administrator_id != owner:
        raise NotFoundError("You have no such passkey.")
    return found


def _hash(binary: bytes) -> str:
    return sha256(binary).hexdigest()
