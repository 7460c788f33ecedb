"""invitation mail."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

from management.database import UtcDateTime

revision: str = "0003"
down_revision: str | None = "0002"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


def upgrade() -> None:
    """Apply the change."""
    with op.batch_alter_table("invitation", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column("language", sa.Unicode(length=5), server_default="", nullable=False)
        )
        batch_op.add_column(sa.Column("mailed_at", UtcDateTime(), nullable=True))
        batch_op.add_column(
            sa.Column("mails", sa.Integer(), server_default=sa.text("0"), nullable=False)
        )
        batch_op.add_column(sa.Column("mail_ask", sa.Uuid(), nullable=True))
        batch_op.add_column(sa.Column("mail_next_at", UtcDateTime(), nullable=True))
        batch_op.add_column(
            sa.Column("mail_problem", sa.Unicode(length=1000), server_default="", nullable=False)
        )
        batch_op.add_column(sa.Column("mail_problem_at", UtcDateTime(), nullable=True))
        batch_op.create_index(batch_op.f("ix_invitation_mail_ask"), ["mail_ask"], unique=False)
        batch_op.create_index(batch_op.f("ix_invitation_mailed_at"), ["mailed_at"], unique=False)


def downgrade() -> None:
    """Undo the change."""
    with op.batch_alter_table("invitation", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_invitation_mailed_at"))
        batch_op.drop_index(batch_op.f("ix_invitation_mail_ask"))
        batch_op.drop_column("mail_problem_at")
        batch_op.drop_column("mail_problem")
        batch_op.drop_column("mail_next_at")
        batch_op.drop_column("mail_ask")
        batch_op.drop_column("mails")
        batch_op.drop_column("mailed_at")
        batch_op.drop_column("language")
