"""Which orders the signer signs: limits, the pause, and approvals of exactly this order."""

from dataclasses import dataclass, field
from uuid import UUID

from contracts import agent
from contracts.agent import CommandKind
from management.signer_rules import DAY, HOUR, Limits, Wanted, content_of, exceeded
from management.signer_store import Books

PAUSED = "paused"
_COUNT = "SELECT count(*) FROM counted WHERE kind = ? AND signed_at > ? AND approved_as = ''"
DESTRUCTIVE = (CommandKind.WIPE, CommandKind.SELECTIVE_WIPE)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why an order is not signed: *why* is ``limit``, ``paused`` or ``misused``."""

    why: str
    text: str = field(default="")


def admit(books: Books, order: agent.Order, requested_by: str, limits: Limits) -> Refusal | None:
    """Count an order that has limits, or say why it must not be signed; any other is free.

    A command's id counts once, so it is bound to its first device, kind and arguments: else one id
    would wipe everybody.
    """
    body = order.body
    if not isinstance(body, agent.RunCommand) or limits.of(body.command) is None:
        return None
    because = books.read(PAUSED) if body.command in DESTRUCTIVE else ""
    if because:
        return Refusal("paused", f"Wipes are paused ({because}); `sekisho resume` lifts it.")
    wanted = Wanted(body.command_id, body.command.value, order.aud, content_of(body.arguments))
    before = _counted(books, body.command_id)
    if before is not None and before != wanted:
        text = "This command was signed before for another device, kind or argument."
        return Refusal("misused", text)
    return None if before else _admit_new(books, wanted, requested_by, limits)


def used_by_all(books: Books, kind: str) -> dict[str, int]:
    """Return how many commands of *kind* were signed without approval within an hour and a day."""
    spans = {"hour": HOUR, "day": DAY}
    return {name: _number(books, _COUNT, kind, books.now - span) for name, span in spans.items()}


def used(books: Books, kind: str, requested_by: str) -> dict[str, int]:
    """Return the same, and how many of the day's *requested_by* asked for, by `SPANS`."""
    mine = _number(books, f"{_COUNT} AND requested_by = ?", kind, books.now - DAY, requested_by)
    return {**used_by_all(books, kind), "administrator": mine}


def approved_today(books: Books) -> int:
    """Return how many commands passed the limits by approval within a day."""
    count = "SELECT count(*) FROM counted WHERE approved_as <> '' AND signed_at > ?"
    return _number(books, count, books.now - DAY)


def _admit_new(books: Books, wanted: Wanted, by: str, limits: Limits) -> Refusal | None:
    kind = CommandKind(wanted.kind)
    limit = exceeded(kind, used(books, wanted.kind, by), limits)
    approved_as = _approved_as(books, wanted, limits) if limit else ""
    if limit and not approved_as:
        return Refusal("limit", f"The signer allows {limit}. {approval_words(limits)}")
    if approved_as and approved_today(books) >= limits.approved_per_day:
        most = f"no more than {limits.approved_per_day} approved commands in one day"
        return Refusal("limit", f"The signer allows {most}, whoever approves.")
    books.rows.execute(
        "INSERT INTO counted VALUES (?, ?, ?, ?, ?, ?, ?)",
        (*_row(wanted), by, books.now, approved_as),
    )
    return None


def approval_words(limits: Limits) -> str:
    """Return who must approve, in a sentence."""
    if limits.approvers_needed == 1:
        return "An approver other than whoever asked must approve it."
    return f"{limits.approvers_needed} approvers must prove that they want it."


def _approved_as(books: Books, wanted: Wanted, limits: Limits) -> str:
    """Return the fingerprint of an approved set that holds exactly this order, or nothing."""
    sets = books.rows.execute(
        "SELECT fingerprint FROM proposed WHERE command_id = ? AND kind = ? AND recipient = ? "
        "AND content = ?",
        _row(wanted),
    ).fetchall()
    return next((row[0] for row in sets if is_approved(books, row[0], limits)), "")


def is_approved(books: Books, fingerprint: str, limits: Limits) -> bool:
    """Tell whether enough approvers stand behind the set now, one of whom did not ask for it."""
    asked = books.rows.execute(
        "SELECT requested_by FROM proposal WHERE fingerprint = ?", (fingerprint,)
    ).fetchone()
    found = approvers_of(books, fingerprint, limits)
    others = [name for name in found if asked is not None and name != asked[0].casefold()]
    return bool(others) and len(found) >= limits.approvers_needed


def approvers_of(books: Books, fingerprint: str, limits: Limits) -> list[str]:
    """Return who approved the set within the time that an approval holds."""
    since = books.now - limits.approval_minutes * 60.0
    rows = books.rows.execute(
        "SELECT approver FROM approval WHERE fingerprint = ? AND approved_at > ? ORDER BY approver",
        (fingerprint, since),
    )
    return [row[0] for row in rows]


def _counted(books: Books, command_id: UUID) -> Wanted | None:
    row = books.rows.execute(
        "SELECT * FROM counted WHERE command_id = ?", (str(command_id),)
    ).fetchone()
    if row is None:
        return None
    return Wanted(command_id, row["kind"], UUID(row["recipient"]), row["content"])


def _row(wanted: Wanted) -> tuple[str, str, str, str]:
    return str(wanted.command_id), wanted.kind, str(wanted.recipient), wanted.content


def _number(books: Books, query: str, *values: object) -> int:
    return int(books.rows.execute(query, values).fetchone()[0])
