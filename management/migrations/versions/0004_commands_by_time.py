"""commands by time."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0004"
down_revision: str | None = "0003"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

BY_TIME = ("device_id", "requested_by", "state", "kind")
WAITS = sa.text("waiting_for <> ''")


def upgrade() -> None:
    """Apply the change: each filter of the list of commands has its index, in the list's order."""
    op.create_index("ix_command_queued_at_id", "command", ["queued_at", "id"])
    for column in BY_TIME:
        name = f"ix_command_{column}_queued_at_id"
        op.create_index(name, "command", [column, "queued_at", "id"])
    op.create_index(
        "ix_command_waiting_for_queued_at_id",
        "command",
        ["waiting_for", "queued_at", "id"],
        sqlite_where=WAITS,
        postgresql_where=WAITS,
        mssql_where=WAITS,
    )
    op.drop_index("ix_command_queued_at", "command")
    op.drop_index("ix_command_device_id", "command")
    op.drop_index("ix_command_requested_by_queued_at", "command")


def downgrade() -> None:
    """Undo the change."""
    op.create_index("ix_command_requested_by_queued_at", "command", ["requested_by", "queued_at"])
    op.create_index("ix_command_device_id", "command", ["device_id"])
    op.create_index("ix_command_queued_at", "command", ["queued_at"])
    op.drop_index("ix_command_waiting_for_queued_at_id", "command")
    for column in reversed(BY_TIME):
        op.drop_index(f"ix_command_{column}_queued_at_id", "command")
    op.drop_index("ix_command_queued_at_id", "command")
