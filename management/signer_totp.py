"""Administrators' one-time codes (TOTP, RFC 6238), kept where the web process cannot read them."""

import sqlite3
from uuid import UUID

import pyotp

from management.key_files import SealedFolder
from management.signer_rules import delay_after
from management.signer_store import Books
from runtime.errors import NotFoundError, RefusedError

STEP_SECONDS = 30
ISSUER = "Sekisho"
WRONG = "This code is wrong or was used before."


def begin(books: Books, sealed: SealedFolder, administrator_id: UUID, name: str) -> str:
    """Return an otpauth URI, the same until it is confirmed; RefusedError once it is."""
    row = _find(books, administrator_id)
    if row is not None and row["confirmed_at"] is not None:
        raise RefusedError(
            "This administrator has a one-time code device already. To replace it, run "
            "`sekisho admin recover` on the server."
        )
    if row is not None:
        seed = sealed.unseal(row["seed"])
    else:
        seed = pyotp.random_base32()
        books.rows.execute(
            "INSERT INTO administrator (id, name, seed) VALUES (?, ?, ?)",
            (str(administrator_id), name, sealed.seal(seed)),
        )
    return pyotp.TOTP(seed).provisioning_uri(name=name, issuer_name=ISSUER)


def check(
    books: Books, sealed: SealedFolder, administrator_id: UUID, code: str, wall: float
) -> bool:
    """Tell whether *code* is right and new; counts failures and confirms at the first success.

    RefusedError while this administrator must wait. The caller commits either way.
    """
    row = _find(books, administrator_id)
    if row is None:
        raise NotFoundError("The signer knows no one-time code device of this administrator.")
    if row["wait_until"] > books.now:
        seconds = int(row["wait_until"] - books.now) + 1
        raise RefusedError(f"Too many wrong codes. Try again in {seconds} seconds.")
    step = _step(sealed.unseal(row["seed"]), code, row["last_step"], wall)
    if step is None:
        failures = row["failures"] + 1
        books.rows.execute(
            "UPDATE administrator SET failures = ?, wait_until = ? WHERE id = ?",
            (failures, books.now + delay_after(failures), row["id"]),
        )
        return False
    books.rows.execute(
        "UPDATE administrator SET failures = 0, wait_until = 0, last_step = ?, "
        "confirmed_at = coalesce(confirmed_at, ?) WHERE id = ?",
        (step, books.now, row["id"]),
    )
    return True


def confirmed_at(books: Books, administrator_id: UUID) -> float | None:
    """Return when the administrator's device was confirmed, None when it was not."""
    row = _find(books, administrator_id)
    return None if row is None else row["confirmed_at"]


def forget(books: Books, administrator_id: UUID) -> None:
    """Forget the administrator; what they approved and was not used yet goes too."""
    for table, column in (("administrator", "id"), ("approval", "administrator_id")):
        books.rows.execute(
            f"DELETE FROM {table} WHERE {column} = ?",  # noqa: S608  (constants)
            (str(administrator_id),),
        )


def _find(books: Books, administrator_id: UUID) -> sqlite3.Row | None:
    row: sqlite3.Row | None = books.rows.execute(
        "SELECT * FROM administrator WHERE id = ?", (str(administrator_id),)
    ).fetchone()
    return row


def _step(seed: str, code: str, last_step: int, wall: float) -> int | None:
    """Return the step that *code* belongs to: now or one beside it, and later than *last_step*."""
    totp, now = pyotp.TOTP(seed), int(wall) // STEP_SECONDS
    for step in (now, now - 1, now + 1):
        right = pyotp.utils.strings_equal(totp.at(step * STEP_SECONDS), code)
        if right and step > last_step:
            return step
    return None
