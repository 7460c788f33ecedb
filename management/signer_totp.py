"""One-time codes (TOTP, RFC 6238), kept where the web process cannot read them.

An *owner* is an administrator (for signing in) or an approver; they never share a seed, so that a
code given to sign in approves nothing.
"""

import sqlite3

import pyotp

from management.key_files import SealedFolder
from management.signer_rules import delay_after
from management.signer_store import Books
from runtime.errors import NotFoundError, RefusedError

STEP_SECONDS = 30
ISSUER = "Sekisho"
WRONG = "This code is wrong or was used before."


def begin(books: Books, sealed: SealedFolder, owner: str, name: str) -> str:
    """Return an otpauth URI, the same until it is confirmed; RefusedError once it is."""
    row = _find(books, owner)
    if row is not None and row["confirmed_at"] is not None:
        raise RefusedError(
            f"{row['name']} has a one-time code device already. An owner replaces one for signing "
            "in under Administrators; `sekisho approver remove` on the server ends an approver's."
        )
    if row is not None:
        seed = sealed.unseal(row["seed"])
    else:
        seed = pyotp.random_base32()
        books.rows.execute(
            "INSERT INTO code_device (owner, name, seed) VALUES (?, ?, ?)",
            (owner, name, sealed.seal(seed)),
        )
    return pyotp.TOTP(seed).provisioning_uri(name=name, issuer_name=ISSUER)


def check(books: Books, sealed: SealedFolder, owner: str, code: str, wall: float) -> bool:
    """Tell whether *code* is right and new; counts failures and confirms at the first success.

    RefusedError while the owner must wait. The caller commits either way.
    """
    row = _find(books, owner)
    if row is None:
        raise NotFoundError("The signer knows no one-time code device of this person.")
    if row["wait_until"] > books.now:
        seconds = int(row["wait_until"] - books.now) + 1
        raise RefusedError(f"Too many wrong codes. Try again in {seconds} seconds.")
    step = _step(sealed.unseal(row["seed"]), code, row["last_step"], wall)
    if step is None:
        failures = row["failures"] + 1
        books.rows.execute(
            "UPDATE code_device SET failures = ?, wait_until = ? WHERE owner = ?",
            (failures, books.now + delay_after(failures), row["owner"]),
        )
        return False
    books.rows.execute(
        "UPDATE code_device SET failures = 0, wait_until = 0, last_step = ?, "
        "confirmed_at = coalesce(confirmed_at, ?) WHERE owner = ?",
        (step, books.now, row["owner"]),
    )
    return True


def confirmed_at(books: Books, owner: str) -> float | None:
    """Return when the owner's device was confirmed, None when it was not."""
    row = _find(books, owner)
    return None if row is None else row["confirmed_at"]


def forget(books: Books, owner: str) -> None:
    """Forget the owner's code device."""
    books.rows.execute("DELETE FROM code_device WHERE owner = ?", (owner,))


def _find(books: Books, owner: str) -> sqlite3.Row | None:
    row: sqlite3.Row | None = books.rows.execute(
        "SELECT * FROM code_device WHERE owner = ?", (owner,)
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
