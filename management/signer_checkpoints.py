"""Where the audit trail ended when the signer last saw it: whoever shortens it meets that.

The web process and its database cannot change what the signer remembers, so that entries removed
from the trail's end are noticed where the signer runs under its own user.
"""

from datetime import UTC, datetime

from contracts import codec
from contracts.audit import AuditCheckpoint
from management.signer_store import Books
from runtime.errors import RefusedError

LAST = "audit checkpoint"


def take(books: Books, seq: int, mac: str) -> AuditCheckpoint:
    """Remember that the trail ends at entry *seq* and return that with the signer's time.

    Raises RefusedError when it ended further on before, or with another entry.
    """
    before = last(books)
    if before is not None and seq < before.seq:
        raise RefusedError(
            f"The audit trail ends at entry {seq}, but at {_when(before)} it ended at entry "
            f"{before.seq}: entries were removed, or an older database was put in its place. "
            "After a restore, run `sekisho audit forget REASON` on the server, as the signer's "
            "user or root."
        )
    if before is not None and seq == before.seq and mac != before.mac:
        raise RefusedError(f"Audit entry {seq} is not the one that was there at {_when(before)}.")
    found = AuditCheckpoint(seq=seq, mac=mac, at=datetime.fromtimestamp(books.now, UTC))
    books.write(LAST, codec.write(found).decode())
    return found


def last(books: Books) -> AuditCheckpoint | None:
    """Return what was taken last."""
    text = books.read(LAST)
    return codec.read(AuditCheckpoint, text) if text else None


def forget(books: Books) -> None:
    """Begin anew with whatever comes next."""
    books.write(LAST, "")


def _when(checkpoint: AuditCheckpoint) -> str:
    return f"{checkpoint.at:%Y-%m-%d %H:%M} UTC"
