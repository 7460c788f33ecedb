"""Approvers, and the sets of orders that they stand behind.

An approver is made on the server itself, by whoever runs the signer: the seed is shown there and
nowhere else, so the web process can neither read it nor bring an approver of its own. What is
approved is a set of orders by its fingerprint; another order is not covered, whatever its id.
"""

import unicodedata
from collections.abc import Iterable
from typing import Any

from management import signer_totp as totp
from management.key_files import SealedFolder
from management.signer_messages import Propose, ProposedOrder
from management.signer_orders import approvers_of, is_approved
from management.signer_rules import DAY, Limits, Wanted, content_of, fingerprint_of
from management.signer_store import Books
from runtime.errors import NotFoundError, RefusedError

KEPT = 7 * DAY
MOST_PROPOSALS = 100
_OWNER = "approver:"


def plain(name: str) -> str:
    """Return the name as it is compared: as administrators' names are."""
    return unicodedata.normalize("NFKC", name).casefold().strip()


def begin(books: Books, sealed: SealedFolder, name: str) -> str:
    """Return the otpauth URI of a new approver; it counts once a code of it was given."""
    return totp.begin(books, sealed, _OWNER + plain(name), f"{name} (approvals)")


def confirm(books: Books, sealed: SealedFolder, name: str, code: str, wall: float) -> bool:
    """Take the approver's first code; False when it is wrong."""
    return totp.check(books, sealed, _OWNER + plain(name), code, wall)


def remove(books: Books, name: str) -> None:
    """Forget an approver and every approval of theirs; NotFoundError when there is none."""
    if plain(name) not in names(books, confirmed=False):
        raise NotFoundError(f"There is no approver {name}.")
    totp.forget(books, _OWNER + plain(name))
    books.rows.execute("DELETE FROM approval WHERE approver = ?", (plain(name),))


def names(books: Books, confirmed: bool = True) -> list[str]:
    """Return the approvers, in the order of their names."""
    rows = books.rows.execute(
        "SELECT owner, confirmed_at FROM code_device WHERE owner LIKE 'approver:%' ORDER BY owner"
    )
    wanted = (row for row in rows if row["confirmed_at"] is not None or not confirmed)
    return [row["owner"].removeprefix(_OWNER) for row in wanted]


def proves(books: Books, sealed: SealedFolder, name: str, code: str, wall: float) -> bool:
    """Tell whether *code* proves the confirmed approver *name*; each code counts once."""
    owner = _OWNER + plain(name)
    if totp.confirmed_at(books, owner) is None:
        raise RefusedError(
            f"{name} is no approver. Whoever runs the signer makes one on the server: "
            f"`sekisho approver add {name}`."
        )
    return totp.check(books, sealed, owner, code, wall)


def propose(books: Books, asked: Propose, limits: Limits) -> dict[str, Any]:
    """Register a set of orders; the same set again changes nothing. Returns what `shown` says."""
    wanted = [_wanted(order) for order in asked.orders]
    if len({one.command_id for one in wanted}) < len(wanted):
        raise RefusedError("A set names each command once.")
    if free := sorted({one.command.value for one in asked.orders if not limits.of(one.command)}):
        raise RefusedError(f"These commands need no approval: {', '.join(free)}.")
    fingerprint = fingerprint_of(wanted)
    if _find(books, fingerprint) is None:
        _forget_old(books)
        books.rows.execute(
            "INSERT INTO proposal VALUES (?, ?, ?, ?)",
            (fingerprint, asked.requested_by, asked.because, books.now),
        )
        books.rows.executemany(
            "INSERT INTO proposed VALUES (?, ?, ?, ?, ?)",
            [
                (fingerprint, str(one.command_id), one.kind, str(one.recipient), one.content)
                for one in wanted
            ],
        )
    return shown(books, fingerprint, limits)


def approve(books: Books, fingerprint: str, name: str, limits: Limits) -> dict[str, Any]:
    """Note that an approver, who has proved it, stands behind the set."""
    books.rows.execute(
        "INSERT OR REPLACE INTO approval VALUES (?, ?, ?)", (fingerprint, plain(name), books.now)
    )
    return shown(books, fingerprint, limits)


def shown(books: Books, fingerprint: str, limits: Limits) -> dict[str, Any]:
    """Return a set: who asked, why, how many of which kind for which devices, who approved."""
    row = _find(books, fingerprint)
    if row is None:
        raise NotFoundError("The signer knows no such set; it forgets sets after a week.")
    orders = books.rows.execute(
        "SELECT kind, recipient FROM proposed WHERE fingerprint = ? ORDER BY kind, recipient",
        (fingerprint,),
    ).fetchall()
    kinds = [order["kind"] for order in orders]
    return {
        "fingerprint": fingerprint,
        "requested_by": row["requested_by"],
        "because": row["because"],
        "kinds": {kind: kinds.count(kind) for kind in dict.fromkeys(kinds)},
        "recipients": [order["recipient"] for order in orders],
        "approved_by": approvers_of(books, fingerprint, limits),
        "needed": limits.approvers_needed,
        "approved": is_approved(books, fingerprint, limits),
    }


def listed(books: Books, limits: Limits) -> list[dict[str, Any]]:
    """Return the sets that still wait for an approver, newest first."""
    rows = books.rows.execute("SELECT fingerprint FROM proposal ORDER BY proposed_at DESC")
    found: Iterable[dict[str, Any]] = [shown(books, row[0], limits) for row in rows.fetchall()]
    return [one for one in found if not one["approved"]]


def _wanted(order: ProposedOrder) -> Wanted:
    return Wanted(
        order.command_id, order.command.value, order.recipient, content_of(order.arguments)
    )


def _find(books: Books, fingerprint: str) -> Any:
    return books.rows.execute(
        "SELECT * FROM proposal WHERE fingerprint = ?", (fingerprint,)
    ).fetchone()


def _forget_old(books: Books) -> None:
    """Keep a week and a hundred sets, so that nobody fills the signer's disk."""
    books.rows.execute(
        "DELETE FROM proposal WHERE proposed_at < ? OR fingerprint NOT IN "
        "(SELECT fingerprint FROM proposal ORDER BY proposed_at DESC LIMIT ?)",
        (books.now - KEPT, MOST_PROPOSALS - 1),
    )
    for table in ("proposed", "approval"):
        books.rows.execute(
            f"DELETE FROM {table} WHERE fingerprint NOT IN (SELECT fingerprint FROM proposal)"  # noqa: S608  (constants)
        )
